"""The four kinds of label errors, each with the probability that what is seen is one."""

from collections.abc import Iterator, Sequence

import numpy as np

from utils.annotations.boxes import box_area, box_iou
from utils.label_errors.evidence import SAME_OBJECT, ImageEvidence, logit
from utils.label_errors.label_error import LabelError
from utils.label_errors.logistic import PRIOR, updated_rate

AT_RANDOM = 2.3  # log-odds against a false detection that happens to cover a label
UNSEEN = -3.0  # log-odds of a class that was not seen: less than nearly any detection has
DISAGREE = (0.1, 0.75)  # IoU of a badly placed label with its object, any value equally likely
ROUNDS = 8


def missing(images: Sequence[ImageEvidence], hidden: Sequence[np.ndarray]) -> Iterator[LabelError]:
    """Yield objects that the model sees and no label has; `hidden` (M,) is the chance of each detection to be one."""
    for image, chance in zip(images, hidden, strict=True):
        taken = np.isin(np.arange(len(chance)), image.near)  # these speak of a label beside them
        covered = ((image.ious >= SAME_OBJECT) & ~image.crowd[:, None]).any(axis=0)  # of whatever class
        open_ = (image.label_of < 0) & ~taken & ~covered & ~image.in_crowd
        seen = np.zeros((0, 4))
        for found in np.flatnonzero(open_).tolist():
            box = image.found_boxes[found]
            if len(seen) and (box_iou(seen, box) >= SAME_OBJECT).any():
                continue  # the same object as another class
            seen = np.vstack([seen, box])
            yield _error(image, "missing", chance[found], None, found)


def wrong_class(images: Sequence[ImageEvidence], log_odds: Sequence[np.ndarray]) -> Iterator[LabelError]:
    """Yield labels in whose place the model sees another class, which no other label has."""
    found = [(image, *rival) for image, own in zip(images, log_odds, strict=True) for rival in _rivals(image, own)]
    if not found:
        return
    margins = np.array([AT_RANDOM + other - own for *_, own, other in found])
    total = sum(len(image.labels) for image in images)
    rate = PRIOR
    for _ in range(ROUNDS):
        odds = rate / (1 - rate) * np.exp(margins)
        chances = odds / (1 + odds)
        rate = updated_rate(chances.sum(), total)
    for (image, label, rival, *_), chance in zip(found, chances, strict=True):
        yield _error(image, "wrong-class", chance, label, rival)


def _rivals(image: ImageEvidence, log_odds: np.ndarray) -> Iterator[tuple[int, int, float, float]]:
    """Yield labels, a detection of another class on each, and the log-odds of the label's class and of that one."""
    for label in np.flatnonzero(~image.crowd).tolist():
        on_it = image.ious[label] >= SAME_OBJECT
        other = on_it & (image.found_labels != image.labels[label]) & (image.label_of < 0)
        if not other.any():
            continue
        rival = int(np.where(other, log_odds, -np.inf).argmax())
        own = image.found_for[label]
        yield label, rival, log_odds[own] if own >= 0 else UNSEEN, log_odds[rival]


def badly_placed(images: Sequence[ImageEvidence], log_odds: Sequence[np.ndarray]) -> Iterator[LabelError]:
    """Yield labels that overlap a sure detection of their class less than the model's own accuracy explains.

    IoUs of good labels are normally distributed after `logit`, about a mean that depends on the class, the size and
    the detection's score; those of bad ones are spread evenly. Expectation maximisation finds the share of bad ones.
    """
    pairs = [
        (image, label, found, 1 / (1 + np.exp(-log_odds[n][found] - AT_RANDOM)))
        for n, image in enumerate(images)
        for label, found in enumerate(np.where(image.found_for >= 0, image.found_for, image.near).tolist())
        if found >= 0
    ]
    if not pairs:
        return
    ious = np.array([image.ious[label, found] for image, label, found, _ in pairs])
    real = np.array([chance for *_, chance in pairs])
    classes = np.unique([image.labels[label] for image, label, *_ in pairs])
    boxes = np.stack([image.found_boxes[found] for image, _, found, _ in pairs])
    sizes = np.log(np.maximum(box_area(boxes), 1.0))
    x = np.column_stack([
        [image.features[found, 0] for image, _, found, _ in pairs], sizes,
        np.array([image.labels[label] for image, label, *_ in pairs])[:, None] == classes,
    ]).astype(float)  # fmt: skip
    chances = _outliers(x, logit(ious), ious)
    for (image, label, found, _), chance, sure in zip(pairs, chances, real, strict=True):
        yield _error(image, "badly-placed", chance * sure, label, found)


