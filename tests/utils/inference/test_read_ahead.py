"""Images on their way to the network: batches of one shape, nothing lost, nothing held for long."""

from pathlib import Path

import numpy as np
import pytest

from utils.errors import DatasetError
from utils.inference.read_ahead import WAITING, in_batches, in_order
from utils.inference.sources import SourceImage

TALL, WIDE = (40, 30), (30, 40)


def decoded(shapes):
    """One image of each shape, an error for None."""
    for number, shape in enumerate(shapes):
        source = SourceImage(Path(f"{number}.jpg"), Path(f"{number}.jpg"))
        yield source, DatasetError("damaged") if shape is None else np.zeros((*shape, 3), np.uint8)


def batches_of(shapes, size=4, megapixels=1e9):
    found = list(in_batches(decoded(shapes), size=size, megapixels=megapixels, shape_of=lambda size_hw: size_hw))
    for batch in found:
        assert all(source.name.name == f"{number}.jpg" for number, source, _ in batch)
    return [[number for number, *_ in batch] for batch in found]


@pytest.mark.parametrize("size", [1, 2, 4, 7])
def test_batches_are_of_one_shape_and_hold_every_image_once(size):
    shapes = [(TALL, WIDE, (9, 9))[i * i % 7 % 3] for i in range(101)]
    found = batches_of(shapes, size)
    assert sorted(number for batch in found for number in batch) == list(range(101))
    assert all(len({shapes[number] for number in batch}) == 1 and len(batch) <= size for batch in found)
    assert all(batch == sorted(batch) for batch in found)


def test_two_orientations_taken_in_turn_fill_their_batches():
    assert batches_of([TALL, WIDE] * 8) == [[0, 2, 4, 6], [1, 3, 5, 7], [8, 10, 12, 14], [9, 11, 13, 15]]


def test_a_rare_shape_waits_for_a_few_batches_and_an_error_for_nothing():
    found = batches_of([(9, 9), TALL, None, *[TALL] * 200])
    assert found[0] == [2]
    assert found.index([0]) <= WAITING + 1


def test_no_more_waits_than_the_memory_is_meant_for():
    big = [(1000, 1000 + 10 * (i % 5)) for i in range(20)]
    held, most = set(), 0
    for number, batch in enumerate(batches_of(big, size=50, megapixels=3)):
        most = max(most, len(batch))
        held |= set(batch)
        assert number < 20
    assert held == set(range(20)) and most <= 3

    waiting = taken = 0

    def counted():
        nonlocal taken
        for item in decoded(big):
            taken += 1
            yield item

    given = 0
    for batch in in_batches(counted(), size=50, megapixels=3, shape_of=lambda size_hw: size_hw):
        waiting = max(waiting, taken - given)
        given += len(batch)
    assert waiting <= 4  # of a megapixel and a bit each: the limit, and the one that reached it


def test_order_is_restored():
    assert list(in_order([(2, "c"), (0, "a"), (1, "b"), (4, "e"), (3, "d")])) == list("abcde")
    assert list(in_order([])) == []
