"""Results and settings read from the files of a run's folder."""

import json
from pathlib import Path

import pytest

from support.run_folders import write_metrics, write_run
from utils.errors import ToolkitError
from utils.runs.comparison.run_folder import read_run, short_names


def test_a_run_as_its_files_tell_it(tmp_path):
    run = read_run(write_run(tmp_path / "a", settings={"save_every": 3}, dataset={"NC": 3}))
    assert run.settings == {
        "epochs": 3, "lr": 0.01, "augment": ["mosaic"], "dataset: CLASSES": ["a", "b"], "dataset: NC": 3,
    }  # fmt: skip
    assert run.best["epoch"] == 2 and run.seconds == 90.0 and run.max_detections == 100
    assert [path.name for path in run.coco_files] == ["val_ground_truth.json", "val_predictions.json"]


def test_an_evaluation_is_a_run_without_epochs(tmp_path):
    numbers = {"split": "test", "weights": "w.pth", "ap": 0.5, "max_detections": 300}
    (tmp_path / "evaluation.json").write_text(json.dumps(numbers))
    run = read_run(tmp_path)
    assert run.settings == {"split": "test", "weights": "w.pth"} and run.max_detections == 300
    assert run.best == {} and run.seconds is None and run.coco_files is None


def test_the_better_weights_of_an_epoch_count_and_epochs_without_a_score_do_not(tmp_path):
    write_metrics(tmp_path, (0.1, 0.3))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "epoch", "epoch": 3, "step": 30, "val/map_50_95": 0.2, "ema/map_50_95": 0.4}\n')
        file.write('{"kind": "epoch", "epoch": 4, "step": 40, "time/epoch_s": null}\n{"kind": "ep')
    run = read_run(tmp_path)
    assert len(run.epochs) == 4 and run.best["epoch"] == 3 and run.best["val/map_50_95"] == 0.4
    assert run.seconds == 60.0


@pytest.mark.parametrize("text", ["[1]", "{", ""])
def test_a_broken_evaluation_is_named(tmp_path, text):
    (tmp_path / "evaluation.json").write_text(text)
    with pytest.raises(ToolkitError, match="evaluation.json"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/o/first", "/o/second"], ["first", "second"]),
        (["/a/run", "/b/run"], ["a/run", "b/run"]),
        (["/a/o/t/run", "/b/o/t/run"], ["a/…/run", "b/…/run"]),
        (["/a/run", "/a/b/run"], ["a/run", "b/run"]),
    ],
)
def test_names_are_as_long_as_they_must_be(paths, names):
    assert short_names([Path(path) for path in paths]) == names
