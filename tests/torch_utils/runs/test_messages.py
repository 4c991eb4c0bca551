"""Messages of errors that are the user's to fix."""

import errno
import logging
import os
import shutil
import subprocess
import sys

import pytest

from support.paths import ROOT
from support.voc_sets import write_config, write_voc_set
from torch_utils.runs import messages
from torch_utils.runs.messages import as_user_error
from utils.runs.console import attach_log_file, setup_logging

SCRIPT = ROOT / "train.py"
NO_ROOM = "No space left on device"
# As torch 1.x and 2.x raise them, in the main process and through a worker.
SHARED = (
    RuntimeError(f"unable to allocate shared memory(shm) for file </torch_15116_1455850971_0>: {NO_ROOM} (28)"),
    RuntimeError(f"unable to write to file </torch_18692_1954506624>: {NO_ROOM} (28)"),
    RuntimeError(
        "Caught RuntimeError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n  ...\n"
        f"RuntimeError: unable to allocate shared memory(shm) for file </torch_1_2_0>: {NO_ROOM} (28)\n"
    ),
    RuntimeError(
        "DataLoader worker (pid 77) is killed by signal: Bus error. It is possible that dataloader's workers are out "
        "of shared memory. Please try to raise your shared memory limit."
    ),
)
KILLED = RuntimeError("DataLoader worker (pid 77) is killed by signal: Killed.")


@pytest.fixture
def run_dir(tmp_path):
    """A run that has begun to write its log."""
    logger = setup_logging()
    attach_log_file(logger, tmp_path / "train.log")
    yield tmp_path
    for handler in list(logger.handlers):
        if isinstance(handler, logging.FileHandler):
            logger.removeHandler(handler)
            handler.close()


@pytest.mark.parametrize("error", SHARED, ids=range(len(SHARED)))
def test_too_small_a_shared_memory_is_named_without_a_traceback(run_dir, error):
    message = str(as_user_error(error))
    for words in ("/dev/shm is too small", "--shm-size", "--workers 0"):
        assert words in message
    assert "Traceback" not in message and "\n" not in message


@pytest.mark.parametrize("error", [*SHARED, KILLED, OSError(errno.ENOSPC, NO_ROOM, "map.png")])
def test_resuming_is_advised_only_where_there_is_a_checkpoint(run_dir, error):
    assert "--resume-training" not in str(as_user_error(error)) and "same command" in str(as_user_error(error))
    (run_dir / "last_model.pth").write_bytes(b"x")
    assert "--resume-training continues" in str(as_user_error(error))


def test_a_semaphore_that_finds_no_room(monkeypatch):
    """Python's multiprocessing raises a bare OSError; a file that is named is another disk's matter."""
    monkeypatch.setattr(messages.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(2**16, 2**16, 0))
    assert "/dev/shm is too small (0 MiB)" in str(as_user_error(OSError(errno.ENOSPC, NO_ROOM)))
    assert "/dev/shm" not in str(as_user_error(OSError(errno.ENOSPC, NO_ROOM, "outputs/map.png")))


def can_mount():
    words = ["unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "/dev/shm"]
    return bool(shutil.which("unshare")) and subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="makes /dev/shm small, which takes the right to mount")
def test_training_in_a_container_with_little_shared_memory(tmp_path):
    write_voc_set(tmp_path / "train", 4, seed=1)
    write_voc_set(tmp_path / "test", 2, seed=2)
    write_config(tmp_path)
    train = f"{sys.executable} {SCRIPT} --model fasterrcnn_resnet10_fpn_small --img-size 96 --device cpu --amp off "
    train += "--config shapes.yaml --epochs 1 --workers 1 --batch-size 4 --project-name small"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f"mount -t tmpfs -o size=100k tmpfs /dev/shm && exec {train}"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False, env=dict(os.environ),
    )  # fmt: skip
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert "error: /dev/shm is too small (0 MiB)" in done.stderr and "--shm-size" in done.stderr
    assert "--resume-training" not in done.stderr and "same command" in done.stderr
    again = subprocess.run(
        train.replace("workers 1", "workers 0").split(), cwd=tmp_path, capture_output=True, text=True
    )
    assert again.returncode == 0, again.stderr  # the very folder is free
    assert "ended before its first checkpoint" in again.stdout
    assert (tmp_path / "outputs/training/small/last_model.pth").is_file()
