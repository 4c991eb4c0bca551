"""Images with rare classes more often: repeat-factor sampling (LVIS, Gupta et al. 2019, appendix B)."""

import math
from collections.abc import Sequence

import numpy as np


def repeat_factors(labels: Sequence[np.ndarray], threshold: float) -> np.ndarray:
    """How often each image comes in an epoch, (M,) float64 from 1 on.

    With f(c) the share of images that show class c, r(c) = max(1, sqrt(threshold / f(c))), and an image's factor is
    the largest of its classes; 1 where it has no objects.

    Args:
        labels: for each image (N,) int, its objects' classes.
        threshold: the share of images below which a class counts as rare; 0 repeats nothing.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold: expected a share from 0 to 1, got {threshold}")
    classes = [np.unique(of_image) for of_image in labels]
    found, counts = np.unique(np.concatenate([np.zeros(0, np.int64), *classes]), return_counts=True)
    of_class = np.maximum(1.0, np.sqrt(threshold * len(labels) / counts))
    return np.array([of_class[np.searchsorted(found, own)].max(initial=1.0) for own in classes])


def epoch_length(factors: np.ndarray) -> int:
    """Samples of every epoch. Rounded up, so that no image's scaled factor is below 1: each comes at least once."""
    return math.ceil(factors.sum())


def draw_epoch(factors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The samples of one epoch in no random order, (epoch_length,) int64: `image + copy * M`.

    Systematic sampling: the factors, scaled to the epoch's length and laid end to end, under a comb of whole steps with
    one random offset. An image of scaled factor r gets floor(r) or ceil(r) teeth, r in exact expectation, while the
    length of an epoch never changes, which a schedule by steps needs.
    """
    length = epoch_length(factors)
    ends = factors.cumsum() * (length / factors.sum())
    teeth = np.ceil(ends - rng.random()).astype(np.int64)  # of the comb, up to each image's end
    teeth[-1] = length  # whatever rounding did to the sum
    counts = np.diff(teeth, prepend=0)
    images = np.repeat(np.arange(len(factors)), counts)
    copies = np.arange(length) - np.repeat(counts.cumsum() - counts, counts)
    return images + copies * len(factors)
