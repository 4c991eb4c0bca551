"""Images decoded by threads while the network is busy with those before them."""

from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

import numpy as np

from utils.errors import DatasetError
from utils.images.io import probe_image, read_image
from utils.images.pixel_range import PixelRange
from utils.inference.sources import SourceImage

WAITING = 4  # batches: enough for the two orientations of a camera, taken at random

Decoded = tuple[SourceImage, np.ndarray | DatasetError]
Numbered = list[tuple[int, SourceImage, np.ndarray | DatasetError]]
Item = TypeVar("Item")


def read_ahead(
    sources: Iterable[SourceImage],
    *,
    threads: int,
    ahead: int,
    megapixels: float,
    pixel_range: PixelRange | None = None,
) -> Generator[Decoded, None, None]:
    """Yield each source with its RGB uint8 (H, W, 3) image, or with the error that says why it has none, in order.

    At most `ahead` images wait, and no further one is begun while those waiting hold `megapixels`, by the sizes in
    their headers; so a folder of huge images takes no more memory than one of many.
    """
    waiting: deque[tuple[SourceImage, Future, float]] = deque()
    remaining = iter(sources)
    pool = ThreadPoolExecutor(threads)
    try:
        more = True
        while waiting or more:
            while more and (not waiting or (len(waiting) < ahead and sum(size for *_, size in waiting) < megapixels)):
                following = next(remaining, None)
                more = following is not None
                if following is not None:
                    waiting.append((following, pool.submit(_decode, following, pixel_range), _megapixels(following)))
            if waiting:
                source, future, _ = waiting.popleft()
                yield source, future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _decode(source: SourceImage, pixel_range: PixelRange | None) -> np.ndarray | DatasetError:
    try:
        return read_image(source.path, pixel_range=pixel_range)
    except DatasetError as error:
        return error


def _megapixels(source: SourceImage) -> float:
    with suppress(DatasetError):
        info = probe_image(source.path, decode=False)
        return info.width * info.height / 1e6
    return 0.0


def in_batches(
    decoded: Iterable[Decoded],
    *,
    size: int,
    megapixels: float,
    shape_of: Callable[[tuple[int, int]], Hashable] = lambda size_hw: None,
) -> Iterator[Numbered]:
    """Group what `read_ahead` yields, each with its number from 0 on: `size` images of one shape at most.

    Fewer come together where they hold `megapixels`, and where no more of their shape are near: an image waits for
    WAITING batches of further ones at most, and while all that wait hold less than `megapixels`. An error waits for
    nothing.

    Args:
        shape_of: what images of a batch have in common, given height and width in pixels.
    """
    waiting: dict[Hashable, Numbered] = {}  # by shape, in the order of each shape's first image
    held: dict[Hashable, float] = {}
    for number, (source, image) in enumerate(decoded):
        if isinstance(image, DatasetError):
            yield [(number, source, image)]
        else:
            height, width = image.shape[:2]
            shape = shape_of((height, width))
            waiting.setdefault(shape, []).append((number, source, image))
            held[shape] = held.get(shape, 0.0) + height * width / 1e6
            if len(waiting[shape]) == size or held[shape] >= megapixels:
                del held[shape]
                yield waiting.pop(shape)
        while waiting:
            first = next(iter(waiting))
            if number - waiting[first][0][0] < WAITING * size and sum(held.values()) < megapixels:
                break
            del held[first]
            yield waiting.pop(first)
    yield from waiting.values()


def in_order(done: Iterable[tuple[int, Item]]) -> Iterator[Item]:
    """Yield what was done out of order by its number, from 0 on without a gap."""
    early: dict[int, Item] = {}
    following = 0
    for number, item in done:
        early[number] = item
        while following in early:
            yield early.pop(following)
            following += 1
