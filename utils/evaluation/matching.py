"""Pairs of detections and objects by COCO's greedy rule, for all images and classes at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from utils.evaluation.packed import PackedDetections, PackedTruth, check_packed

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
ALL_AREAS = (0.0, 1e10)  # square pixels, COCO's
MAX_PAIRS = 2**21  # whose IoU is computed at a time

RECALL_POINTS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, eq=False)
class ClassMatches:
    """The matches of one class at T IoU thresholds; D detections, best score first over all images.

    | field | shape, dtype | meaning |
    |---|---|---|
    | label | int | from 1 |
    | detections | (D,) int64 | indices into PackedDetections |
    | image_of | (D,) int64 | index of the detection's image |
    | scores | (D,) float64 | 0 to 1 |
    | truth_of | (T, D) int64 | index into PackedTruth of the matched object, -1 without |
    | ignored | (T, D) bool | neither right nor wrong: matched a crowd, or outside of the area range |
    | objects | (num_images,) int64 | objects of each image that are to be found: no crowds |
    """

    label: int
    detections: np.ndarray
    image_of: np.ndarray
    scores: np.ndarray
    truth_of: np.ndarray
    ignored: np.ndarray
    objects: np.ndarray

    @property
    def correct(self) -> np.ndarray:
        """True positives (T, D), bool."""
        return (self.truth_of >= 0) & ~self.ignored


@dataclass(frozen=True, eq=False)
class Matches:
    """The matches of a split: `classes[label - 1]` at the IoUs `iou_thresholds`, (T,) float64, ascending."""

    iou_thresholds: np.ndarray
    num_images: int
    class_names: tuple[str, ...]
    classes: list[ClassMatches]


def match(
    truth: PackedTruth,
    detections: PackedDetections,
    *,
    iou_thresholds: Sequence[float] | np.ndarray = IOU_THRESHOLDS,
    max_detections: int = 100,
    area_range: tuple[float, float] = ALL_AREAS,
    image_ids: Sequence[int] | None = None,
) -> Matches:
    """Match detections with objects of the same image and class, as pycocotools' `COCOeval.evaluateImg` does.

    The best `max_detections` of each image and class, best first, each take the free object with the highest IoU of at
    least the threshold, of equal ones the last; only one that finds no such object falls to a crowd, which any number
    may share, and whose IoU is the part of the detection inside it. Of equal scores the earlier image is first, and
    within an image the earlier detection.

    Args:
        area_range: square pixels, both included; objects outside of it are ignored, and so are detections outside of it
            that match nothing.
        image_ids: ids by whose order images are the earlier ones, as in COCO files; None for the order of the indices.

    Raises:
        ValueError: what `check_packed` refuses; IoU thresholds that do not ascend within 0 to 1.
    """
    thresholds = np.asarray(iou_thresholds, np.float64).reshape(-1)
    if not thresholds.size or thresholds[0] <= 0 or thresholds[-1] > 1 or (np.diff(thresholds) <= 0).any():
        raise ValueError(f"iou_thresholds: expected ascending numbers above 0 and up to 1, found {iou_thresholds}")
    num_classes = len(truth.class_names) - 1
    check_packed(truth, detections)
    place = np.argsort(np.argsort(np.arange(truth.num_images) if image_ids is None else np.asarray(image_ids)))

    # Groups are pairs of class and image; `order` has the detections group by group, best first.
    groups = detections.labels * truth.num_images + place[detections.image_of]
    order = np.lexsort((-detections.scores, groups))
    order = order[_rank(groups[order]) < max_detections]
    truth_groups = truth.labels * truth.num_images + place[truth.image_of]
    ignored_truth = truth.crowd | _outside(truth.areas, area_range)
    objects = np.bincount(
        truth.labels[~ignored_truth] * truth.num_images + truth.image_of[~ignored_truth],
        minlength=(num_classes + 1) * truth.num_images,
    ).reshape(num_classes + 1, truth.num_images)

    truth_of = np.full((len(thresholds), len(order)), -1, np.int64)
    if len(truth) and len(order):
        for found, objects_of, ious in _candidates(order, groups, truth_groups, detections, truth, thresholds[0]):
            _match_greedily(truth_of, thresholds, found, objects_of, ious, groups[order], truth.crowd, ignored_truth)
    areas = detections.boxes_xywh[order, 2] * detections.boxes_xywh[order, 3]
    ignored = np.where(truth_of < 0, _outside(areas, area_range), ignored_truth[truth_of] if len(truth) else False)

    classes = []
    bounds = np.searchsorted(detections.labels[order], np.arange(1, num_classes + 2))
    for label, (start, stop) in enumerate(zip(bounds[:-1], bounds[1:], strict=True), start=1):
        best_first = start + np.argsort(-detections.scores[order[start:stop]], kind="stable")
        rows = order[best_first]
        classes.append(
            ClassMatches(
                label,
                rows,
                detections.image_of[rows],
                detections.scores[rows],
                truth_of[:, best_first],
                ignored[:, best_first],
                objects[label],
            )
        )
    return Matches(thresholds, truth.num_images, truth.class_names, classes)


def _rank(groups: np.ndarray) -> np.ndarray:
    """Return each row's number from 0 within its run of equal values."""
    rows = np.arange(len(groups))
    starts = np.r_[True, groups[1:] != groups[:-1]][: len(groups)]
    return rows - np.maximum.accumulate(np.where(starts, rows, 0))


