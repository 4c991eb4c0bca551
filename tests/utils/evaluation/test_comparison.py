"""Two detectors on the same images: who is better, and whether the data suffice to say so."""

from dataclasses import replace

import numpy as np
import pytest

from support.coco_reference import random_split
from utils.evaluation.bootstrap import ap_intervals
from utils.evaluation.comparison import compare
from utils.evaluation.matching import average_precision, match
from utils.evaluation.packed import PackedDetections


def split(images, seed=1):
    return random_split(seed, images=images, crowds=0, classes=2)


def worse(detections, share, seed=0):
    """Leave out a share of the detections."""
    rows = np.flatnonzero(np.random.default_rng(seed).random(len(detections)) >= share)
    return PackedDetections(
        *(getattr(detections, name)[rows] for name in ("image_of", "labels", "boxes_xywh", "scores"))
    )


def test_a_clear_difference_is_said_with_its_interval_either_way():
    truth, detections = split(60)
    good, bad = match(truth, detections), match(truth, worse(detections, 0.95))
    result = compare(bad, good, resamples=300, names=("old", "new"))
    value, low, high = result.differences["ap"]
    assert value == pytest.approx(average_precision(good).mean() - average_precision(bad).mean())
    assert 0 < low < value < high and result.images == 60 and result.images_needed is None
    assert result.sentence == f"new is better by {100 * value:.1f} points of AP ({100 * low:.1f} to {100 * high:.1f})"
    turned = compare(good, bad, resamples=300, names=("new", "old"))
    assert turned.sentence == result.sentence and turned.differences["ap"].low == pytest.approx(-high)


def test_the_same_images_in_both_make_the_interval_narrow():
    truth, detections = split(60)
    good, bad = match(truth, detections), match(truth, worse(detections, 0.05))
    _, low, high = compare(bad, good, resamples=300).differences["ap"]
    _, alone_low, alone_high = ap_intervals(good, resamples=300)["ap"]
    assert high - low < 0.7 * (alone_high - alone_low)


def test_a_small_difference_asks_for_more_images():
    truth, detections = split(20)
    first, second = (match(truth, worse(detections, 0.3, seed)) for seed in (3, 6))
    result = compare(first, second, resamples=300)
    value, low, high = result.differences["ap"]
    assert low < 0 < high
    expected = 20 * ((high - low) / 2 / abs(value)) ** 2
    assert max(expected, 21) <= result.images_needed <= max(expected, 21) * 1.1 + 1
    assert result.sentence.startswith("A and B cannot be distinguished on 20 images: B - A is ")
    assert result.sentence.endswith(f"; about {result.images_needed} would do")


def test_the_same_detections_are_not_distinguished_and_no_number_is_given():
    matches = match(*split(20))
    result = compare(matches, matches, resamples=50)
    assert result.images_needed is None and result.differences["ap"] == (0, 0, 0)
    assert result.sentence.endswith("B - A is +0.0 points of AP (+0.0 to +0.0); hardly any difference is seen")


def test_one_image_and_no_objects():
    truth, detections = split(1, seed=3)
    matches = match(truth, detections)
    assert "cannot be compared on 1 images: too few" in compare(matches, matches, resamples=5).sentence
    rows = np.zeros(0, np.int64)
    fields = ("image_of", "labels", "boxes_xywh", "areas", "crowd")
    empty = match(replace(truth, **{name: getattr(truth, name)[rows] for name in fields}), detections)
    assert compare(empty, empty, resamples=5).sentence == "A and B cannot be compared: the images hold no objects"


def test_other_images_or_objects_are_refused():
    truth, detections = split(5)
    matches = match(truth, detections)
    with pytest.raises(ValueError, match="num_images: expected the same, found 5 and 6"):
        compare(matches, match(*split(6)), resamples=5)
    with pytest.raises(ValueError, match="objects of '0': expected the same"):
        compare(matches, match(*split(5, seed=2)), resamples=5)
    with pytest.raises(ValueError, match="IoUs"):
        compare(matches, match(truth, detections, iou_thresholds=[0.5]), resamples=5)
