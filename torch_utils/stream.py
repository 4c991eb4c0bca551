"""The network's stage of a video pipeline."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from utils.detections import Detections
from utils.pipeline import Queue
from utils.video import Frame


@dataclass(frozen=True, eq=False)
class Detected:
    """A frame, what the network found in it, and the seconds it took: its share of the batch."""

    frame: Frame
    detections: Detections
    seconds: float


def detect(
    frames: Iterable[Frame] | Queue,
    predict: Callable[[Sequence[np.ndarray]], list[Detections]],
    *,
    batch_size: int = 1,
    live: bool = False,
) -> Iterator[Detected]:
    """Run `predict` on `frames`, `batch_size` at a time; the last batch may be smaller. Keeps their order.

    With `live`, `frames` is a pipeline's queue, and a batch is what has come: nothing waits for frames to come.
    """
    iterator = iter(frames)

    def next_batch() -> list[Frame]:
        if live:
            return frames.take(most=batch_size) or []
        return list(islice(iterator, batch_size))

    while batch := next_batch():
        started = time.perf_counter()
        found = predict([frame.image for frame in batch])
        seconds = (time.perf_counter() - started) / len(batch)
        yield from (Detected(frame, detections, seconds) for frame, detections in zip(batch, found, strict=True))
