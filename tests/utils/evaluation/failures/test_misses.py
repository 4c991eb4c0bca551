"""Missed objects by group and wrong detections by confidence, on cases worked out by hand."""

import numpy as np
import pytest

from support.coco_reference import random_split
from utils.evaluation.failures.error_kinds import KINDS, error_kinds
from utils.evaluation.failures.misses import MissRow, MissTable, found_scores, miss_sentences, misses, wrong_by_score
from utils.evaluation.matching import match
from utils.evaluation.packed import PackedDetections, PackedTruth


def truth_of(boxes, *, labels=None, images=None, crowd=None, num_images=1):
    boxes = np.array(boxes, float).reshape(-1, 4)
    n = len(boxes)
    return PackedTruth(
        np.zeros(n, np.int64) if images is None else np.array(images),
        np.ones(n, np.int64) if labels is None else np.array(labels),
        boxes,
        boxes[:, 2] * boxes[:, 3],
        np.zeros(n, bool) if crowd is None else np.array(crowd),
        num_images,
        ("__background__", "cat", "a <b> dog"),
    )


def rows_of(tables, title):
    return [(row.objects, row.missed) for table in tables if table.title == title for row in table.rows]


def test_an_object_is_found_from_the_score_of_its_detection_down():
    truth = truth_of([(0, 0, 10, 10), (100, 0, 10, 10), (200, 0, 10, 10)])
    boxes = np.array([(0, 0, 10, 10), (0, 0, 10, 10), (100, 2, 10, 10)], float)
    detections = PackedDetections(np.zeros(3, np.int64), np.ones(3, np.int64), boxes, np.array([0.9, 0.95, 0.5]))
    matches = match(truth, detections)
    assert found_scores(truth, matches).tolist() == [0.95, 0.5, -np.inf]
    assert found_scores(truth, matches, 0.75).tolist() == [0.95, -np.inf, -np.inf]
    with pytest.raises(ValueError, match="expected an IoU threshold of 0.33"):
        found_scores(truth, matches, 0.33)


def test_fewer_detections_find_the_same_as_all_of_them_at_the_threshold():
    """Matching only those of a score of at least 0.5 gives the same as matching all and asking for that score."""
    for seed in range(20):
        truth, found = random_split(seed, distinct=True)
        kept = found.scores >= 0.5
        few = PackedDetections(*(a[kept] for a in (found.image_of, found.labels, found.boxes_xywh, found.scores)))
        real = ~truth.crowd
        of_all, of_few = (found_scores(truth, match(truth, d))[real] for d in (found, few))
        assert ((of_all >= 0.5) == np.isfinite(of_few)).all()


def test_groups_by_class_size_neighbours_and_border():
    truth = truth_of(
        [(0, 50, 31, 32), (50, 50, 32, 32), (60, 50, 32, 32), (200, 100, 96, 96), (420, 100, 80, 80), (0, 0, 500, 300)],
        labels=[1, 1, 2, 2, 1, 1],
        crowd=[False] * 5 + [True],
    )
    found = np.array([0.2, 0.9, 0.5, 0.49, -np.inf, -np.inf])
    tables = misses(truth, found, 0.5, sizes_wh=np.array([[500, 300]]))
    assert [table.title for table in tables] == [
        *("all objects", "class", "size", "size in its image", "overlap with neighbours", "border")
    ]
    assert rows_of(tables, "all objects") == [(5, 3)]
    assert rows_of(tables, "class") == [(3, 2), (2, 1)]
    assert rows_of(tables, "size") == [(1, 1), (3, 1), (1, 1)]
    # Square roots of area shares: 0.08, 0.08, 0.08, 0.25, 0.21.
    assert rows_of(tables, "size in its image") == [(0, 0), (3, 1), (2, 2), (0, 0)]
    # The second and third share 22 of 32 + 10 columns: IoU 0.52; the crowd is nobody's neighbour.
    assert rows_of(tables, "overlap with neighbours") == [(3, 3), (0, 0), (0, 0), (2, 0)]
    assert rows_of(tables, "border") == [(3, 1), (2, 2)]
    assert [table.title for table in misses(truth, found, 0.5)] == [
        *("all objects", "class", "size", "overlap with neighbours")
    ]


def test_neighbours_are_those_of_the_same_image():
    truth = truth_of([(0, 0, 10, 10), (1, 1, 10, 10), (0, 0, 10, 10)], images=[0, 1, 1], num_images=3)
    assert rows_of(misses(truth, np.ones(3), 0.5), "overlap with neighbours") == [(1, 0), (0, 0), (0, 0), (2, 0)]


def test_without_objects_every_group_is_empty():
    tables = misses(truth_of([]), np.zeros(0), 0.5, sizes_wh=np.array([[10, 10]]))
    assert all(row.objects == row.missed == 0 and np.isnan(row.rate) for table in tables for row in table.rows)
    assert miss_sentences(tables) == []


def test_groups_that_are_missed_more_often_than_the_rest_are_said():
    tables = [
        MissTable("size", (MissRow("small", 40, 30), MissRow("large", 60, 6))),
        MissTable("class", (MissRow("cat", 19, 19), MissRow("dog", 81, 17))),  # too few cats for a statement
        MissTable("border", (MissRow("inside", 50, 17), MissRow("touches", 50, 19))),  # no clear difference
    ]
    assert miss_sentences(tables) == ["small (size): 75% of 40 missed, 10% of the others"]


def test_detections_by_score_and_kind():
    truth = truth_of([(0, 0, 10, 10)])
    boxes = np.array([(0, 0, 10, 10), (100, 0, 10, 10), (1, 0, 10, 10), (100, 0, 10, 10)], float)
    scores = np.array([1.0, 0.1, 0.05, 0.0])
    detections = PackedDetections(np.zeros(4, np.int64), np.ones(4, np.int64), boxes, scores)
    counts = wrong_by_score(error_kinds(truth, detections, match(truth, detections)), detections)
    assert list(counts) == ["correct", *KINDS[:-1]]
    assert counts["correct"] == [0] * 9 + [1]
    assert counts["duplicate"] == [1] + [0] * 9
    assert counts["background"] == [1, 1] + [0] * 8
