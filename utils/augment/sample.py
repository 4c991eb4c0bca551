"""The type that augmentation passes around, and the one rule for boxes that a crop cuts."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

# A box of which less than this share is left shows too little to see what it was; asking for it would teach the
# model to fire on hints. Higher values drop people at a border whom a reader of the image still names.
MIN_VISIBLE = 0.1
# Two pixels, less what rounding may take from a box of exactly two. Below, the targets of box regression, logarithms
# of the sides, say more about rounding than about the object.
MIN_SIDE = 2 - 1e-3
# What lies where no image is: the grey of ImageNet's mean, hence near zero once the model has normalised it.
FILL = (114, 114, 114)


def blank(size_hw: tuple[int, int]) -> np.ndarray:
    """Return an image, (H, W, 3) uint8, of nothing but FILL."""
    return np.full((*size_hw, 3), FILL[0], dtype=np.uint8)  # to repeat a triple takes a hundred times as long


@dataclass(frozen=True, eq=False)
class Sample:
    """An image with its objects; transforms return new samples and leave their input alone.

    | field  | shape     | dtype   | meaning                                                          |
    |--------|-----------|---------|------------------------------------------------------------------|
    | image  | (H, W, 3) | uint8   | RGB, H and W at least 1                                          |
    | boxes  | (N, 4)    | float32 | x1, y1, x2, y2 in absolute pixels, pixel i covering [i, i + 1]   |
    | labels | (N,)      | int64   | any integers                                                     |

    N may be 0. Raises ValueError where a shape or dtype differs, since only a mistake in code can cause it; whether
    boxes lie inside the image is checked once, where annotations are read.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray

    def __post_init__(self):
        if self.image.dtype != np.uint8 or self.image.ndim != 3 or self.image.shape[2] != 3 or not self.image.size:
            raise ValueError(f"image: expected uint8 (H, W, 3), got {self.image.dtype} {self.image.shape}")
        if self.boxes.dtype != np.float32 or self.boxes.ndim != 2 or self.boxes.shape[1] != 4:
            raise ValueError(f"boxes: expected float32 (N, 4), got {self.boxes.dtype} {self.boxes.shape}")
        if self.labels.dtype != np.int64 or self.labels.shape != (len(self.boxes),):
            raise ValueError(
                f"labels: expected int64 ({len(self.boxes)},), one for each box, "
                f"got {self.labels.dtype} {self.labels.shape}"
            )

    @property
    def size_hw(self) -> tuple[int, int]:
        """Return the height and width of the image in pixels."""
        height, width, _ = self.image.shape
        return height, width

    def keep(self, mask: np.ndarray) -> "Sample":
        """Return the sample with only the objects of `mask`, (N,) bool; boxes and labels cannot fall out of step."""
        return Sample(self.image, self.boxes[mask], self.labels[mask])


def clip_and_drop(sample: Sample) -> Sample:
    """Clip boxes that reach beyond the image; drop those with too little left.

    The boxes come whole, as far outside the image as they reach, so that the share that is left, MIN_VISIBLE at
    least, is measured against all of the object. Sides under MIN_SIDE pixels are dropped too, cut or not.
    """
    height, width = sample.size_hw
    clipped = np.minimum(np.maximum(sample.boxes, 0), np.array([width, height, width, height], np.float32))
    (widths, heights), (whole_widths, whole_heights) = (
        (boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) for boxes in (clipped, sample.boxes)
    )
    visible = widths * heights >= MIN_VISIBLE * (whole_widths * whole_heights)
    return Sample(sample.image, clipped, sample.labels).keep(visible & (widths >= MIN_SIDE) & (heights >= MIN_SIDE))


def resized_hw(size_hw: tuple[int, int], scale: float) -> tuple[int, int]:
    """Return the height and width after resizing by `scale`: rounded down as torchvision does, at least 1."""
    height, width = (max(1, math.floor(side * scale)) for side in size_hw)
    return height, width


def resize_sample(sample: Sample, scale: float) -> Sample:
    """Return the sample resized by `scale` > 0 to `resized_hw`, sampling as the model does.

    INTER_LINEAR puts its samples where F.interpolate(mode="bilinear", align_corners=False) does, without
    antialiasing: an image shrunk here and one shrunk by the model look alike. Boxes follow the true ratio of the
    sizes on each axis, which rounding down makes differ from `scale`.
    """
    return stretch(sample, resized_hw(sample.size_hw, scale))


def stretch(sample: Sample, size_hw: tuple[int, int], interpolation: int = cv2.INTER_LINEAR) -> Sample:
    """Return the sample resized to exactly `size_hw`, (height, width) in pixels."""
    (old_height, old_width), (height, width) = sample.size_hw, size_hw
    image = cv2.resize(sample.image, (width, height), interpolation=interpolation)
    ratios = np.array([width / old_width, height / old_height] * 2)
    return Sample(image, (sample.boxes * ratios).astype(np.float32), sample.labels)


def random_crop(
    sample: Sample,
    scale: float,
    limit_hw: tuple[int, int],
    rng: np.random.Generator,
    *,
    interpolation: int = cv2.INTER_LINEAR,
) -> Sample:
    """Return a random window of the sample resized by `scale`, as large as `limit_hw` (pixels) and the image allow.

    Boxes are cut and dropped by `clip_and_drop`.
    """
    scaled_hw = resized_hw(sample.size_hw, scale)
    window_hw = min(scaled_hw[0], limit_hw[0]), min(scaled_hw[1], limit_hw[1])
    # Cut before resizing, which then touches only pixels that stay. The cut is in whole source pixels, and the boxes
    # follow it exactly; the scale is off by less than half a source pixel over the window.
    (y, height), (x, width) = (
        _cut(side, round(side * window / scaled), rng)
        for side, window, scaled in zip(sample.size_hw, window_hw, scaled_hw, strict=True)
    )
    return clip_and_drop(stretch(cut(sample, (x, y, x + width, y + height)), window_hw, interpolation))


def cut(sample: Sample, window: tuple[int, int, int, int]) -> Sample:
    """Return a view of the pixels in `window`, xyxy inside the image, and all boxes relative to it, uncut."""
    x1, y1, x2, y2 = window
    return Sample(sample.image[y1:y2, x1:x2], sample.boxes - np.array([x1, y1, x1, y1], np.float32), sample.labels)


def pad(sample: Sample, size_hw: tuple[int, int]) -> Sample:
    """Return the sample at the top left of a canvas of `size_hw` pixels, no smaller than it, with FILL around it."""
    height, width = sample.size_hw
    if (height, width) == size_hw:
        return sample
    canvas = blank(size_hw)
    canvas[:height, :width] = sample.image
    return Sample(canvas, sample.boxes, sample.labels)


def _cut(side: int, length: int, rng: np.random.Generator) -> tuple[int, int]:
    """Draw the start of a cut of about `length` pixels, and return it with the true length."""
    length = max(1, length)
    return int(rng.integers(0, side - length, endpoint=True)), length
