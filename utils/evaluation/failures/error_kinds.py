"""Kinds of errors and the AP50 that each costs, after TIDE (Bolya, Foley, Hays, Hoffman 2020, arXiv 2008.08115).

A wrong detection has one kind, the first that applies. Its IoUs are with the objects of its image, crowds left out:

| kind | the detection | once an oracle fixes it, it |
|---|---|---|
| localisation | overlaps an object of its class, IoU 0.1 to 0.5 | finds that object, if no better one does |
| classification | overlaps an object of another class, IoU from 0.5 | becomes that class and finds it, likewise |
| duplicate | overlaps an object of its class that a better one found, IoU above 0.5 | vanishes |
| background | overlaps nothing, IoU up to 0.1 | vanishes |
| both | the rest: another class, IoU 0.1 to 0.5 | vanishes |

"missed" are objects that no detection finds, nor would if its class or box were fixed; the oracle takes them off the
count of objects. Costs are no shares: each is the gain in AP50 from fixing that kind alone, and they do not add up.

The authors' program differs in four things: it lets detections that only a crowd explains be errors, keeps 100
detections of an image instead of an image and class, counts classes without objects as AP 0, and has recall points of
other last digits. Here all four are as in COCO's AP.
"""

from dataclasses import dataclass

import numpy as np

from utils.evaluation.matching import ClassMatches, Matches, interpolated_precision, iou_of_pairs
from utils.evaluation.packed import PackedDetections, PackedTruth

KINDS = ("classification", "localisation", "both", "duplicate", "background", "missed")
CLASSIFICATION, LOCALISATION, BOTH, DUPLICATE, BACKGROUND, MISSED = range(6)
CORRECT, NOT_COUNTED = -1, -2
IOU, BACKGROUND_IOU = 0.5, 0.1  # TIDE's thresholds


@dataclass(frozen=True, eq=False)
class ErrorKinds:
    """The kinds of M detections, which of N objects are missed, and what each kind of error costs.

    | field | shape, dtype | meaning |
    |---|---|---|
    | kind_of | (M,) int64 | index in KINDS; CORRECT; NOT_COUNTED: in a crowd, or beyond the detections that count |
    | object_of | (M,) int64 | the object that it finds, finds again, or would find with the right class or box; or -1 |
    | missed | (N,) bool | the object is missed |
    | ap50 | float | mean over classes with objects, 0 to 1; NaN without objects |
    | costs | dict of float | kind -> gain in AP50 if all errors of that kind were fixed; NaN without objects |
    """

    kind_of: np.ndarray
    object_of: np.ndarray
    missed: np.ndarray
    ap50: float
    costs: dict[str, float]

    @property
    def counts(self) -> dict[str, int]:
        """Return the errors of each kind, those of any score."""
        return {kind: int((self.kind_of == i).sum()) for i, kind in enumerate(KINDS[:MISSED])} | {
            KINDS[MISSED]: int(self.missed.sum())
        }

    def to_dict(self) -> dict:
        """Return "ap50", "counts" and "costs" as plain types, None for NaN."""
        costs = {kind: None if np.isnan(cost) else cost for kind, cost in self.costs.items()}
        return {"ap50": None if np.isnan(self.ap50) else self.ap50, "counts": self.counts, "costs": costs}


def error_kinds(truth: PackedTruth, detections: PackedDetections, matches: Matches) -> ErrorKinds:
    """Sort wrong detections and missed objects by kind, and compute the AP50 that each kind costs.

    Raises:
        ValueError: `matches` are for no IoU threshold of 0.5.
    """
    at = np.flatnonzero(np.isclose(matches.iou_thresholds, IOU))
    if not len(at):
        raise ValueError(f"matches: expected an IoU threshold of {IOU}, found {matches.iou_thresholds.tolist()}")
    kind_of = np.full(len(detections), NOT_COUNTED, np.int64)
    object_of = np.full(len(detections), -1, np.int64)
    wrong = np.zeros(len(detections), bool)
    for found in matches.classes:
        correct = found.correct[at[0]]
        kind_of[found.detections[correct]] = CORRECT
        object_of[found.detections[correct]] = found.truth_of[at[0], correct]
        wrong[found.detections[~correct & ~found.ignored[at[0]]]] = True
    is_found = np.zeros(len(truth), bool)
    is_found[object_of[kind_of == CORRECT]] = True

    _sort_wrong(truth, detections, is_found, np.flatnonzero(wrong), kind_of, object_of)
    fixed = _fixed(kind_of, object_of, is_found, detections.scores)
    missed = ~is_found & ~truth.crowd
    missed[object_of[fixed]] = False
    base, costs = _costs(truth, matches, int(at[0]), kind_of, object_of, fixed, missed)
    return ErrorKinds(kind_of, object_of, missed, base, costs)


