"""Calibration: how far scores are from the share of detections that are right, and maps that bring them there."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression, minimize
from scipy.special import expit, logit

from utils.evaluation.curves import iou_index
from utils.evaluation.matching import Matches

BINS = 15  # Guo and others 2017
FOLDS = 5
FEWEST = 30  # right and wrong detections, each, from which a class may have a map of its own
SLOPE = 1e-3  # that every map has at least, so that different scores stay different and no order changes
KNOTS = np.r_[0.0, expit(np.linspace(-12, 12, 97)), 1.0]  # of maps that are formulas

Map = tuple[np.ndarray, np.ndarray]


def expected_calibration_error(scores: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """Compute the mean distance of score and share of right detections, over bins of as many detections each.

    The expected calibration error of Guo and others ("On calibration of modern neural networks", 2017) with the bins of
    equal mass of Nguyen and O'Connor (2015); a detection is right or wrong as it is for AP50. NaN without detections.
    Scatter alone gives about 0.8 sqrt(p (1 - p) bins / N) for N detections.

    Args:
        scores: (N,) 0 to 1.
        right: (N,) bool.
    """
    curve = reliability(scores, right, bins)
    counts = np.array(curve["detections"], np.float64)
    if not counts.size:
        return float("nan")
    return float(np.abs(np.subtract(curve["score"], curve["right"])) @ counts / counts.sum())


def reliability(scores: np.ndarray, right: np.ndarray, bins: int = BINS) -> dict[str, list]:
    """Compute the reliability diagram: mean score, share of right detections and number of each bin, ascending."""
    order = np.argsort(scores, kind="stable")
    parts = [part for part in np.array_split(order, bins) if part.size]
    return {
        "score": [float(scores[part].mean()) for part in parts],
        "right": [float(np.mean(right[part])) for part in parts],
        "detections": [len(part) for part in parts],
    }


def scored(
    matches: Matches, label: int | None = None, *, iou: float = 0.5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return score (N,) float64, right (N,) bool and image (N,) int64 of the detections of a class, or of all (None).

    Those in a crowd are left out.
    """
    index = iou_index(matches, iou)
    classes = matches.classes if label is None else [matches.classes[label - 1]]
    kept = [(found, ~found.ignored[index]) for found in classes]
    return (
        np.concatenate([np.zeros(0), *(found.scores[keep] for found, keep in kept)]),
        np.concatenate([np.zeros(0, bool), *(found.correct[index][keep] for found, keep in kept)]),
        np.concatenate([np.zeros(0, np.int64), *(found.image_of[keep] for found, keep in kept)]),
    )


