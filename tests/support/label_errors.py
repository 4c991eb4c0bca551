"""A made-up dataset with the detections of a decent model, in which a test puts label errors."""

import numpy as np

from utils.evaluation.packed import PackedDetections, PackedTruth

NAMES = ("__background__", "cat", "dog", "bird")


def scene(seed: int = 0, images: int = 60) -> tuple[list[list], list[list]]:
    """Return each image's labels [label, x, y, w, h] and detections [label, x, y, w, h, score]; all labels are right.

    Eight objects an image, on a grid; nine in ten are found, at an IoU of 0.85 or so, and there are false detections.
    """
    rng = np.random.default_rng(seed)
    labels, found = [], []
    for _ in range(images):
        own, seen = [], []
        for n in range(8):
            size = rng.uniform(40, 80, 2)
            corner = np.array([n % 4 * 100, n // 4 * 100]) + rng.uniform(0, 20, 2)
            label = int(rng.integers(1, 4))
            own.append([label, *corner, *size])
            if rng.random() < 0.9:
                seen.append([label, *(corner + rng.normal(0, 2, 2)), *(size * rng.normal(1, 0.04, 2)), rng.beta(8, 2)])
        for _ in range(3):
            seen.append([int(rng.integers(1, 4)), *rng.uniform(0, 300, 2), *rng.uniform(40, 80, 2), rng.beta(1.5, 6)])
        labels.append(own)
        found.append(seen)
    return labels, found


def packed(labels: list[list], found: list[list], names=NAMES) -> tuple[PackedTruth, PackedDetections]:
    """Pack labels and detections as `scene` returns them."""
    rows = [(image, *row) for image, own in enumerate(labels) for row in own]
    table = np.array(rows, np.float64).reshape(-1, 6)
    seen = np.array([(image, *row) for image, own in enumerate(found) for row in own], np.float64).reshape(-1, 7)
    truth = PackedTruth(
        table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2:], table[:, 4] * table[:, 5],
        np.zeros(len(table), bool), len(labels), tuple(names),
    )  # fmt: skip
    return truth, PackedDetections(seen[:, 0].astype(np.int64), seen[:, 1].astype(np.int64), seen[:, 2:6], seen[:, 6])


def best_seen(labels: list[list], found: list[list]) -> list[tuple[int, int]]:
    """Return the images and objects that a detection with a score of at least 0.7 is on, in order."""
    return [
        (image, n)
        for image, own in enumerate(labels)
        for n, (label, x, y, *_) in enumerate(own)
        if any(d[0] == label and abs(d[1] - x) + abs(d[2] - y) < 15 and d[5] >= 0.7 for d in found[image])
    ]
