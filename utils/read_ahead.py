"""Pictures decoded by threads while the network is busy with those before them."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import numpy as np

from utils.errors import DatasetError
from utils.images import probe_image, read_image
from utils.sources import SourceImage

Decoded = tuple[SourceImage, np.ndarray | DatasetError]


def read_ahead(sources: Iterable[SourceImage], *, threads: int, ahead: int, megapixels: float) -> Iterator[Decoded]:
    """Yield each source with its RGB uint8 (H, W, 3) picture, or with the error that says why it has none, in order.

    At most `ahead` pictures wait, and no further one is begun while those waiting hold `megapixels`, by the sizes in
    their headers; so a folder of huge pictures takes no more memory than one of many.
    """
    waiting: deque[tuple[SourceImage, Future, float]] = deque()
    sources = iter(sources)
    pool = ThreadPoolExecutor(threads)
    try:
        more = True
        while waiting or more:
            while more and (not waiting or (len(waiting) < ahead and sum(size for *_, size in waiting) < megapixels)):
                source = next(sources, None)
                more = source is not None
                if more:
                    waiting.append((source, pool.submit(_decode, source), _megapixels(source)))
            if waiting:
                source, future, _ = waiting.popleft()
                yield source, future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _decode(source: SourceImage) -> np.ndarray | DatasetError:
    try:
        return read_image(source.path)
    except DatasetError as error:
        return error


def _megapixels(source: SourceImage) -> float:
    with suppress(DatasetError):
        info = probe_image(source.path, decode=False)
        return info.width * info.height / 1e6
    return 0.0


def in_batches(decoded: Iterable[Decoded], *, size: int, megapixels: float) -> Iterator[list[Decoded]]:
    """Group what `read_ahead` yields, `size` pictures at most, fewer where they hold `megapixels` together."""
    batch, held = [], 0.0
    for source, image in decoded:
        batch.append((source, image))
        held += 0 if isinstance(image, DatasetError) else image.shape[0] * image.shape[1] / 1e6
        if len(batch) == size or held >= megapixels:
            yield batch
            batch, held = [], 0.0
    if batch:
        yield batch
