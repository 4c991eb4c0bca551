"""Runs of train.py that are killed, at moments read off the files they write, and gone on with."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from support import warm
from support.paths import ROOT
from utils.runs.loggers import read_metrics

SCRIPT = ROOT / "train.py"


def lines(run: Path, kind: str) -> int:
    """Step or epoch lines in the run's metrics file."""
    path = run / "metrics.jsonl"
    return path.read_bytes().count(f'"kind": "{kind}"'.encode()) if path.exists() else 0


def mid_epoch(run: Path) -> Callable[[], bool]:
    """From now on two more steps."""
    before = lines(run, "step")
    return lambda: lines(run, "step") >= before + 2


def in_evaluation(run: Path, steps_per_epoch: int) -> Callable[[], bool]:
    """The steps of an epoch are logged and the epoch is not."""
    before = lines(run, "step")

    def reached() -> bool:
        steps, epochs = read_metrics(run / "metrics.jsonl") if (run / "metrics.jsonl").exists() else ([], [])
        done = steps[-1]["step"] if steps else 0
        return lines(run, "step") > before and done >= steps_per_epoch * (len(epochs) + 1)

    return reached


def while_writing(run: Path, name: str = "last_model") -> Callable[[], bool]:
    """A checkpoint is half written."""
    before = lines(run, "step")
    return lambda: lines(run, "step") > before and any(run.glob(f".{name}.*.partial.pth"))


def start(folder: Path, *arguments: str, env: dict | None = None) -> subprocess.Popen:
    return warm.start([sys.executable, SCRIPT, *arguments], cwd=folder, env=env, both=True)


def children(parent: int) -> list[int]:
    """Numbers of the processes that a process has started, from /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:  # it has ended
            continue
        if int(fields[1]) == parent:
            found.append(int(path.parent.name))
    return sorted(found)


def kill_when(process: subprocess.Popen, reached: Callable[[], bool], seconds: float = 300) -> bool:
    """SIGKILL as soon as `reached`; False where the process ended before."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        if reached():
            process.kill()
            process.communicate()
            return True
        time.sleep(0.0005)
    if process.poll() is None:
        process.kill()
        raise TimeoutError(f"not reached in {seconds} s: {process.communicate()[0]}")
    process.communicate()
    return False


def differences(first: Path, second: Path) -> list[str]:
    """Where the ends of two runs are not the same, to the last bit: weights, their average, optimizer, metrics."""
    found = []
    for name in ("last_model.pth", "best_model.pth", "last_model_state.pth"):
        ends = [torch.load(run / name, weights_only=True) for run in (first, second)]
        for content in ends:
            content.get("training", {}).pop("arguments", None)
        found += _different(name, *ends)
    one, other = (read_metrics(run / "metrics.jsonl") for run in (first, second))
    return found + _different("metrics", list(one), list(other))


def _different(name: str, one, other) -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        keys = {key for key in one.keys() | other.keys() if not _is_time(str(key))}
        return [
            line for key in sorted(keys, key=str) for line in _different(f"{name}.{key}", one.get(key), other.get(key))
        ]
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)) and len(one) == len(other):
        return [
            line for i, pair in enumerate(zip(one, other, strict=True)) for line in _different(f"{name}[{i}]", *pair)
        ]
    same = torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
    return [] if same else [f"{name}: {one!r:.60} != {other!r:.60}"]


def _is_time(key: str) -> bool:
    return key.startswith("time/") or key in ("seconds", "waited")
