"""The objects and the detections of a whole split in a few arrays, boxes as COCO has them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Annotated(Protocol):
    """An image's objects, such as an `Annotation`: boxes (N, 4) xyxy in pixels, labels (N,) int64 from 1."""

    @property
    def boxes(self) -> np.ndarray: ...

    @property
    def labels(self) -> np.ndarray: ...


class Detected(Annotated, Protocol):
    """An image's detections, such as `Detections`: the same, with scores (N,)."""

    @property
    def scores(self) -> np.ndarray: ...


def xyxy_to_xywh(boxes: np.ndarray) -> np.ndarray:
    """Convert boxes (N, 4) from xyxy to xywh, float64, in the same unit."""
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


@dataclass(frozen=True, eq=False)
class PackedTruth:
    """The N annotated objects of a split.

    | field | shape, dtype | meaning |
    |---|---|---|
    | image_of | (N,) int64 | index of the object's image |
    | labels | (N,) int64 | from 1 |
    | boxes_xywh | (N, 4) float64 | x, y, width, height in pixels of the original image |
    | areas | (N,) float64 | square pixels, by which COCO sorts objects into small, medium and large |
    | crowd | (N,) bool | COCO's iscrowd: a detection in it is neither right nor wrong |
    | num_images | int | images of the split, those without objects too |
    | class_names | tuple of str | background first, so that a label is an index |
    """

    image_of: np.ndarray
    labels: np.ndarray
    boxes_xywh: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray
    num_images: int
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def of_annotations(cls, annotations: Sequence[Annotated], class_names: Sequence[str]) -> "PackedTruth":
        """Pack annotations; no object is a crowd, and areas are those of the boxes."""
        boxes_xywh = xyxy_to_xywh(np.concatenate([np.zeros((0, 4)), *(a.boxes for a in annotations)]))
        counts = [len(a.labels) for a in annotations]
        return cls(
            np.repeat(np.arange(len(annotations), dtype=np.int64), counts),
            np.concatenate([np.zeros(0, np.int64), *(a.labels for a in annotations)]),
            boxes_xywh,
            boxes_xywh[:, 2] * boxes_xywh[:, 3],
            np.zeros(len(boxes_xywh), bool),
            len(annotations),
            tuple(class_names),
        )


@dataclass(frozen=True, eq=False)
class PackedDetections:
    """The M detections of a split; within an image best first, as models give them.

    | field | shape, dtype | meaning |
    |---|---|---|
    | image_of | (M,) int64 | index of the detection's image |
    | labels | (M,) int64 | from 1 |
    | boxes_xywh | (M, 4) float64 | x, y, width, height in pixels of the original image |
    | scores | (M,) float64 | 0 to 1 |
    """

    image_of: np.ndarray
    labels: np.ndarray
    boxes_xywh: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def of_detections(cls, detections: Sequence[Detected]) -> "PackedDetections":
        """Pack the detections of each image, in the order of the images."""
        return cls(
            np.repeat(np.arange(len(detections), dtype=np.int64), [len(found.labels) for found in detections]),
            np.concatenate([np.zeros(0, np.int64), *(found.labels for found in detections)]),
            xyxy_to_xywh(np.concatenate([np.zeros((0, 4)), *(found.boxes for found in detections)])),
            np.concatenate([np.zeros(0), *(found.scores for found in detections)]).astype(np.float64),
        )


def check_packed(truth: PackedTruth, detections: PackedDetections) -> None:
    """Raise ValueError for labels and images that are not `truth`'s, and for boxes and scores that are not finite.

    Evaluation would pass over such rows in silence: they match nothing, or leave the order of scores undefined.
    """
    for name, packed in (("objects", truth), ("detections", detections)):
        for field, low, high in (("labels", 1, len(truth.class_names) - 1), ("image_of", 0, truth.num_images - 1)):
            values = getattr(packed, field)
            if values.size and not (low <= values.min() and values.max() <= high):
                raise ValueError(f"{name}: {field}: expected {low} to {high}, found {values.min()} to {values.max()}")
        more = packed.areas if isinstance(packed, PackedTruth) else packed.scores
        finite = np.isfinite(packed.boxes_xywh).all(axis=1) & np.isfinite(more)
        if not finite.all():
            row = int(np.argmin(finite))
            text = "area" if isinstance(packed, PackedTruth) else "score"
            raise ValueError(
                f"{name}: {np.count_nonzero(~finite)} of {len(packed)} have a box or {text} that is not finite, first "
                f"row {row}: box {packed.boxes_xywh[row].tolist()}, {text} {more[row]}"
            )
