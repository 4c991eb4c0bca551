"""Matches written down by hand, or drawn, without boxes."""

import numpy as np

from utils.evaluation.matching import ClassMatches, Matches


def matches_of(*classes, images, names=None, iou=(0.5,)) -> Matches:
    """Build Matches at one IoU; a class is (objects of each image, [(image, score, right)]), right None in a crowd."""
    made = []
    for label, (objects, found) in enumerate(classes, start=1):
        found = sorted(found, key=lambda row: -row[1])
        n = len(found)
        right = np.array([row[2] is True for row in found], bool)
        made.append(
            ClassMatches(
                label,
                np.arange(n),
                np.array([row[0] for row in found], np.int64),
                np.array([row[1] for row in found], np.float64),
                np.where(right, 0, -1).reshape(1, n),
                np.array([row[2] is None for row in found], bool).reshape(1, n),
                np.array(objects, np.int64),
            )
        )
    names = names or [f"class {label}" for label in range(1, len(classes) + 1)]
    return Matches(np.array(iou), images, ("background", *names), made)


def drawn_matches(seed, *, images, classes=1, likeness=0.0, precision=lambda score: score, objects=4, names=None):
    """Draw about five detections an image, right with `precision(score)`; `likeness` makes those of an image alike."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(classes):
        found, counts = [], np.zeros(images, int)
        for image in range(images):
            mood = rng.random()
            for score in rng.random(rng.poisson(5)):
                draw = mood if rng.random() < likeness else rng.random()
                right = bool(draw < precision(score))
                found.append((image, float(score), right))
                counts[image] += right
            counts[image] += rng.binomial(objects, 0.1)
        rows.append((counts, found))
    return matches_of(*rows, images=images, names=names)
