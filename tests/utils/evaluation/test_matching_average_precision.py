"""Average precision from matches against pycocotools, of the split and of one that really repeats images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.coco_reference import coco_dicts, random_split, run_pycocotools
from utils.evaluation.matching import average_precision, interpolated_precision, match
from utils.evaluation.packed import PackedDetections, PackedTruth


def reference_precision(truth, detections):
    """pycocotools' precision (C, T, 101), area "all", 100 detections; NaN where a class has no objects."""
    precision = run_pycocotools(*coco_dicts(truth, detections)).eval["precision"][..., 0, -1]
    return np.where(precision < 0, np.nan, precision).transpose(2, 0, 1)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), crowds=st.sampled_from([0.0, 0.3, 1.0]), images=st.integers(1, 9))
def test_precision_and_ap_are_pycocotools_own(seed, crowds, images):
    truth, detections = random_split(seed, images=images, crowds=crowds)
    matches = match(truth, detections)
    expected = reference_precision(truth, detections)
    for found, row in zip(matches.classes, expected, strict=True):
        np.testing.assert_allclose(interpolated_precision(found), row, rtol=0, atol=1e-12)
    np.testing.assert_allclose(average_precision(matches), expected.mean(-1), rtol=0, atol=1e-12)


def repeated(truth, detections, weights):
    """Build the split that holds image i `weights[i]` times, one copy after the other."""
    old = np.repeat(np.arange(truth.num_images), weights)

    def rows_of(image_of):
        rows = [np.flatnonzero(image_of == image) for image in old]
        images = np.repeat(np.arange(len(old)), [len(row) for row in rows])
        return np.concatenate([np.zeros(0, np.int64), *rows]), images

    rows, images = rows_of(truth.image_of)
    there = (truth.labels[rows], truth.boxes_xywh[rows], truth.areas[rows], truth.crowd[rows])
    new_truth = PackedTruth(images, *there, len(old), truth.class_names)
    rows, images = rows_of(detections.image_of)
    return new_truth, PackedDetections(
        images, detections.labels[rows], detections.boxes_xywh[rows], detections.scores[rows]
    )


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), images=st.integers(1, 9))
def test_whole_weights_are_repeated_images(seed, images):
    truth, detections = random_split(seed, images=images, distinct=True)
    weights = np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images))
    expected = reference_precision(*repeated(truth, detections, weights)).mean(-1)
    np.testing.assert_allclose(average_precision(match(truth, detections), weights), expected, rtol=0, atol=1e-12)


def test_ties_between_images_are_repeated_in_their_order():
    truth, detections = random_split(3, images=12, objects=2, crowds=0, distinct=True)
    scores = np.round(detections.scores, 1)
    rows = [i for i in range(len(scores)) if (detections.image_of[:i] != detections.image_of[i]).all()]
    detections = PackedDetections(
        detections.image_of[rows], detections.labels[rows], detections.boxes_xywh[rows], scores[rows]
    )
    assert len(np.unique(detections.scores)) < len(detections)
    weights = np.array([0, 1, 2, 3] * 3)
    expected = reference_precision(*repeated(truth, detections, weights)).mean(-1)
    np.testing.assert_allclose(average_precision(match(truth, detections), weights), expected, rtol=0, atol=1e-12)


def test_two_objects_one_found():
    truth = PackedTruth(
        np.zeros(2, np.int64), np.ones(2, np.int64), np.array([[0, 0, 9, 9], [50, 50, 9, 9.0]]), np.full(2, 81.0),
        np.zeros(2, bool), 1, ("background", "a", "b"),
    )  # fmt: skip
    one = PackedDetections(np.array([0]), np.array([1]), truth.boxes_xywh[:1], np.array([0.9]))
    ap = average_precision(match(truth, one))
    assert ap[0] == pytest.approx(51 / 101) and np.isnan(ap[1]).all()  # precision 1 up to recall 0.5
    none = PackedDetections(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0))
    assert average_precision(match(truth, none))[0].tolist() == [0] * 10
    assert np.isnan(average_precision(match(truth, one), np.zeros(1))).all()
