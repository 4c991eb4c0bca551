"""TIDE's kinds of errors against cases worked out by hand, hotcoco, and figures of the authors' own program."""

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.coco_reference import coco_dicts, random_split
from utils.evaluation.failures.error_kinds import CORRECT, KINDS, NOT_COUNTED, error_kinds
from utils.evaluation.matching import average_precision, match
from utils.evaluation.packed import PackedDetections, PackedTruth

NAMES = ("__background__", "cat", "dog")
NO_COSTS = dict.fromkeys(KINDS, 0.0)


def split_of(objects, found, *, images=1, crowd=()):
    """Objects are (label, x, y, width, height), detections have the score behind, all in image 0."""
    objects, found = np.array(objects, float).reshape(-1, 5), np.array(found, float).reshape(-1, 6)
    n, m = len(objects), len(found)
    truth = PackedTruth(
        np.zeros(n, np.int64),
        objects[:, 0].astype(np.int64),
        objects[:, 1:],
        objects[:, 3] * objects[:, 4],
        np.isin(np.arange(n), crowd),
        images,
        NAMES,
    )
    detections = PackedDetections(np.zeros(m, np.int64), found[:, 0].astype(np.int64), found[:, 1:5], found[:, 5])
    return truth, detections


def kinds_of(objects, found, **how):
    truth, detections = split_of(objects, found, **how)
    return error_kinds(truth, detections, match(truth, detections))


# Two cats, 10 x 10; the first is found at 0.5, so that AP50 without any other detection is 51/101: the recall points up
# to 0.5 have precision 1. A wrong detection of a higher score makes it 51/101 / 2.
CATS = [(1, 0, 0, 10, 10), (1, 100, 0, 10, 10)]
FOUND = (1, 0, 0, 10, 10, 0.5)
HALF = 51 / 101


@pytest.mark.parametrize(
    ("kind", "wrong", "about", "ap50", "costs"),
    [
        # IoU 4 / 16 with the second cat: fixed, it finds it. Nothing misses that cat.
        ("localisation", (1, 106, 0, 10, 10, 0.9), 1, HALF / 2, {"localisation": 1 - HALF / 2}),
        # A dog where the second cat is: fixed, it finds it. No dog is there, so that it costs no precision now.
        ("classification", (2, 101, 0, 10, 10, 0.9), 1, HALF, {"classification": 1 - HALF}),
        # The first cat again, of a lower score: it lowers no precision that counts, so that fixing it gains nothing.
        ("duplicate", (1, 1, 0, 10, 10, 0.4), 0, HALF, {"missed": 1 - HALF}),
        # Nothing is there: without it AP50 is HALF. With it, but without the missed cat, precision is 1/2 throughout.
        ("background", (1, 50, 50, 10, 10, 0.9), -1, HALF / 2, {"background": HALF / 2, "missed": 1 / 2 - HALF / 2}),
        # A dog, IoU 4 / 16 with the second cat.
        ("both", (2, 106, 0, 10, 10, 0.9), -1, HALF, {"missed": 1 - HALF}),
    ],
)
def test_each_kind_and_its_cost(kind, wrong, about, ap50, costs):
    errors = kinds_of(CATS, [FOUND, wrong])
    assert errors.kind_of.tolist() == [CORRECT, KINDS.index(kind)]
    assert errors.object_of.tolist() == [0, about]
    assert errors.missed.tolist() == [False, "missed" in costs]
    assert errors.counts == NO_COSTS | {kind: 1, "missed": int("missed" in costs)}
    assert errors.ap50 == pytest.approx(ap50, abs=1e-12)
    assert errors.costs == pytest.approx(NO_COSTS | costs, abs=1e-12)


def test_a_box_that_doubles_a_found_one_and_a_box_that_both_spoils_precision():
    """A duplicate of a higher score is the one that counts as correct; a dog in between then costs the dogs."""
    errors = kinds_of([*CATS, (2, 50, 0, 10, 10)], [FOUND, (1, 1, 0, 10, 10, 0.6), (2, 106, 0, 10, 10, 0.9)])
    assert [KINDS[k] if k >= 0 else k for k in errors.kind_of] == ["duplicate", CORRECT, "both"]
    # Cats: HALF; the dog is missed: 0. Fixing "both" gains nothing without a correct dog; without the missed two
    # objects the cats have AP 1, and the dogs, of which only a wrong detection is left, 0.
    assert errors.ap50 == pytest.approx(HALF / 2)
    assert errors.costs == pytest.approx(NO_COSTS | {"missed": 1 / 2 - HALF / 2})


def test_a_class_whose_only_objects_are_missed_leaves_the_mean():
    errors = kinds_of([CATS[0], (2, 50, 0, 10, 10)], [FOUND])
    assert errors.ap50 == pytest.approx(1 / 2) and errors.costs == pytest.approx(NO_COSTS | {"missed": 1 / 2})


