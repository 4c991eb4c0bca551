"""Intervals of AP by a bootstrap over images, from matches that are made once."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.special import stdtrit

from utils.evaluation.matching import RECALL_POINTS, ClassMatches, Matches, average_precision
from utils.system import cpu_count

RESAMPLES = 1000
MIN_IMAGES = 5
PARTS = (0.5, 0.9)  # of the images
PART_PAIRS = 50
UNCERTAINTY = 2 / 3  # standard error of what is taken off from AP of few images, of itself
STEP_LOSS = 0.3  # of AP for a step of recall: half of the usual fall in precision, from 1 to 0.4
MAX_CELLS = 2**23  # of an array of images or objects by resamples
CACHED_CELLS = 2**17


class Interval(NamedTuple):
    """A number, and the 95 % interval that holds what it would be on very many images of the same kind."""

    value: float
    low: float
    high: float


class Resampled(NamedTuple):
    """Numbers (B,) of resamples, as many images with replacement, and (P,) of PARTS of the images without."""

    resamples: np.ndarray
    halves: np.ndarray
    most: np.ndarray


class Support(NamedTuple):
    """The images that hold objects, and the step of recall from one object to the next, the mean over the classes."""

    images: int
    step: float


def ap_intervals(matches: Matches, *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Interval]:
    """Compute AP and AP50 with 95 % intervals, of all classes and of each: `ap`, `ap_50`, `ap/NAME`, `ap_50/NAME`.

    A class without objects in a resample is left out of its mean over the classes, as COCO does with a split. NaN
    where a class has no objects; also as bounds, where its objects are in fewer than MIN_IMAGES images: these say
    nothing about others. `matches` are at IOU_THRESHOLDS. How the bounds are found: `interval`.
    """
    values = summaries(average_precision(matches), matches.class_names)
    resampled = resample_summaries(matches, resamples=resamples, seed=seed)
    result = {}
    for name, value in values.items():
        bounds = interval(float(value), resampled[name], support_of(name, matches))
        result[name] = Interval(float(value), *bounds)
    return result


def resample_summaries(matches: Matches, *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Resampled]:
    """Return the `summaries` of resamples and parts, the same images for all matches of as many and one `seed`."""
    drawn = summaries(resample_ap(matches, resamples=resamples, seed=seed), matches.class_names)
    parts = _parts(matches.num_images, seed)
    of_parts = [summaries(_ap_of(matches, [part], part.shape[1]), matches.class_names) for part in parts]
    return {name: Resampled(drawn[name], *(part[name] for part in of_parts)) for name in drawn}


def summaries(ap: np.ndarray, class_names: Sequence[str]) -> dict[str, np.ndarray]:
    """Take AP (..., C, T) together as COCO does: `ap`, `ap_50`, and `ap/NAME` and `ap_50/NAME` of each class, (...)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing is NaN
        result = {"ap": np.nanmean(ap, axis=(-2, -1)), "ap_50": np.nanmean(ap[..., 0], axis=-1)}
    for index, name in enumerate(class_names[1:]):
        result |= {f"ap/{name}": ap[..., index, :].mean(axis=-1), f"ap_50/{name}": ap[..., index, 0]}
    return result


