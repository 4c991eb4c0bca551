"""Precision, recall and F1 against the least score that is shown, with intervals that know of objects in one image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv, ndtri, stdtrit

from utils.evaluation.choices import OperatingPoint
from utils.evaluation.matching import Matches

LEVEL = 0.95  # of the intervals


def _plain_list(values: np.ndarray) -> list:
    plain = values.astype(object)
    plain[np.isnan(values)] = None
    return plain.tolist()


@dataclass(frozen=True, eq=False)
class Curve:
    """Counts of a class, or of all together, at its P different scores, highest first; row p is of scores >= scores[p].

    | field | shape, dtype | meaning |
    |---|---|---|
    | label | int or None | None: all classes together |
    | scores | (P,) float64 | falling |
    | tp, fp | (P,) int64 | right and wrong detections; in a crowd they are neither |
    | objects | int | to be found: no crowds |
    | precision_size | (P,) float64 | independent detections that would be as sure as these, see `effective_size` |
    | recall_size | (P,) float64 | the same of the objects |
    | nothing_size | float | the same where nothing is found |
    """

    label: int | None
    scores: np.ndarray
    tp: np.ndarray
    fp: np.ndarray
    objects: int
    precision_size: np.ndarray
    recall_size: np.ndarray
    nothing_size: float

    @property
    def precision(self) -> np.ndarray:
        """Share of the detections that are right (P,)."""
        return self.tp / (self.tp + self.fp)

    @property
    def recall(self) -> np.ndarray:
        """Share of the objects that are found (P,); NaN without objects."""
        return self.tp / self.objects if self.objects else np.full(len(self.tp), np.nan)

    @property
    def f1(self) -> np.ndarray:
        """Harmonic mean of precision and recall (P,)."""
        return 2 * self.tp / (self.tp + self.fp + self.objects)

    def at(self, threshold: float) -> OperatingPoint:
        """Return the point of a threshold, which need not be one of the scores."""
        row = int(np.searchsorted(-self.scores, -threshold, side="right")) - 1
        if row < 0:
            recall = f1 = 0.0 if self.objects else np.nan
            recall_interval = _pair(interval(recall, self.nothing_size))
            return OperatingPoint(
                float(threshold), 0, 0, self.objects, np.nan, (np.nan, np.nan), recall, recall_interval, f1
            )
        precision, recall = float(self.precision[row]), float(self.recall[row])
        return OperatingPoint(
            float(threshold),
            int(self.tp[row]),
            int(self.fp[row]),
            self.objects - int(self.tp[row]),
            precision,
            _pair(interval(precision, self.precision_size[row])),
            recall,
            _pair(interval(recall, self.recall_size[row])),
            float(self.f1[row]),
        )

    def to_dict(self, points: int = 500, *, exact_at: Sequence[float] | np.ndarray = ()) -> dict:
        """Return plain lists for JSON, at most `points` of them and both ends; values at kept scores are unchanged.

        The rows of the thresholds `exact_at` are kept besides.
        """
        even = np.linspace(0, len(self.scores) - 1, min(points, len(self.scores))).round().astype(int)
        wanted = np.searchsorted(-self.scores, -np.asarray(exact_at, np.float64), side="right") - 1
        rows = np.union1d(even, wanted[wanted >= 0])
        precision, recall = self.precision[rows], self.recall[rows]
        columns: dict[str, np.ndarray] = {
            "scores": self.scores[rows],
            "tp": self.tp[rows],
            "fp": self.fp[rows],
            "precision": precision,
            "recall": recall,
            "f1": self.f1[rows],
            "precision_interval": np.stack(interval(precision, self.precision_size[rows]), 1),
            "recall_interval": np.stack(interval(recall, self.recall_size[rows]), 1),
        }
        return {"label": self.label, "objects": self.objects, **{k: _plain_list(v) for k, v in columns.items()}}


def curve_of(matches: Matches, label: int | None = None, *, iou: float = 0.5) -> Curve:
    """Count right and wrong detections of a class, or of all (None), at each score.

    Raises:
        ValueError: `matches` have no such IoU or label.
    """
    index = iou_index(matches, iou)
    if label is not None and not 1 <= label <= len(matches.classes):
        raise ValueError(f"label: expected 1 to {len(matches.classes)}, found {label}")
    classes = matches.classes if label is None else [matches.classes[label - 1]]
    objects = sum((found.objects for found in classes), np.zeros(matches.num_images, np.int64))
    kept = [~found.ignored[index] for found in classes]
    scores = np.concatenate([np.zeros(0), *(f.scores[k] for f, k in zip(classes, kept, strict=True))])
    image_of = np.concatenate([np.zeros(0, np.int64), *(f.image_of[k] for f, k in zip(classes, kept, strict=True))])
    right = np.concatenate([np.zeros(0, bool), *(f.correct[index][k] for f, k in zip(classes, kept, strict=True))])
    order = np.argsort(-scores, kind="stable")
    scores, image_of, right = scores[order], image_of[order], right[order].astype(np.int64)

    # Sums over images of squares and products, detection by detection: what one more adds to its image's.
    before, right_before = _counts_before(image_of, right)
    rows = np.flatnonzero(np.r_[scores[1:] != scores[:-1], True][: len(scores)])
    total, hits = np.arange(1, len(scores) + 1)[rows], np.cumsum(right)[rows]
    hits_hits = np.cumsum(right * (2 * right_before + 1))[rows]
    hits_total = np.cumsum((right_before + right) * (before + 1) - right_before * before)[rows]
    total_total = np.cumsum(2 * before + 1)[rows]
    hits_objects = np.cumsum(right * objects[image_of])[rows]
    # In front, the row where nothing is found.
    recall_size = effective_size(
        np.r_[0, hits],
        objects.sum(),
        (np.r_[0, hits_hits], np.r_[0, hits_objects], objects @ objects),
        (objects > 0).sum(),
    )
    return Curve(
        label,
        scores[rows],
        hits,
        total - hits,
        int(objects.sum()),
        effective_size(hits, total, (hits_hits, hits_total, total_total), np.cumsum(before == 0)[rows]),
        recall_size[1:],
        float(recall_size[0]),
    )


def _counts_before(image_of: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count, for each detection, the earlier ones of its image and the right ones among them."""
    order = np.argsort(image_of, kind="stable")
    starts = np.flatnonzero(np.r_[True, image_of[order][1:] != image_of[order][:-1]][: len(order)])
    lengths = np.diff(np.r_[starts, len(order)])
    summed = np.cumsum(right[order]) - right[order]
    before, right_before = np.empty(len(order), np.int64), np.empty(len(order), np.int64)
    before[order] = np.arange(len(order)) - np.repeat(starts, lengths)
    right_before[order] = summed - np.repeat(summed[starts], lengths)
    return before, right_before


