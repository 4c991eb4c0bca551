"""The part of an evaluation that a checkpoint keeps, and the threshold that inference takes from it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from utils.evaluation.choices import OperatingPoint, Thresholds, describe

USUAL = 0.3  # threshold where nothing says a better one
GRID = np.linspace(0, 1, 101)  # scores at which a checkpoint knows precision and recall
MUCH_LESS = 0.1  # recall, by which a threshold is worth a word


@dataclass(frozen=True, eq=False)
class StoredThresholds:
    """Thresholds with the split and number of images that they were chosen on, and what other scores would find.

    recall: (101,), at the scores of GRID; NaN where there is no object.
    """

    thresholds: Thresholds
    recall: np.ndarray
    images: int
    split: str

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "StoredThresholds":
        """Return what `numbers.stored_thresholds` made `values` of. Raises ValueError where they are something else."""
        try:
            recall = np.array([math.nan if value is None else float(value) for value in values["recall"]], np.float64)
            read = cls(Thresholds.from_dict(values["chosen"]), recall, int(values["images"]), str(values["split"]))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            kind = type(error).__name__
            raise ValueError(f"expected what evaluate.py writes there ({kind}: {error})") from None
        if recall.shape != GRID.shape:
            raise ValueError(f"expected the recall at {len(GRID)} scores, found {len(recall)}")
        return read

    @property
    def point(self) -> OperatingPoint | None:
        """The point of the best F1 over all classes; None where no threshold is good."""
        return self.thresholds.overall.best_f1.point

    @property
    def threshold(self) -> float | None:
        """The score of the best F1, rounded down to three digits, so that what it counted is still shown."""
        return math.floor(1000 * self.point.threshold) / 1000 if self.point else None


def choose_threshold(wanted: float | None, stored: StoredThresholds | None) -> tuple[float, str]:
    """Return the least score to show, and a line that says why, or what it costs; "" where there is nothing to say.

    Args:
        wanted: None for "auto": the checkpoint's own, or else the usual one.
    """
    own = stored.threshold if stored else None
    if stored is None or stored.point is None or own is None:
        return (
            (USUAL, f"threshold {USUAL:g}: the weights have none of their own; evaluate.py finds one")
            if (wanted is None)
            else (wanted, "")
        )
    on = f"on {stored.images} {stored.split} images"
    if wanted is None:
        return own, f"threshold {own:g}, the checkpoint's own: {on}, {describe(stored.point)}"
    found = float(np.interp(wanted, GRID, stored.recall))
    if wanted > own and found < stored.point.recall - MUCH_LESS:
        return wanted, (
            f"note: at {wanted:.2f} it finds {100 * found:.0f} % of the objects; {own:.2f} finds "
            f"{100 * stored.point.recall:.0f} % ({on}; --threshold auto takes it)"
        )
    return wanted, ""
