"""The difference of two detectors on the same images, by paired resamples, and the verdict in a sentence."""

import math
from dataclasses import dataclass

import numpy as np

from utils.evaluation.bootstrap import (
    RESAMPLES,
    Interval,
    Resampled,
    interval,
    resample_summaries,
    summaries,
    support_of,
)
from utils.evaluation.matching import Matches, average_precision

LEAST_DIFFERENCE = 0.001  # of AP, below which nobody would want to know how many images could show it


@dataclass(frozen=True)
class Comparison:
    """Differences second - first by number, as in `bootstrap.ap_intervals`, and the verdict on AP in a sentence.

    `images_needed` is how many images such a difference would show on, None where it shows on these or is next to none.
    """

    differences: dict[str, Interval]
    images: int
    images_needed: int | None
    sentence: str


def compare(
    first: Matches,
    second: Matches,
    *,
    names: tuple[str, str] = ("A", "B"),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare the AP of two detectors on the same images, with 95 % intervals of the differences.

    Each resample draws the same images for both: what is hard for both does not widen the interval. An interval narrows
    with the square root of the number of images; from that follows how many would show the difference that is seen.

    Raises:
        ValueError: the matches are not of the same images, objects and classes, or not at the same IoUs.
    """
    _check_same(first, second)
    values = [summaries(average_precision(matches), matches.class_names) for matches in (first, second)]
    resampled = [resample_summaries(matches, resamples=resamples, seed=seed) for matches in (first, second)]
    differences = {}
    for name in values[0]:
        value = float(values[1][name] - values[0][name])
        parts = (after - before for before, after in zip(resampled[0][name], resampled[1][name], strict=True))
        bounds = interval(value, Resampled(*parts), support_of(name, first), is_difference=True)
        differences[name] = Interval(value, *bounds)
    needed = _images_needed(differences["ap"], first.num_images)
    sentence = _sentence(differences["ap"], first.num_images, needed, names)
    return Comparison(differences, first.num_images, needed, sentence)


def _check_same(first: Matches, second: Matches) -> None:
    for name in ("num_images", "class_names"):
        if getattr(first, name) != getattr(second, name):
            raise ValueError(f"{name}: expected the same, found {getattr(first, name)} and {getattr(second, name)}")
    if not np.array_equal(first.iou_thresholds, second.iou_thresholds):
        raise ValueError(f"IoUs: expected the same, found {first.iou_thresholds} and {second.iou_thresholds}")
    for one, other in zip(first.classes, second.classes, strict=True):
        if not np.array_equal(one.objects, other.objects):
            name = first.class_names[one.label]
            raise ValueError(
                f"objects of {name!r}: expected the same in each image, found {one.objects.sum()} and "
                f"{other.objects.sum()} in all"
            )


def _shows(found: Interval) -> bool:
    return found.low > 0 or found.high < 0


def _images_needed(found: Interval, images: int) -> int | None:
    if math.isnan(found.low) or _shows(found) or abs(found.value) < LEAST_DIFFERENCE:
        return None
    exact = max(images + 1.0, images * ((found.high - found.low) / 2 / abs(found.value)) ** 2)
    digit = 10 ** (math.floor(math.log10(exact)) - 1)  # two digits: it is an estimate
    return int(math.ceil(exact / max(digit, 1)) * max(digit, 1))


def _sentence(found: Interval, images: int, needed: int | None, names: tuple[str, str]) -> str:
    first, second = names
    if math.isnan(found.value):
        return f"{first} and {second} cannot be compared: the images hold no objects"
    if math.isnan(found.low):
        return f"{first} and {second} cannot be compared on {images} images: too few hold objects"
    low, high = 100 * found.low, 100 * found.high
    if _shows(found):
        better, (low, high) = (second, (low, high)) if found.value > 0 else (first, (-high, -low))
        return f"{better} is better by {100 * abs(found.value):.1f} points of AP ({low:.1f} to {high:.1f})"
    text = f"{first} and {second} cannot be distinguished on {images} image{'s' * (images != 1)}"
    seen = f"{second} - {first} is {100 * found.value:+.1f} points of AP ({low:+.1f} to {high:+.1f})"
    return f"{text}: {seen}; " + (f"about {needed} would do" if needed else "hardly any difference is seen")
