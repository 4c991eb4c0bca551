"""Images by what goes wrong in them, with the boxes that show it."""

from dataclasses import dataclass

import numpy as np

from utils.evaluation.failures.error_kinds import CORRECT, KINDS, NOT_COUNTED, ErrorKinds
from utils.evaluation.packed import PackedDetections, PackedTruth

LEAST_SCORE = 0.05  # of a detection that is kept for drawing,
MOST_DETECTIONS = 60  # and so many of an image at most, the best ones
_NAMES = dict(enumerate(KINDS)) | {CORRECT: "correct", NOT_COUNTED: "ignored"}


@dataclass(frozen=True, eq=False)
class WorstImage:
    """An image, its cost at a threshold, and indices of its objects and of its detections, best first.

    A missed object costs 1, a wrong detection its score: what the model is surer of does more harm.
    """

    image: int
    cost: float
    objects: np.ndarray
    detections: np.ndarray


def worst_images(
    truth: PackedTruth,
    detections: PackedDetections,
    errors: ErrorKinds,
    found: np.ndarray,
    threshold: float,
    *,
    most: int = 36,
) -> list[WorstImage]:
    """Return at most `most` images, those that cost most at a confidence threshold, the worst first.

    Args:
        found: (N,), the score at which each object is found, of `misses.found_scores`.
    """
    missed = (found < threshold) & ~truth.crowd
    wrong = (errors.kind_of >= 0) & (detections.scores >= threshold)
    costs = np.bincount(truth.image_of[missed], minlength=truth.num_images).astype(np.float64)
    costs += np.bincount(detections.image_of[wrong], detections.scores[wrong], truth.num_images)
    worst = np.argsort(-costs, kind="stable")[:most]
    shown = np.flatnonzero(detections.scores >= LEAST_SCORE)
    shown = shown[np.argsort(-detections.scores[shown], kind="stable")]
    return [
        WorstImage(
            int(image),
            float(costs[image]),
            np.flatnonzero((truth.image_of == image) & ~truth.crowd),
            shown[detections.image_of[shown] == image][:MOST_DETECTIONS],
        )
        for image in worst
    ]


def boxes_to_draw(
    worst: WorstImage, truth: PackedTruth, detections: PackedDetections, errors: ErrorKinds, found: np.ndarray
) -> dict[str, list[dict]]:
    """Return "objects" and "detections" of an image as plain types, boxes xywh in pixels, for JSON and reports.

    At a threshold t an object is missed where its "found" is None or below t, and a detection of a score from t on is
    right where its "kind" is "correct".
    """
    objects = [
        {
            "box": truth.boxes_xywh[i].round(1).tolist(),
            "label": int(truth.labels[i]),
            "found": float(found[i]) if np.isfinite(found[i]) else None,
        }
        for i in worst.objects
    ]
    drawn = [
        {
            "box": detections.boxes_xywh[i].round(1).tolist(),
            "label": int(detections.labels[i]),
            "score": float(detections.scores[i]),
            "kind": _NAMES[int(errors.kind_of[i])],
        }
        for i in worst.detections
    ]
    return {"objects": objects, "detections": drawn}