def _sort_wrong(
    truth: PackedTruth,
    detections: PackedDetections,
    is_found: np.ndarray,
    wrong: np.ndarray,
    kind_of: np.ndarray,
    object_of: np.ndarray,
) -> None:
    """Write the kinds of wrong detections, given by index, and the objects they are about."""
    objects = np.flatnonzero(~truth.crowd)
    objects = objects[np.argsort(truth.image_of[objects], kind="stable")]
    wrong = wrong[np.argsort(detections.image_of[wrong], kind="stable")]
    images_of_wrong, images_of_objects = detections.image_of[wrong], truth.image_of[objects]
    for image in np.unique(images_of_wrong):
        rows = wrong[slice(*np.searchsorted(images_of_wrong, (image, image + 1)))]
        of_image = objects[slice(*np.searchsorted(images_of_objects, (image, image + 1)))]
        kind_of[rows] = BACKGROUND
        if not len(of_image):
            continue
        ious = ious_of_all(detections.boxes_xywh[rows], truth.boxes_xywh[of_image])
        same = detections.labels[rows, None] == truth.labels[of_image]
        of_class, of_others, of_found = ious * same, ious * ~same, ious * same * is_found[of_image]
        best = of_class.max(axis=1)
        rules = (  # the last one that holds counts, so that the first in TIDE's order is the last here
            (BOTH, ious.max(axis=1) > BACKGROUND_IOU, None),
            (DUPLICATE, of_found.max(axis=1) >= IOU, of_found),
            (CLASSIFICATION, of_others.max(axis=1) >= IOU, of_others),
            (LOCALISATION, (best >= BACKGROUND_IOU) & (best <= IOU), of_class),
        )
        for kind, holds, overlaps in rules:
            kind_of[rows[holds]] = kind
            object_of[rows[holds]] = -1 if overlaps is None else of_image[overlaps[holds].argmax(axis=1)]


def _fixed(kind_of: np.ndarray, object_of: np.ndarray, is_found: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return indices of the detections that an oracle makes correct: the best one for each object not found."""
    rows = np.flatnonzero((kind_of == CLASSIFICATION) | (kind_of == LOCALISATION))
    rows = rows[~is_found[object_of[rows]]]
    rows = rows[np.argsort(-scores[rows], kind="stable")]
    return rows[np.unique(object_of[rows], return_index=True)[1]]


def _costs(
    truth: PackedTruth,
    matches: Matches,
    at: int,
    kind_of: np.ndarray,
    object_of: np.ndarray,
    fixed: np.ndarray,
    missed: np.ndarray,
) -> tuple[float, dict[str, float]]:
    """Return AP50 and the gain from fixing each kind of error."""
    rows = np.concatenate([np.zeros(0, np.int64), *(found.detections for found in matches.classes)])
    scores = np.concatenate([np.zeros(0), *(found.scores for found in matches.classes)])
    labels = np.repeat([found.label for found in matches.classes], [len(found.scores) for found in matches.classes])
    kinds, is_correct, is_fixed = kind_of[rows], kind_of[rows] == CORRECT, np.isin(rows, fixed)
    with_objects = [found for found in matches.classes if found.objects.sum()]
    missed_of = np.bincount(truth.labels[missed], minlength=len(matches.classes) + 1)

    def ap50(kind: int | None) -> float:
        """Return AP50 with one kind of errors fixed."""
        right = is_correct | (is_fixed & (kinds == kind))
        kept = (right | (kinds != kind)) & (kinds != NOT_COUNTED)
        label_of = np.where(right, truth.labels[object_of[rows]], labels) if len(truth) else labels
        aps = []
        for found in with_objects:
            chosen = np.flatnonzero(kept & (label_of == found.label))
            chosen = chosen[np.argsort(-scores[chosen], kind="stable")]
            objects = int(found.objects.sum()) - (int(missed_of[found.label]) if kind == MISSED else 0)
            if objects:
                aps.append(_ap(found.label, scores[chosen], right[chosen], objects))
            elif len(chosen):  # only wrong detections are left
                aps.append(0.0)
        return float(np.mean(aps)) if aps else np.nan

    base = ap50(None)
    gains = {kind: ap50(i) - base for i, kind in enumerate(KINDS)}
    if with_objects and np.isnan(gains["missed"]):  # every object is missed, and nothing else is wrong
        gains["missed"] = 1 - base
    return base, {kind: gain if np.isnan(gain) else max(gain, 0.0) for kind, gain in gains.items()}


def _ap(label: int, scores: np.ndarray, correct: np.ndarray, objects: int) -> float:
    """Return the AP of a class from its detections, best first."""
    rows, counts = np.arange(len(scores)), np.array([objects])
    found = ClassMatches(
        label, rows, np.zeros_like(rows), scores, np.where(correct, 0, -1)[None], np.zeros((1, len(rows)), bool), counts
    )
    return float(interpolated_precision(found).mean())


def ious_of_all(found: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Compute the IoU (D, G) of every box of one with every box of the other, both xywh."""
    pairs = np.repeat(found, len(objects), axis=0), np.tile(objects, (len(found), 1))
    return iou_of_pairs(*pairs, np.zeros(len(pairs[0]), bool)).reshape(len(found), len(objects))
