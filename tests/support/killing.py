"""Starts runs of train.py, and the moments to kill them at, read off the files they write."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.interrupted_runs import logged
from support import warm
from support.paths import ROOT
from utils.runs.loggers import read_metrics

SCRIPT = ROOT / "train.py"


def mid_epoch(run: Path) -> Callable[[], bool]:
    """From now on two more steps."""
    before = logged(run, "step")
    return lambda: logged(run, "step") >= before + 2


def in_evaluation(run: Path, steps_per_epoch: int) -> Callable[[], bool]:
    """The steps of an epoch are logged and the epoch is not."""
    before = logged(run, "step")

    def reached() -> bool:
        steps, epochs = read_metrics(run / "metrics.jsonl") if (run / "metrics.jsonl").exists() else ([], [])
        done = steps[-1]["step"] if steps else 0
        return logged(run, "step") > before and done >= steps_per_epoch * (len(epochs) + 1)

    return reached


def while_writing(run: Path, name: str = "last_model") -> Callable[[], bool]:
    """A checkpoint is half written."""
    before = logged(run, "step")
    return lambda: logged(run, "step") > before and any(run.glob(f".{name}.*.partial.pth"))


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
