"""Repeat-factor sampling: factors by hand, and an epoch's draws against their expectation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.dataset.batch_sampler import draw_epoch, epoch_length, repeat_factors

FACTORS = st.lists(st.floats(1, 12), min_size=1, max_size=40).map(np.array)
EMPTY = np.zeros(0, np.int64)


class Offset:
    """A generator that always draws `value`."""

    def __init__(self, value):
        self.value = value

    def random(self):
        return self.value


def _counts(factors, rng):
    drawn = draw_epoch(factors, rng)
    return np.bincount(drawn % len(factors), minlength=len(factors))


def test_factors_by_hand():
    # Of eight images class 1 is on six, class 2 on two, class 5 on one; an image counts once, however many it shows.
    labels = [[1], [1], [1, 1, 1], [1, 2], [1, 2, 2], [1, 5], [], []]
    labels = [np.array(of_image, np.int64) for of_image in labels]
    rare, rarest = math.sqrt(0.5 / (2 / 8)), math.sqrt(0.5 / (1 / 8))
    np.testing.assert_allclose(repeat_factors(labels, 0.5), [1, 1, 1, rare, rare, rarest, 1, 1])
    np.testing.assert_allclose(repeat_factors(labels, 0.2), [1, 1, 1, 1, 1, math.sqrt(1.6), 1, 1])
    assert repeat_factors(labels, 1 / 8).tolist() == [1] * 8  # not below the threshold, but at it
    assert repeat_factors(labels, 0).tolist() == [1] * 8


def test_images_without_objects_have_factor_one():
    assert repeat_factors([EMPTY, EMPTY], 0.5).tolist() == [1, 1]


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
def test_a_threshold_is_a_share(threshold):
    with pytest.raises(ValueError, match="from 0 to 1"):
        repeat_factors([EMPTY], threshold)


@given(factors=FACTORS, seed=st.integers(0, 2**32))
@settings(max_examples=200)
def test_an_epoch_has_its_length_and_each_image_its_factor_rounded_down_or_up(factors, seed):
    length = epoch_length(factors)
    drawn = draw_epoch(factors, np.random.default_rng(seed))
    assert drawn.dtype == np.int64 and len(drawn) == length == len(set(drawn.tolist()))
    counts = np.bincount(drawn % len(factors), minlength=len(factors))
    scaled = factors * length / factors.sum()
    assert (counts >= np.floor(scaled + 1e-9 * length) - (scaled % 1 < 1e-9)).all() and (counts >= 1).all()
    assert (counts <= np.ceil(scaled + 1e-9)).all()
    copies = sorted(zip((drawn % len(factors)).tolist(), (drawn // len(factors)).tolist(), strict=True))
    assert copies == [(image, copy) for image, count in enumerate(counts) for copy in range(count)]


def test_the_expectation_is_the_scaled_factor():
    factors = np.array([1, 1.3, 2.75, 1, 4.5, 1.01])
    scaled = factors * epoch_length(factors) / factors.sum()
    steps = 2000
    mean = np.mean([_counts(factors, Offset((k + 0.5) / steps)) for k in range(steps)], axis=0)
    np.testing.assert_allclose(mean, scaled, atol=1.5 / steps)
    rng = np.random.default_rng(0)
    mean = np.mean([_counts(factors, rng) for _ in range(4000)], axis=0)
    np.testing.assert_allclose(mean, scaled, atol=0.04)  # five deviations of a mean of 4000 coins


def test_the_ends_of_the_offset():
    factors = np.array([1.5, 1.5])
    assert _counts(factors, Offset(0.0)).tolist() == [2, 1]
    assert _counts(factors, Offset(np.nextafter(1, 0))).tolist() == [1, 2]


@given(count=st.integers(1, 300), seed=st.integers(0, 2**32))
def test_factors_of_one_are_every_image_once(count, seed):
    assert draw_epoch(np.ones(count), np.random.default_rng(seed)).tolist() == list(range(count))


def test_one_image_alone():
    assert sorted(draw_epoch(np.array([2.5]), np.random.default_rng(0)).tolist()) == [0, 1, 2]