@dataclass(frozen=True, eq=False)
class Calibration:
    """A rising map of scores for each class, linear between knots: `maps[label - 1]` is (scores, shares), float64.

    `kinds` name what each one is: as it is, logistic or isotonic, fitted on all classes or its own.
    """

    maps: list[Map]
    kinds: list[str]

    def apply(self, labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Return the calibrated scores (N,) float64; within a class their order, ties too, is that of `scores`.

        Raises:
            ValueError: a label is none of the classes it was fitted on.
        """
        labels = np.asarray(labels)
        if labels.size and not 1 <= labels.min() <= labels.max() <= len(self.maps):
            raise ValueError(f"labels: expected 1 to {len(self.maps)}, found {labels.min()} to {labels.max()}")
        result = np.asarray(scores, np.float64).copy()
        for label, knots in enumerate(self.maps, start=1):
            result[labels == label] = _apply(knots, result[labels == label])
        return result

    def to_dict(self) -> dict:
        """Return plain types, for checkpoints, JSON and YAML."""
        return {
            "classes": [
                {"kind": kind, "scores": knots[0].tolist(), "shares": knots[1].tolist()}
                for kind, knots in zip(self.kinds, self.maps, strict=True)
            ]
        }

    @classmethod
    def from_dict(cls, values: dict) -> "Calibration":
        """Return the calibration that `to_dict` made `values` of."""
        maps = [(np.array(row["scores"], float), np.array(row["shares"], float)) for row in values["classes"]]
        return cls(maps, [row["kind"] for row in values["classes"]])


def fit_calibration(matches: Matches, *, iou: float = 0.5) -> Calibration:
    """Fit the share of right detections to the scores, class by class.

    A class takes, of the scores as they are, a logistic and an isotonic map of all classes together, and its own ones
    where it has enough detections, what predicts best whether a detection is right: by the Brier score over five folds
    of the images, so that no image is judged by a map that knows it.
    """
    labels = range(1, len(matches.classes) + 1)
    parts = [scored(matches, label, iou=iou) for label in labels]
    folds = np.random.default_rng(0).permutation(matches.num_images) % FOLDS
    pooled = scored(matches, iou=iou)
    shared = {name: _cross_fitted(fit, *pooled[:2], folds[pooled[2]]) for name, fit in FITS.items()}
    maps, kinds = [], []
    for scores, right, image_of in parts:
        fold_of = folds[image_of]
        candidates: dict[str, tuple[Map, list[Map]]] = {"as it is": (IDENTITY, [IDENTITY] * FOLDS)}
        candidates |= {f"{name}, all classes": fitted for name, fitted in shared.items()}
        if min(right.sum(), (~right).sum()) >= FEWEST:
            candidates |= {f"{name}, own": _cross_fitted(fit, scores, right, fold_of) for name, fit in FITS.items()}
        losses = {
            kind: sum(np.square(_apply(m, scores[fold_of == i]) - right[fold_of == i]).sum() for i, m in enumerate(of))
            for kind, (_, of) in candidates.items()
        }
        kind = min(losses, key=lambda name: losses[name])  # of equal ones the first, which is the simpler
        maps.append(candidates[kind][0])
        kinds.append(kind)
    return Calibration(maps, kinds)


def _cross_fitted(
    fit: Callable[[np.ndarray, np.ndarray], Map], scores: np.ndarray, right: np.ndarray, fold_of: np.ndarray
) -> tuple[Map, list[Map]]:
    """Fit on all, and for each fold on the others."""
    return fit(scores, right), [fit(scores[fold_of != i], right[fold_of != i]) for i in range(FOLDS)]


def _apply(knots: Map, scores: np.ndarray) -> np.ndarray:
    return np.interp(scores, *knots)


def _with_slope(scores: np.ndarray, shares: np.ndarray) -> Map:
    return scores, (1 - SLOPE) * shares + SLOPE * scores


def fit_isotonic(scores: np.ndarray, right: np.ndarray) -> Map:
    """Fit a rising map by isotonic regression, linear between the means of its blocks.

    Lines instead of steps, as in Oron and Flournoy's centred isotonic regression (2017), keep different scores apart.
    """
    if not len(scores):
        return IDENTITY
    values, where_of, counts = np.unique(scores, return_inverse=True, return_counts=True)
    fitted = isotonic_regression(np.bincount(where_of, right) / counts, weights=counts)
    starts = fitted.blocks[:-1]
    at = np.add.reduceat(values * counts, starts) / np.add.reduceat(counts, starts)
    shares = np.clip(fitted.x[starts], 0, 1)
    inside = (at > 0) & (at < 1)  # the ends are knots of their own
    at, shares = np.r_[0.0, at[inside], 1.0], np.r_[shares[0], shares[inside], shares[-1]]
    return _with_slope(at, shares)


def fit_logistic(scores: np.ndarray, right: np.ndarray) -> Map:
    """Fit expit(a logit(score) + b), a > 0: a temperature 1 / a with an offset, Platt's map of logits (1999).

    Held near the scores as they are by a weak prior, so that a few detections, or only right ones, give a sane map.
    """
    x = np.clip(logit(np.clip(scores, 1e-6, 1 - 1e-6)), -12, 12)
    signs = np.where(right, 1.0, -1.0)

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        slope = np.exp(parameters[0])
        margin = signs * (slope * x + parameters[1])
        gradient = -signs * expit(-margin)
        value = np.logaddexp(0, -margin).sum() + parameters @ parameters / 2
        return value, np.array([slope * (gradient @ x), gradient.sum()]) + parameters

    a, b = minimize(loss, np.zeros(2), jac=True, method="BFGS").x
    return _with_slope(KNOTS, expit(np.exp(a) * logit(KNOTS) + b))


IDENTITY: Map = (np.array([0.0, 1.0]), np.array([0.0, 1.0]))
FITS = {"logistic": fit_logistic, "isotonic": fit_isotonic}
