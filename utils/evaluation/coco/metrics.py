"""COCO's twelve numbers and AP per class, under the names that logs and files use."""

from collections.abc import Sequence

import numpy as np

from utils.evaluation.coco.engine import AREAS, COCO_DETECTIONS, coco_arrays
from utils.evaluation.packed import PackedDetections, PackedTruth

# COCOeval.stats, in its order.
COCO_KEYS = (
    *("map_50_95", "map_50", "map_75", "map_small", "map_medium", "map_large"),
    *("mar_1", "mar_10", "mar_100", "mar_small", "mar_medium", "mar_large"),
)


def coco_metrics(
    truth: PackedTruth,
    detections: PackedDetections,
    *,
    image_ids: Sequence[int] | None = None,
    max_detections: int = COCO_DETECTIONS[-1],
) -> dict[str, float]:
    """Compute `COCO_KEYS`, and AP and AP50 per class, `ap/NAME` and `ap_50/NAME`; -1 where nothing was there to find.

    With more than 100 `max_detections`, all but `mar_...` count so many of each image and class, and `map_50_95_at_100`
    and `map_50_at_100` are by COCO's own limit. Further arguments and errors are those of `coco_arrays`.
    """
    limits = (*COCO_DETECTIONS, *((max_detections,) if max_detections > COCO_DETECTIONS[-1] else ()))
    precision, recall = coco_arrays(truth, detections, image_ids=image_ids, limits=limits)
    metrics = {"map_50_95": _mean(precision[..., 0, -1])}
    metrics |= {f"map_{50 + 5 * iou}": _mean(precision[iou, ..., 0, -1]) for iou in (0, 5)}
    metrics |= {f"map_{area}": _mean(precision[..., AREAS.index(area), -1]) for area in AREAS[1:]}
    metrics |= {f"mar_{most}": _mean(recall[..., 0, m]) for m, most in enumerate(COCO_DETECTIONS)}
    metrics |= {f"mar_{area}": _mean(recall[..., AREAS.index(area), 2]) for area in AREAS[1:]}
    if len(limits) > len(COCO_DETECTIONS):
        metrics["map_50_95_at_100"] = _mean(precision[..., 0, 2])
        metrics["map_50_at_100"] = _mean(precision[0, ..., 0, 2])
    for k, name in enumerate(truth.class_names[1:]):
        metrics[f"ap/{name}"] = _mean(precision[:, :, k, 0, -1])
        metrics[f"ap_50/{name}"] = _mean(precision[0, :, k, 0, -1])
    return metrics


def _mean(values: np.ndarray) -> float:
    """Return the mean of what is defined, -1 where nothing is; as COCOeval's summary has it, to the bit."""
    defined = values[values > -1]
    return float(np.mean(defined)) if defined.size else -1.0
