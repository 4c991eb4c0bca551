"""All the objects of a split in a few arrays, for checks that look at every one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from utils.scan import Annotation


@dataclass(frozen=True, eq=False)
class Objects:
    """The N objects of M images.

    | field | shape, dtype | meaning |
    |---|---|---|
    | boxes | (N, 4) float64 | xyxy, pixels of the object's image |
    | labels | (N,) int64 | from 1 |
    | image_of | (N,) int64 | index of the object's image |
    | sizes_wh | (M, 2) int64 | width and height of each image |
    """

    annotations: Sequence[Annotation]
    boxes: np.ndarray
    labels: np.ndarray
    image_of: np.ndarray
    sizes_wh: np.ndarray

    @classmethod
    def of(cls, annotations: Sequence[Annotation]) -> "Objects":
        return cls(
            annotations,
            np.concatenate([np.zeros((0, 4)), *(a.boxes for a in annotations)]),
            np.concatenate([np.zeros(0, np.int64), *(a.labels for a in annotations)]),
            np.repeat(np.arange(len(annotations)), [len(a.labels) for a in annotations]),
            np.array([(a.width, a.height) for a in annotations], np.int64).reshape(-1, 2),
        )

    def images_of_class(self, num_classes: int) -> np.ndarray:
        """How many images show each class, (num_classes,) int64; the background's is 0."""
        shown = np.unique(self.image_of * num_classes + self.labels)
        return np.bincount(shown % num_classes, minlength=num_classes)
