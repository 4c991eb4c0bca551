"""The order of the worst images and the boxes that they are drawn with."""

import json

import numpy as np

from utils.evaluation.failures.error_kinds import error_kinds
from utils.evaluation.failures.misses import found_scores
from utils.evaluation.failures.worst_images import LEAST_SCORE, MOST_DETECTIONS, boxes_to_draw, worst_images
from utils.evaluation.matching import match
from utils.evaluation.packed import PackedDetections, PackedTruth

# Image 0: its object is found. Image 1: one of two is missed. Image 2: a confident wrong box beside a crowd. Image 3 is
# empty. Image 4: the object is found by a detection of low score.
TRUTH = PackedTruth(
    np.array([0, 1, 1, 2, 4]),
    np.array([1, 1, 2, 1, 1]),
    np.array([(0, 0, 10, 10), (0, 0, 10, 10), (50, 0, 10, 10), (0, 0, 99, 99), (0, 0, 10.04, 10)], float),
    np.full(5, 100.0),
    np.array([False, False, False, True, False]),
    5,
    ("__background__", "cat", "dog"),
)
DETECTIONS = PackedDetections(
    np.array([0, 1, 2, 2, 4, 4]),
    np.array([1, 1, 2, 1, 1, 1]),
    np.array(
        [(0, 0, 10, 10), (0, 1, 10, 10), (0, 0, 10, 10), (5, 5, 9, 9), (0, 0, 10, 10), (70, 0, 10, 10)], np.float64
    ),
    np.array([0.9, 0.8, 0.7, 0.6, 0.3, LEAST_SCORE / 2]),
)


def ranked(threshold, truth=TRUTH, detections=DETECTIONS, **how):
    matches = match(truth, detections)
    errors, found = error_kinds(truth, detections, matches), found_scores(truth, matches)
    worst = worst_images(truth, detections, errors, found, threshold, **how)
    return worst, [boxes_to_draw(w, truth, detections, errors, found) for w in worst]


def test_missed_objects_cost_one_and_wrong_detections_their_score():
    worst, _ = ranked(0.5)
    assert [(w.image, round(w.cost, 3)) for w in worst] == [(1, 1), (4, 1), (2, 0.7), (0, 0), (3, 0)]
    worst, _ = ranked(0.2)
    assert [(w.image, round(w.cost, 3)) for w in worst] == [(1, 1), (2, 0.7), (0, 0), (3, 0), (4, 0)]
    assert [w.image for w in ranked(0.5, most=2)[0]] == [1, 4]


def test_boxes_are_plain_and_say_what_they_are_at_any_threshold():
    _, drawn = ranked(0.5)
    assert json.loads(json.dumps(drawn)) == drawn
    missed_one, low, with_crowd, good, empty = drawn
    assert [(o["label"], o["found"]) for o in missed_one["objects"]] == [(1, 0.8), (2, None)]
    assert low["objects"] == [{"box": [0, 0, 10, 10], "label": 1, "found": 0.3}]
    assert [(d["score"], d["kind"]) for d in low["detections"]] == [(0.3, "correct")]  # that of too low a score is left
    assert with_crowd["objects"] == []
    assert [d["kind"] for d in with_crowd["detections"]] == ["background", "ignored"]
    assert [d["kind"] for d in good["detections"]] == ["correct"]
    assert empty == {"objects": [], "detections": []}


def test_of_many_detections_the_best_are_kept():
    n = MOST_DETECTIONS + 5
    scores = np.linspace(0.1, 0.9, n)
    many = PackedDetections(np.zeros(n, np.int64), np.ones(n, np.int64), np.tile([70.0, 0, 5, 5], (n, 1)), scores)
    worst, drawn = ranked(0.5, detections=many)
    of_first = next(d for w, d in zip(worst, drawn, strict=True) if w.image == 0)
    assert [d["score"] for d in of_first["detections"]] == scores[::-1][:MOST_DETECTIONS].tolist()


def test_without_images_there_is_nothing_to_rank():
    none = np.zeros(0, np.int64)
    truth = PackedTruth(none, none, np.zeros((0, 4)), np.zeros(0), np.zeros(0, bool), 0, ("__background__", "cat"))
    assert ranked(0.5, truth, PackedDetections(none, none, np.zeros((0, 4)), np.zeros(0))) == ([], [])
