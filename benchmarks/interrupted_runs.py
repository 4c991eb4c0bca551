"""Runs of train.py that are killed, and the comparison of a resumed run with an unbroken one."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import torch

from utils.runs.loggers import read_metrics


def logged(run: Path, kind: str) -> int:
    """Count the "step" or "epoch" lines in a run's metrics file."""
    path = run / "metrics.jsonl"
    return path.read_bytes().count(f'"kind": "{kind}"'.encode()) if path.exists() else 0


def kill_when(process: subprocess.Popen, reached: Callable[[], bool], seconds: float = 300) -> bool:
    """Send SIGKILL as soon as `reached` is true; return False where the process ended before.

    Raises TimeoutError after `seconds`.
    """
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
    """List where the ends of two runs differ in a single bit: weights, their average, optimizer, metrics."""
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
