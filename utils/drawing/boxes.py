"""Boxes with name tags on an image, and contact sheets. Every image is RGB uint8 (H, W, 3)."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from utils.drawing.colors import Color, class_color, contrast_color
from utils.drawing.text import blend, text_mask

MOST_HIDDEN = 0.1  # share of an image that tags may cover before they are made smaller,
LEAST_TEXT = 9  # but not below this many pixels
CROWDED = 0.05  # share that the smallest tags may cover in a contact sheet, where they are hard to read
MOST_IN_LEGEND = 60  # classes


def line_width(size_hw: tuple[int, int]) -> int:
    """Return width in pixels of the lines on an image of (height, width): 2 at 640x480, 7 at 4000x3000."""
    return round(1 + math.sqrt(size_hw[0] * size_hw[1]) / 600)


def draw_boxes(
    image: np.ndarray,
    boxes: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    *,
    scores: np.ndarray | None = None,
    track_ids: np.ndarray | None = None,
    show_labels: bool = True,
) -> np.ndarray:
    """Return a copy of `image` with its boxes painted; line width and text follow the size of the image.

    Both are smaller where so many tags would hide the image. Where tags would cover each other, the box with the
    higher score (without scores: the earlier one) chooses first.

    Args:
        image: RGB uint8 (H, W, 3).
        boxes: float (N, 4), xyxy in pixels; parts outside the image are drawn at its border.
        labels: int (N,), indices into `class_names`, where 0 is the background.
        scores: float (N,), written after the name: `Mask 0.97`.
        track_ids: int (N,), written before the name: `#7 Mask`; below 0 is none.
        show_labels: False leaves the tags out.

    Raises:
        ValueError: a shape, dtype or label that does not fit, or a box that is not finite.
    """
    check_image(image)
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4) if np.size(boxes) == 0 else np.asarray(boxes, np.float64)
    labels = np.asarray(labels)
    _check_objects(boxes, labels, class_names, scores)
    canvas = np.array(image, order="C")
    height, width = canvas.shape[:2]
    texts = _tag_texts(labels, class_names, scores, track_ids)
    text_size, scale = _text_size(texts, (height, width))
    # Without tags the colours alone say what is what.
    line = max(1, round(line_width((height, width)) * (scale if show_labels else max(scale, 0.75))))
    rim = max(1, round(line / 3))
    reach = line // 2 + rim
    inset = min(reach, (min(height, width) - 1) // 2)  # so that the line of a box at the border is seen whole
    corners = np.clip(np.rint(boxes), inset, [width - 1 - inset, height - 1 - inset] * 2).astype(int).tolist()
    colors = [class_color(int(label)) for label in labels]
    order = range(len(boxes)) if scores is None else np.argsort(-np.asarray(scores), kind="stable").tolist()
    for i in reversed(order):
        _paint_frame(canvas, corners[i], line + 2 * rim, contrast_color(colors[i]))
        _paint_frame(canvas, corners[i], line, colors[i])
    if not show_labels:
        return canvas

    tags, places = [], np.zeros((len(boxes), 4), int)
    for rank, i in enumerate(order):
        tags.append(_tag(texts[i], text_size, colors[i], rim, width)[:height, :width])
        outer = np.array(corners[i]) + (-reach, -reach, reach + 1, reach + 1)
        places[rank] = _place_tag(outer, tags[rank].shape[:2], (height, width), places[:rank])
    for tag, (x1, y1, x2, y2) in zip(reversed(tags), places[::-1].tolist(), strict=True):
        canvas[y1:y2, x1:x2] = tag
    return canvas


def is_crowded(
    labels: np.ndarray, class_names: Sequence[str], size_hw: tuple[int, int], *, scores: np.ndarray | None = None
) -> bool:
    """Check whether the tags of `draw_boxes`, however small, would be too many in a small image of (height, width)."""
    characters = sum(map(len, _tag_texts(labels, class_names, scores, None)))
    return characters * LEAST_TEXT**2 > CROWDED * size_hw[0] * size_hw[1]


def _tag_texts(labels, class_names, scores, track_ids) -> list[str]:
    starts = [""] * len(labels) if track_ids is None else [f"#{i} " if i >= 0 else "" for i in track_ids]
    ends = [""] * len(labels) if scores is None else [f" {score:.2f}" for score in scores]
    return [f"{a}{class_names[label]}{z}" for a, label, z in zip(starts, labels, ends, strict=True)]


def _text_size(texts: Sequence[str], size_hw: tuple[int, int]) -> tuple[int, float]:
    """Return the text height in pixels, and its share of the usual one: so many tags would hide the image."""
    usual = 7 + math.sqrt(size_hw[0] * size_hw[1]) / 80
    hidden = sum(map(len, texts)) * usual**2 / (size_hw[0] * size_hw[1])  # a character's cell is near enough a square
    size = min(usual, max(LEAST_TEXT, usual * math.sqrt(MOST_HIDDEN / max(hidden, MOST_HIDDEN))))
    return round(size), size / usual


@lru_cache(maxsize=512)
def _tag(text: str, size: int, color: Color, rim: int, max_width: int) -> np.ndarray:
    """Draw a tag, RGB uint8 (h, w, 3); text too wide for the image is set smaller, down to 7 pixels."""
    mask = text_mask(text, size)
    if mask.shape[1] > max_width and size > 7:
        mask = text_mask(text, max(7, size * max_width // mask.shape[1]))
    tag = blend(mask, contrast_color(color), color)
    # The border parts it from a neighbour of the same class.
    tag[:rim] = tag[-rim:] = tag[:, :rim] = tag[:, -rim:] = contrast_color(color)
    return tag


def _paint_frame(canvas: np.ndarray, corners: list[int], thickness: int, color: Color) -> None:
    """Paint a rectangle whose line is centred on the pixels of `corners` (x1, y1, x2, y2); clipped to the canvas."""
    x1, y1, x2, y2 = corners
    outward, inward = thickness // 2, (thickness + 1) // 2
    left, top, right, bottom = (max(0, side) for side in (x1 - outward, y1 - outward, x2 + outward, y2 + outward))
    canvas[top : y1 + inward, left : right + 1] = color
    canvas[max(0, y2 + 1 - inward) : bottom + 1, left : right + 1] = color
    canvas[top : bottom + 1, left : x1 + inward] = color
    canvas[top : bottom + 1, max(0, x2 + 1 - inward) : right + 1] = color


def _place_tag(box: np.ndarray, tag_hw: tuple[int, int], image_hw: tuple[int, int], placed: np.ndarray) -> np.ndarray:
    """Place a tag, xyxy inside the image: the first place of the least overlap with `placed` (K, 4)."""
    x1, y1, x2, y2 = box
    height, width = tag_hw
    ys, xs = (y1 - height, y2, y1, y2 - height), (x1, x2 - width)  # above, below, inside; left, right
    places = np.clip([(x, y) for y in ys for x in xs], 0, [image_hw[1] - width, image_hw[0] - height])
    places = np.concatenate([places, places + (width, height)], axis=1)  # (8, 4)
    start = np.maximum(places[:, None, :2], placed[None, :, :2])
    end = np.minimum(places[:, None, 2:], placed[None, :, 2:])
    overlap = np.clip(end - start, 0, None).prod(axis=2).sum(axis=1)  # (8,)
    return places[overlap.argmin()]


def check_image(image: np.ndarray) -> None:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ValueError(f"expected an RGB image, uint8 (H, W, 3), got {found}")
    if image.size == 0:
        raise ValueError(f"expected an image with pixels, got shape {image.shape}")


def _check_objects(
    boxes: np.ndarray, labels: np.ndarray, class_names: Sequence[str], scores: np.ndarray | None
) -> None:
    count = len(boxes)
    if boxes.shape != (count, 4):
        raise ValueError(f"expected boxes of shape (N, 4), got {boxes.shape}")
    if labels.shape != (count,) or (count and not np.issubdtype(labels.dtype, np.integer)):
        raise ValueError(f"expected integer labels of shape ({count},), got {labels.dtype} {labels.shape}")
    if scores is not None and np.shape(scores) != (count,):
        raise ValueError(f"expected scores of shape ({count},), got {np.shape(scores)}")
    if not np.isfinite(boxes).all():
        index = int(np.flatnonzero(~np.isfinite(boxes).all(axis=1))[0])
        raise ValueError(f"box {index} is not finite: {boxes[index].tolist()}")
    if count and not (labels.min() >= 0 and labels.max() < len(class_names)):
        raise ValueError(f"expected labels from 0 to {len(class_names) - 1}, got {labels.min()} to {labels.max()}")