def _outliers(x: np.ndarray, y: np.ndarray, ious: np.ndarray) -> np.ndarray:
    """Return for each row the chance that `y` is not normally distributed about a linear function of `x`."""
    low, high = DISAGREE
    even = ((ious >= low) & (ious <= high)) / (high - low)  # density by IoU
    ridge = np.diag(np.r_[np.full(x.shape[1], 1.0)])
    centred = x.copy()
    centred[:, :2] -= centred[:, :2].mean(axis=0)
    bad, rate = np.zeros(len(y)), PRIOR
    slope = 1 / np.clip(ious * (1 - ious), 1e-3, None)  # of logit
    for _ in range(ROUNDS):
        w = 1 - bad
        beta = np.linalg.solve((centred * w[:, None]).T @ centred + ridge, centred.T @ (w * y))
        error = y - centred @ beta
        scale = max(np.sqrt((w * error**2).sum() / max(w.sum(), 1)), 0.2)
        good = np.exp(-0.5 * (error / scale) ** 2) / (scale * np.sqrt(2 * np.pi)) * slope
        bad = rate * even / np.maximum(rate * even + (1 - rate) * good, 1e-12)
        rate = updated_rate(bad.sum(), len(bad))
    return bad


def doubled(images: Sequence[ImageEvidence]) -> Iterator[LabelError]:
    """Yield the worse of two labels of a class that overlap more than two objects of the dataset do.

    Overlaps of neighbours fall off exponentially; those of two labels on one object are spread evenly from
    `SAME_OBJECT` to 1. Where the model sees an object for each of the two, that counts against it.
    """
    overlaps, total = [], 0
    pairs = []
    for image in images:
        same = (image.labels[:, None] == image.labels[None]) & ~image.crowd[:, None] & ~image.crowd[None]
        upper = np.triu(np.where(same, image.label_ious, 0))
        total += len(image.labels)
        overlaps.append(upper[(upper >= 0.1) & (upper < SAME_OBJECT)])
        pairs += [(image, *pair, upper[tuple(pair)]) for pair in np.argwhere(upper >= SAME_OBJECT).tolist()]
    near = np.concatenate([np.zeros(0), *overlaps])
    decay = max((len(near) + 1) / ((near - 0.1).sum() + 0.1), 5.0)  # of the neighbours' overlaps
    for image, one, other, iou in pairs:
        neighbours = (len(near) + 1) * decay * np.exp(-decay * (iou - 0.1))
        twins = PRIOR * total / (1 - SAME_OBJECT)
        seen = [n for n in (image.found_for[one], image.found_for[other]) if n >= 0]
        odds = twins / neighbours * (0.1 if len(seen) == 2 else 2.0)
        there = seen[0] if seen else -1
        first_is_worse = there >= 0 and image.ious[one, there] < image.ious[other, there]
        worse, better = (one, other) if first_is_worse else (other, one)
        confidence, score = float(image.scores[there]) if there >= 0 else 0.0, float(odds / (1 + odds))
        label = int(image.labels[worse])
        yield LabelError(image.image, "doubled", score, worse, label, None, None, confidence, better)


def _error(image: ImageEvidence, kind: str, chance: float, label: int | None, found: int) -> LabelError:
    box = tuple(image.found_boxes[found].tolist())
    suggested = int(image.found_labels[found])
    own = None if label is None else int(image.labels[label])
    at = None if label is None else int(label)
    return LabelError(image.image, kind, float(chance), at, own, suggested, box, float(image.scores[found]))