def _outside(areas: np.ndarray, area_range: tuple[float, float]) -> np.ndarray:
    return (areas < area_range[0]) | (areas > area_range[1])


def _candidates(
    order: np.ndarray,
    groups: np.ndarray,
    truth_groups: np.ndarray,
    detections: PackedDetections,
    truth: PackedTruth,
    least_iou: float,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield positions in `order`, objects of the same group, and their IoUs from `least_iou` on, in whole groups."""
    truth_order = np.argsort(truth_groups, kind="stable")
    first = np.searchsorted(truth_groups[truth_order], groups[order], side="left")
    counts = np.searchsorted(truth_groups[truth_order], groups[order], side="right") - first
    positions = np.flatnonzero(counts)
    first, counts = first[positions], counts[positions]
    group_ends = np.flatnonzero(np.r_[np.diff(groups[order[positions]]) != 0, True][: len(positions)]) + 1
    pairs_until = np.cumsum(counts)[group_ends - 1]
    start = done = 0
    while done < len(group_ends):
        limit = (pairs_until[done - 1] if done else 0) + MAX_PAIRS
        done = max(done + 1, int(np.searchsorted(pairs_until, limit, side="right")))
        stop = group_ends[done - 1]
        n = counts[start:stop]
        found = np.repeat(positions[start:stop], n)
        offsets = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
        objects_of = truth_order[np.repeat(first[start:stop], n) + offsets]
        boxes = detections.boxes_xywh[order[found]]
        ious = iou_of_pairs(boxes, truth.boxes_xywh[objects_of], truth.crowd[objects_of])
        near = ious >= min(least_iou, 1 - 1e-10)
        yield found[near], objects_of[near], ious[near]
        start = stop


def iou_of_pairs(found_xywh: np.ndarray, truth_xywh: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """Compute the IoU (N,) of N pairs of boxes xywh, in the order of operations of pycocotools' `bbIou`.

    In a crowd it is the part of the detection's area that lies inside.
    """
    sides = np.minimum(found_xywh[:, :2] + found_xywh[:, 2:], truth_xywh[:, :2] + truth_xywh[:, 2:])
    sides -= np.maximum(found_xywh[:, :2], truth_xywh[:, :2])
    common = sides[:, 0] * sides[:, 1]
    found_areas = found_xywh[:, 2] * found_xywh[:, 3]
    unions = np.where(crowd, found_areas, found_areas + truth_xywh[:, 2] * truth_xywh[:, 3] - common)
    overlap = (sides > 0).all(1)
    return np.divide(common, unions, out=np.zeros(len(common)), where=overlap & (unions != 0))


def _match_greedily(
    truth_of: np.ndarray,
    thresholds: np.ndarray,
    found: np.ndarray,
    objects_of: np.ndarray,
    ious: np.ndarray,
    groups: np.ndarray,
    crowd: np.ndarray,
    ignored: np.ndarray,
) -> None:
    """Write the matches of candidate pairs into `truth_of`: the first detections of all groups, then the second …"""
    if not len(found):
        return
    # A detection's pairs stand in ascending preference, so that its match is the last one that is free.
    order = np.lexsort((ious, ~ignored[objects_of], found))
    found, objects_of, ious = found[order], objects_of[order], ious[order]
    starts = np.flatnonzero(np.r_[True, found[1:] != found[:-1]])
    ranks = np.repeat(_rank(groups[found[starts]]), np.diff(np.r_[starts, len(found)]))
    order = np.argsort(ranks, kind="stable")
    found, objects_of, ious = found[order], objects_of[order], ious[order]
    bounds = np.r_[0, np.cumsum(np.bincount(ranks))]
    enough = ious >= np.minimum(thresholds, 1 - 1e-10)[:, None]
    objects_there, objects_of = np.unique(objects_of, return_inverse=True)
    free = np.ones((len(thresholds), len(objects_there)), bool)
    shared = crowd[objects_there]
    for low, high in zip(bounds[:-1], bounds[1:], strict=True):
        part, these = objects_of[low:high], found[low:high]
        starts = np.flatnonzero(np.r_[True, these[1:] != these[:-1]])
        rows = np.where(enough[:, low:high] & (free[:, part] | shared[part]), np.arange(high - low), -1)
        last = np.maximum.reduceat(rows, starts, axis=1)
        iou_index, detection = np.nonzero(last >= 0)
        taken = part[last[iou_index, detection]]
        free[iou_index, taken] = False
        truth_of[iou_index, these[starts[detection]]] = objects_there[taken]


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


def average_precision(matches: Matches, weights: np.ndarray | None = None) -> np.ndarray:
    """Compute the AP (C, T) of each class at each IoU threshold; NaN where a class has no objects.

    `weights` (num_images,) say how often each image counts; whole numbers give the AP of a dataset that holds each
    image so many times, one copy after the other. Only where a right and a wrong detection of one image and class have
    equal scores may that differ: here the copies of the first one all count before those of the second.
    """
    rows = [interpolated_precision(found, weights).mean(axis=-1) for found in matches.classes]
    return np.stack(rows) if rows else np.zeros((0, len(matches.iou_thresholds)))
