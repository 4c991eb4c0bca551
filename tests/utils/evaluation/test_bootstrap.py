"""Resampled AP against AP with the same weights, and intervals of it."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.coco_reference import random_split
from utils.evaluation import bootstrap
from utils.evaluation.bootstrap import Resampled, Support, ap_intervals, interval, resample_ap
from utils.evaluation.matching import average_precision, match
from utils.evaluation.packed import PackedDetections, PackedTruth


def drawn_weights(images, resamples, seed):
    """Return how often each image is drawn (resamples, images), by the documented draw: one row of indices each."""
    rows = np.random.default_rng(seed).integers(0, images, (resamples, images))
    return np.stack([np.bincount(row, minlength=images) for row in rows])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), images=st.integers(1, 12), crowds=st.sampled_from([0.0, 0.3, 1.0]))
def test_each_resample_is_the_ap_with_its_images_as_weights(seed, images, crowds):
    matches = match(*random_split(seed, images=images, crowds=crowds))
    found = resample_ap(matches, resamples=7, seed=seed)
    expected = [average_precision(matches, weights) for weights in drawn_weights(images, 7, seed)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


def test_small_blocks_give_the_same_numbers(monkeypatch):
    matches = match(*random_split(5, images=30))
    whole = resample_ap(matches, resamples=20, seed=3)
    monkeypatch.setattr(bootstrap, "CACHED_CELLS", 100)
    monkeypatch.setattr(bootstrap, "MAX_CELLS", 30 * 3)
    assert np.array_equal(resample_ap(matches, resamples=20, seed=3), whole, equal_nan=True)
    assert not np.array_equal(resample_ap(matches, resamples=20, seed=4), whole, equal_nan=True)


def test_values_are_those_of_ap_and_lie_inside_their_intervals():
    matches = match(*random_split(2, images=40))
    ap = average_precision(matches)
    found = ap_intervals(matches, resamples=200)
    assert found["ap"].value == pytest.approx(ap.mean()) and found["ap_50/1"].value == pytest.approx(ap[1, 0])
    assert set(found) == {"ap", "ap_50"} | {f"{key}/{name}" for key in ("ap", "ap_50") for name in "012"}
    assert all(0 <= low <= value <= high <= 1 and high > low + 0.01 for value, low, high in found.values())
    assert found == ap_intervals(matches, resamples=200)
    more = ap_intervals(match(*random_split(2, images=400)), resamples=200)
    assert more["ap"].high - more["ap"].low < 0.6 * (found["ap"].high - found["ap"].low)


def one_class(images, *, found):
    """One object in each image, found exactly or not at all; a second class has none."""
    n = np.arange(images)
    box = np.tile([0.0, 0, 10, 10], (images, 1))
    truth = PackedTruth(n, np.ones(images, int), box, box[:, 2] * 10, np.zeros(images, bool), images, ("-", "a", "b"))
    rows = n if found else n[:0]
    return truth, PackedDetections(rows, np.ones(len(rows), int), box[rows], np.full(len(rows), 0.5))


@pytest.mark.parametrize("images", [1, 4, 20])
@pytest.mark.parametrize("found", [True, False])
def test_few_images_all_or_nothing_found_and_a_class_without_objects(images, found):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        intervals = ap_intervals(match(*one_class(images, found=found)), resamples=50)
    assert intervals["ap"].value == pytest.approx(float(found))
    bounds = [intervals["ap/a"].low, intervals["ap/a"].high]
    if images < 5:
        assert np.isnan(bounds).all()
    else:  # Clopper and Pearson's for 20 of 20 and 0 of 20
        assert bounds == pytest.approx([0.8316, 1] if found else [0, 0.1684], abs=1e-4)
    assert np.isnan(intervals["ap/b"]).all()


def test_without_any_object_everything_is_undefined():
    truth, detections = one_class(3, found=True)
    none = [values[:0] for values in (truth.image_of, truth.labels, truth.boxes_xywh, truth.areas, truth.crowd)]
    for images in (0, 3):
        empty = PackedTruth(*none, images, truth.class_names)
        rows = PackedDetections(none[0], none[1], none[2], none[3]) if images == 0 else detections
        assert all(np.isnan(found).all() for found in ap_intervals(match(empty, rows), resamples=5).values())


FEW, MANY = Support(20, 0.0), Support(100, 0.0)


def test_resamples_without_the_class_are_left_out():
    half, most = np.array([0.5, np.nan]), np.array([0.5])
    with_gap, without = np.array([0.4, np.nan, 0.6]), np.array([0.4, 0.6])
    assert interval(0.5, Resampled(with_gap, half, most), FEW) == interval(0.5, Resampled(without, half[:1], most), FEW)
    assert np.isnan(interval(np.nan, Resampled(without, half, most), FEW)).all()


def test_what_halves_have_too_much_is_taken_off():
    resamples = 0.5 + 0.05 * np.random.default_rng(0).normal(size=500)
    low, high = interval(0.5, Resampled(resamples, np.full(4, 0.5), np.full(4, 0.5)), MANY)
    assert (low, high) == pytest.approx((0.4, 0.6), abs=0.01)
    less, lower = interval(0.5, Resampled(resamples, np.full(4, 0.52), np.full(4, 0.5)), MANY)
    assert less < low and lower < high
