"""The frames of a source, and the network's stage of a video pipeline."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice

import av
import numpy as np

from utils.detections import Detections
from utils.video.pipeline import Queue

DEFAULT_RATE = Fraction(25)  # frames per second, where a source states none


@dataclass(frozen=True, eq=False)
class Frame:
    """One image of a source.

    image: RGB uint8 (H, W, 3). index: its number in the source, from 0. time: seconds from the source's beginning.
    duration: seconds, None where unknown. audio: the packets that came since the frame before it, in the same time.
    pixel_aspect: width of a pixel as it is to be shown, over its height.
    """

    image: np.ndarray
    index: int
    time: Fraction
    duration: Fraction | None = None
    audio: Sequence[av.Packet] = field(default=())
    pixel_aspect: Fraction = Fraction(1)


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
        if live and isinstance(frames, Queue):
            return frames.take(most=batch_size) or []
        return list(islice(iterator, batch_size))

    while batch := next_batch():
        started = time.perf_counter()
        found = predict([frame.image for frame in batch])
        seconds = (time.perf_counter() - started) / len(batch)
        yield from (Detected(frame, detections, seconds) for frame, detections in zip(batch, found, strict=True))


def exact(seconds: float) -> Fraction:
    """Return the decimal number that was meant: 0.8 as 4/5, so that a frame at 4/5 s is not before it."""
    return Fraction(seconds).limit_denominator(1_000_000)
