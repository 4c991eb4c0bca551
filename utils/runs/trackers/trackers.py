"""The trackers of a run: which there are, whether they are installed, and one sink that sends to all of them."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from utils.errors import ToolkitError, printable
from utils.files import write_text_atomically
from utils.runs.trackers.tracker import RunInfo, Tracker

STATE_FILE = "trackers.json"  # the ids under which a resumed run continues
LONGEST_REASON = 200  # characters


@dataclass(frozen=True)
class TrackerSpec:
    """A tracker by name; `tracker` and `check` are "module:name" in this folder, imported when they are asked for."""

    package: str
    requirement: str
    tracker: str
    check: str | None = None


TRACKERS = {
    "tensorboard": TrackerSpec("tensorboard", "tensorboard", "tensorboard:TensorBoardTracker"),
    "wandb": TrackerSpec("wandb", "wandb", "wandb:WandbTracker", check="wandb:check_wandb"),
    "mlflow": TrackerSpec("mlflow", "mlflow", "mlflow:MlflowTracker"),
}


def check_trackers(names: Sequence[str]) -> None:
    """Raise ToolkitError where a tracker cannot be used here; all that are not installed are named at once."""
    missing = [name for name in names if find_spec(TRACKERS[name].package) is None]
    if missing:
        packages = " ".join(TRACKERS[name].requirement for name in missing)
        verb = "is" if len(missing) == 1 else "are"
        raise ToolkitError(f"--log: {', '.join(missing)} {verb} not installed: pip install {packages}")
    for name in names:
        if check := TRACKERS[name].check:
            _load(check)()


class Trackers:
    """All trackers of a run, as one sink. One that fails is left out from then on, with one warning.

    `trackers.json` in the run's folder keeps what each needs to continue, such as its run's id.
    """

    def __init__(self, names: Sequence[str], info: RunInfo, log: logging.Logger) -> None:
        self._log, self._folder, self._step = log, info.folder, info.first_step - 1
        self._open: dict[str, Tracker] = {}
        state = _read_state(info.folder)
        for name in names:
            known = state.get(name) or {}
            if tracker := self._guarded(name, _load(TRACKERS[name].tracker), replace(info, known=known)):
                self._open[name] = tracker
                state[name] = tracker.keeps
                log.info(f"--log {name}: {tracker.place}")
        if names:
            write_text_atomically(info.folder / STATE_FILE, json.dumps(state, indent=1) + "\n")

    def steps(self, records: list[dict[str, Any]]) -> None:
        """Send the records of single steps."""
        self._all("steps", records)

    def epoch(self, record: dict[str, Any]) -> None:
        """Send an epoch's record."""
        self._step = int(record["step"])
        self._all("epoch", record)

    def images(self, *patterns: str) -> None:
        """Send the image files in the run's folder that match any of the patterns."""
        paths = [path for pattern in patterns for path in sorted(self._folder.glob(pattern))]
        if paths:
            self._all("images", paths, step=self._step)

    def finish(self, best: Mapping[str, float]) -> None:
        """Send the best epoch's metrics and end the runs."""
        self._all("finish", best, step=self._step)
        self._open.clear()

    def close(self) -> None:
        """End the runs where they are; after `finish` this does nothing."""
        self._all("close")
        self._open.clear()

    def _all(self, method: str, *arguments: Any, **named: Any) -> None:
        for name, tracker in list(self._open.items()):
            self._guarded(name, getattr(tracker, method), *arguments, **named)

    def _guarded(self, name: str, call: Callable, *arguments: Any, **named: Any) -> Any:
        """Call, and leave the tracker out where that fails: whatever a tracker raises, the training continues."""
        try:
            return call(*arguments, **named)
        except Exception as error:
            self._open.pop(name, None)
            reason = printable(" ".join(str(error).split()))[:LONGEST_REASON]
            self._log.warning(
                f"--log {name} failed and is left out from here on; the training continues, metrics.jsonl has every "
                f"number ({type(error).__name__}: {reason})"
            )
            return None


def _load(place: str) -> Callable:
    module, _, name = place.partition(":")
    return getattr(import_module(f"utils.runs.trackers.{module}"), name)


def _read_state(folder: Path) -> dict[str, Any]:
    """Return what the trackers kept; empty where there is nothing, or nothing that can be read."""
    try:
        state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}
