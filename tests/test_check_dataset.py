"""check_dataset.py as its users run it: a process, its exit status, what it prints and what it leaves."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.registry import DEFAULT_MODEL, anchors_of
from support.clean_sets import boxes_of, copy_pair, write_clean_set, write_labels, write_pair, write_yaml
from support.paths import ROOT
from support.voc_sets import write_voc_set
from torch_utils.runs.messages import check_report
from utils.annotations.findings import Finding
from utils.checks.diagnosis import Diagnosis, diagnose
from utils.checks.report.terminal import as_dict, count_line, terminal_lines, write_json
from utils.cli.dataset_args import check_arguments
from utils.config.config import load_config
from utils.dataset.scan import scan_splits

SCRIPT = ROOT / "check_dataset.py"
SHARED = ROOT.parent / "shared/data"


def run(*words, cwd, **env):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100", **env}
    command = [sys.executable, str(SCRIPT), *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_clean_set(tmp_path):
    yaml = write_clean_set(tmp_path / "set")
    before = files(tmp_path / "set")
    done = run("--config", yaml, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"{yaml}: Pascal VOC XML"
    assert lines[1].startswith("for fasterrcnn_resnet50_fpn_v2, --img-size 640: short side 640 px")
    assert "train: 6 images, 0 of them without objects; 12 objects" in lines
    assert "  Mask         10        6                  0.0%" in lines
    assert lines[-3:] == [
        "no problems found",
        "reports: outputs/checks/shapes/report.html, report.json",
        f"next: python train.py --config {yaml}",
    ]
    assert "\x1b" not in done.stdout and files(tmp_path / "set") == before
    assert sorted(path.name for path in (tmp_path / "outputs/checks/shapes").iterdir()) == [
        "report.html",
        "report.json",
    ]
    assert "<html" in (tmp_path / "outputs/checks/shapes/report.html").read_text(encoding="utf-8")


def spoilt_set(folder: Path) -> Path:
    """Faults of several kinds: two errors, and more of one kind than are listed."""
    yaml = write_clean_set(folder)
    copy_pair(folder / "train/a4.jpg", folder / "test/b9.jpg")
    (folder / "train/a0.jpg").write_bytes(b"no image")
    write_labels(
        folder / "train", "a1", [*boxes_of(1), *(("Mask", (20 + 9 * n, 280, 21 + 9 * n, 290)) for n in range(8))]
    )
    (folder / "train/lonely.xml").write_text("<annotation/>")
    write_yaml(folder, classes="[Mask, Gloves, Goggles]")
    return yaml


def test_faults(tmp_path):
    yaml = spoilt_set(tmp_path)
    before = files(tmp_path)
    done = run("--data", yaml, "-o", tmp_path / "out", "--imgsz", "480", cwd=ROOT)
    assert done.returncode == 1, done.stderr
    out = done.stdout
    assert "error  images that cannot be read: 1\n    train: " in out
    assert "    val: b9.jpg is the same file as a4.jpg in the training split\n  > Take them out of one" in out
    assert "warning  boxes too small to be seen: 8\n" in out and "    … and 3 more\n" in out
    assert out.splitlines()[-3] == "2 errors, 10 warnings, 0 notes"
    # Both errors are such that a copy can be without them.
    fix = f"next: python check_dataset.py --config {yaml} --img-size 480 --fix-to data/shapes_fixed"
    assert out.splitlines()[-1] == fix
    # The gravest come first.
    heads = [line.split("  ")[0] for line in out.splitlines() if line.startswith(("error  ", "warning  ", "note  "))]
    assert heads == sorted(heads) and heads.count("error") == 2
    after = files(tmp_path)
    assert {name: after[name] for name in before} == before

    report = json.loads((tmp_path / "out/report.json").read_text(encoding="utf-8"))
    assert (report["written_by"], report["report"], report["img_size"]) == ("check_dataset.py", 1, 480)
    assert (report["errors"], report["warnings"], report["notes"]) == (2, 10, 0)
    assert report["class_names"] == ["Mask", "Gloves", "Goggles"]
    assert len(report["findings"]) == 12
    (leak,) = [finding for finding in report["findings"] if finding["check"] == "same-in-both"]
    assert leak["split"] == "val" and leak["severity"] == "error"
    assert (leak["image"], leak["other"]) == (str(tmp_path / "test/b9.jpg"), str(tmp_path / "train/a4.jpg"))
    assert report["checks"]["same-in-both"]["remedy"].startswith("Take them out")
    assert report["statistics"]["train"]["unreached_of_class"]["Goggles"] is None  # JSON has no NaN
    tiny = [finding for finding in report["findings"] if finding["check"] == "box-tiny"]
    assert tiny[0]["boxes"] == [[20, 280, 21, 290]]


def test_its_own_reports_are_replaced_and_nothing_else(tmp_path):
    yaml = write_clean_set(tmp_path)
    out = tmp_path / "out"
    assert run("-c", yaml, "-o", out, cwd=tmp_path).returncode == 0
    (out / "mine.txt").write_text("mine")
    done = run("-c", yaml, "-o", out, cwd=tmp_path)
    assert done.returncode == 0 and "report.json (the earlier ones replaced)\n" in done.stdout
    assert (out / "mine.txt").read_text() == "mine"
    for name, text in (("report.html", "mine"), ("report.json", '{"mine": 1}'), ("report.json", "[]")):
        shutil.rmtree(out)
        out.mkdir()
        (out / name).write_text(text)
        done = run("-c", yaml, "-o", out, cwd=tmp_path)
        assert done.returncode == 2 and f"{out / name} is there already" in done.stderr
        assert files(out) == {name: text.encode()} and not done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--config", "none.yaml"), "none.yaml: file not found"),
        (
            ("--config", "shapes.yaml", "--model", "fasterrcnn_resnet50_fpn_v3"),
            "Did you mean 'fasterrcnn_resnet50_fpn_v2'?",
        ),
        (("--config", "shapes.yaml", "--img-size", "3"), "expected a number of pixels from 64 on"),
        (("--config", "shapes.yaml", "--split", "0.5"), "SPLIT divides the training images"),
        (("--config", "shapes.yaml", "-o", "shapes.yaml"), "the folder shapes.yaml cannot be made"),
        ((), "--config"),
    ],
)
def test_what_cannot_be_checked_is_an_error_of_status_2(tmp_path, words, message):
    write_clean_set(tmp_path)
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr


def test_a_repaired_copy(tmp_path):
    yaml = spoilt_set(tmp_path / "set")
    before = files(tmp_path / "set")
    done = run("-c", yaml, "--fix-to", tmp_path / "fixed", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    copy = done.stdout.splitlines()[-2].removeprefix("the repaired copy: ")
    assert done.stdout.splitlines()[-1] == f"next: python check_dataset.py --config {copy}"
    assert files(tmp_path / "set") == before
    done = run("-c", copy, cwd=tmp_path)
    assert done.returncode == 0 and "0 errors" in done.stdout, done.stdout + done.stderr


def test_errors_that_no_copy_is_without(tmp_path):
    yaml = write_clean_set(tmp_path)
    copy_pair(tmp_path / "train/a4.jpg", tmp_path / "test/b9.jpg")
    write_labels(tmp_path / "test", "b9", [("Mask", (10, 10, 90, 90))])  # a copy with other boxes: which are right?
    done = run("-c", yaml, cwd=tmp_path)
    assert done.returncode == 1 and done.stdout.endswith("\nnext: fix the errors, then run the same check again\n")


def test_the_default_model_is_that_of_training():
    args = check_arguments(["--config", "data/my set.yaml", "/"])
    assert (args.model, args.img_size) == (DEFAULT_MODEL, None) and args.output == Path("outputs/checks/my set")


def test_one_folder_divided(tmp_path):
    write_voc_set(tmp_path / "train", 20, 0)
    yaml = tmp_path / "one.yaml"
    yaml.write_text("TRAIN_DIR_IMAGES: train\nCLASSES: [Mask, Gloves]\n")
    done = run("-c", yaml, "--split", "0.25", "-m", "fasterrcnn_resnet10_fpn_small", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    # A quarter of four images without objects is one, of nine with Gloves two, of thirteen with Mask three, of which
    # two have Gloves, too: four. Which ones depends on the files' names, as does the fraction that is rounded off.
    assert "train: 16 images" in done.stdout and "val: 4 images" in done.stdout and "--img-size 320:" in done.stdout
    statistics = json.loads((tmp_path / "outputs/checks/one/report.json").read_bytes())["statistics"]
    assert [statistics["val"]["negatives"], statistics["train"]["negatives"]] == [1, 3]
    assert statistics["val"]["images_of_class"] == {"Mask": 3, "Gloves": 2}
    flags = "--model fasterrcnn_resnet10_fpn_small --split 0.25"
    assert done.stdout.splitlines()[-1] == f"next: python train.py --config {yaml} {flags}"


def test_the_yaml_of_a_new_folder(tmp_path):
    write_voc_set(tmp_path / "my set", 8, 0)
    done = run("--new", "my set", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "my set: Pascal VOC XML" and lines[2] == "  images: 8 images in my set"
    assert lines[-2:] == [
        "written: data_configs/my set.yaml",
        "next: python check_dataset.py --config 'data_configs/my set.yaml'",
    ]
    before = files(tmp_path)
    done = run("--new", "my set", cwd=tmp_path)
    assert done.returncode == 2 and files(tmp_path) == before
    assert "data_configs/my set.yaml is there already and is never overwritten" in done.stderr
    done = run("--config", "data_configs/my set.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    done = run("--new", "my set", "--output", "other.yaml", "--split", "0.25", cwd=tmp_path)
    assert done.returncode == 0 and "\nSPLIT: 0.25\n" in (tmp_path / "other.yaml").read_text()
    for words, message in (
        (("--new", "none"), "none: no such folder"),
        (("--new", "my set", "--config", "other.yaml"), "one of --config YAML"),
        (("--new", "my set", "--fix-to", "x"), "--new only writes a YAML"),
        (("--new", "my set", "--output", "folder"), "expected the YAML to write"),
    ):
        done = run(*words, cwd=tmp_path)
        assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr


def test_a_new_folder_whose_class_numbers_have_no_names(tmp_path):
    write_pair(tmp_path / "set", "a", 0)
    (tmp_path / "set/a.xml").unlink()
    (tmp_path / "set/a.txt").write_text("3 0.5 0.5 0.2 0.2\n")
    done = run("--new", "set", cwd=tmp_path)
    assert done.returncode == 1 and "to do: no file has the names of the class numbers" in done.stdout, done.stderr


def test_it_starts_without_torch_and_tells_its_flags(tmp_path):
    yaml = write_clean_set(tmp_path)
    code = (
        "import sys, runpy\nsys.modules.update(torch=None, torchvision=None)\n"
        f"sys.argv = [{str(SCRIPT)!r}, '-c', {str(yaml)!r}]\nsys.path.insert(0, {str(ROOT)!r})\n"
        f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    usage = run("--help", cwd=tmp_path).stdout
    assert all(flag in usage for flag in ("--data", "--imgsz", "--split-groups", "--output", "--fix-to"))


def test_colours_on_a_terminal_only_and_not_where_they_are_unwanted(tmp_path):
    yaml = spoilt_set(tmp_path)
    for env, coloured in (
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
    ):
        leader, follower = pty.openpty()
        environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | env
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), "-c", str(yaml)], cwd=tmp_path, env=environment, stdout=follower,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(follower)
        shown = b""
        try:
            while block := os.read(leader, 65536):
                shown += block
        except OSError:  # Linux ends a terminal that way
            pass
        os.close(leader)
        assert process.wait(60) == 1 and b"2 error" in shown.replace(b"\x1b[31m", b"")
        assert (b"\x1b[31merror\x1b[0m" in shown) == coloured


def test_a_terminal_that_knows_only_ascii(tmp_path):
    yaml = write_clean_set(tmp_path)
    write_pair(tmp_path / "train", "größe", 77)
    write_labels(tmp_path / "train", "größe", [("Mask", (10, 10, 11, 50))])
    done = run("-c", yaml, cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "gr\\xf6\\xdfe.jpg: Mask" in done.stdout and "\\u258" not in done.stdout and "@" in done.stdout


def test_names_that_are_no_text(tmp_path):
    yaml = write_clean_set(tmp_path)
    name = os.fsdecode(b"b\xff9")
    try:
        copy_pair(tmp_path / "train/a4.jpg", tmp_path / "test" / f"{name}.jpg")
    except OSError:
        pytest.skip("this file system takes only text for names")
    done = run("-c", yaml, cwd=tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    json.loads((tmp_path / "outputs/checks/shapes/report.json").read_text(encoding="utf-8"))


def test_ctrl_c(tmp_path):
    yaml = write_clean_set(tmp_path)
    slow = np.random.default_rng(0).integers(0, 256, (2500, 4000, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "slow.png"), slow, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    for number in range(400):  # a minute of work at the least
        (tmp_path / f"train/s{number}.png").hardlink_to(tmp_path / "slow.png")
        write_labels(tmp_path / "train", f"s{number}", [], (4000, 2500))
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), "-c", str(yaml)], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    time.sleep(4)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and b"Traceback" not in err and out == b""
    assert not (tmp_path / "outputs").exists()


def test_json_of_what_json_has_no_number_for(tmp_path):
    config = load_config(write_clean_set(tmp_path))
    diagnosis = Diagnosis(
        config,
        "m",
        anchors_of(DEFAULT_MODEL),
        64,
        {},
        {"train": [Finding("box-dropped", "x", boxes=((float("inf"), 0, 1, float("nan")),))]},
    )
    write_json(diagnosis, tmp_path / "r.json")
    text = (tmp_path / "r.json").read_text(encoding="utf-8")
    report = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert report["findings"][0]["boxes"] == [[None, 0, 1, None]]
    assert as_dict(diagnosis)["warnings"] == 1 and count_line(diagnosis) == "0 errors, 1 warning, 0 notes"


def test_many_classes_and_long_names_stay_readable(tmp_path):
    yaml = write_clean_set(tmp_path)
    write_yaml(tmp_path, classes="[Mask, Gloves, " + ", ".join(f"{'n' * 60}{n}" for n in range(50)) + "]")
    config = load_config(yaml)
    model = {"model": DEFAULT_MODEL, "anchors": anchors_of(DEFAULT_MODEL), "img_size": 640}
    lines = terminal_lines(diagnose(config, scan_splits(config, progress=False), **model), width=100)
    table = [line for line in lines if line.startswith("  n") or line.startswith("  …")]
    assert len(table) == 2 * 29 and all(len(line) < 90 for line in table)
    assert "    … and 45 more" in lines


def test_what_training_says(tmp_path):
    yaml = write_clean_set(tmp_path)
    config = load_config(yaml)

    def findings(max_listed):
        scans = scan_splits(config, progress=False)
        model = {"model": DEFAULT_MODEL, "anchors": anchors_of(DEFAULT_MODEL), "img_size": 640}
        diagnosis = diagnose(config, scans, **model, thorough=False)
        return check_report(diagnosis, scans, max_listed=max_listed)

    assert findings(3) == findings(None) == []
    write_labels(
        tmp_path / "train", "a1", [*boxes_of(1), *(("Mask", (20 + 9 * n, 280, 21 + 9 * n, 290)) for n in range(8))]
    )
    write_labels(tmp_path / "train", "a2", [*boxes_of(2), ("Mask", (40, 250, 40, 280))])  # the reader's own finding
    copy_pair(tmp_path / "train/a4.jpg", tmp_path / "test/b9.jpg")
    lines = findings(3)
    assert lines[0] == "check before a long training:"
    assert lines[1:4] == [
        "  images of two splits: 1",
        "    val: b9.jpg is the same file as a4.jpg in the training split",
        "  boxes too small to be seen: 8",
    ]
    assert lines[4] == f"  what to do: python check_dataset.py --config {yaml} --model {DEFAULT_MODEL} --img-size 640"
    assert len(lines) == 5 and len(findings(None)) == 13


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared datasets are not there")
def test_real_data(tmp_path):
    yaml = tmp_path / "capybara.yaml"
    folders = f"TRAIN_DIR_IMAGES: {SHARED}/capybara/train\nVALID_DIR_IMAGES: {SHARED}/capybara/test\n"
    yaml.write_text(f"{folders}CLASSES: [capivara]\n")
    done = run("-c", yaml, cwd=tmp_path)
    assert done.returncode == 0 and "0 errors, 0 warnings, 3 notes" in done.stdout, done.stdout + done.stderr
    yaml.write_text(f"{folders}CLASSES: [Capybara]\n")
    done = run("-c", yaml, cwd=tmp_path)
    assert done.returncode == 1 and "unknown class 'capivara' (did you mean 'Capybara'?) in 180 files" in done.stdout
    report = json.loads((tmp_path / "outputs/checks/capybara/report.json").read_bytes())
    assert report["errors"] == 202 and not np.isnan(report["statistics"]["train"]["images"])
