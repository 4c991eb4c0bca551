"""The detections that are evaluated, with the objects they are compared with and where both come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from utils.annotations.annotation import Annotation
from utils.evaluation.coco.files import load_detections, load_truth
from utils.evaluation.packed import PackedDetections, PackedTruth
from utils.images.pixel_range import PixelRange


@dataclass(frozen=True, eq=False)
class Source:
    """Objects and detections of a split.

    | field | meaning |
    |---|---|
    | image_ids | by which COCO orders images; None for the order of their indices |
    | max_detections | of an image and class, that AP counts |
    | about | plain types for evaluation.json: weights, split, latency and the like |
    | ground_truth, results | the same in COCO's JSON; None where they were read from such files |
    | annotations | the images; () where there are only files of results |
    | pixel_range | as in `read_image`, for images of more than eight bits |
    """

    truth: PackedTruth
    detections: PackedDetections
    image_ids: Sequence[int] | None
    about: Mapping[str, Any]
    max_detections: int = 100
    ground_truth: dict | None = None
    results: list[dict] | None = None
    annotations: Sequence[Annotation] = field(default_factory=tuple)
    pixel_range: PixelRange | None = None

    @property
    def sizes_wh(self) -> np.ndarray | None:
        """Width and height of the images (num_images, 2), int64; None where they are not known."""
        if not self.annotations:
            return None
        return np.array([(a.width, a.height) for a in self.annotations], np.int64)


def read_source(predictions: Path, ground_truth: Path) -> Source:
    """Read a detector's COCO results and the annotations that they belong to.

    Raises DatasetError where a file is not what it should be, or where the results are of another dataset.
    """
    coco = load_truth(ground_truth)
    detections = load_detections(predictions, coco)
    about = {"predictions": str(predictions), "ground_truth": str(ground_truth)}
    return Source(coco.packed, detections, None, about)
