"""The detections of one image."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, eq=False)
class Detections:
    """Boxes found in one image, best first.

    boxes: (N, 4) float32, xyxy, pixels of the original image. scores: (N,) float32 in 0..1. labels: (N,) int64 from 1.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray

    def __post_init__(self):
        expected = {"boxes": ((len(self), 4), np.float32), "scores": ((len(self),), np.float32)}
        expected["labels"] = ((len(self),), np.int64)
        for name, (shape, dtype) in expected.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != dtype:
                raise ValueError(
                    f"{name}: expected shape {shape} and {np.dtype(dtype)}, got {array.shape} and {array.dtype}"
                )

    def __len__(self) -> int:
        return len(self.scores)

    def _kept(self, keep: np.ndarray) -> "Detections":
        """Return the detections where `keep` is true, with the further fields of a subclass."""
        return replace(self, boxes=self.boxes[keep], scores=self.scores[keep], labels=self.labels[keep])

    def above(self, threshold: float) -> "Detections":
        """Return the detections with a score of at least `threshold`."""
        keep = self.scores >= threshold
        return self._kept(keep)

    def of(self, labels: Collection[int] | Mapping[int, object] | None) -> "Detections":
        """Return the detections of these classes; all for None."""
        if labels is None:
            return self
        keep = np.isin(self.labels, list(labels))
        return self._kept(keep)


def relabelled(found: Detections, label_of: Mapping[int, int]) -> Detections:
    """Return the detections with other labels, without those whose label has no entry in `label_of`."""
    kept = found.of(label_of)
    return replace(kept, labels=np.array([label_of[label] for label in kept.labels.tolist()], np.int64))
