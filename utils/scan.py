"""What reading one split of a data set gives: an `Annotation` per usable image, and everything worth telling."""

import re
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

BACKGROUND = "__background__"


@dataclass(frozen=True, eq=False)
class Annotation:
    """One image and its objects; N may be 0, a negative sample.

    | field | shape, dtype | meaning |
    |---|---|---|
    | width, height | int | pixels of the upright picture, as `utils.images.read_image` returns it |
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


def _finding(title: str):
    return field(default_factory=list, metadata={"title": title})


@dataclass
class Scan:
    """A split as read: `annotations` in natural order of the image names, and findings.

    Each finding is a list of strings that name the file and the object. `errors` are files that could not be used and
    stop the training; with `skip_bad` they stand in `skipped` instead.
    """

    annotations: list[Annotation] = field(default_factory=list)
    errors: list[str] = _finding("errors")
    skipped: list[str] = _finding("bad files left out")
    dropped: list[str] = _finding("boxes dropped")
    clipped: list[str] = _finding("boxes clipped to the image")
    rotated: list[str] = _finding("files whose boxes were turned with the picture")
    size_mismatches: list[str] = _finding("files whose <size> is not the image's")
    unlabelled: list[str] = _finding("images left out, for they have no annotation file")
    orphaned: list[str] = _finding("annotation files left out, for they have no image")

    def extend(self, other: "Scan") -> None:
        """Append all of the other's annotations and findings."""
        for item in fields(self):
            getattr(self, item.name).extend(getattr(other, item.name))

    def summary(self, class_names: tuple[str, ...], max_listed: int | None = 5) -> list[str]:
        """Lines for the log: counts, objects per class (index 0 is the background), and the first of each finding."""
        labels = np.concatenate([np.zeros(0, np.int64), *(a.labels for a in self.annotations)])
        per_class = np.bincount(labels, minlength=len(class_names))
        negatives = sum(len(a.labels) == 0 for a in self.annotations)
        difficult = sum(int(a.difficult.sum()) for a in self.annotations)
        lines = [
            f"{len(self.annotations)} images, {negatives} of them without objects",
            f"{len(labels)} objects, {difficult} of them difficult",
        ]
        lines += [f"  {name}: {count}" for name, count in zip(class_names[1:], per_class[1:], strict=True)]
        for item in fields(self):
            found = getattr(self, item.name)
            if "title" in item.metadata and found:
                lines.append(f"{item.metadata['title']}: {len(found)}")
                lines += [f"  {text}" for text in found[:max_listed]]
                if max_listed is not None and len(found) > max_listed:
                    lines.append(f"  … and {len(found) - max_listed} more")
        return lines


def natural_key(name: str) -> tuple:
    """Sorts "a2" before "a10"; equal numbers ("a1", "a01") fall back on the name itself."""
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name
