"""Thresholds that were chosen, with what to expect of them; plain values, as checkpoints and YAML keep them."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class OperatingPoint:
    """Counts, precision and recall of the detections with a score of at least `threshold`.

    What would be 0/0 is NaN, and so is its interval; `to_dict` gives None there, as JSON has no NaN.
    """

    threshold: float
    tp: int
    fp: int
    fn: int
    precision: float
    precision_interval: tuple[float, float]
    recall: float
    recall_interval: tuple[float, float]
    f1: float

    def to_dict(self) -> dict:
        """Return plain types, for JSON, YAML and checkpoints."""
        values = {}
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            values[name] = [_plain(v) for v in value] if isinstance(value, tuple) else _plain(value)
        return values

    @classmethod
    def from_dict(cls, values: dict) -> "OperatingPoint":
        """Return the point that `to_dict` made `values` of."""
        read: dict[str, Any] = {
            name: tuple(map(_number, v)) if isinstance(v, (list, tuple)) else _number(v) for name, v in values.items()
        }
        return cls(**read)


def _plain(value: float) -> float | int | None:
    return value if isinstance(value, int) else None if np.isnan(value) else float(value)


def _number(value: float | int | None) -> float | int:
    return float("nan") if value is None else value


@dataclass(frozen=True)
class Choice:
    """A threshold and what to expect of it, or None and why there is none."""

    point: OperatingPoint | None
    reason: str = ""

    @property
    def threshold(self) -> float | None:
        """Least score to be shown."""
        return self.point.threshold if self.point else None

    def __str__(self) -> str:
        return describe(self.point) if self.point else self.reason


@dataclass(frozen=True)
class ClassThresholds:
    """The choices of one class, or of all together; None where none was asked for."""

    best_f1: Choice
    min_precision: Choice | None = None
    min_recall: Choice | None = None

    def to_dict(self) -> dict:
        """Return plain types."""
        choices = {"best_f1": self.best_f1, "min_precision": self.min_precision, "min_recall": self.min_recall}
        return {name: _choice_to_dict(choice) for name, choice in choices.items() if choice}

    @classmethod
    def from_dict(cls, values: dict) -> "ClassThresholds":
        """Return the choices that `to_dict` made `values` of."""
        return cls(**{name: _choice_of(choice) for name, choice in values.items()})


@dataclass(frozen=True)
class Thresholds:
    """Choices for all classes together, whose one threshold is for every box, and for each class by its name.

    `wanted_precision` and `wanted_recall` are what was asked for, 0 to 1; a box is right from the overlap `iou` on.
    """

    overall: ClassThresholds
    classes: dict[str, ClassThresholds]
    iou: float
    wanted_precision: float | None = None
    wanted_recall: float | None = None

    def to_dict(self) -> dict:
        """Return plain types, for YAML, JSON and checkpoints."""
        return {
            "iou": self.iou,
            "wanted_precision": self.wanted_precision,
            "wanted_recall": self.wanted_recall,
            "overall": self.overall.to_dict(),
            "classes": {name: chosen.to_dict() for name, chosen in self.classes.items()},
        }

    @classmethod
    def from_dict(cls, values: dict) -> "Thresholds":
        """Return the thresholds that `to_dict` made `values` of."""
        classes = {name: ClassThresholds.from_dict(chosen) for name, chosen in values["classes"].items()}
        return cls(**values | {"overall": ClassThresholds.from_dict(values["overall"]), "classes": classes})


def _choice_to_dict(choice: Choice) -> dict:
    return choice.point.to_dict() if choice.point else {"threshold": None, "reason": choice.reason}


def _choice_of(values: dict) -> Choice:
    if values["threshold"] is None:
        return Choice(None, values["reason"])
    return Choice(OperatingPoint.from_dict(values))


def describe(point: OperatingPoint) -> str:
    """Write in one sentence what a threshold brings."""
    found, found_around = _percent(point.recall, point.recall_interval)
    right, right_around = _percent(point.precision, point.precision_interval)
    return (
        f"at {point.threshold:.2f} it finds {found} of the objects{found_around}, "
        f"{right} of its boxes are right{right_around}"
    )


def _percent(share: float, around: tuple[float, float]) -> tuple[str, str]:
    if math.isnan(share):
        return "an unknown share", ""
    return f"{100 * share:.0f} %", f" ({100 * around[0]:.0f}–{100 * around[1]:.0f})"
