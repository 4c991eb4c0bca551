"""export.py: what it writes detects as the checkpoint does, through every door; what cannot be is said in one line."""

import json
import subprocess
import sys
from importlib.util import find_spec

import cv2
import numpy as np
import pytest

import export
import inference
from models import Detector
from support.paths import ROOT
from support.video_runs import small_checkpoint
from utils.cli.export_args import export_arguments
from utils.cli.inference_args import image_arguments
from utils.detections import Detections
from utils.errors import CheckpointError, ConfigError, ToolkitError
from utils.exported.engines import open_engine

HERE = {name: all(map(find_spec, packages)) for name, packages in export.PACKAGES.items()}
needs_onnx = pytest.mark.skipif(not (HERE["onnx"] and HERE["openvino"]), reason="requirements-export.txt")
FILES = [
    pytest.param("{}.onnx", marks=needs_onnx),
    pytest.param("{}_openvino/model.xml", marks=needs_onnx),
    "{}.pt2",
]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return small_checkpoint(tmp_path_factory.mktemp("my run") / "best_model.pth")


@pytest.fixture(scope="module")
def exports(weights, tmp_path_factory):
    """All targets that this Python has the packages for."""
    folder = tmp_path_factory.mktemp("exports")
    targets = [target for target, there in HERE.items() if there and target != "web"]  # which needs npm's files
    words = [sys.executable, ROOT / "export.py", "-w", weights, "-o", folder, "-ims", "96", "--to", *targets]
    done = subprocess.run(words, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    return folder, targets, done.stdout


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for number, size in enumerate([(90, 120), (200, 64), (64, 64), (30, 200)]):
        cv2.imwrite(str(folder / f"{number}.png"), rng.integers(0, 255, (*size, 3), np.uint8))
    return folder


def run_export(*words):
    return export.main(export_arguments([str(word) for word in words]))


def test_each_is_compared_and_the_report_says_how(exports, weights):
    folder, targets, printed = exports
    report = json.loads((folder / "export.json").read_text())["exports"]
    assert list(report) == targets
    for target, about in report.items():
        assert (folder / about["file"]).exists() and about["weights"] == str(weights)
        assert about["share"] >= 0.99 and about["boxes"] > 50 and about["box_difference"] < 0.05
        assert about["score_difference"] < 1e-4 and about["speed"] > 0
        assert f"{target}: {100 * about['share']:.1f} % of {about['boxes']} boxes" in printed
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_nothing_is_overwritten(exports, weights):
    folder, targets, _ = exports
    with pytest.raises(ToolkitError, match="is there already and is never overwritten"):
        run_export("-w", weights, "-o", folder, "--to", targets[-1])


def test_one_that_disagrees_is_an_error(exports, weights):
    image = np.zeros((200, 200, 3), np.uint8)
    other = Detections(np.ones((1, 4), np.float32), np.ones(1, np.float32), np.ones(1, np.int64))
    with pytest.raises(ToolkitError, match="does not detect the same, and is deleted"):
        export.compare("torch-export", exports[0] / f"{weights.parent.name}.pt2", [image], [other], 1.0)


@pytest.mark.parametrize("file", FILES)
def test_inference_and_detector_give_the_checkpoint_s_boxes(exports, weights, images, tmp_path, file):
    path = exports[0] / file.format(weights.parent.name)
    found = {}
    for which in (weights, path):
        out = tmp_path / which.suffix
        words = ["-w", which, "-i", images, "-o", out, "-th", "0.05", "--save", "json", "-d", "cpu", "-ims", "128"]
        assert inference.main(image_arguments([str(word) for word in words])) == 0
        found[which] = json.loads((out / "predictions.json").read_text())
    mine, theirs = (found[which]["annotations"] for which in (path, weights))
    if path.suffix == ".pt2":  # it sees narrow images in a larger frame, whose anchors differ
        narrow = {image["id"] for image in found[weights]["images"] if image["file_name"] == "3.png"}
        mine, theirs = ([one for one in of if one["image_id"] not in narrow] for of in (mine, theirs))
    assert found[path]["categories"] == found[weights]["categories"] and len(mine) == len(theirs) > 20
    for one in mine:
        near = [
            two for two in theirs if two["image_id"] == one["image_id"] and two["category_id"] == one["category_id"]
        ]
        assert (
            min(np.abs(np.subtract(one["bbox"] + [one["score"]], two["bbox"] + [two["score"]])).max() for two in near)
            < 0.02
        )
    one, two = (
        Detector(which, device="cpu", img_size=96)(images / "0.png", threshold=0.1) for which in (path, weights)
    )
    np.testing.assert_allclose(one.scores, two.scores, atol=1e-4)
    assert one.class_names == two.class_names


@needs_onnx
def test_files_that_are_not_ours(exports, weights, tmp_path):
    import onnx

    path = exports[0] / f"{weights.parent.name}.onnx"
    (tmp_path / "cut.onnx").write_bytes(path.read_bytes()[:5000])
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    (tmp_path / "bare.xml").write_text("<net/>")
    for name, message in (
        ("cut.onnx", "not a readable model"),
        ("bare.onnx", "not from export.py"),
        ("bare.xml", "no metadata.json beside it"),
    ):
        with pytest.raises(CheckpointError, match=message) as caught:
            Detector(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)
    yaml = tmp_path / "other.yaml"
    yaml.write_text(
        "TRAIN_DIR_IMAGES: a\nTRAIN_DIR_LABELS: a\nVALID_DIR_IMAGES: a\nVALID_DIR_LABELS: a\nCLASSES: [Tree]\n"
    )
    for words, message in (
        (["-c", yaml], "has the classes Tree"),
        (["-m", "fasterrcnn_resnet50_fpn"], "leave --model out"),
        (["-d", "cuda"], "run on the CPU"),
        (["--max-detections", "5000"], "has room for 100"),
    ):
        with pytest.raises(ConfigError, match=message):
            inference.main(
                image_arguments([str(word) for word in ["-w", path, "-i", ROOT / "data/inference_data", *words]])
            )


def test_what_cannot_be_exported_is_said_in_one_line(weights, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run_export("-w", weights, "--to", "tensorrt")
    assert "invalid choice: 'tensorrt'" in capsys.readouterr().err
    (tmp_path / "cut.pth").write_bytes(weights.read_bytes()[:1000])
    for path in (tmp_path / "cut.pth", tmp_path / "missing.pth"):
        with pytest.raises(CheckpointError, match=path.name):
            run_export("-w", path, "--to", "torch-export")
    with pytest.raises(CheckpointError, match="no such file"):
        open_engine(tmp_path / "missing.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.pth"]


@pytest.mark.parametrize("package", ["onnxscript", "onnxruntime"])
def test_a_missing_package_is_named_with_its_remedy(weights, tmp_path, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(export, "missing", lambda names: [name for name in names if name == package])
    with pytest.raises(ConfigError, match=f"lacks {package}: pip install -r requirements-export.txt"):
        run_export("-w", weights, "--to", "onnx", "-o", tmp_path)
    if package == "onnxruntime":
        (tmp_path / "x.onnx").write_bytes(b"\x08\x08")
        with pytest.raises(ConfigError, match="needs onnxruntime, .* pip install -r requirements-export.txt"):
            open_engine(tmp_path / "x.onnx")


@pytest.mark.parametrize("flag", ["--int8", "--half"])
def test_less_precision_is_for_openvino_alone(weights, flag, capsys):
    assert export_arguments(["-w", str(weights), flag]).to == ["openvino"]
    for target in ("onnx", "torch-export"):
        with pytest.raises(SystemExit):
            run_export("-w", weights, flag, "--to", target)
        assert f"{flag} is for --to openvino alone" in capsys.readouterr().err


def test_int8_needs_images_and_nncf(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "missing", lambda names: [name for name in names if name == "nncf"])
    with pytest.raises(ConfigError, match=r"--int8 needs nncf, .* pip install -r requirements-export.txt"):
        run_export("-w", weights, "--int8", "-o", tmp_path)
    monkeypatch.setattr(export, "missing", lambda names: [])
    with pytest.raises(ConfigError, match="has no config.yaml beside it; give --config YAML"):
        run_export("-w", weights, "--int8", "-o", tmp_path)
    assert not list(tmp_path.iterdir())
