"""Runs laid side by side by `python -m utils.runs.compare`."""

import json
import os
import subprocess
import sys

import pytest

from support.coco_reference import coco_dicts, random_split, run_pycocotools
from support.html_pages import Page
from support.paths import ROOT
from support.run_folders import write_metrics, write_run
from utils.errors import ToolkitError
from utils.evaluation.bootstrap import ap_intervals
from utils.evaluation.comparison import compare
from utils.evaluation.matching import match
from utils.evaluation.packed import PackedTruth
from utils.runs.compare import main


def start(folder, *words):
    """Run it as a process in which torch cannot be imported."""
    code = (
        "import runpy, sys\nsys.modules.update(torch=None, torchvision=None)\n"
        f"sys.argv[1:] = {list(map(str, words))!r}\nrunpy.run_module('utils.runs.compare', run_name='__main__')\n"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_as_a_process_with_names_of_runs(here):
    root = here / "outputs/training"
    write_run(root / "first", settings={"lr": 0.02})
    write_run(root / "second", found=0.3, aps=(0.1, 0.2))
    done = start(here, "first", "second")
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["first", "second"]
    rows = {line[:15].strip(): line[15:].split() for line in lines[1:]}
    assert rows["epochs"] == ["3", "of", "3", "2", "of", "2"] and rows["best epoch"] == ["2", "2"]
    assert rows["time"] == ["0:01:30", "0:01:00"] and rows["time per epoch"] == ["30.0", "s", "30.0", "s"]
    shown = lines[lines.index("settings that differ:") + 1 :]
    assert [line.split() for line in shown[:2]] == [["epochs", "3", "2"], ["lr", "0.02", "0.01"]]
    assert "first is better by " in done.stdout and lines[-1] == "curves: outputs/comparison/res_1/comparison.html"
    page = Page((here / "outputs/comparison/res_1/comparison.html").read_text(encoding="utf-8"))
    assert next(line for line in lines if "is better" in line) in page.text


def test_ap_is_that_of_pycocotools_with_the_bootstraps_interval(here, capsys):
    truth, detections = random_split(3, images=50, crowds=0, classes=2)
    for name in ("a", "b"):
        write_run(here / name, truth=truth, detections=detections)
    assert main(["a", "b"]) == 0
    shown = capsys.readouterr().out
    reference = run_pycocotools(*coco_dicts(truth, detections))
    reference.summarize()
    _, low, high = ap_intervals(match(truth, detections))["ap"]
    row = next(line for line in shown.splitlines() if line.startswith("AP "))
    assert row.split()[1:3] == [f"{reference.stats[0]:.3f}", f"({low:.3f}–{high:.3f})"]


def test_the_verdict_is_the_paired_comparison(here, capsys):
    truth, detections = random_split(5, images=40, crowds=0, classes=2)
    write_run(here / "a", truth=truth, detections=detections)
    write_run(here / "b", truth=truth, detections=detections, found=0.5)
    _, results = coco_dicts(truth, detections)
    kept = json.loads((here / "b/val_predictions.json").read_text())
    rows = [index for index, row in enumerate(results) if row in kept]
    names = ("image_of", "labels", "boxes_xywh", "scores")
    fewer = type(detections)(*(getattr(detections, name)[rows] for name in names))
    wanted = compare(match(truth, detections), match(truth, fewer), names=("a", "b")).sentence
    assert main(["a", "b"]) == 0
    assert wanted in capsys.readouterr().out


def test_other_images_classes_or_annotations_are_not_compared(here, capsys):
    truth, detections = random_split(5, images=40, crowds=0, classes=2)
    write_run(here / "a", truth=truth, detections=detections)
    fields = ("image_of", "labels", "boxes_xywh", "areas", "crowd", "num_images", "class_names")

    def other(**changes):
        return PackedTruth(**({name: getattr(truth, name) for name in fields} | changes))

    write_run(here / "more", truth=other(num_images=41), detections=detections)
    write_run(here / "renamed", truth=other(class_names=("-", "0", "<cat>")), detections=detections)
    write_run(here / "turned", truth=other(class_names=("-", "1", "0")), detections=detections)
    write_run(here / "moved", truth=other(boxes_xywh=truth.boxes_xywh + 1), detections=detections)
    assert main(["a", "more", "renamed", "turned", "moved"]) == 0
    shown = capsys.readouterr().out
    assert "a and more are not compared: they were scored on other images (40 and 41, 40 in common)" in shown
    assert "a and renamed are not compared: only a has 1; only renamed has <cat>" in shown
    assert "a and turned are not compared: their classes stand in another order" in shown
    assert "a and moved are not compared: the annotations of their images differ" in shown
    assert "better" not in shown and "AP <cat>" in shown
    html = (here / "outputs/comparison/res_1/comparison.html").read_text(encoding="utf-8")
    assert "&lt;cat&gt;" in html and "<cat>" not in html


def test_the_order_of_annotations_does_not_matter(here, capsys):
    write_run(here / "a")
    write_run(here / "b")
    path = here / "b/val_ground_truth.json"
    content = json.loads(path.read_text())
    content["annotations"].reverse()
    path.write_text(json.dumps(content))
    assert main(["a", "b"]) == 0
    shown = capsys.readouterr().out
    assert "a and b cannot be distinguished on 40 images" in shown and "the settings are the same" in shown


def test_runs_that_ended_before_their_first_epoch_and_without_detections(here, capsys):
    write_run(here / "whole")
    for name, steps in (("begun", 7), ("crashed", 0)):
        (here / name).mkdir()
        (here / name / "args.yaml").write_text("epochs: 20\nlr: 0.01\n")
        if steps:
            write_metrics(here / name, (), steps=steps)
    assert main(["whole", "begun", "crashed"]) == 0
    shown = capsys.readouterr().out
    assert "0 of 20, 7 steps" in shown and "0 of 20 " in shown.replace("\n", " \n")
    assert "begun has no detections to compare" in shown and "crashed has no detections to compare" in shown
    assert main(["begun", "crashed"]) == 0
    html = (here / "outputs/comparison/res_2/comparison.html").read_text(encoding="utf-8")
    assert "Curves" not in Page(html).text


def test_without_objects_and_without_detections(here, capsys):
    truth, detections = random_split(5, images=6, crowds=0, classes=2)
    none = PackedTruth(
        *(getattr(truth, n)[:0] for n in ("image_of", "labels", "boxes_xywh", "areas", "crowd")), 6, ("-", "x", "y")
    )
    for name in ("a", "b"):
        write_run(here / name, truth=none, detections=detections, found=0 if name == "b" else 1, aps=(-1, -1))
    assert main(["a", "b"]) == 0
    assert "a and b cannot be compared: the images hold no objects" in capsys.readouterr().out


def test_a_run_that_is_given_twice_counts_once(here, capsys):
    write_run(here / "a")
    write_run(here / "b")
    assert main(["a", "b", "./a"]) == 0
    assert "note: ./a is given more than once, and counts once" in capsys.readouterr().out
    with pytest.raises(ToolkitError, match="expected two runs or more to compare, got a"):
        main(["a", str(here / "a")])


def test_nothing_is_overwritten(here):
    write_run(here / "a")
    write_run(here / "b")
    assert main(["a", "b", "-o", "out"]) == 0
    before = (here / "out/comparison.html").read_bytes()
    with pytest.raises(ToolkitError, match="never overwritten"):
        main(["a", "b", "-o", "out"])
    assert (here / "out/comparison.html").read_bytes() == before
    assert not (here / "outputs").exists()


def test_what_is_no_run_is_named_with_a_remedy(here):
    write_run(here / "outputs/training/baseline")
    (here / "empty").mkdir()
    for words, message in [
        (["baseline", "basline"], "basline: no such folder.*did you mean outputs/training/baseline"),
        (["baseline", "empty"], "empty is not the folder of a run: expected args.yaml.* found nothing"),
        (["baseline", "outputs/training/baseline/args.yaml"], "is a file: give the folder of the run, such as outputs"),
        (["baseline"], "expected two runs or more"),
    ]:
        with pytest.raises(ToolkitError, match=message):
            main(words)
    done = start(here, "baseline", "nowhere")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.startswith("error: nowhere: no such folder")


def test_odd_names(here, capsys):
    names = ['a "quoted" <b>', "ü" * 60, "x" * 200, "b\x1b[31m"]
    for name in names:
        write_run(here / name, settings={"note": f"<script>{name}</script>"})
    assert main(names) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown and "\\x1b" in shown
    html = (here / "outputs/comparison/res_1/comparison.html").read_text(encoding="utf-8")
    assert "<script" not in html and "\x1b" not in html and "&lt;b&gt;" in html
