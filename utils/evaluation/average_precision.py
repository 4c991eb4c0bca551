"""Average precision of matched detections, by COCO's 101 recall points; images may count more or less than once."""

import numpy as np

from utils.evaluation.matching import ClassMatches, Matches

RECALL_POINTS = np.linspace(0.0, 1.0, 101)


def average_precision(matches: Matches, weights: np.ndarray | None = None) -> np.ndarray:
    """Compute the AP (C, T) of each class at each IoU threshold; NaN where a class has no objects.

    `weights` (num_images,) say how often each image counts; whole numbers give the AP of a dataset that holds each
    image so many times, one copy after the other. Only where a right and a wrong detection of one image and class have
    equal scores may that differ: here the copies of the first one all count before those of the second.
    """
    rows = [interpolated_precision(found, weights).mean(axis=-1) for found in matches.classes]
    return np.stack(rows) if rows else np.zeros((0, len(matches.iou_thresholds)))


def interpolated_precision(found: ClassMatches, weights: np.ndarray | None = None) -> np.ndarray:
    """Compute the precision (T, 101) of a class at `RECALL_POINTS`, as pycocotools' `COCOeval.accumulate` does.

    At each point it is the highest precision at that recall or a higher one, 0 where that recall is not reached; NaN
    where the class has no objects. `weights` as in `average_precision`.
    """
    result = np.zeros((len(found.truth_of), len(RECALL_POINTS)))
    total = found.objects.sum() if weights is None else found.objects @ weights
    if total <= 0:
        return np.full_like(result, np.nan)
    if not len(found.detections):
        return result
    counts = 1.0 if weights is None else np.asarray(weights, np.float64)[found.image_of]
    correct = found.correct
    right = np.cumsum(correct * counts, axis=1)
    wrong = np.cumsum(~(correct | found.ignored) * counts, axis=1)
    precision = right / (wrong + right + np.spacing(1))
    highest = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    for row, values, recall in zip(result, highest, right / total, strict=True):
        indices = np.searchsorted(recall, RECALL_POINTS, side="left")
        reached = indices < len(values)
        row[reached] = values[indices[reached]]
    return result
