"""COCO metrics from annotations and detections; no image is decoded for it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from utils.annotations.annotation import Annotation
from utils.detections import Detections
from utils.evaluation.coco.engine import COCO_DETECTIONS
from utils.evaluation.coco.metrics import coco_metrics
from utils.evaluation.packed import PackedDetections, PackedTruth, xyxy_to_xywh
from utils.formats.coco.ids import image_ids, image_names
from utils.formats.coco.writer import CocoObjects, coco_dataset


class CocoEvaluator:
    """Collects detections, image by image, and compares them with the annotations' boxes in original pixels.

    Images are added by their position in `annotations`. VOC's `difficult` objects count like any other, as in
    COCO-style exports.

    Args:
        images_dir: folder from which `file_name` in COCO files counts; None for names alone.
        max_detections: of each image and class, the best that count, where an image holds more than COCO's 100 objects
            of a class.
    """

    def __init__(
        self,
        annotations: Sequence[Annotation],
        class_names: Sequence[str],
        *,
        images_dir: Path | None = None,
        max_detections: int = COCO_DETECTIONS[-1],
    ):
        self.annotations = annotations
        self.class_names = class_names
        self.names = image_names((a.image_path for a in annotations), images_dir)
        self.ids = image_ids(self.names)
        self.detections: dict[int, Detections] = {}
        crowded = most_of_a_class(annotations) > COCO_DETECTIONS[-1]
        self.max_detections = max(max_detections, COCO_DETECTIONS[-1]) if crowded else COCO_DETECTIONS[-1]

    def add(self, image_id: int, detections: Detections) -> None:
        if image_id in self.detections:
            raise ValueError(f"image {image_id} ({self.annotations[image_id].image_path}) was evaluated twice")
        self.detections[image_id] = detections

    def ground_truth(self) -> dict:
        """Return the annotations as a COCO dataset of plain types; boxes xywh in pixels, ids by `formats.coco.ids`."""
        images = [
            CocoObjects(name, a.width, a.height, a.boxes, a.labels)
            for name, a in zip(self.names, self.annotations, strict=True)
        ]
        return coco_dataset(images, self.class_names)

    def results(self) -> list[dict]:
        """Return the detections as COCO results of plain types; boxes xywh in pixels, ids as in `ground_truth`."""
        return [
            {"image_id": self.ids[index], "category_id": label, "bbox": box, "score": score}
            for index, found in sorted(self.detections.items())
            for box, label, score in zip(
                xyxy_to_xywh(found.boxes).tolist(), found.labels.tolist(), found.scores.tolist(), strict=True
            )
        ]

    def compute(self) -> dict[str, float]:
        """Return the twelve COCO numbers, and `ap/NAME` and `ap_50/NAME` of each class; -1 where there is none.

        Where an image holds more than 100 objects of a class, all but `mar_...` count `max_detections` of each image
        and class, and `map_50_95_at_100` and `map_50_at_100` are by COCO's own limit. Raises ValueError when an image
        was not evaluated.
        """
        return coco_metrics(*self.packed(), image_ids=self.ids, max_detections=self.max_detections)

    def packed(self) -> tuple[PackedTruth, PackedDetections]:
        """Return the objects and the detections in a few arrays; an image's index is that in `annotations`.

        Raises ValueError when an image was not evaluated.
        """
        missing = set(range(len(self.annotations))) - set(self.detections)
        if missing:
            raise ValueError(
                f"{len(missing)} of {len(self.annotations)} images were not evaluated: {sorted(missing)[:5]}"
            )
        found = [self.detections[index] for index in range(len(self.annotations))]
        return PackedTruth.of_annotations(self.annotations, self.class_names), PackedDetections.of_detections(found)


def most_of_a_class(annotations: Sequence[Annotation]) -> int:
    """Return the most objects of one class that an image holds."""
    return max((int(np.bincount(a.labels).max()) for a in annotations if len(a.labels)), default=0)
