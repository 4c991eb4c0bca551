"""One rule of what a near-duplicate is: a split keeps on one side what the checks would find on both."""

import numpy as np

from support.made_annotations import made_up
from utils.annotations.scan_result import Scan
from utils.checks.duplicates import duplicates
from utils.images.similarity import is_near_duplicate, near_duplicate_groups

PAIRS = 120


def test_the_order_of_two_images_does_not_matter():
    likeness, low, high = np.float32([0.94, 0.96, 0.98]), np.full(3, 0.95), np.full(3, 0.97)
    assert is_near_duplicate(likeness, low, high).tolist() == [False, True, True]
    assert is_near_duplicate(likeness, high, low).tolist() == [False, True, True]


def test_split_and_check_agree():
    """Pairs around the limit, in a dataset with an average that some images are near to and others are far from."""
    rng = np.random.default_rng(0)
    common = rng.normal(0, 1, 256)

    def thumbnail(values):
        return np.clip(128 + 24 * values / values.std(), 0, 255).astype(np.uint8).tobytes()

    train, val = [], []
    for _ in range(PAIRS):
        values = rng.normal(0, 1, 256) + rng.uniform(0, 2) * common
        train.append(thumbnail(values))
        val.append(thumbnail(values + rng.uniform(0.1, 0.6) * (rng.normal(0, 1, 256) + rng.uniform(0, 1) * common)))
    groups = near_duplicate_groups([*train, *val], most=10)
    together = {number for number in range(PAIRS) if groups[number] == groups[PAIRS + number]}
    annotations = [made_up(number) for number in range(2 * PAIRS)]
    scans = {
        "train": Scan(annotations[:PAIRS], thumbnails=train),
        "val": Scan(annotations[PAIRS:], thumbnails=val),
    }
    found = duplicates(scans)["val"]
    paths = [annotation.image_path for annotation in annotations[PAIRS:]]
    assert {paths.index(finding.image) for finding in found if finding.check == "like-in-both"} == together
    assert 20 < len(together) < PAIRS - 20
