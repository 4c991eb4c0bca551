"""evaluate.py on exported models: the checkpoint's numbers, beside the checkpoint's; faults in one line."""

import json
import os
import sys
from importlib.util import find_spec

import pytest

from support import warm
from support.clean_sets import write_clean_set, write_pair, write_yaml
from support.paths import ROOT
from support.trained_models import train_by_heart

ENGINES = {  # target of export.py -> its file, and the packages that it needs
    "torch-export": ("run.pt2", ()),
    "onnx": ("run.onnx", ("onnx", "onnxscript", "onnxruntime")),
    "openvino": ("run_openvino/model.xml", ("onnx", "onnxscript", "openvino")),
}
HERE = [target for target, (_, packages) in ENGINES.items() if all(map(find_spec, packages))]


def run(cwd, script, *arguments):
    words = [sys.executable, ROOT / script, *map(str, arguments)]
    return warm.run(words, cwd=cwd, env=dict(os.environ))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A dataset, a detector that knows it by heart, and its exports."""
    folder = tmp_path_factory.mktemp("exports")
    write_clean_set(folder)
    for number in range(6):
        write_pair(folder / "valid", f"b{number}", 50 + number)
    path = write_yaml(folder)
    path.write_text(path.read_text().replace("VALID_DIR_IMAGES: test", "VALID_DIR_IMAGES: valid"))
    (folder / "run").mkdir()
    train_by_heart(path, folder / "run/best_model.pth", steps=50)
    done = run(folder, "export.py", "-w", "run/best_model.pth", "-o", "exports", "-ims", 96, "--to", *HERE)
    assert done.returncode == 0, done.stderr
    return folder


def numbers_of(folder) -> dict:
    return json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("target", ENGINES)
def test_an_export_has_the_checkpoint_s_ap_and_shows_both(place, target):
    if target not in HERE:
        pytest.skip("requirements-export.txt")
    file, out = f"exports/{ENGINES[target][0]}", place / f"out_{target}"
    done = run(place, "evaluate.py", "-w", file, "-c", "shapes.yaml", "-o", out, "-ims", 96)
    assert done.returncode == 0, done.stderr
    assert "compared with the checkpoint that it was made of: run/best_model.pth" in done.stdout
    found = numbers_of(out)
    name = "run_openvino" if target == "openvino" else file.rpartition("/")[2]
    assert list(found["comparison"]["ap"]) == [name, "run"]
    own, checkpoint = found["comparison"]["ap"].values()
    assert own == pytest.approx(checkpoint, abs=2e-3) and own == pytest.approx(found["coco"]["map_50_95"], abs=1e-9)
    assert f"AP: {name} {100 * own:.1f}, run {100 * checkpoint:.1f}" in done.stdout
    assert found["weights"] == file and found["engine"] and found["model"] and found["latency_ms"]["median"] > 0
    assert (out / "report.html").is_file()


@pytest.mark.skipif("openvino" not in HERE or not find_spec("nncf"), reason="requirements-export.txt")
def test_int8_is_kept_or_refused_by_its_ap(place):
    """The other half of the checkpoint's AP is the rule; a detector of 50 steps may fall on either side."""
    done = run(place, "export.py", "-w", "run/best_model.pth", "-o", "int8", "-ims", 96, "--int8", "-c", "shapes.yaml")
    made = place / "int8/run_openvino_int8/model.xml"
    if done.returncode:
        assert done.returncode == 2 and "--int8: it loses more than 0.5 AP, and is deleted: AP" in done.stderr
        assert not made.exists() and not (place / "int8/export.json").exists()
        return
    about = json.loads((place / "int8/export.json").read_text())["exports"]["openvino_int8"]
    assert about["ap_difference"] >= -0.005 and about["images"] == 6 and about["file"] == "run_openvino_int8"
    assert 'type="FakeQuantize"' in made.read_text()
    done = run(place, "evaluate.py", "-w", made, "-c", "shapes.yaml", "-o", place / "out_int8", "-ims", 96)
    assert done.returncode == 0, done.stderr
    assert numbers_of(place / "out_int8")["comparison"]["ap"]["run_openvino_int8"] == pytest.approx(about["ap"])


def test_what_only_a_checkpoint_can_do_is_one_line(place, tmp_path):
    export = "exports/run.pt2"
    other = (place / "shapes.yaml").read_text().replace("CLASSES:", "CLASSES: [__background__, tree]\nOLD:")
    (place / "other.yaml").write_text(other)
    for words, message in (
        (["--save-thresholds", "copy.pth"], "is an exported model: give the checkpoint"),
        (["-c", "other.yaml"], "differ in their classes"),
        (["-d", "cuda"], "exported models run on the CPU"),
        (["-m", "fasterrcnn_resnet50_fpn"], "leave --model out"),
    ):
        done = run(place, "evaluate.py", "-w", export, "-c", "shapes.yaml", "-o", tmp_path / "out", *words)
        assert done.returncode == 2 and message in done.stderr, done.stderr
        assert len(done.stderr.strip().splitlines()) == 1 and not (tmp_path / "out").exists()


SCRIPTS = {
    "evaluate.py": ["-c", "shapes.yaml"],
    "inference.py": ["-i", "valid"],
    "inference_video.py": ["-i", ROOT / "data/inference_data/video_1.mp4"],
    "check_dataset.py": ["-c", "shapes.yaml", "-o", "checked"],
}


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("suffix", [".onnx", ".xml", ".pt2", ".engine"])
@pytest.mark.parametrize("content", [b"", b"\x08\x08 not a model", None], ids=["empty", "other", "missing"])
def test_every_script_says_what_is_wrong_with_a_file(place, script, suffix, content):
    path = place / f"odd{suffix}"
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_bytes(content)
    done = run(place, script, "-w", path.name, *SCRIPTS[script])
    assert done.returncode == 2, done.stdout
    (line,) = done.stderr.strip().splitlines()
    assert path.name in line and len(line) < 400, line