def test_only_the_best_of_several_detections_is_fixed():
    """A dog and two shifted cats are about the second cat: one of a kind may find it, the others of it vanish."""
    wrong = [(2, 100, 0, 10, 10, 0.7), (1, 106, 0, 10, 10, 0.9), (1, 94, 0, 10, 10, 0.8)]
    errors = kinds_of(CATS, [FOUND, *wrong])
    assert errors.counts == NO_COSTS | {"classification": 1, "localisation": 2}
    base = HALF / 3
    # The shifted cat of 0.9 finds it, that of 0.8 vanishes: nothing is wrong. The dog would come third and may not.
    assert errors.ap50 == pytest.approx(base)
    assert errors.costs == pytest.approx(NO_COSTS | {"localisation": 1 - base})


def test_limits_belong_to_the_kind_that_the_authors_give_them():
    # IoU exactly 0.1 and 0.5 with an object of the class; 0.1 with one of another class is background still.
    objects = [(1, 0, 0, 10, 11), (1, 100, 0, 10, 10)]
    tenth = (10 * 2, 10 * 11 + 110 - 20)
    assert tenth[0] / tenth[1] == 0.1
    errors = kinds_of(objects, [(1, 0, 9, 10, 11, 0.9), (2, 0, 9, 10, 11, 0.8), (1, 100, 0, 10, 5, 0.3)])
    assert [KINDS[k] if k >= 0 else k for k in errors.kind_of] == ["localisation", "background", CORRECT]
    twice = kinds_of([objects[1]], [(1, 100, 0, 10, 10, 0.9), (1, 100, 0, 10, 5, 0.3)])
    assert KINDS[twice.kind_of[1]] == "localisation"  # IoU 0.5 with a cat that is found: TIDE asks for location first
    assert twice.costs == NO_COSTS


def test_a_crowd_explains_detections_and_is_never_missed():
    errors = kinds_of(CATS, [FOUND, (1, 102, 2, 5, 5, 0.9), (2, 100, 0, 10, 10, 0.8)], crowd=[1])
    assert errors.kind_of.tolist() == [CORRECT, NOT_COUNTED, KINDS.index("background")]
    assert not errors.missed.any() and errors.ap50 == pytest.approx(1)
    assert errors.costs == NO_COSTS


def test_detections_beyond_those_that_count_are_no_errors():
    truth, detections = split_of(CATS, [FOUND, *[(1, 50, 50, 10, 10, 0.4)] * 5])
    errors = error_kinds(truth, detections, match(truth, detections, max_detections=3))
    assert errors.kind_of.tolist() == [CORRECT, 4, 4, *[NOT_COUNTED] * 3]


def test_nothing_to_find_and_nothing_found():
    nothing = kinds_of([], [])
    assert np.isnan(nothing.ap50) and all(np.isnan(cost) for cost in nothing.costs.values())
    wrong_only = kinds_of([], [FOUND])
    assert wrong_only.counts == NO_COSTS | {"background": 1} and np.isnan(wrong_only.ap50)
    all_missed = kinds_of(CATS, [], images=2)
    assert all_missed.counts == NO_COSTS | {"missed": 2}
    assert all_missed.ap50 == 0 and all_missed.costs == NO_COSTS | {"missed": 1.0}


def test_matches_at_other_thresholds_are_refused():
    truth, detections = split_of(CATS, [FOUND])
    with pytest.raises(ValueError, match="expected an IoU threshold of 0.5"):
        error_kinds(truth, detections, match(truth, detections, iou_thresholds=[0.75]))


def hotcoco_errors(truth, detections):
    from hotcoco import COCO, COCOeval

    dataset, results = coco_dicts(truth, detections)
    with contextlib.redirect_stdout(io.StringIO()):
        objects = COCO(dataset)
        evaluation = COCOeval(objects, objects.loadRes(results), "bbox")
        evaluation.evaluate()
        return evaluation.tide_errors()


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), images=st.integers(1, 9), classes=st.integers(1, 4))
def test_kinds_and_costs_are_those_of_hotcoco(seed, images, classes):
    truth, detections = random_split(seed, images=images, classes=classes, crowds=0.0, distinct=True)
    if not len(truth) or not len(detections):
        return
    matches = match(truth, detections)
    errors, reference = error_kinds(truth, detections, matches), hotcoco_errors(truth, detections)
    named = dict(zip(KINDS, ("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss"), strict=True))
    assert errors.counts == {kind: reference["counts"][name] for kind, name in named.items()}
    assert errors.ap50 == pytest.approx(reference["ap_base"], abs=1e-12)
    assert errors.ap50 == pytest.approx(np.nanmean(average_precision(matches)[:, 0]), abs=1e-12)
    gains = {kind: max(reference["delta_ap"][name], 0) for kind, name in named.items()}
    if any(errors.missed[truth.labels == label].all() for label in set(truth.labels) - set(detections.labels)):
        gains["missed"] = errors.costs[
            "missed"
        ]  # hotcoco keeps such a class in the mean, the authors' program does not
    assert errors.costs == pytest.approx(gains, abs=1e-12)
