"""Average precision of matched detections, by COCO's 101 recall points; images may count more or less than once."""

import numpy as np

from utils.evaluation.matching import Matches, interpolated_precision


def average_precision(matches: Matches, weights: np.ndarray | None = None) -> np.ndarray:
    """Compute the AP (C, T) of each class at each IoU threshold; NaN where a class has no objects.

    `weights` (num_images,) say how often each image counts; whole numbers give the AP of a dataset that holds each
    image so many times, one copy after the other. Only where a right and a wrong detection of one image and class have
    equal scores may that differ: here the copies of the first one all count before those of the second.
    """
    rows = [interpolated_precision(found, weights).mean(axis=-1) for found in matches.classes]
    return np.stack(rows) if rows else np.zeros((0, len(matches.iou_thresholds)))
