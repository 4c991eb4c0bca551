"""COCO metrics from annotations and detections, through pycocotools; no image is decoded for it."""

import contextlib
import io
from collections.abc import Sequence

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from utils.annotations import Annotation
from utils.detections import Detections

# COCOeval.stats, in its order.
COCO_KEYS = (
    *("map_50_95", "map_50", "map_75", "map_small", "map_medium", "map_large"),
    *("mar_1", "mar_10", "mar_100", "mar_small", "mar_medium", "mar_large"),
)


class CocoEvaluator:
    """Collects detections, image by image, and compares them with the annotations' boxes in original pixels.

    Image ids are positions in `annotations`. VOC's `difficult` objects count like any other, as in COCO-style exports.
    """

    def __init__(self, annotations: Sequence[Annotation], class_names: Sequence[str]):
        self.annotations = annotations
        self.class_names = class_names
        self.detections: dict[int, Detections] = {}

    def add(self, image_id: int, detections: Detections) -> None:
        if image_id in self.detections:
            raise ValueError(f"image {image_id} ({self.annotations[image_id].image_path}) was evaluated twice")
        self.detections[image_id] = detections

    def ground_truth(self) -> dict:
        """The annotations as a COCO data set of plain types; boxes xywh in pixels."""
        objects = []
        for image_id, annotation in enumerate(self.annotations):
            for box, label in zip(_xywh(annotation.boxes), annotation.labels.tolist(), strict=True):
                objects.append({"id": len(objects) + 1, "image_id": image_id, "category_id": label, "bbox": box})
                objects[-1] |= {"area": box[2] * box[3], "iscrowd": 0}
        return {
            "info": {},
            "images": [
                {"id": image_id, "file_name": a.image_path.name, "width": a.width, "height": a.height}
                for image_id, a in enumerate(self.annotations)
            ],
            "categories": [{"id": label, "name": name} for label, name in enumerate(self.class_names) if label],
            "annotations": objects,
        }

    def results(self) -> list[dict]:
        """The detections as COCO results of plain types; boxes xywh in pixels."""
        return [
            {"image_id": image_id, "category_id": label, "bbox": box, "score": score}
            for image_id, found in sorted(self.detections.items())
            for box, label, score in zip(_xywh(found.boxes), found.labels.tolist(), found.scores.tolist(), strict=True)
        ]

    def compute(self) -> dict[str, float]:
        """The twelve COCO numbers and AP per class, `ap/NAME` and `ap_50/NAME`; -1 where nothing was there to find.

        Raises ValueError when an image was not evaluated.
        """
        missing = set(range(len(self.annotations))) - set(self.detections)
        if missing:
            raise ValueError(
                f"{len(missing)} of {len(self.annotations)} images were not evaluated: {sorted(missing)[:5]}"
            )
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
            truth = COCO()
            truth.dataset = self.ground_truth()
            truth.createIndex()
            found = COCO()
            found.dataset = truth.dataset | {"annotations": _as_annotations(self.results())}
            found.createIndex()
            coco_eval = COCOeval(truth, found, "bbox")
            coco_eval.evaluate()
            coco_eval.accumulate()
            coco_eval.summarize()
        metrics = dict(zip(COCO_KEYS, map(float, coco_eval.stats), strict=True))
        precision = coco_eval.eval["precision"]  # (IoU, recall, class, area, max detections); -1 is undefined
        for k, label in enumerate(coco_eval.params.catIds):
            for key, values in (("ap", precision[:, :, k, 0, -1]), ("ap_50", precision[0, :, k, 0, -1])):
                defined = values[values > -1]
                metrics[f"{key}/{self.class_names[label]}"] = float(defined.mean()) if defined.size else -1.0
        return metrics


def _xywh(boxes: np.ndarray) -> list[list[float]]:
    boxes = boxes.astype(np.float64)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).tolist()


def _as_annotations(results: list[dict]) -> list[dict]:
    """What `COCO.loadRes` makes of results; it refuses an empty list, which is an ordinary outcome here."""
    return [
        result | {"id": number, "area": result["bbox"][2] * result["bbox"][3], "iscrowd": 0}
        for number, result in enumerate(results, start=1)
    ]
