"""Which samples share a batch, in what order: those of like shape, so that little of a batch is padding."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from utils.repeats import draw_epoch, epoch_length
from utils.shares import share_of

Key = TypeVar("Key")

# Batches whose samples are sorted among themselves. An epoch stays a random order of the images to within that many
# batches; more of them would save next to nothing.
WINDOW = 32
BAND = 64  # pixels: two of the steps in which the model pads


class EpochBatches:
    """An epoch's batches of shuffled `(epoch, index)` keys; set `.epoch` before iterating, `.start` to leave some out.

    Samples of like shape come together, by `utils.batch_order`, where `shape_of` tells their shapes. The order depends
    on seed and epoch alone. Of `size` processes each takes its part of every batch, by `share_of`; where that is none,
    the batch's first key. The epoch travels in the key because workers that live through all epochs never see a change
    of their data set.

    Args:
        length: number of images.
        repeats: how often each image comes in an epoch on average, (length,) from 1 on, by `utils.repeats`; once each
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
        """Batches of a whole epoch, whatever `start` is."""
        return -(-self.length // self.batch_size)

    def whole(self, number: int) -> int:
        """Images in batch `number`, counted from 0, of all processes together."""
        return min(self.batch_size, self.length - number * self.batch_size)

    def keys(self) -> list[tuple[int, int]]:
        """The epoch's keys in order, of all processes together."""
        return [key for batch in self._batches(0) for key in batch]

    def _batches(self, start: int) -> Iterator[list[tuple[int, int]]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(self.length if self.repeats is None else draw_epoch(self.repeats, rng))
        keys = [(self.epoch, index) for index in order.tolist()]
        return by_shape(keys, self.batch_size, self.shape_of or (lambda key: (0, 0)), rng, start=start)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for batch in self._batches(self.start):
            part = share_of(len(batch), self.rank, self.size)
            yield batch[part.first : part.first + part.count] or batch[:1]


class DealtBatches:
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
    """Batches of `keys`, which come shuffled, from batch `start` on; the last may be short.

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
                yield window[position * batch_size : (position + 1) * batch_size]
        number += len(order)
    if whole < len(keys) and start <= number:
        yield keys[whole:]


def _rank(shape_hw: tuple[int, int]) -> tuple[int, int, int]:
    """Heights in bands; widths up in one band and down in the next, so that neither side changes much at any place."""
    height, width = shape_hw
    band = -(-height // BAND)
    return band, width if band % 2 else -width, height