def interval(
    value: float, resampled: Resampled, support: Support, *, level: float = 0.95, is_difference: bool = False
) -> tuple[float, float]:
    """Return the bounds of a number that images with objects gave; NaN where they are too few.

    AP of few images is too high, by about as much as its standard error: precision at a recall is the highest from
    there on, which picks the luckiest place of a wavy curve. Percentiles of resamples are higher still, and in
    `benchmarks/interval_coverage.py` 95 % of them hold the AP of many images in 82 to 90 of 100 cases, with 500 images
    as with 50. So what is too much is estimated and taken off. It falls with the square root of the number of images,
    less half a step between objects in which precision falls, about 0.3 a step; how much more half of the images have
    than nine tenths of them says the rest. (All of them would do, but for the jumps of AP from one of its 101 points
    to the next.) Two thirds of what is taken off count as its standard error, beside that of the resamples, with
    Student's quantile for the number of images, on the scale of arcsin(sqrt(AP)), on which it depends little on AP.
    The 0.3 and the 2/3 were chosen in that simulation.

    Where no resample differs, all images are right or all wrong, and the interval is that of a share (Clopper and
    Pearson): of 20 images without a fault, from 0.83. `is_difference`: of two numbers, from -1 to 1; its error is that
    of the resamples, because what is too much in both goes out.
    """
    drawn, halves, most = (np.asarray(part, np.float64)[~np.isnan(part)] for part in resampled)
    images = support.images
    if np.isnan(value) or images < MIN_IMAGES or len(drawn) < 2 or not len(halves) or not len(most):
        return np.nan, np.nan
    quantile = stdtrit(images - 1, (1 + level) / 2)
    smaller = np.sqrt(images / (images - 1))  # than the standard error is that of resamples
    if is_difference:
        width = quantile * smaller * drawn.std()
        return max(value - width, -1.0), min(value + width, 1.0)
    if np.ptp(drawn) < 1e-6:
        share = ((1 - level) / 2) ** (1 / images)
        return value * share, value + (1 - value) * (1 - share)
    there = _stabilised(value)
    lost = STEP_LOSS * support.step / np.sqrt(max(value * (1 - value), 0.02))
    more = _stabilised(halves).mean() - _stabilised(most).mean()
    roots, parts = (PARTS[0] ** power - PARTS[1] ** power for power in (-0.5, -1.0))
    too_much = (more + lost * parts) / roots - lost
    width = quantile * np.hypot(smaller * _stabilised(drawn).std(), UNCERTAINTY * too_much)
    low, high = np.sin(np.clip(there - too_much + np.array([-width, width]), 0, np.pi) / 2) ** 2
    return min(float(low), value), max(float(high), value)


def _stabilised(values: np.ndarray | float) -> np.ndarray:
    """Map 0 to 1 to the scale on which the standard error of a share is the same everywhere."""
    return 2 * np.arcsin(np.sqrt(np.clip(values, 0, 1)))


def support_of(name: str, matches: Matches) -> Support:
    """Return what a number of `summaries` rests on."""
    label = 0 if "/" not in name else matches.class_names.index(name.partition("/")[2])
    objects = [found.objects for found in matches.classes if label in (0, found.label) and found.objects.any()]
    if not objects:
        return Support(0, 0.0)
    return Support(int(np.any(objects, axis=0).sum()), float(np.mean([1 / count.sum() for count in objects])))


