"""The confusion matrix: which class objects are found as, what is found where there is nothing, and what is missed."""

import numpy as np

from utils.evaluation.curves import iou_index
from utils.evaluation.matching import Matches, iou_of_pairs
from utils.evaluation.packed import PackedDetections, PackedTruth


def confusion_matrix(
    truth: PackedTruth, detections: PackedDetections, matches: Matches, *, threshold: float, iou: float = 0.5
) -> np.ndarray:
    """Count pairs of annotated and found class: a matrix (C + 1, C + 1) int64, rows annotated, columns found.

    Row 0 is the background: what was found where no object is left. Column 0 is what was missed. Objects and detections
    are paired one to one. First come the pairs of one class that `matches` has, so that the diagonal is the true
    positives of `curves.at_threshold`; a box of another class on the same object does not displace them, however well
    it fits. What remains is paired across classes, the highest IoU first. Crowds, and detections that are ignored for
    them, are not counted, so a row's sum is the objects of its class, a column's the detections.

    Args:
        matches: of `truth` and `detections`.
        threshold: least score of a detection.
        iou: least overlap of a pair, one of those of `matches`.

    Raises:
        ValueError: `matches` have no such IoU.
    """
    index = iou_index(matches, iou)
    size = len(matches.classes) + 1
    matrix = np.zeros((size, size), np.int64)
    free = ~truth.crowd
    left = [np.zeros(0, np.int64)]
    for found in matches.classes:
        shown = (found.scores >= threshold) & ~found.ignored[index]
        right = shown & found.correct[index]
        matrix[found.label, found.label] = right.sum()
        free[found.truth_of[index][right]] = False
        left.append(found.detections[shown & ~right])
    rows, objects = np.concatenate(left), np.flatnonzero(free)
    found_at, object_at = _pairs_of_one_image(detections.image_of[rows], truth.image_of[objects])
    rows_of_pairs, objects_of_pairs = rows[found_at], objects[object_at]
    boxes = detections.boxes_xywh[rows_of_pairs], truth.boxes_xywh[objects_of_pairs]
    ious = iou_of_pairs(*boxes, np.zeros(len(rows_of_pairs), bool))
    order = np.lexsort((-detections.scores[rows_of_pairs], -ious))  # none of one class is left among them
    taken_rows, taken_objects = set[int](), set[int]()
    for pair in order[ious[order] >= iou]:
        row, thing = int(rows_of_pairs[pair]), int(objects_of_pairs[pair])
        if row not in taken_rows and thing not in taken_objects:
            taken_rows.add(row)
            taken_objects.add(thing)
            matrix[truth.labels[thing], detections.labels[row]] += 1
    found_counts = np.bincount(detections.labels[rows], minlength=size)
    object_counts = np.bincount(truth.labels[objects], minlength=size)
    for row in taken_rows:
        found_counts[detections.labels[row]] -= 1
    for thing in taken_objects:
        object_counts[truth.labels[thing]] -= 1
    matrix[0, 1:], matrix[1:, 0] = found_counts[1:], object_counts[1:]
    return matrix


def _pairs_of_one_image(found_images: np.ndarray, object_images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of all pairs of a detection and an object that have the same image."""
    order = np.argsort(object_images, kind="stable")
    first = np.searchsorted(object_images[order], found_images, side="left")
    counts = np.searchsorted(object_images[order], found_images, side="right") - first
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(np.arange(len(found_images)), counts), order[np.repeat(first, counts) + offsets]
