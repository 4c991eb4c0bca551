"""A tracker as the run sees it, and the key of a value of single steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class RunInfo:
    """A run as trackers show it.

    settings: plain types, as `TrainSettings.as_dict` gives them. first_step: the next one to be trained, from 1; a run
    that is resumed may send again what it sent before it was killed. known: what this tracker kept of the run at its
    last opening, such as its id; empty for a new run.
    """

    folder: Path
    settings: Mapping[str, Any]
    first_step: int = 1
    known: Mapping[str, Any] = field(default_factory=dict)


class Tracker(Protocol):
    """A sink that also takes images and final metrics; made from a RunInfo, which may import its package."""

    place: str  # how to see the run
    keeps: dict[str, Any]  # for `RunInfo.known`, when the run is resumed

    def steps(self, records: list[dict[str, Any]]) -> None:
        """Send the records of single steps."""

    def epoch(self, record: dict[str, Any]) -> None:
        """Send an epoch's record."""

    def images(self, paths: Sequence[Path], *, step: int) -> None:
        """Send image files, each under its name without the suffix."""

    def finish(self, best: Mapping[str, float], *, step: int) -> None:
        """Send the best epoch's metrics, and end the run as finished."""

    def close(self) -> None:
        """End the run where it is: stopped, or failed."""


def step_values(record: Mapping[str, Any]) -> dict[str, float]:
    """Return the values of a step's record; `train/loss` of a step is `train_step/loss`, as the epoch has its own."""
    values = {key: value for key, value in record.items() if key not in ("kind", "step", "epoch")}
    return {f"train_step/{key.removeprefix('train/')}": float(value) for key, value in values.items()}


def epoch_values(record: Mapping[str, Any]) -> dict[str, float]:
    """Return the values of an epoch's record, its number included."""
    return {key: float(value) for key, value in record.items() if key not in ("kind", "step")}


def best_values(record: Mapping[str, float]) -> dict[str, float]:
    """Return the final metrics: `val/map_50_95` of the best epoch is `best/map_50_95`."""
    scores = {key.removeprefix("val/"): value for key, value in record.items() if key.startswith("val/")}
    return {f"best/{key}": float(value) for key, value in {"epoch": record.get("epoch", 0), **scores}.items()}
