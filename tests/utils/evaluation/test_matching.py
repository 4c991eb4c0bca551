"""Matches against pycocotools' own, and against cases worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.coco_reference import coco_dicts, random_split, run_pycocotools
from utils.evaluation import matching
from utils.evaluation.matching import match
from utils.evaluation.packed import PackedDetections, PackedTruth


def assert_equal_to_pycocotools(truth, detections, max_detections=100):
    """Compare each detection's match and whether it is ignored, image by image and class by class."""
    matches = match(truth, detections, max_detections=max_detections)
    reference = run_pycocotools(*coco_dicts(truth, detections), (1, 10, max_detections))
    seen = {}
    for entry in reference.evalImgs:
        if entry and entry["aRng"] == [0, 1e10]:
            for column, found in enumerate(entry["dtIds"]):
                seen[found - 1] = entry["dtMatches"][:, column] - 1, entry["dtIgnore"][:, column]
    assert sum(len(found.detections) for found in matches.classes) == len(seen)
    for found in matches.classes:
        for column, row in enumerate(found.detections):
            assert found.truth_of[:, column].tolist() == seen[row][0].tolist()
            assert found.ignored[:, column].tolist() == seen[row][1].tolist()
        assert (detections.labels[found.detections] == found.label).all()
        assert (np.diff(found.scores) <= 0).all()
    return matches


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), crowds=st.sampled_from([0.0, 0.3, 1.0]), images=st.integers(1, 9))
def test_every_match_is_pycocotools_own(seed, crowds, images):
    assert_equal_to_pycocotools(*random_split(seed, images=images, crowds=crowds))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), limit=st.sampled_from([11, 100]))
def test_of_an_image_and_class_only_the_best_detections_count(seed, limit):
    truth, detections = random_split(seed, images=2, classes=1, objects=150)
    assert_equal_to_pycocotools(truth, detections, limit)


def test_pairs_in_small_blocks_give_the_same_matches(monkeypatch):
    truth, detections = random_split(5, images=20)
    whole = match(truth, detections)
    monkeypatch.setattr(matching, "MAX_PAIRS", 3)
    for a, b in zip(whole.classes, match(truth, detections).classes, strict=True):
        assert (a.truth_of == b.truth_of).all() and (a.ignored == b.ignored).all() and len(a.detections)


def split_of(objects, found, *, crowd=(), scores=None, images=1):
    """One class; objects and detections are (image, x, y, width, height)."""
    objects, found = np.array(objects, float).reshape(-1, 5), np.array(found, float).reshape(-1, 5)
    n, m = len(objects), len(found)
    truth = PackedTruth(
        objects[:, 0].astype(np.int64),
        np.ones(n, np.int64),
        objects[:, 1:],
        objects[:, 3] * objects[:, 4],
        np.array(crowd, bool) if crowd else np.zeros(n, bool),
        images,
        ("background", "thing"),
    )
    scores = np.linspace(0.9, 0.1, m) if scores is None else np.array(scores, float)
    return truth, PackedDetections(found[:, 0].astype(np.int64), np.ones(m, np.int64), found[:, 1:], scores)


def test_the_best_detection_takes_the_object_and_the_second_is_left_without():
    (found,) = match(*split_of([(0, 0, 0, 10, 10)], [(0, 0, 0, 10, 8), (0, 0, 0, 10, 10)])).classes
    assert found.truth_of[0].tolist() == [0, -1]  # IoU 0.8 with the higher score, at 0.50
    assert found.truth_of[-1].tolist() == [-1, 0]  # at 0.95
    assert found.correct.sum() == 10 and found.objects.tolist() == [1]


def test_a_crowd_takes_any_number_and_only_what_no_object_wants():
    truth, detections = split_of(
        [(0, 0, 0, 100, 100), (0, 0, 0, 10, 10)],
        [(0, 0, 0, 10, 10), (0, 50, 50, 9, 9), (0, 20, 20, 9, 9), (0, 300, 0, 9, 9)],
        crowd=[True, False],
    )
    (found,) = match(truth, detections).classes
    assert found.truth_of[0].tolist() == [1, 0, 0, -1]
    assert found.ignored[0].tolist() == [False, True, True, False] and found.objects.tolist() == [1]


def test_of_equal_scores_the_image_with_the_lower_id_is_first():
    truth, detections = split_of([], [(1, 0, 0, 9, 9), (0, 0, 0, 9, 9)], scores=[0.5, 0.5], images=2)
    assert match(truth, detections).classes[0].image_of.tolist() == [0, 1]
    assert match(truth, detections, image_ids=[70, 3]).classes[0].image_of.tolist() == [1, 0]


@pytest.mark.parametrize("images", [0, 1, 3])
@pytest.mark.parametrize("objects", [[], [(0, 0, 0, 10, 10)]])
@pytest.mark.parametrize("found", [[], [(0, 0, 0, 10, 10)]])
def test_nothing_there_nothing_found_and_both(images, objects, found):
    if images == 0 and (objects or found):
        return
    (matches,) = match(*split_of(objects, found, images=images)).classes
    assert matches.truth_of.shape == matches.ignored.shape == (10, len(found))
    assert matches.correct.all() == bool(objects) or not found
    assert matches.objects.shape == (images,) and matches.objects.sum() == len(objects)


def test_what_belongs_to_no_image_or_class_is_refused():
    truth, detections = split_of([(0, 0, 0, 10, 10)], [(0, 0, 0, 10, 10)])
    with pytest.raises(ValueError, match="detections: labels: expected 1 to 1, found 2 to 2"):
        match(truth, replace(detections, labels=np.array([2])))
    with pytest.raises(ValueError, match="objects: image_of: expected 0 to 0, found -1 to -1"):
        match(replace(truth, image_of=np.array([-1])), detections)
    with pytest.raises(ValueError, match="iou_thresholds"):
        match(truth, detections, iou_thresholds=[0.7, 0.5])