def at_threshold(matches: Matches, threshold: float, label: int | None = None, *, iou: float = 0.5) -> OperatingPoint:
    """Return counts, precision and recall of the detections with a score of at least `threshold`, with intervals.

    Of a class, or of all together (None).
    """
    return curve_of(matches, label, iou=iou).at(threshold)


def iou_index(matches: Matches, iou: float) -> int:
    """Return the row of an IoU threshold in `matches`.

    Raises:
        ValueError: it is none of theirs.
    """
    near = np.flatnonzero(np.abs(matches.iou_thresholds - iou) < 1e-9)
    if not near.size:
        there = ", ".join(f"{value:g}" for value in matches.iou_thresholds)
        raise ValueError(f"iou: expected one of {there}, found {iou:g}")
    return int(near[0])


def effective_size(
    hits: np.ndarray,
    total: np.ndarray | int,
    sums: tuple[np.ndarray, np.ndarray, np.ndarray | int],
    images: np.ndarray | int,
) -> np.ndarray:
    """Compute the number of independent trials that tell as much of hits / total as `total` ones in `images` images.

    Objects of one image are alike, so that fifty in one image tell less than fifty in fifty. By Korn and Graubard
    (Survey Methodology 24, 1998): total divided by the design effect, here at least 1, times (z / t)² for few images.

    Args:
        sums: over images, of hits², hits times total, and total².
        images: with at least one trial; one alone counts as one trial.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        share = hits / total
        squares = sums[0] - 2 * share * sums[1] + share**2 * sums[2]
        variance = images / (images - 1) * squares / np.square(total, dtype=np.float64)
        size = np.where((hits > 0) & (hits < total), np.minimum(total, share * (1 - share) / variance), total)
        few = (ndtri(0.5 + LEVEL / 2) / stdtrit(images - 1, 0.5 + LEVEL / 2)) ** 2
    return np.where(images > 1, size * np.where(images > 1, few, 0), np.minimum(total, 1)).astype(np.float64)


def interval(share: np.ndarray | float, size: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """Compute Clopper and Pearson's 95 % interval of a share of `size` trials, which need not be whole; NaN of NaN."""
    hits = np.asarray(share, np.float64) * size
    tail = (1 - LEVEL) / 2
    with np.errstate(invalid="ignore"):
        low = np.where(hits > 0, betaincinv(hits, size - hits + 1, tail), hits * 0)
        high = np.where(hits < size, betaincinv(hits + 1, np.maximum(size - hits, 1e-300), 1 - tail), 1 + hits * 0)
    return low, high


def _pair(low_high: tuple[np.ndarray, np.ndarray]) -> tuple[float, float]:
    return float(low_high[0]), float(low_high[1])
