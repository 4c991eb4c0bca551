"""Batches of samples, and their order: those of like shape, so that little of a batch is padding."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np


def epoch_length(factors: np.ndarray) -> int:
    """Return the samples of every epoch, rounded up: then each image comes at least once."""
    return math.ceil(factors.sum())


def draw_epoch(factors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the samples of one epoch in no random order, (epoch_length,) int64: `image + copy * M`.

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


@dataclass(frozen=True)
class Shard:
    """One process's part of a whole batch: `count` images from place `first` on, of `whole`; `count` may be 0."""

    first: int
    count: int
    whole: int


def shard_of(whole: int, rank: int, size: int) -> Shard:
    """Return the part of process `rank` of `size`; the parts differ by one image at most."""
    first = rank * whole // size
    return Shard(first, (rank + 1) * whole // size - first, whole)


Key = TypeVar("Key")

# Batches whose samples are sorted among themselves. An epoch stays a random order of the images to within that many
# batches; more of them would save next to nothing.
WINDOW = 32
BAND = 64  # pixels: two of the steps in which the model pads


class TrainBatchSampler:
    """An epoch's batches of shuffled `(epoch, index)` keys; set `.epoch` before iterating, `.start` to leave some out.

    Samples of like shape come together, where `shape_of` gives their shapes. The order depends
    on seed and epoch alone. Of `size` processes each takes its part of every batch, by `share_of`; where that is none,
    the batch's first key. The epoch travels in the key because workers that live through all epochs never see a change
    of their dataset.

    Args:
        length: number of images.
        repeats: how often each image comes in an epoch on average, (length,) from 1 on; once each
            where it is None. Indices of further copies are those of `DetectionDataset`.
        shape_of: height and width of the sample that a key stands for.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        seed: int,
        *,
        rank: int = 0,
        size: int = 1,
        repeats: np.ndarray | None = None,
        shape_of: Callable[[tuple[int, int]], tuple[int, int]] | None = None,
    ):
        if repeats is not None and len(repeats) != length:
            raise ValueError(f"repeats: expected {length}, one for each image, got {len(repeats)}")
        self.length = length if repeats is None else epoch_length(repeats)
        self.batch_size, self.seed, self.repeats, self.shape_of = batch_size, seed, repeats, shape_of
        self.rank, self.size = rank, size
        self.epoch = 0
        self.start = 0

    def __len__(self) -> int:
        """Count the batches of a whole epoch, whatever `start` is."""
        return -(-self.length // self.batch_size)

    def whole(self, number: int) -> int:
        """Return the number of images in batch `number`, counted from 0, of all processes together."""
        return min(self.batch_size, self.length - number * self.batch_size)

    def keys(self) -> list[tuple[int, int]]:
        """Return the epoch's keys in order, of all processes together."""
        return [key for batch in self._batches(0) for key in batch]

    def _batches(self, start: int) -> Iterator[list[tuple[int, int]]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(self.length if self.repeats is None else draw_epoch(self.repeats, rng))
        keys = [(self.epoch, index) for index in order.tolist()]
        return by_shape(keys, self.batch_size, self.shape_of or (lambda key: (0, 0)), rng, start=start)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for batch in self._batches(self.start):
            part = shard_of(len(batch), self.rank, self.size)
            yield batch[part.first : part.first + part.count] or batch[:1]


class EvalBatchSampler:
    """Batches of positions 0 .. length - 1, of which process `rank` of `size` takes every `size`-th.

    Only images of one shape share a batch, so that none is padded because of its neighbours, and the results are those
    of one image at a time. Within a shape the order is kept. The batches are the same whatever `size` is.

    Args:
        shape_of: what the model pads an image to, height and width; None where all are alike.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        *,
        rank: int = 0,
        size: int = 1,
        shape_of: Callable[[int], tuple[int, int]] | None = None,
    ):
        of_shape: dict[tuple[int, int] | None, list[int]] = {}
        for position in range(length):
            of_shape.setdefault(shape_of(position) if shape_of else None, []).append(position)
        batches = [
            positions[start : start + batch_size]
            for positions in of_shape.values()
            for start in range(0, len(positions), batch_size)
        ]
        self.batches = sorted(batches)[rank::size]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)


def by_shape(
    keys: Sequence[Key],
    batch_size: int,
    shape_of: Callable[[Key], tuple[int, int]],
    rng: np.random.Generator,
    *,
    start: int = 0,
) -> Iterator[list[Key]]:
    """Yield batches of `keys`, which come shuffled, from batch `start` on; the last may be short.

    Of every WINDOW batches the keys are sorted by shape, height and width in pixels, cut into batches, and the batches
    shuffled. Shapes are asked for one window at a time. The short batch has the last keys, whatever their shape.
    """
    whole = len(keys) // batch_size * batch_size
    number = 0
    for first in range(0, whole, WINDOW * batch_size):
        window = keys[first : min(first + WINDOW * batch_size, whole)]
        order = rng.permutation(len(window) // batch_size).tolist()  # drawn for windows that are left out, too
        if number + len(order) > start:
            window = sorted(window, key=lambda key: _rank(shape_of(key)))
            for position in order[max(0, start - number) :]:
                yield list(window[position * batch_size : (position + 1) * batch_size])
        number += len(order)
    if whole < len(keys) and start <= number:
        yield list(keys[whole:])


def _rank(shape_hw: tuple[int, int]) -> tuple[int, int, int]:
    """Rank heights in bands, widths up in one band and down in the next, so that neither side changes much at once."""
    height, width = shape_hw
    band = -(-height // BAND)
    return band, width if band % 2 else -width, height


def repeat_factors(labels: Sequence[np.ndarray], threshold: float) -> np.ndarray:
    """Return how often each image comes in an epoch, (M,) float64 from 1 on.

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
