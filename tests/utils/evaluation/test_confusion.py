"""The confusion matrix on cases worked out by hand, and its sums on drawn sets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.coco_reference import random_split
from utils.evaluation.confusion import confusion_matrix
from utils.evaluation.curves import at_threshold
from utils.evaluation.matching import match
from utils.evaluation.packed import PackedDetections, PackedTruth

NAMES = ("background", "cat", "dog")


def matrix_of(objects, found, *, crowd=(), images=1, threshold=0.5, iou=0.5):
    """Objects are (image, label, x, y, width, height), detections the same with a score at the end."""
    objects, found = np.array(objects, float).reshape(-1, 6), np.array(found, float).reshape(-1, 7)
    truth = PackedTruth(
        objects[:, 0].astype(int),
        objects[:, 1].astype(int),
        objects[:, 2:],
        objects[:, 4] * objects[:, 5],
        np.array(crowd, bool) if crowd else np.zeros(len(objects), bool),
        images,
        NAMES,
    )
    detections = PackedDetections(found[:, 0].astype(int), found[:, 1].astype(int), found[:, 2:6], found[:, 6])
    matches = match(truth, detections)
    return confusion_matrix(truth, detections, matches, threshold=threshold, iou=iou).tolist()


def test_found_confused_missed_and_nothing_there():
    objects = [(0, 1, 0, 0, 10, 10), (0, 1, 50, 0, 10, 10), (1, 2, 0, 0, 10, 10), (1, 2, 90, 0, 10, 10)]
    found = [
        (0, 1, 0, 0, 10, 10, 0.9),  # a cat
        (0, 2, 50, 0, 10, 10, 0.8),  # a cat found as a dog
        (1, 2, 40, 40, 10, 10, 0.7),  # a dog where nothing is
        (1, 1, 90, 0, 10, 10, 0.4),  # under the threshold
    ]
    assert matrix_of(objects, found, images=2) == [[0, 0, 1], [0, 1, 1], [2, 0, 0]]
    assert matrix_of(objects, found, images=2, threshold=0.4) == [[0, 0, 1], [0, 1, 1], [1, 1, 0]]


def test_the_right_class_wins_where_boxes_tie_and_where_the_wrong_one_fits_better():
    for width in (10, 8):
        found = [(0, 2, 0, 0, 10, 10, 0.9), (0, 1, 0, 0, width, 10, 0.6)]
        assert matrix_of([(0, 1, 0, 0, 10, 10)], found) == [[0, 0, 1], [0, 1, 0], [0, 0, 0]]


def test_of_wrong_classes_the_best_overlap_is_the_one_confused():
    objects = [(0, 1, 0, 0, 10, 10), (0, 1, 4, 0, 10, 10)]
    found = [(0, 2, 1, 0, 10, 10, 0.9), (0, 2, 4, 0, 10, 10, 0.6)]
    assert matrix_of(objects, found) == [[0, 0, 0], [0, 0, 2], [0, 0, 0]]
    # A second dog on the same cat is one too many.
    assert matrix_of(objects[:1], [found[0], found[0]]) == [[0, 0, 1], [0, 0, 1], [0, 0, 0]]


def test_crowds_and_what_is_found_in_them_do_not_count():
    objects = [(0, 1, 0, 0, 100, 100)]
    found = [(0, 1, 5, 5, 10, 10, 0.9), (0, 2, 0, 0, 100, 100, 0.9)]
    assert matrix_of(objects, found, crowd=[True]) == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_the_overlap_decides():
    objects, found = [(0, 1, 0, 0, 10, 10)], [(0, 2, 0, 0, 10, 7, 0.9)]
    assert matrix_of(objects, found, iou=0.7) == [[0, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert matrix_of(objects, found, iou=0.75) == [[0, 0, 1], [1, 0, 0], [0, 0, 0]]
    with pytest.raises(ValueError, match="iou: expected one of"):
        matrix_of(objects, found, iou=0.3)


@pytest.mark.parametrize("images", [0, 1, 3])
def test_nothing_annotated_nothing_found(images):
    assert matrix_of([], [], images=images) == [[0] * 3] * 3


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), threshold=st.sampled_from([0.0, 0.5, 1.1]))
def test_sums_are_the_objects_and_the_detections_and_the_diagonal_the_true_positives(seed, threshold):
    truth, detections = random_split(seed, crowds=0.2)
    matches = match(truth, detections)
    matrix = confusion_matrix(truth, detections, matches, threshold=threshold)
    assert matrix.min() >= 0 and matrix[0, 0] == 0
    for found in matches.classes:
        shown = (found.scores >= threshold) & ~found.ignored[0]
        assert matrix[found.label].sum() == ((truth.labels == found.label) & ~truth.crowd).sum()
        assert matrix[:, found.label].sum() == shown.sum()
        assert matrix[found.label, found.label] == at_threshold(matches, threshold, found.label).tp
