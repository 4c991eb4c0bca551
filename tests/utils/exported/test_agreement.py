"""Detections agree where box, label and score do, each with one other."""

import numpy as np
import pytest

from utils.detections import Detections
from utils.exported.agreement import compare_detections


def detections(*rows):
    boxes = np.array([row[:4] for row in rows], np.float32).reshape(-1, 4)
    scores = np.array([row[4] for row in rows], np.float32)
    return Detections(boxes, scores, np.array([row[5] for row in rows], np.int64))


ONE, OTHER = (0, 0, 100, 100, 0.9, 1), (50, 50, 90, 90, 0.8, 2)


def test_the_order_does_not_matter_and_differences_are_the_largest():
    near = (0, 0, 100, 100.1, 0.9005, 1)
    found = compare_detections([detections(ONE, OTHER)], [detections(OTHER, near)])
    assert found.holds and found.share == 1 and found.boxes == 2 and found.images == 1
    assert found.box_difference == pytest.approx(0.1, abs=1e-4)
    assert found.score_difference == pytest.approx(5e-4, abs=1e-6)


@pytest.mark.parametrize("changed", [(0, 0, 100, 102, 0.9, 1), (0, 0, 100, 100, 0.902, 1), (0, 0, 100, 100, 0.9, 2)])
def test_another_box_score_or_label_disagrees(changed):
    found = compare_detections([detections(ONE)], [detections(changed)])
    assert found.share == 0 and not found.holds


def test_a_box_counts_once_and_missing_ones_count():
    assert compare_detections([detections(ONE, ONE)], [detections(ONE)]).share == 0.5
    assert compare_detections([detections()], [detections(ONE)]).share == 0
    assert compare_detections([detections(ONE)], [detections()]).share == 0
    nothing = compare_detections([detections()], [detections()])
    assert nothing.holds and nothing.boxes == 0
