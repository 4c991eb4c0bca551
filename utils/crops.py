"""Windows of samples at a scale, and canvases to put them on."""

import cv2
import numpy as np

from utils.sample import Sample, blank, clip_and_drop, resized_hw, stretch


def random_crop(
    sample: Sample,
    scale: float,
    limit_hw: tuple[int, int],
    rng: np.random.Generator,
    *,
    interpolation: int = cv2.INTER_LINEAR,
) -> Sample:
    """A random window of the sample resized by `scale`, as large as `limit_hw` (pixels) and the image allow.

    Boxes are cut and dropped by `clip_and_drop`.
    """
    scaled_hw = resized_hw(sample.size_hw, scale)
    window_hw = tuple(map(min, scaled_hw, limit_hw))
    # Cut before resizing, which then touches only pixels that stay. The cut is in whole source pixels, and the boxes
    # follow it exactly; the scale is off by less than half a source pixel over the window.
    (y, height), (x, width) = (
        _cut(side, round(side * window / scaled), rng)
        for side, window, scaled in zip(sample.size_hw, window_hw, scaled_hw, strict=True)
    )
    return clip_and_drop(stretch(cut(sample, (x, y, x + width, y + height)), window_hw, interpolation))


def cut(sample: Sample, window: tuple[int, int, int, int]) -> Sample:
    """A view of the pixels in `window`, xyxy inside the image, and all boxes relative to it, uncut."""
    x1, y1, x2, y2 = window
    return Sample(sample.image[y1:y2, x1:x2], sample.boxes - np.float32([x1, y1, x1, y1]), sample.labels)


def pad(sample: Sample, size_hw: tuple[int, int]) -> Sample:
    """The sample at the top left of a canvas of `size_hw` pixels, no smaller than it; FILL where it does not reach."""
    height, width = sample.size_hw
    if (height, width) == size_hw:
        return sample
    canvas = blank(size_hw)
    canvas[:height, :width] = sample.image
    return Sample(canvas, sample.boxes, sample.labels)


def _cut(side: int, length: int, rng: np.random.Generator) -> tuple[int, int]:
    """Where a cut of about `length` pixels starts, uniformly, and its true length."""
    length = max(1, length)
    return int(rng.integers(0, side - length, endpoint=True)), length
