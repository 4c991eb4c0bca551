"""Curves and points at a threshold, against counts by hand and a bootstrap over images."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.coco_reference import random_split
from support.made_matches import drawn_matches, matches_of
from utils.evaluation.choices import OperatingPoint
from utils.evaluation.curves import at_threshold, curve_of, interval
from utils.evaluation.matching import match

TWO_CLASSES = matches_of(
    ([2, 1, 0], [(0, 0.9, True), (0, 0.9, False), (1, 0.8, True), (2, 0.3, None), (0, 0.2, True)]),
    ([0, 0, 1], [(2, 0.8, False), (1, 0.7, None)]),
    images=3,
)


def test_counts_by_hand():
    curve = curve_of(TWO_CLASSES, 1)
    assert curve.scores.tolist() == [0.9, 0.8, 0.2]  # equal scores are one point, what is in a crowd is none
    assert curve.tp.tolist() == [1, 2, 3] and curve.fp.tolist() == [1, 1, 1] and curve.objects == 3
    assert curve.precision.tolist() == [1 / 2, 2 / 3, 3 / 4] and curve.recall.tolist() == [1 / 3, 2 / 3, 1]
    assert curve.f1.tolist() == [2 / 5, 4 / 6, 6 / 7]
    both = curve_of(TWO_CLASSES)
    assert (both.tp.tolist(), both.fp.tolist(), both.objects) == ([1, 2, 3], [1, 2, 2], 4)


def test_a_threshold_counts_scores_equal_to_it():
    assert at_threshold(TWO_CLASSES, 0.8, 1).tp == 2
    assert at_threshold(TWO_CLASSES, 0.8000001, 1).tp == 1
    point = at_threshold(TWO_CLASSES, 0.8)
    assert (point.tp, point.fp, point.fn) == (2, 2, 2)
    assert point.precision_interval[0] < point.precision < point.precision_interval[1]


def test_nothing_over_nothing_is_unknown_and_nothing_found_is_zero():
    point = at_threshold(TWO_CLASSES, 0.99)
    assert math.isnan(point.precision) and math.isnan(point.precision_interval[0])
    assert (point.recall, point.fn) == (0, 4) and 0 < point.recall_interval[1] < 1
    empty = matches_of(([0], []), images=1)
    point = at_threshold(empty, 0.5)
    assert all(math.isnan(v) for v in (point.precision, point.recall, point.f1, *point.recall_interval))
    no_objects = at_threshold(matches_of(([0], [(0, 0.9, False)]), images=1), 0.5)
    assert no_objects.precision == 0 and math.isnan(no_objects.recall) and no_objects.f1 == 0
    assert at_threshold(matches_of(images=0), 0.5).tp == 0
    written = json.loads(json.dumps(point.to_dict(), allow_nan=False))
    assert written["precision"] is None and written["precision_interval"] == [None, None]
    assert math.isnan(OperatingPoint.from_dict(written).precision)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_point_is_what_the_detections_above_it_give(seed):
    matches = match(*random_split(seed, images=6, crowds=0.2), iou_thresholds=[0.5, 0.75])
    for label in (None, 1, 2, 3):
        curve = curve_of(matches, label, iou=0.75)
        classes = matches.classes if label is None else [matches.classes[label - 1]]
        for score in [0.0, 0.33, *curve.scores]:
            point = curve.at(score)
            above = [found.scores >= score for found in classes]
            tp = sum((f.correct[1] & a).sum() for f, a in zip(classes, above, strict=True))
            fp = sum((~f.correct[1] & ~f.ignored[1] & a).sum() for f, a in zip(classes, above, strict=True))
            objects = sum(f.objects.sum() for f in classes)
            assert (point.tp, point.fp, point.fn) == (tp, fp, objects - tp)


@pytest.mark.parametrize("likeness", [0.0, 0.7])
def test_intervals_are_as_wide_as_a_bootstrap_over_images_gives(likeness):
    matches = drawn_matches(3, images=400, likeness=likeness)
    point = at_threshold(matches, 0.4)
    (found,) = matches.classes
    shown = found.scores >= 0.4
    right = np.bincount(found.image_of, found.correct[0] & shown, 400)
    total = np.bincount(found.image_of, shown, 400)
    weights = np.random.default_rng(0).multinomial(400, np.full(400, 1 / 400), 4000)
    for low_high, shares in (
        (point.precision_interval, weights @ right / (weights @ total)),
        (point.recall_interval, weights @ right / (weights @ found.objects)),
    ):
        expected = np.quantile(shares, [0.025, 0.975])
        assert low_high[1] - low_high[0] == pytest.approx(expected[1] - expected[0], rel=0.12)
        assert low_high == pytest.approx(tuple(expected), abs=0.01)


def test_intervals_of_independent_trials_are_clopper_and_pearsons():
    # R: binom.test(8, 10)$conf.int and binom.test(20, 20)$conf.int
    assert np.allclose(interval(0.8, 10), (0.4439045, 0.9747893), atol=1e-7)
    assert np.allclose(interval(1.0, 20), (0.8315665, 1), atol=1e-7)
    assert np.allclose(interval(0.0, 20), (0, 1 - 0.8315665), atol=1e-7)


def test_one_image_tells_next_to_nothing_of_others():
    point = at_threshold(matches_of(([20], [(0, 0.9, True)] * 20), images=1), 0.5)
    assert point.precision == 1 and point.precision_interval[0] < 0.05


def test_a_thinned_curve_keeps_both_ends_and_the_values():
    curve = curve_of(drawn_matches(0, images=500))
    thinned = curve.to_dict(100)
    assert len(curve.scores) > 2000 and len(thinned["scores"]) == 100
    assert thinned["scores"][0] == curve.scores[0] and thinned["scores"][-1] == curve.scores[-1]
    for score, tp, precision, around in zip(
        *(thinned[name] for name in ("scores", "tp", "precision", "precision_interval")), strict=True
    ):
        point = curve.at(score)
        assert (tp, precision, tuple(around)) == (point.tp, point.precision, point.precision_interval)
    unknown = curve_of(matches_of(([0], [(0, 0.5, False)]), images=1)).to_dict()
    assert json.loads(json.dumps(unknown, allow_nan=False))["recall"] == [None]
    assert curve_of(matches_of(([3], []), images=1)).to_dict()["scores"] == []


def test_a_thinned_curve_is_exact_at_the_thresholds_that_are_asked_for():
    curve, thresholds = curve_of(drawn_matches(0, images=500)), np.linspace(0, 1.1, 38)
    thinned = curve.to_dict(50, exact_at=thresholds)
    assert 50 <= len(thinned["scores"]) <= 88 and thinned["scores"] == sorted(set(thinned["scores"]), reverse=True)
    for threshold in thresholds:
        row, point = sum(score >= threshold for score in thinned["scores"]) - 1, curve.at(threshold)
        assert (
            (thinned["tp"][row], thinned["fp"][row]) == (point.tp, point.fp) if row >= 0 else point.tp == point.fp == 0
        )
    assert curve_of(matches_of(([3], []), images=1)).to_dict(exact_at=[0.5])["scores"] == []


def test_what_is_not_there_is_named():
    with pytest.raises(ValueError, match="iou: expected one of 0.5, found 0.6"):
        curve_of(TWO_CLASSES, iou=0.6)
    with pytest.raises(ValueError, match="label: expected 1 to 2, found 3"):
        curve_of(TWO_CLASSES, 3)
