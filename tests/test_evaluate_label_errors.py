"""evaluate.py --label-errors as a process: the list in the CSV, on the console and in the report."""

import csv
import os
import sys

import pytest

from support import warm
from support.clean_sets import boxes_of, write_labels, write_pair, write_yaml
from support.paths import ROOT
from support.trained_models import train_by_heart


def evaluate(cwd, *arguments):
    command = [
        sys.executable,
        ROOT / "evaluate.py",
        "--weights",
        "best_model.pth",
        "--config",
        "shapes.yaml",
        *arguments,
    ]
    return warm.run([*command, "--device", "cpu", "--label-errors"], cwd=cwd, env=dict(os.environ))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Images that a detector has learned by heart, and of which one lost a box afterwards."""
    folder = tmp_path_factory.mktemp("label <errors>")
    for name, seeds in (("train", range(2)), ("test", range(10, 14))):
        for seed in seeds:
            write_pair(folder / name, f"{name}'<b>{seed}", seed)
    train_by_heart(write_yaml(folder), folder / "best_model.pth", steps=200)
    write_labels(folder / "test", "test'<b>10", boxes_of(10)[:1])
    return folder


def test_a_box_that_was_removed_is_found(place):
    done = evaluate(place, "-o", "out")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((place / "out/label_errors.csv").open(encoding="utf-8")))
    first = next(row for row in rows if row["kind"] == "missing")
    assert first["file"].endswith("test'<b>10.jpg") and first["object"] == "" and first["suggested_class"] == "Mask"
    x1, y1, x2, y2 = boxes_of(10)[1][1]
    assert abs(float(first["x1"]) - x1) < 40 and abs(float(first["y2"]) - y2) < 40
    assert f"labels that may be wrong: {len(rows)}, of which about" in done.stdout and "has no box" in done.stdout
    assert "label_errors.csv" in done.stdout.splitlines()[-1] and "--folds" not in done.stdout
    page = (place / "out/report.html").read_text(encoding="utf-8")
    assert "Mask is not annotated" in page


def test_on_learned_images_it_says_what_stays_hidden(place):
    done = evaluate(place, "--split", "train", "-o", "learned")
    assert done.returncode == 0, done.stderr
    assert "train.py --folds 5 judges each image by a model that did not learn it" in done.stdout
    again = evaluate(place, "-o", "learned")
    assert again.returncode == 2 and "is there already and is never overwritten" in again.stderr


def test_results_of_files_are_refused(place):
    command = [sys.executable, ROOT / "evaluate.py", "--predictions", "p.json", "--ground-truth", "t.json"]
    done = warm.run([*command, "--label-errors"], cwd=place, env=dict(os.environ))
    assert done.returncode == 2 and "leave out --label-errors" in done.stderr
