"""Chosen thresholds: by hand, on drawn sets with a known precision, and what is said where nothing may be promised."""

import json

import numpy as np
import pytest
import yaml
from scipy.stats import betabinom

from support.made_matches import drawn_matches, matches_of
from utils.evaluation.choices import Thresholds
from utils.evaluation.curves import curve_of
from utils.evaluation.thresholds import choose_thresholds, promised_share


def perfect(images, *, also=()):
    return matches_of(
        ([1] * images, [(i, 0.5 + 0.4 * i / images, True) for i in range(images)] + [*also]), images=images
    )


def test_best_f1_by_hand():
    found = [(0, 0.9, True), (1, 0.8, False), (1, 0.7, True), (2, 0.6, False), (2, 0.5, False)]
    chosen = choose_thresholds(matches_of(([1, 1, 1], found), images=3))
    point = chosen.overall.best_f1.point
    assert (point.threshold, point.tp, point.fp, point.fn, point.f1) == (0.7, 2, 1, 1, 4 / 6)
    assert chosen.classes["class 1"].best_f1.threshold == 0.7
    assert chosen.overall.min_precision is None and chosen.overall.min_recall is None


def test_a_sentence_for_people():
    chosen = choose_thresholds(perfect(100, also=[(image, 0.55, False) for image in (3, 40, 77)]))
    text = str(chosen.overall.best_f1)
    assert text == "at 0.50 it finds 100 % of the objects (96–100), 97 % of its boxes are right (92–99)"


def test_without_errors_a_promise_needs_some_eighty_detections():
    assert choose_thresholds(perfect(60), min_precision=0.95).overall.min_precision.threshold is None
    chosen = choose_thresholds(perfect(90), min_precision=0.95, min_recall=0.9).overall
    assert chosen.min_precision.threshold == 0.5
    assert chosen.min_recall.threshold > 0.5  # a few objects may be missed


def test_what_cannot_be_promised_is_said_with_the_objects_it_needs():
    reason = choose_thresholds(perfect(60), min_precision=0.95).overall.min_precision.reason
    needed = int(reason.partition("about ")[2].split()[0])
    assert reason.startswith("precision 0.95 cannot be promised: at 0.50 it is 1.00 (0.94–1.00)")
    assert choose_thresholds(perfect(60 + needed), min_precision=0.95).overall.min_precision.threshold
    assert not choose_thresholds(perfect(60 + needed // 2), min_precision=0.95).overall.min_precision.threshold
    half = matches_of(([2] * 200, [(i, 0.5, True) for i in range(200)]), images=200)
    reason = choose_thresholds(half, min_recall=0.9).overall.min_recall.reason
    assert "recall 0.9 cannot be promised: at 0.50 it is 0.50" in reason and "hardly change" in reason


@pytest.mark.parametrize(
    ("objects", "found", "reason"),
    [
        ([], [], "there are no objects to score it on"),
        ([0, 0], [(0, 0.5, False)], "there are no objects to score it on"),
        ([1, 1], [], "no detection is right"),
        ([1, 1], [(0, 0.5, False)], "no detection is right"),
    ],
)
def test_nothing_to_choose_from(objects, found, reason):
    chosen = choose_thresholds(matches_of((objects, found), images=len(objects)), min_precision=0.5, min_recall=0.5)
    for choice in (chosen.overall.best_f1, chosen.overall.min_precision, chosen.overall.min_recall):
        assert choice.threshold is None and str(choice) == reason


def test_plain_types_come_back_as_they_were():
    matches = drawn_matches(1, images=80, classes=2, names=["Gesichts„schild“ <b>", "no: yes #"])
    chosen = choose_thresholds(matches, min_precision=0.7, min_recall=0.999)
    assert chosen.overall.min_recall.threshold is None and chosen.overall.min_precision.threshold is not None
    plain = chosen.to_dict()
    assert Thresholds.from_dict(json.loads(json.dumps(plain, allow_nan=False))) == chosen
    assert Thresholds.from_dict(yaml.safe_load(yaml.safe_dump(plain, allow_unicode=True))) == chosen
    bare = choose_thresholds(matches)
    assert Thresholds.from_dict(bare.to_dict()) == bare and bare.overall.min_precision is None


def test_the_bound_is_close_to_the_exact_beta_binomial():
    for n, hits in ((100, 100), (100, 96), (400, 390), (1000, 700)):
        least = betabinom.ppf(0.05, n, hits, n - hits + 1) / n
        (bound,) = promised_share(np.array([hits / n]), np.array([float(n)]))
        assert bound == pytest.approx(least, abs=1.5 / n + 0.002)


def test_one_wrong_detection_at_the_top_does_not_end_the_search():
    chosen = choose_thresholds(perfect(300, also=[(0, 0.99, False)]), min_precision=0.95).overall.min_precision
    assert chosen.threshold == 0.5 and chosen.point.fp == 1


@pytest.mark.parametrize("likeness", [0.0, 0.6])
def test_promises_hold_on_new_images(likeness):
    """Precision rises with the score, so that the point estimate's choice fails every second time."""

    def precision(score):
        return min(1.0, 0.7 + 0.35 * score)

    held, given = 0, 0
    for seed in range(120):
        choice = choose_thresholds(
            drawn_matches(seed, images=100, likeness=likeness, precision=precision), min_precision=0.9
        ).overall.min_precision
        if choice.threshold is not None:
            new = drawn_matches(10_000 + seed, images=100, likeness=likeness, precision=precision)
            held += curve_of(new).at(choice.threshold).precision >= 0.9
            given += 1
    assert given >= 60 and held / given >= 0.9


def test_wanted_shares_are_checked():
    with pytest.raises(ValueError, match="min_precision: expected a number above 0 and below 1, found 95"):
        choose_thresholds(perfect(3), min_precision=95)