def resample_ap(matches: Matches, *, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Compute the AP (B, C, T) float32 of B resamples, each of as many images, drawn with replacement.

    It is `average_precision` with the numbers of draws as weights, to float32's precision, and NaN where a resample has
    no object of a class. Matches of the same images and the same `seed` are resampled alike, so that two detectors can
    be compared.
    """
    return _ap_of(matches, _image_weights(matches.num_images, resamples, seed), resamples)


def _ap_of(matches: Matches, blocks: Iterable[np.ndarray], count: int) -> np.ndarray:
    """Compute the AP (count, C, T) for weights of the images, which come in blocks (num_images, …)."""
    result = np.empty((count, len(matches.classes), len(matches.iou_thresholds)), np.float32)
    with ThreadPoolExecutor(cpu_count()) as pool:
        start = 0
        for weights in blocks:
            block = slice(start, start + weights.shape[1])
            jobs = [pool.submit(_resampled, found, weights) for found in matches.classes]
            for index, job in enumerate(jobs):
                result[block, index] = job.result().T
            start = block.stop
    return result


def _parts(num_images: int, seed: int) -> list[np.ndarray]:
    """Return weights (num_images, P) float32 of parts of each size: the first and last images of random orders."""
    generator = np.random.default_rng([seed, 1])
    places = np.argsort(generator.random((num_images, PART_PAIRS), np.float32), axis=0)
    counts = [max(1, round(num_images * size)) for size in PARTS]
    return [
        np.concatenate([places < count, places >= num_images - count], axis=1).astype(np.float32) for count in counts
    ]


def _image_weights(num_images: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each image is drawn, (num_images, resamples of a block) float32."""
    generator = np.random.default_rng(seed)
    size = max(1, MAX_CELLS // max(num_images, 1))
    for start in range(0, resamples, size):
        count = min(size, resamples - start)
        drawn = generator.integers(0, max(num_images, 1), (count, num_images))
        drawn += np.arange(count)[:, None] * num_images
        counts = np.bincount(drawn.ravel(), minlength=count * num_images).reshape(count, num_images)
        yield np.ascontiguousarray(counts.T, np.float32)


def _resampled(found: ClassMatches, weights: np.ndarray) -> np.ndarray:
    """Compute the AP (T, B) of a class for weights (num_images, B), in blocks that fit a cache."""
    objects = int(found.objects.sum())
    size = max(1, CACHED_CELLS // max(objects, 1))
    blocks = [
        _class_ap(found, np.ascontiguousarray(weights[:, i : i + size])) for i in range(0, weights.shape[1], size)
    ]
    return np.concatenate(blocks, axis=1)


def _class_ap(found: ClassMatches, weights: np.ndarray) -> np.ndarray:
    """Compute the AP (T, B) of a class.

    Only at true positives does recall rise, and precision is highest at them, so that rows between them matter by their
    number alone: the precision at a recall point is the highest at this true positive or a later one.
    """
    totals = found.objects.astype(np.float32) @ weights
    result = np.where(totals > 0, np.float32(0), np.float32(np.nan)) * np.ones((len(found.truth_of), 1), np.float32)
    correct = found.correct
    rows = np.flatnonzero(correct.any(axis=0))
    if not len(rows):
        return result
    points, offsets = _points_reached(totals)
    right_of = weights[found.image_of[rows]]
    counted = _weights_until(rows, np.arange(len(found.image_of)), found.image_of, weights)
    for t, is_correct in enumerate(correct[:, rows]):
        if not is_correct.any():
            continue
        right = np.cumsum(right_of[is_correct], axis=0)
        all_until = counted[is_correct]
        if found.ignored[t].any():
            all_until -= _weights_until(rows[is_correct], np.flatnonzero(found.ignored[t]), found.image_of, weights)
        precision = right / np.maximum(all_until, 1)
        highest = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        reached = points[right.astype(np.int32) + offsets]
        reached[1:] -= reached[:-1].copy()
        result[t] += np.einsum("rb,rb->b", highest, reached.astype(np.float32)) / np.float32(len(RECALL_POINTS))
    return result


def _weights_until(rows: np.ndarray, of_rows: np.ndarray, image_of: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sum up the weights (R, B) of those detections that are in `of_rows`, up to each of R `rows`, both ascending."""
    ends = np.searchsorted(of_rows, rows, side="right")
    images = image_of[of_rows[: ends[-1]]]
    ones = np.ones(len(images), np.float32)
    between = csr_array((ones, images, np.r_[0, ends]), shape=(len(rows), len(weights)))
    return np.cumsum(between @ weights, axis=0)


def _points_reached(totals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how many recall points 0, 1, 2 … found objects reach, and where each resample's part of it begins.

    The quotients are compared with the points in float64, as pycocotools does.
    """
    different, which = np.unique(totals, return_inverse=True)
    parts = [
        np.searchsorted(RECALL_POINTS, np.arange(int(total) + 1) / max(total, 1.0), side="right")
        for total in different.astype(np.float64)
    ]
    starts = np.cumsum([0, *(len(part) for part in parts[:-1])])
    return np.concatenate(parts).astype(np.uint8), starts[which].astype(np.int32)
