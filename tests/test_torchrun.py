"""Groups of processes that torchrun starts, with gloo on the CPU: same steps, same metrics, and a way back."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from torch.distributed.run import get_args_parser

from support import warm
from support.killing import SCRIPT, children, differences, lines
from support.paths import ROOT
from support.voc_sets import write_config, write_voc_set
from utils.runs.loggers import read_metrics

pytestmark = pytest.mark.slow

MODEL = "--model fasterrcnn_resnet10_fpn_small --img-size 96 --device cpu --amp off --config shapes.yaml".split()


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("group")
    write_voc_set(folder / "train", 13, seed=1)  # portrait and landscape; the last batch is of a single image
    write_voc_set(folder / "test", 7, seed=2)
    write_config(folder)
    done = run([sys.executable, SCRIPT], folder, *MODEL, "--epochs", "3", "--project-name", "base")
    assert done.returncode == 0, done.stderr
    return folder


def torchrun(processes: int, *options: str) -> list[str]:
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", *options]


def run(program, folder, *arguments):
    command = [*map(str, program), *arguments]
    return warm.run(command, cwd=folder, timeout=500)


def runs(folder, name) -> Path:
    return folder / "outputs" / "training" / name


def test_metrics_are_those_of_one_process_whatever_their_number(workplace):
    script = ROOT / "tests/support/evaluate_in_group.py"
    checkpoint = str(runs(workplace, "base") / "best_model.pth")
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
    weights = ("--weights", str(runs(workplace, "base") / "best_model.pth"), "--freeze-bn", "--freeze-layers", "0")
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
        assert_same_training(runs(workplace, "one"), runs(workplace, name), runs(workplace, "base"))


def assert_same_training(whole: Path, split: Path, start: Path) -> None:
    """Steps, validation losses, weights and their averages, to rounding."""
    (steps, epochs), (other_steps, other_epochs) = (read_metrics(r / "metrics.jsonl") for r in (whole, split))
    assert len(steps) == len(other_steps) == lines(split, "step") == 8  # one process writes
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


def wait_until(reached, process, seconds=300):
    deadline = time.monotonic() + seconds
    while not reached():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.01)


def start(program, folder, *arguments):
    return subprocess.Popen(
        [*map(str, program), *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the processes in /proc")
def test_a_killed_worker_restarts_the_group_from_the_last_checkpoint(workplace):
    options = (*MODEL, "--batch-size", "2", "--epochs", "3", "--seed", "4")
    unbroken = run([*torchrun(2), SCRIPT], workplace, *options, "--project-name", "unbroken")
    assert unbroken.returncode == 0, unbroken.stderr
    program = [*torchrun(2, "--max-restarts=2", "--monitor-interval=0.1"), SCRIPT]
    process = start(program, workplace, *options, "--project-name", "broken", "--save-every", "0")
    run_dir = runs(workplace, "broken")
    wait_until(lambda: lines(run_dir, "step") >= 6, process)
    os.kill(children(process.pid)[-1], signal.SIGKILL)
    out, _ = process.communicate(timeout=200)
    assert process.returncode == 0, out
    assert differences(runs(workplace, "unbroken"), run_dir) == []
    # The folder is now an earlier run's: a new launch must not take it for its own, though it may restart.
    kept = (run_dir / "last_model.pth").read_bytes()
    refused = run(program, workplace, *options, "--project-name", "broken")
    assert refused.returncode != 0 and "never overwritten unasked" in refused.stderr
    assert (run_dir / "last_model.pth").read_bytes() == kept
    nameless = run(program, workplace, *options)
    assert "--max-restarts needs --project-name" in nameless.stderr


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the processes in /proc")
def test_sigterm_to_torchrun_saves_and_one_process_can_go_on(workplace):
    options = (*MODEL, "--batch-size", "2", "--epochs", "60", "--project-name", "preempted")
    process = start([*torchrun(2), SCRIPT], workplace, *options)
    run_dir = runs(workplace, "preempted")
    wait_until(lambda: lines(run_dir, "step") >= 5, process)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=240)
    assert (
        process.returncode != 0 and re.search("stopped (in|after) epoch", out) and "continue with: torchrun" in out
    ), out
    saved = torch.load(run_dir / "last_model.pth", weights_only=True)
    last_step = read_metrics(run_dir / "metrics.jsonl")[0][-1]["step"]
    assert saved["epoch"] * 4 + saved["training"]["progress"]["steps"] == last_step
    epochs = str(saved["epoch"] + 1)
    on = run(
        [sys.executable, SCRIPT], workplace, "-r", "--project-name", "preempted", "--batch-size", "4", "-e", epochs
    )
    assert on.returncode == 0, on.stderr
    assert yaml.safe_load((run_dir / "args.yaml").read_text())["global_batch"] == 4


def test_an_error_of_the_first_process_is_raised_in_all(tmp_path):
    script = Path(__file__).with_name("raise_in_group.py")
    done = run([*torchrun(2, "--max-restarts=1", "--monitor-interval=3"), script], tmp_path, str(tmp_path))
    assert done.returncode != 0
    first, other = ((tmp_path / f"rank {rank}").read_text().split("\n") for rank in range(2))
    assert first == ["OSError: [Errno 5] disk"] * 2 + ["KeyError: 'a fault of ours'"]
    assert other == [*first[:2], "RuntimeError: KeyError: 'a fault of ours'"]
    ends = (tmp_path / "ends").read_text().splitlines()
    again = "ConfigError: not tried again, because it would be the same error: image 7 is no image"
    assert ends[:2] == ["DatasetError: image 7 is no image|  and more"] * 2 and set(ends[2:]) == {again}
    assert done.stderr.count("error: image 7 is no image\n  and more\n") == 1  # one process of a machine prints it
    assert "terminate called" not in done.stderr and "SIGABRT" not in done.stderr


def test_data_errors_are_told_once_and_never_tried_again(workplace):
    write_config(workplace, classes="[Mask]", name="faulty.yaml")
    arguments = [*MODEL[:-1], "faulty.yaml", "--project-name", "faulty"]
    done = run([*torchrun(2, "--max-restarts=1"), SCRIPT], workplace, *arguments)
    assert done.returncode != 0
    assert len(re.findall(r"^error: the dataset has", done.stderr, re.MULTILINE)) == 1 and "Gloves" in done.stderr
    assert done.stdout.count("device: cpu") == 1  # the group that was started again looked at nothing
    assert not runs(workplace, "faulty").exists()


def test_the_slurm_recipe_leaves_the_training_the_time_that_it_is_warned_of():
    """Every torchrun command of the README is one that torchrun understands."""
    readme = (ROOT / "README.md").read_text().replace("\\\n", " ")
    blocks = [block for block in readme.split("```")[1::2] if "torchrun --" in block]
    commands = [line.partition("torchrun ")[2].replace('"', "") for block in blocks for line in block.splitlines()]
    parsed = [get_args_parser().parse_args(command.split()) for command in commands if command]
    assert len(parsed) >= 3 and {options.training_script for options in parsed} == {"train.py"}
    (warned,) = re.findall(r"--signal=TERM@(\d+)", readme)
    assert int(warned) - 20 <= parsed[-1].shutdown_timeout < int(warned)


def test_what_cannot_work_in_a_group_is_told(workplace):
    for arguments, expected in (
        (("--sync-bn",), "--sync-bn works between GPUs"),
        (("--find-lr",), "--find-lr is for one process"),
    ):
        done = run([*torchrun(2), SCRIPT], workplace, *MODEL, *arguments, "--project-name", "never")
        assert done.returncode != 0 and expected in done.stderr
        assert not runs(workplace, "never").exists()
