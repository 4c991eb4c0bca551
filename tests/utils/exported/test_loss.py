"""The AP that an export loses: COCO's AP of both, an interval of the difference, and the limit."""

from pathlib import Path

import numpy as np
import pytest

from utils.annotations.annotation import Annotation
from utils.detections import Detections
from utils.evaluation.bootstrap import Interval
from utils.exported.loss import Loss, measure_loss

CLASSES = ("__background__", "a", "b")


def annotations(count):
    rng, made = np.random.default_rng(0), []
    for number in range(count):
        corners = rng.uniform(0, 50, (3, 2))
        boxes = np.concatenate([corners, corners + rng.uniform(10, 50, (3, 2))], 1).astype(np.float32)
        labels = np.array([1, 2, 1], np.int64)
        made.append(Annotation(Path(f"{number}.png"), 120, 120, boxes, labels, np.zeros(3, bool)))
    return made


def detector(found):
    """Answer images, whose first pixel is their number, from a list."""
    return lambda images: [found[image[0, 0, 0]] for image in images]


@pytest.mark.parametrize(("missed", "holds"), [(0, True), (12, False)])
def test_what_is_missed_is_lost(missed, holds):
    truth = annotations(30)
    full = [Detections(one.boxes, np.array([0.9, 0.8, 0.7], np.float32), one.labels) for one in truth]
    cut = [found.above(0.75) if number < missed else found for number, found in enumerate(full)]
    images = [np.full((120, 120, 3), number, np.uint8) for number in range(30)]
    loss = measure_loss(truth, CLASSES, images, checkpoint=detector(full), exported=detector(cut))
    assert loss.images == 30 and loss.checkpoint_ap == pytest.approx(1) and loss.holds is holds
    # of the 60 objects of class a, 12 are never found: 80 % of its recall points have precision 1
    expected = 1 if not missed else (81 / 101 + 1) / 2
    assert loss.ap == pytest.approx(expected, abs=1e-6)
    assert loss.difference.value == pytest.approx(loss.ap - loss.checkpoint_ap)
    assert loss.difference.low <= loss.difference.value <= loss.difference.high
    about = loss.to_dict()
    assert about["ap"] == loss.ap and about["speed"] > 0


def test_a_gain_holds_and_no_number_does_not():
    numbers = {"images": 3, "ap": 0.5, "checkpoint_ap": 0.4, "seconds": 1.0, "checkpoint_seconds": 2.0}
    assert Loss(difference=Interval(0.1, 0, 0.2), **numbers).holds
    nothing = Loss(difference=Interval(*[float("nan")] * 3), **numbers)
    assert not nothing.holds and nothing.to_dict()["ap_difference"] is None
