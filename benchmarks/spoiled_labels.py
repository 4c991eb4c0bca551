"""Puts label errors of known place and kind into a dataset's annotations."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from utils.annotations.annotation import Annotation
from utils.annotations.boxes import box_area, box_iou, clip_boxes

KINDS = ("missing", "wrong-class", "badly-placed", "doubled")
USUAL_KINDS = KINDS[:3]  # those that cleanlab scores, too


def spoil(
    annotations: Sequence[Annotation], num_classes: int, share: float, seed: int, kinds: Sequence[str] = USUAL_KINDS
) -> tuple[list[Annotation], list[dict]]:
    """Return annotations of which `share` of the objects are wrong, and the errors.

    An error is a dict: the index of its `image`, its `kind`, the `label` and `box` (xyxy) as they were, and `objects`,
    indices in the new annotation that show it: none for a missing one, both for a doubled one. Errors are dealt evenly
    to the kinds; with a single class none is "wrong-class".
    """
    rng = np.random.default_rng(seed)
    kinds = [kind for kind in kinds if num_classes > 1 or kind != "wrong-class"]
    places = [(i, j) for i, a in enumerate(annotations) for j in range(len(a.labels))]
    count = round(share * len(places))
    chosen = [places[n] for n in rng.permutation(len(places))[:count].tolist()]
    kind_of = {place: kinds[n % len(kinds)] for n, place in enumerate(chosen)}
    spoiled, errors = [], []
    for image, annotation in enumerate(annotations):
        boxes, labels, own = [], [], []
        zone = np.array([0, 0, annotation.width, annotation.height], np.float32)
        for n, (box, label) in enumerate(zip(annotation.boxes, annotation.labels.tolist(), strict=True)):
            kind = kind_of.get((image, n))
            at = len(labels)
            error = {"image": image, "kind": kind, "label": label, "box": box.tolist(), "objects": [at]}
            if kind == "missing":
                own.append(error | {"objects": []})
                continue
            if kind == "wrong-class":
                label = int(rng.choice([c for c in range(1, num_classes + 1) if c != label]))
            boxes.append(_moved(box, zone, rng, 0.25, 0.6) if kind == "badly-placed" else box)
            labels.append(label)
            if kind == "doubled":
                boxes.append(_moved(box, zone, rng, 0.6, 0.95))
                labels.append(label)
                error["objects"] = [at, at + 1]
            if kind:
                own.append(error)
        errors += own
        spoiled.append(
            replace(
                annotation,
                boxes=np.array(boxes, np.float32).reshape(-1, 4),
                labels=np.array(labels, np.int64),
                difficult=np.zeros(len(labels), bool),
            )
        )
    return spoiled, errors


def _moved(box: np.ndarray, zone: np.ndarray, rng: np.random.Generator, least: float, most: float) -> np.ndarray:
    """Return the box shifted and scaled so that its IoU with what it was lies from `least` to `most`."""
    centre, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    moved = box
    for _ in range(2000):
        new_size = size * np.exp(rng.uniform(-0.7, 0.7, 2))
        new_centre = centre + size * rng.uniform(-0.6, 0.6, 2)
        moved = clip_boxes(np.r_[new_centre - new_size / 2, new_centre + new_size / 2].astype(np.float32), zone)
        if box_area(moved) >= 9 and least <= box_iou(box, moved) <= most:
            break
    return moved
