"""Calibration: errors by hand, fits against formulas, order and AP untouched, and new images better calibrated."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from support.coco_reference import random_split
from support.made_matches import drawn_matches, matches_of
from utils.evaluation.calibration import (
    SLOPE,
    Calibration,
    expected_calibration_error,
    fit_calibration,
    fit_isotonic,
    fit_logistic,
    reliability,
    scored,
)
from utils.evaluation.matching import average_precision, match


def over_confident(score):
    return expit(1.5 * logit(score) - 1)


def test_errors_by_hand():
    scores = np.array([0.9, 0.1, 0.3, 0.7])
    right = np.array([True, False, False, False])
    assert reliability(scores, right, 2) == {"score": [0.2, 0.8], "right": [0.0, 0.5], "detections": [2, 2]}
    assert expected_calibration_error(scores, right, 2) == pytest.approx((0.2 + 0.3) / 2)
    assert expected_calibration_error(scores[:1], right[:1]) == pytest.approx(0.1)  # fewer than bins
    assert np.isnan(expected_calibration_error(scores[:0], right[:0]))


def test_a_calibrated_detector_is_said_to_be():
    scores, right, image_of = scored(drawn_matches(0, images=4000, classes=2))
    assert len(scores) == len(right) == len(image_of) and expected_calibration_error(scores, right) < 0.015


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 60))
def test_isotonic_shares_are_those_of_the_max_min_formula(seed, n):
    rng = np.random.default_rng(seed)
    scores, right = rng.integers(1, 20, n) / 20, rng.random(n) < 0.5
    values = np.unique(scores)
    at, shares = fit_isotonic(scores, right)
    expected = np.array(
        [
            max(
                min(right[(scores >= low) & (scores <= high)].mean() for high in values[values >= value])
                for low in values[values <= value]
            )
            for value in values
        ]
    )
    blocks = np.unique(expected.round(12))
    centres = np.array([scores[np.isin(scores, values[expected.round(12) == share])].mean() for share in blocks])
    np.testing.assert_allclose(at[1:-1], centres, atol=1e-12)
    np.testing.assert_allclose(shares[1:-1], (1 - SLOPE) * blocks + SLOPE * centres, atol=1e-11)
    assert (np.diff(shares) > 0).all() and shares[0] >= 0 and shares[-1] <= 1


def test_the_logistic_map_is_found_again():
    scores, right, _ = scored(drawn_matches(1, images=8000, precision=over_confident))
    at, shares = fit_logistic(scores, right)
    tried = np.linspace(0.05, 0.95, 19)
    np.testing.assert_allclose(np.interp(tried, at, shares), over_confident(tried), atol=0.02)
    for one in (True, False):
        _, shares = fit_logistic(np.array([0.6]), np.array([one]))
        assert (np.diff(shares) > 0).all() and shares[0] >= 0 and shares[-1] <= 1


def test_error_on_new_images_is_halved_whatever_the_shape():
    for precision in (over_confident, lambda score: 0.2 + 0.5 * score**3):
        calibration = fit_calibration(drawn_matches(2, images=400, classes=2, precision=precision))
        new = drawn_matches(3, images=2000, classes=2, precision=precision)
        before, after = [], []
        for label in (1, 2):
            scores, right, _ = scored(new, label)
            before.append(expected_calibration_error(scores, right))
            after.append(expected_calibration_error(calibration.apply(np.full(len(scores), label), scores), right))
        assert np.mean(after) < np.mean(before) / 2


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), levels=st.sampled_from([5, 10_000]))
def test_order_and_ap_within_a_class_stay(seed, levels):
    truth, detections = random_split(seed, images=30, levels=levels)
    matches = match(truth, detections)
    calibration = fit_calibration(matches)
    scores = calibration.apply(detections.labels, detections.scores)
    assert scores.min(initial=0) >= 0 and scores.max(initial=0) <= 1
    for label in (1, 2, 3):
        of = detections.labels == label
        assert (
            np.unique(detections.scores[of], return_inverse=True)[1] == np.unique(scores[of], return_inverse=True)[1]
        ).all()
    calibrated = match(truth, replace(detections, scores=scores))
    np.testing.assert_allclose(average_precision(calibrated), average_precision(matches), rtol=0, atol=1e-9)


def test_scores_a_float32_apart_stay_apart():
    matches = drawn_matches(4, images=300)
    calibration = fit_calibration(matches)
    scores = np.nextafter(np.float32(1), np.float32(0)) - np.arange(50) * np.finfo(np.float32).epsneg
    scores = scores.astype(np.float64)
    assert (np.diff(calibration.apply(np.ones(50, int), scores)) < 0).all()


def test_few_detections_take_the_map_of_all_classes():
    many = drawn_matches(5, images=600, precision=over_confident)
    (rich,) = many.classes
    rows = [(int(i), float(s), bool(r)) for i, s, r in zip(rich.image_of, rich.scores, rich.correct[0], strict=True)]
    few = [(i, s, bool(s > 0.95)) for i, s in zip(range(40), np.linspace(0.05, 0.9, 40), strict=True)]
    calibration = fit_calibration(matches_of((rich.objects, rows), ([1] * 600, few), images=600))
    assert calibration.kinds[0] != "as it is" and calibration.kinds[1].endswith("all classes")


@pytest.mark.parametrize("found", [[], [(0, 0.5, True)], [(0, 1.0, False), (0, 0.0, True), (0, 0.3, None)]])
@pytest.mark.parametrize("images", [1, 2])
def test_next_to_nothing_gives_a_map_all_the_same(found, images):
    matches = matches_of(([1] * images, found), ([0] * images, []), images=images)
    calibration = fit_calibration(matches)
    scores = calibration.apply(np.array([1, 1, 2, 2]), np.array([0.0, 1.0, 0.2, 0.4]))
    assert np.isfinite(scores).all() and scores[0] < scores[1] and scores[2] < scores[3]
    assert fit_calibration(matches_of(images=0)).maps == []


def test_plain_types_come_back_as_they_were():
    calibration = fit_calibration(drawn_matches(6, images=200, classes=3))
    back = Calibration.from_dict(json.loads(json.dumps(calibration.to_dict())))
    labels, scores = np.repeat([1, 2, 3], 11), np.tile(np.linspace(0, 1, 11), 3)
    assert (back.apply(labels, scores) == calibration.apply(labels, scores)).all() and back.kinds == calibration.kinds
    assert back.apply(np.zeros(0, int), np.zeros(0)).shape == (0,)
    with pytest.raises(ValueError, match="labels: expected 1 to 3, found 0 to 0"):
        back.apply(np.array([0]), np.array([0.5]))
