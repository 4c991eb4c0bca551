"""COCO metrics from annotations and detections, through pycocotools; no image is decoded for it."""

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from utils.annotations.annotation import Annotation
from utils.detections import Detections
from utils.formats.coco.ids import image_ids, image_names
from utils.formats.coco.writer import CocoObjects, coco_dataset, xywh

# COCOeval.stats, in its order.
COCO_KEYS = (
    *("map_50_95", "map_50", "map_75", "map_small", "map_medium", "map_large"),
    *("mar_1", "mar_10", "mar_100", "mar_small", "mar_medium", "mar_large"),
)
COCO_DETECTIONS = (1, 10, 100)  # per image and class, best first; AP is for the last
AREAS = ("all", "small", "medium", "large")  # COCOeval's, in its order


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
            for box, label, score in zip(xywh(found.boxes), found.labels.tolist(), found.scores.tolist(), strict=True)
        ]

    def compute(self) -> dict[str, float]:
        """Return the twelve COCO numbers, and `ap/NAME` and `ap_50/NAME` of each class; -1 where there is none.

        Where an image holds more than 100 objects of a class, all but `mar_...` count `max_detections` of each image
        and class, and `map_50_95_at_100` and `map_50_at_100` are by COCO's own limit. Raises ValueError when an image
        was not evaluated.
        """
        missing = set(range(len(self.annotations))) - set(self.detections)
        if missing:
            raise ValueError(
                f"{len(missing)} of {len(self.annotations)} images were not evaluated: {sorted(missing)[:5]}"
            )
        limits = (*COCO_DETECTIONS, *((self.max_detections,) if self.max_detections > COCO_DETECTIONS[-1] else ()))
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
            truth = COCO()
            truth.dataset = self.ground_truth()
            truth.createIndex()
            found = COCO()
            found.dataset = truth.dataset | {"annotations": _as_annotations(self.results())}
            found.createIndex()
            coco_eval = COCOeval(truth, found, "bbox")
            coco_eval.params.maxDets = list(limits)
            coco_eval.evaluate()
            coco_eval.accumulate()
        precision = coco_eval.eval["precision"]  # (IoU from 0.5 by 0.05, recall, class, area, limit); -1 is undefined
        recall = coco_eval.eval["recall"]  # (IoU, class, area, limit)
        metrics = {"map_50_95": _mean(precision[..., 0, -1])}
        metrics |= {f"map_{50 + 5 * iou}": _mean(precision[iou, ..., 0, -1]) for iou in (0, 5)}
        metrics |= {f"map_{area}": _mean(precision[..., AREAS.index(area), -1]) for area in AREAS[1:]}
        metrics |= {f"mar_{most}": _mean(recall[..., 0, m]) for m, most in enumerate(COCO_DETECTIONS)}
        metrics |= {f"mar_{area}": _mean(recall[..., AREAS.index(area), 2]) for area in AREAS[1:]}
        if len(limits) > len(COCO_DETECTIONS):
            metrics["map_50_95_at_100"], metrics["map_50_at_100"] = (
                _mean(precision[..., 0, 2]),
                _mean(precision[0, ..., 0, 2]),
            )
        for k, label in enumerate(coco_eval.params.catIds):
            metrics[f"ap/{self.class_names[label]}"] = _mean(precision[:, :, k, 0, -1])
            metrics[f"ap_50/{self.class_names[label]}"] = _mean(precision[0, :, k, 0, -1])
        return metrics


def most_of_a_class(annotations: Sequence[Annotation]) -> int:
    """Return the most objects of one class that an image holds."""
    return max((int(np.bincount(a.labels).max()) for a in annotations if len(a.labels)), default=0)


def _mean(values: np.ndarray) -> float:
    """Return the mean of what is defined, -1 where nothing is; as COCOeval's summary has it, to the bit."""
    defined = values[values > -1]
    return float(np.mean(defined)) if defined.size else -1.0


def _as_annotations(results: list[dict]) -> list[dict]:
    """Return what `COCO.loadRes` makes of results; it refuses an empty list, which is an ordinary outcome here."""
    return [
        result | {"id": number, "area": result["bbox"][2] * result["bbox"][3], "iscrowd": 0}
        for number, result in enumerate(results, start=1)
    ]
