"""Comparison of the detections of an export with those of its checkpoint."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from utils.annotations.boxes import box_iou
from utils.detections import Detections

SAME_IOU = 0.99  # from which two boxes agree
SAME_SCORE = 1e-3
LEAST_SHARE = 0.99  # of the boxes, to call an export right: at the limits of score and number, rounding decides


@dataclass(frozen=True)
class Agreement:
    """A comparison over some images.

    boxes: the more of the two numbers of boxes. share: of them that agree, 1 where there is none. box_difference,
    score_difference: the largest among boxes that agree, in pixels of the image and of the score.
    """

    images: int
    boxes: int
    share: float
    box_difference: float
    score_difference: float

    @property
    def holds(self) -> bool:
        return self.share >= LEAST_SHARE

    def __str__(self) -> str:
        return (
            f"{100 * self.share:.1f} % of {self.boxes} boxes on {self.images} images agree with the checkpoint's, "
            f"to {self.box_difference:.2g} px and {self.score_difference:.2g} of score"
        )

    def to_dict(self) -> dict:
        return asdict(self)


def compare_detections(expected: Sequence[Detections], found: Sequence[Detections]) -> Agreement:
    """Compare the detections of images, each box with the best one of its label that no other has taken."""
    agreeing, most, worst_box, worst_score = 0, 0, 0.0, 0.0
    for want, have in zip(expected, found, strict=True):
        most += max(len(want), len(have))
        if not len(want) or not len(have):
            continue
        same = box_iou(want.boxes[:, None], have.boxes)
        scores = np.abs(want.scores[:, None] - have.scores)
        fits = (same >= SAME_IOU) & (scores <= SAME_SCORE) & (want.labels[:, None] == have.labels)
        for index in range(len(want)):
            if not fits[index].any():
                continue
            best = int(np.where(fits[index], same[index] - scores[index], -np.inf).argmax())
            fits[:, best] = False
            agreeing += 1
            worst_box = max(worst_box, float(np.abs(want.boxes[index] - have.boxes[best]).max()))
            worst_score = max(worst_score, float(scores[index, best]))
    return Agreement(len(expected), most, agreeing / most if most else 1.0, worst_box, worst_score)
