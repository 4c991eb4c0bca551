"""Groups of processes that are killed, stopped or fail: a way back, and each error said once."""

import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from torch.distributed.run import get_args_parser

from benchmarks.interrupted_runs import differences, logged
from support.groups import MODEL, SCRIPT, run, run_dir_of, start, torchrun, write_dataset
from support.killing import children
from support.paths import ROOT
from support.voc_sets import write_config
from utils.runs.loggers import read_metrics

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("group"))


def wait_until(reached, process, seconds=300):
    deadline = time.monotonic() + seconds
    while not reached():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.01)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the processes in /proc")
def test_a_killed_worker_restarts_the_group_from_the_last_checkpoint(workplace):
    options = (*MODEL, "--batch-size", "2", "--epochs", "3", "--seed", "4")
    unbroken = run([*torchrun(2), SCRIPT], workplace, *options, "--project-name", "unbroken")
    assert unbroken.returncode == 0, unbroken.stderr
    program = [*torchrun(2, "--max-restarts=1", "--monitor-interval=0.1"), SCRIPT]
    process = start(program, workplace, *options, "--project-name", "broken", "--save-every", "0")
    run_dir = run_dir_of(workplace, "broken")
    wait_until(lambda: logged(run_dir, "step") >= 6, process)
    os.kill(children(process.pid)[-1], signal.SIGKILL)
    out, _ = process.communicate(timeout=200)
    assert process.returncode == 0, out
    assert differences(run_dir_of(workplace, "unbroken"), run_dir) == []
    # The folder is now an earlier run's: a new launch must not take it for its own, though it may restart.
    kept = (run_dir / "last_model.pth").read_bytes()
    refused = run(program, workplace, *options, "--project-name", "broken")
    assert refused.returncode != 0 and "never overwritten unasked" in refused.stderr
    assert (run_dir / "last_model.pth").read_bytes() == kept
    nameless = run(program, workplace, *options)
    assert "--max-restarts needs --project-name" in nameless.stderr


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the processes in /proc")
def test_sigterm_to_torchrun_saves_and_one_process_can_resume(workplace):
    options = (*MODEL, "--batch-size", "2", "--epochs", "60", "--project-name", "preempted")
    process = start([*torchrun(2), SCRIPT], workplace, *options)
    run_dir = run_dir_of(workplace, "preempted")
    wait_until(lambda: logged(run_dir, "step") >= 5, process)
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
    script = ROOT / "tests/support/raise_in_group.py"
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


def test_data_errors_are_reported_once_and_never_tried_again(workplace):
    write_config(workplace, classes="[Mask]", name="faulty.yaml")
    arguments = [*MODEL[:-1], "faulty.yaml", "--project-name", "faulty"]
    done = run([*torchrun(2, "--max-restarts=1"), SCRIPT], workplace, *arguments)
    assert done.returncode != 0
    assert len(re.findall(r"^error: the dataset has", done.stderr, re.MULTILINE)) == 1 and "Gloves" in done.stderr
    assert done.stdout.count("device: cpu") == 1  # the group that was started again looked at nothing
    assert not run_dir_of(workplace, "faulty").exists()


def test_the_slurm_recipe_leaves_the_training_the_time_that_it_is_warned_of():
    """Every torchrun command of the documentation is one that torchrun understands."""
    pages = [
        page.read_text().replace("\\\n", " ") for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    ]
    blocks = [block for page in pages for block in page.split("```")[1::2] if "torchrun --" in block]
    commands = [line.partition("torchrun ")[2].replace('"', "") for block in blocks for line in block.splitlines()]
    parsed = [get_args_parser().parse_args(command.split()) for command in commands if command]
    assert len(parsed) >= 3 and {options.training_script for options in parsed} == {"train.py"}
    (warned,) = re.findall(r"--signal=TERM@(\d+)", "\n".join(pages))
    (timeout,) = {options.shutdown_timeout for options in parsed} - {get_args_parser().get_default("shutdown_timeout")}
    assert int(warned) - 20 <= timeout < int(warned)


def test_what_cannot_work_in_a_group_is_reported(workplace):
    for arguments, expected in (
        (("--sync-bn",), "--sync-bn works between GPUs"),
        (("--find-lr",), "--find-lr is for one process"),
    ):
        done = run([*torchrun(2), SCRIPT], workplace, *MODEL, *arguments, "--project-name", "never")
        assert done.returncode != 0 and expected in done.stderr
        assert not run_dir_of(workplace, "never").exists()
