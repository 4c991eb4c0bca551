"""Groups of processes that torchrun starts, with gloo on the CPU: same steps, same metrics as one process."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.interrupted_runs import logged
from support.groups import MODEL, SCRIPT, run, run_dir_of, torchrun, write_dataset
from support.paths import ROOT
from utils.runs.loggers import read_metrics

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = write_dataset(tmp_path_factory.mktemp("group"))
    done = run([sys.executable, SCRIPT], folder, *MODEL, "--epochs", "3", "--project-name", "base")
    assert done.returncode == 0, done.stderr
    return folder


def test_metrics_are_those_of_one_process_whatever_their_number(workplace):
    script = ROOT / "tests/support/evaluate_in_group.py"
    checkpoint = str(run_dir_of(workplace, "base") / "best_model.pth")
    results = {}
    for size in (1, 2, 3):  # of 4 batches: even, and uneven
        done = run([*torchrun(size), script], workplace, str(workplace), checkpoint)
        assert done.returncode == 0, done.stderr
        results[size] = json.loads((workplace / f"metrics_{size}.json").read_text())
    alone = results[1]
    assert len(alone["detections"]) == 7 and sum(alone["detections"]) > 100
    assert alone["metrics"]["map_50_95"] > 0 and alone["metrics"]["loss_classifier"] > 0
    for size in (2, 3):
        assert results[size]["detections"] == alone["detections"]
        assert results[size]["metrics"] == pytest.approx(alone["metrics"], abs=1e-9, rel=0)


def test_two_processes_and_two_passes_take_the_steps_of_the_whole_batch(workplace):
    """Batch norms frozen, as in version 1: 1 x 4 images, 2 processes x 2 and 2 passes x 2 give the same weights."""
    weights = (
        "--weights",
        str(run_dir_of(workplace, "base") / "best_model.pth"),
        "--freeze-bn",
        "--freeze-layers",
        "0",
    )
    options = (*MODEL, *weights, "--seed", "1", "--epochs", "2", "--use-train-aug", "--lr", "0.002", "--ema")
    one = run([sys.executable, SCRIPT], workplace, *options, "--batch-size", "4", "--project-name", "one")
    assert one.returncode == 0, one.stderr
    two = run([*torchrun(2), SCRIPT], workplace, *options, "--batch-size", "2", "--project-name", "two")
    assert two.returncode == 0, two.stderr
    passes = ("--batch-size", "2", "--accumulate", "2", "--project-name", "passes")
    assert run([sys.executable, SCRIPT], workplace, *options, *passes).returncode == 0
    assert "4 per epoch of 4 images (2 processes with 2 each), 8 in all" in two.stdout
    assert two.stdout.count("device: cpu") == 1 and len(re.findall(r"^ +[12]/2 ", two.stdout, re.MULTILINE)) == 2
    for name in ("two", "passes"):
        assert_same_training(run_dir_of(workplace, "one"), run_dir_of(workplace, name), run_dir_of(workplace, "base"))


def assert_same_training(whole: Path, split: Path, start: Path) -> None:
    """Steps, validation losses, weights and their averages, to rounding."""
    (steps, epochs), (other_steps, other_epochs) = (read_metrics(r / "metrics.jsonl") for r in (whole, split))
    assert len(steps) == len(other_steps) == logged(split, "step") == 8  # one process writes
    # Equal to rounding at first; then a proposal that just falls in or out of the draw moves a loss by more than that.
    for number, (mine, theirs) in enumerate(zip(other_steps, steps, strict=True)):
        rel, most = (1e-5, 1e-6) if number == 0 else (1e-3, 1e-4) if number < 3 else (2e-2, 1e-2)
        assert mine == pytest.approx(theirs, rel=rel, abs=most)
    for mine, theirs in zip(other_epochs, epochs, strict=True):
        assert mine["val/loss"] == pytest.approx(theirs["val/loss"], rel=1e-2)
    ends = [torch.load(r / "last_model.pth", weights_only=True) for r in (whole, split)]
    begun = torch.load(start / "best_model.pth", weights_only=True)["model_state_dict"]
    for kind in ("model_state_dict", "ema_state_dict"):
        assert ends[0][kind].keys() == ends[1][kind].keys()
        for key, value in ends[0][kind].items():
            if value.is_floating_point():
                moved = float((value - begun[key]).abs().max())
                assert torch.allclose(ends[1][kind][key], value, rtol=1e-3, atol=1e-5 + 0.05 * moved), key
