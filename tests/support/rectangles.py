"""Boxes painted to sub-pixel accuracy and read back from pixels: the oracle for every transform of boxes."""

import numpy as np
from hypothesis import strategies as st

from utils.augment.sample import FILL, Sample

BACKGROUND, FOREGROUND = FILL[0], 255


def make_sample(size_hw, boxes, labels=None) -> Sample:
    """Boxes as white rectangles on the fill colour, so that borders a transform adds are invisible."""
    boxes = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    labels = np.arange(1, len(boxes) + 1) if labels is None else labels
    image = paint(size_hw, boxes, [(FOREGROUND,) * 3] * len(boxes))
    return Sample(image, boxes, np.array(labels, dtype=np.int64))


def paint(size_hw, boxes, colours) -> np.ndarray:
    """Each pixel on a rectangle's edge takes its colour by the share of its area that the rectangle covers."""
    image = np.full((*size_hw, 3), BACKGROUND, dtype=np.float64)
    for (x1, y1, x2, y2), colour in zip(np.asarray(boxes, dtype=np.float64), colours, strict=True):
        cover = np.outer(_covered(size_hw[0], y1, y2), _covered(size_hw[1], x1, x2))[..., None]
        image += cover * (np.array(colour) - image)
    return image.round().astype(np.uint8)


def _covered(length, start, end) -> np.ndarray:
    left = np.arange(length)
    return (np.minimum(left + 1, end) - np.maximum(left, start)).clip(0, 1)


def seen_box(image) -> np.ndarray:
    """The single rectangle of an image, (4,) xyxy: centroid and total brightness of its middle row and column."""
    bright = (image[..., 0].astype(np.float64) - BACKGROUND) / (FOREGROUND - BACKGROUND)
    bright = np.where(bright > 0.01, bright, 0)
    (x1, x2), (y1, y2) = (_extent(bright[bright.sum(axis=1).argmax()]), _extent(bright[:, bright.sum(axis=0).argmax()]))
    return np.array([x1, y1, x2, y2])


def _extent(profile) -> tuple[float, float]:
    centre = (profile * (np.arange(len(profile)) + 0.5)).sum() / profile.sum()
    return centre - profile.sum() / 2, centre + profile.sum() / 2


@st.composite
def boxes_inside(draw, height, width, min_side=8.0):
    """A box of at least `min_side` inside an image, at sub-pixel coordinates."""
    spans = []
    for length in (width, height):
        side = draw(st.floats(min_side, length, width=32))
        start = draw(st.floats(0, 1)) * (length - side)
        spans.append((start, min(start + side, length)))
    (x1, x2), (y1, y2) = spans
    return x1, y1, x2, y2
