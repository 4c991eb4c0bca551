"""Labels and detections of a dataset side by side: who overlaps whom, and which label a detection stands for."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from utils.annotations.boxes import box_area, box_iou, clip_boxes
from utils.evaluation.packed import PackedDetections, PackedTruth

LEAST_SCORE = 0.05  # of detections that say anything
SAME_OBJECT = 0.5  # IoU from which a detection stands for a label
MOST_PAIRS = 200  # of classes, whose neighbourhood is learned pair by pair
NEAR = 0.1  # IoU from which a label may be a badly placed one of a detection


@dataclass(frozen=True, eq=False)
class ImageEvidence:
    """The N labels and the M detections of an image, best first.

    | field | shape, dtype | meaning |
    |---|---|---|
    | boxes, found_boxes | (N, 4), (M, 4) float64 | xyxy, pixels |
    | labels, found_labels | (N,), (M,) int64 | from 1 |
    | crowd | (N,) bool | regions of many objects, which are no labels to judge |
    | scores | (M,) float64 | 0 to 1 |
    | ious | (N, M) float64 | of labels and detections |
    | label_ious | (N, N) float64 | of labels with each other, 0 with themselves |
    | label_of | (M,) int64 | the label that a detection stands for, of its class; -1 without |
    | found_for | (N,) int64 | the detection that stands for a label; -1 without |
    | near | (N,) int64 | for a label that no detection stands for: one of its class beside it, free too; -1 without |
    | features | (M, F) float64 | what decides whether a detection is right |
    """

    image: int
    boxes: np.ndarray
    labels: np.ndarray
    crowd: np.ndarray
    found_boxes: np.ndarray
    found_labels: np.ndarray
    scores: np.ndarray
    ious: np.ndarray
    label_ious: np.ndarray
    label_of: np.ndarray
    found_for: np.ndarray
    near: np.ndarray
    features: np.ndarray

    @property
    def in_crowd(self) -> np.ndarray:
        """Detections (M,) that lie by half or more in a crowd region, bool."""
        shared = box_area(clip_boxes(self.boxes[self.crowd][:, None], self.found_boxes[None]))
        return np.any(shared >= box_area(self.found_boxes) / 2, axis=0)


def evidence_of(truth: PackedTruth, detections: PackedDetections) -> Iterator[ImageEvidence]:
    """Yield the evidence of each image in turn."""
    num_classes = len(truth.class_names) - 1
    label_order = np.argsort(truth.image_of, kind="stable")
    found_order = np.lexsort((-detections.scores, detections.image_of))
    found_order = found_order[detections.scores[found_order] >= LEAST_SCORE]
    images = np.arange(truth.num_images + 1)
    label_bounds = np.searchsorted(truth.image_of[label_order], images)
    found_bounds = np.searchsorted(detections.image_of[found_order], images)
    label_boxes, found_boxes = corners(truth.boxes_xywh), corners(detections.boxes_xywh)
    for image in range(truth.num_images):
        rows = label_order[label_bounds[image] : label_bounds[image + 1]]
        found = found_order[found_bounds[image] : found_bounds[image + 1]]
        yield _image_evidence(
            image, label_boxes[rows], truth.labels[rows], truth.crowd[rows],
            found_boxes[found], detections.labels[found], detections.scores[found], num_classes,
        )  # fmt: skip


def corners(boxes_xywh: np.ndarray) -> np.ndarray:
    """Convert boxes (N, 4) from xywh to xyxy."""
    return np.concatenate([boxes_xywh[:, :2], boxes_xywh[:, :2] + boxes_xywh[:, 2:]], axis=1)


def logit(values: np.ndarray) -> np.ndarray:
    """Return log(p / (1 - p)) of probabilities, cut at 0.001 and 0.999."""
    values = np.clip(values, 1e-3, 1 - 1e-3)
    return np.log(values / (1 - values))


def _image_evidence(image, boxes, labels, crowd, found_boxes, found_labels, scores, num_classes) -> ImageEvidence:
    ious = box_iou(boxes[:, None], found_boxes[None])
    same = (labels[:, None] == found_labels[None]) & ~crowd[:, None]
    label_of, found_for, near = (np.full(n, -1) for n in (len(scores), len(labels), len(labels)))
    for found in range(len(scores)):  # best first, each takes the free label that it overlaps most
        free = np.where(same[:, found] & (found_for < 0), ious[:, found], 0.0)
        if free.max(initial=0) >= SAME_OBJECT:
            label_of[found], found_for[free.argmax()] = free.argmax(), found
    pairs = np.where(same & (found_for < 0)[:, None] & (label_of < 0)[None], ious, 0.0)
    while pairs.max(initial=0) >= NEAR:
        label, found = map(int, np.unravel_index(pairs.argmax(), pairs.shape))
        near[label] = found
        pairs[label], pairs[:, found] = 0, 0
    label_ious = box_iou(boxes[:, None], boxes[None])
    np.fill_diagonal(label_ious, 0)
    found_labels_of = np.where(found_for < 0, 0, labels)
    neighbours = _neighbours(found_boxes, found_labels, label_of, boxes, found_labels_of, num_classes)
    features = np.hstack([_features(found_boxes, found_labels, scores, num_classes), neighbours])
    return ImageEvidence(
        image, boxes, labels, crowd, found_boxes, found_labels, scores,
        ious, label_ious, label_of, found_for, near, features,
    )  # fmt: skip


def _features(boxes: np.ndarray, labels: np.ndarray, scores: np.ndarray, num_classes: int) -> np.ndarray:
    """Return (M, 4 + classes): score, and overlap with better detections, which those left by NMS have."""
    better = np.tri(len(scores), k=-1, dtype=bool)  # row: a detection; column: one that is better
    same = labels[:, None] == labels[None]
    ious = np.where(better, box_iou(boxes[:, None], boxes[None]), 0.0)
    shared = box_area(clip_boxes(boxes[:, None], boxes[None]))
    least = np.minimum(box_area(boxes)[:, None], box_area(boxes)[None])
    inside = np.where(better, shared / np.maximum(least, 1e-9), 0.0)
    columns = [
        logit(scores),
        np.where(same, ious, 0).max(axis=1, initial=0),
        np.where(same, inside, 0).max(axis=1, initial=0),
        np.where(same, 0, ious).max(axis=1, initial=0),
    ]
    one_hot = labels[:, None] == np.arange(1, num_classes + 1)[None]
    return np.column_stack([*columns, one_hot.astype(np.float64)])


def _neighbours(found_boxes, found_labels, label_of, boxes, labels, num_classes: int) -> np.ndarray:
    """Return (M, F): how far labels of other objects, as far as detections stand for them (others are 0 in `labels`),
    and the detection lie in each other, by the two classes.

    Some classes lie within each other all the time, such as helmets and people, and some exclude each other.
    """
    shared = box_area(clip_boxes(found_boxes[:, None], boxes[None]))
    inside = shared / np.maximum(np.minimum(box_area(found_boxes)[:, None], box_area(boxes)[None]), 1e-9)
    inside[np.flatnonzero(label_of >= 0), label_of[label_of >= 0]] = 0
    if num_classes**2 > MOST_PAIRS:
        same = found_labels[:, None] == labels[None]
        other = ~same & (labels > 0)
        return np.column_stack([(inside * which).max(axis=1, initial=0) for which in (same, other)])
    result = np.zeros((len(found_labels), num_classes, num_classes))
    rows = np.arange(len(found_labels))
    for label in range(1, num_classes + 1):
        result[rows, found_labels - 1, label - 1] = inside[:, labels == label].max(axis=1, initial=0)
    return result.reshape(len(found_labels), num_classes**2)
