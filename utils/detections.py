"""What a detector says of one image."""

from dataclasses import dataclass

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

    def above(self, threshold: float) -> "Detections":
        """Those with a score of at least `threshold`."""
        keep = self.scores >= threshold
        return Detections(self.boxes[keep], self.scores[keep], self.labels[keep])
