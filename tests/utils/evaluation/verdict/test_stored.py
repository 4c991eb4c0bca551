"""Thresholds that a checkpoint keeps, and the one that inference takes."""

import numpy as np
import pytest
import yaml

from utils.evaluation.matching import match
from utils.evaluation.packed import PackedDetections, PackedTruth
from utils.evaluation.verdict.numbers import stored_thresholds
from utils.evaluation.verdict.stored import StoredThresholds, choose_threshold


def matches_of(scores, right):
    """Ten objects, one an image; detections of these scores on the first images, right or beside the object."""
    count = len(scores)
    boxes = np.tile([10.0, 10, 20, 20], (10, 1))
    truth = PackedTruth(
        np.arange(10),
        np.ones(10, np.int64),
        boxes,
        np.full(10, 400.0),
        np.zeros(10, bool),
        10,
        ("__background__", "Mask"),
    )
    found = boxes[:count] + np.where(np.array(right)[:, None], 0, [[100, 100, 0, 0]])
    return match(truth, PackedDetections(np.arange(count), np.ones(count, np.int64), found, np.array(scores)))


@pytest.fixture
def values():
    return stored_thresholds(matches_of([0.95, 0.9, 0.8, 0.7, 0.6567, 0.3, 0.2], [1, 1, 1, 1, 1, 0, 0]), "val")


def test_auto_takes_the_checkpoints_own(values):
    stored = StoredThresholds.from_dict(yaml.safe_load(yaml.safe_dump(values)))  # plain types
    threshold, line = choose_threshold(None, stored)
    assert threshold == 0.656  # so that the score 0.6567 is shown
    assert line.startswith("threshold 0.656, the checkpoint's own: on 10 val images, at 0.66 it finds 50 % of the obj")


@pytest.mark.parametrize(
    ("wanted", "line"),
    [
        (0.93, "note: at 0.93 it finds 10 % of the objects; 0.66 finds 50 % (on 10 val images"),
        (0.68, ""),  # hardly fewer
        (0.1, ""),
    ],
)
def test_a_number_is_taken_and_a_far_higher_one_is_told_of(values, wanted, line):
    threshold, said = choose_threshold(wanted, StoredThresholds.from_dict(values))
    assert threshold == wanted and said.startswith(line) and bool(said) == bool(line)


def test_without_thresholds():
    assert choose_threshold(0.9, None) == (0.9, "")
    assert choose_threshold(None, None)[0] == 0.3
    nothing = StoredThresholds.from_dict(stored_thresholds(matches_of([0.9], [0]), "val"))
    assert choose_threshold(None, nothing)[0] == 0.3 and choose_threshold(0.9, nothing) == (0.9, "")


@pytest.mark.parametrize(
    "spoil", [{"recall": [0.5]}, {"chosen": {}}, {"images": None}, {"recall": "high"}, {"chosen": 7}]
)
def test_other_things_in_their_place_are_refused(values, spoil):
    with pytest.raises(ValueError, match="expected"):
        StoredThresholds.from_dict(values | spoil)
