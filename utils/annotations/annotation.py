"""An image and its objects, and where faults of them are reported."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

BACKGROUND = "__background__"
YAML_PREFIX = {"train": "TRAIN", "val": "VALID", "test": "TEST"}  # split -> how its keys in the YAML begin


@dataclass(frozen=True, eq=False)
class Annotation:
    """One image and its objects; N may be 0, a negative sample.

    | field | shape, dtype | meaning |
    |---|---|---|
    | width, height | int | pixels of the upright image, as `read_image` returns it |
    | boxes | (N, 4) float32 | xyxy, absolute pixels, 0 <= x1 < x2 <= width, 0 <= y1 < y2 <= height |
    | labels | (N,) int64 | from 1; 0 is the background |
    | difficult | (N,) bool | counted in the log; trained on and evaluated like any other |

    Raises ValueError naming the image, the object (counted from 1), what was expected and what was found.
    """

    image_path: Path
    width: int
    height: int
    boxes: np.ndarray
    labels: np.ndarray
    difficult: np.ndarray

    def __post_init__(self):
        if self.width < 1 or self.height < 1:
            raise ValueError(f"{self.image_path}: expected a size of at least 1x1, got {self.width}x{self.height}")
        n = len(self.labels)
        expected = {"boxes": ((n, 4), np.float32), "labels": ((n,), np.int64), "difficult": ((n,), np.bool_)}
        for name, (shape, dtype) in expected.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != dtype:
                raise ValueError(
                    f"{self.image_path}: expected {name} {shape} {np.dtype(dtype)}, got {array.shape} {array.dtype}"
                )
        x1, y1, x2, y2 = self.boxes.T
        inside = (x1 >= 0) & (x1 < x2) & (x2 <= self.width) & (y1 >= 0) & (y1 < y2) & (y2 <= self.height)
        for index in np.flatnonzero(~inside):  # a NaN compares false, so it lands here too
            raise ValueError(
                f"{self.image_path}: object {index + 1}: expected 0 <= x1 < x2 <= {self.width} and "
                f"0 <= y1 < y2 <= {self.height}, got {self.boxes[index].tolist()}"
            )
        for index in np.flatnonzero(self.labels < 1):
            raise ValueError(f"{self.image_path}: object {index + 1}: expected a label >= 1, got {self.labels[index]}")


class Findings(Protocol):
    """A list of findings to add to, and whether files outside of the folders had a say; a `Scan` is one."""

    findings: list
    outside: bool

    def add(self, check: str, text: str, **more) -> None:
        """Append a `Finding`; `check` is a key of `CHECKS`."""


def equal_annotations(one: Annotation, other: Annotation) -> bool:
    """Check whether two images have the same boxes of the same classes."""
    return np.array_equal(one.boxes, other.boxes) and np.array_equal(one.labels, other.labels)
