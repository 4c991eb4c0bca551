"""Areas, intersections and IoU of boxes against values worked out by hand."""

import numpy as np
import pytest

from utils.annotations.boxes import box_area, box_iou, clip_boxes


@pytest.mark.parametrize(
    ("one", "other", "iou"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1),
        ((0, 0, 10, 10), (5, 0, 15, 10), 1 / 3),
        ((0, 0, 10, 10), (2, 2, 4, 7), 0.1),
        ((0, 0, 10, 10), (10, 0, 20, 10), 0),  # they share an edge alone
        ((0, 0, 10, 10), (20, 20, 30, 30), 0),
        ((5, 5, 5, 5), (5, 5, 5, 5), 0),  # no area
    ],
)
def test_iou(one, other, iou):
    one, other = np.array(one, float), np.array(other, float)
    assert box_iou(one, other) == pytest.approx(iou) == box_iou(other, one)


def test_all_pairs_by_broadcasting():
    boxes = np.array([[0, 0, 4, 4], [2, 0, 6, 4], [8, 8, 9, 9]], np.float32)
    table = box_iou(boxes[:, None], boxes)
    assert table.shape == (3, 3) and np.allclose(table, [[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 1]])
    assert box_area(boxes).tolist() == [16, 16, 1]


def test_what_lies_outside_is_cut_to_no_area():
    zone = np.array([0, 0, 10, 10.0])
    cut = clip_boxes(np.array([[-5, 2, 5, 20], [12, 3, 20, 6.0]]), zone)
    assert cut[0].tolist() == [0, 2, 5, 10] and box_area(cut).tolist() == [40, 0]
