"""Thresholds on the score: the best F1, and the ones whose precision or recall may be promised for new images."""

import math

import numpy as np
from scipy.special import betaincinv

from utils.evaluation.choices import Choice, ClassThresholds, Thresholds
from utils.evaluation.curves import Curve, curve_of
from utils.evaluation.matching import Matches

RISK = 0.05  # that a promise does not hold on as many new images
MOST_TIMES = 50  # as many objects are as many as are worth annotating to get a promise


def choose_thresholds(
    matches: Matches, *, min_precision: float | None = None, min_recall: float | None = None, iou: float = 0.5
) -> Thresholds:
    """Choose thresholds for all classes together and for each.

    With `min_precision` the lowest, with `min_recall` the highest threshold for which the wanted share may be promised:
    on as many new images drawn like these, it is reached in 95 of 100 cases, see `promised_share`.

    Raises:
        ValueError: a wanted share that is not above 0 and below 1; `matches` have no such IoU.
    """
    for name, wanted in (("min_precision", min_precision), ("min_recall", min_recall)):
        if wanted is not None and not 0 < wanted < 1:
            raise ValueError(f"{name}: expected a number above 0 and below 1, found {wanted:g}")
    names = matches.class_names[1:]

    def choose(label: int | None) -> ClassThresholds:
        curve = curve_of(matches, label, iou=iou)
        return ClassThresholds(
            best_f1(curve),
            None if min_precision is None else lowest_with_precision(curve, min_precision),
            None if min_recall is None else highest_with_recall(curve, min_recall),
        )

    classes = {name: choose(label) for label, name in enumerate(names, start=1)}
    return Thresholds(choose(None), classes, iou, min_precision, min_recall)


def best_f1(curve: Curve) -> Choice:
    """Choose the threshold with the highest F1, of equal ones the highest."""
    if not curve.objects or not curve.tp.any():
        return _none_possible(curve)
    return Choice(curve.at(float(curve.scores[curve.f1.argmax()])))


def lowest_with_precision(curve: Curve, wanted: float) -> Choice:
    """Choose the lowest threshold whose precision may be promised.

    Thresholds are tested one after the other, from the one of the highest bound down, until the first that fails: a
    fixed sequence, whose risk is that of a single test, not of as many as there are (Angelopoulos and others, "Learn
    then test", 2021). The lowest of all that pass would often be one that passes by luck.
    """
    if not curve.tp.any():
        return _none_possible(curve)
    bounds = promised_share(curve.precision, curve.precision_size)
    start = int(bounds.argmax())
    if bounds[start] < wanted:
        return _refuse(curve, "precision", wanted, start)
    failed = np.flatnonzero(bounds[start:] < wanted)
    row = start + (int(failed[0]) if failed.size else len(bounds) - start) - 1
    return Choice(curve.at(float(curve.scores[row])))


def highest_with_recall(curve: Curve, wanted: float) -> Choice:
    """Choose the highest threshold whose recall may be promised; recall never rises with the threshold."""
    if not curve.objects or not curve.tp.any():
        return _none_possible(curve)
    enough = np.flatnonzero(promised_share(curve.recall, curve.recall_size) >= wanted)
    if not enough.size:
        return _refuse(curve, "recall", wanted, len(curve.scores) - 1)
    return Choice(curve.at(float(curve.scores[enough[0]])))


def promised_share(share: np.ndarray, size: np.ndarray, times: float = 1.0) -> np.ndarray:
    """Compute the share that as many new trials reach or exceed in 95 of 100 cases: a lower prediction bound.

    The true share is known only as well as `size` independent trials tell, Beta(hits, misses + 1) as in Clopper and
    Pearson's lower bound, and the new ones scatter about it: a beta-binomial, of which the beta distribution with the
    same mean and variance is taken.

    Args:
        share: of these trials (P,).
        size: independent trials (P,), see `curves.effective_size`.
        times: compute it as if there were so many times as many trials, here and among the new ones.
    """
    size = size * times
    mean = share * size / (size + 1)
    # Variance of a share of n new trials: mean (1 - mean) (n + a + b) / (n (a + b + 1)), with a + b = n + 1.
    concentration = np.maximum(size * (size + 2) / (2 * size + 1) - 1, 1e-3)
    hits, misses = mean * concentration, np.maximum((1 - mean) * concentration, 1e-9)
    return np.where(mean > 0, betaincinv(np.maximum(hits, 1e-9), misses, RISK), 0.0)


def _none_possible(curve: Curve) -> Choice:
    if not curve.objects:
        return Choice(None, "there are no objects to score it on")
    return Choice(None, "no detection is right")


def _refuse(curve: Curve, name: str, wanted: float, row: int) -> Choice:
    """Say why a share is not promised, and how many objects may change that; `row` comes nearest."""
    share, size = (curve.precision, curve.precision_size) if name == "precision" else (curve.recall, curve.recall_size)
    point = curve.at(float(curve.scores[row]))
    value, around = (
        (point.precision, point.precision_interval) if name == "precision" else (point.recall, point.recall_interval)
    )
    reached = f"{name} {wanted:g} cannot be promised: at {point.threshold:.2f} it is {value:.2f} "
    reached += f"({around[0]:.2f}–{around[1]:.2f})"
    low, high = 1.0, float(MOST_TIMES)
    if promised_share(share, size, high).max() < wanted:
        return Choice(None, f"{reached}, and more objects would hardly change that")
    while high / low > 1.01:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if promised_share(share, size, middle).max() >= wanted else (middle, high)
    more = (high - 1) * curve.objects
    digits = max(10 ** (int(math.log10(more)) - 1), 1)
    return Choice(None, f"{reached}; about {max(round(more / digits) * digits, 1)} more annotated objects are needed")
