"""Draws small images of what was found: the boxes in question on their image, also those too small to be seen."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from utils.annotations.annotation import Annotation
from utils.drawing.boxes import draw_boxes, is_crowded
from utils.drawing.colors import BLACK, WHITE, class_color
from utils.errors import DatasetError
from utils.images.fitting import shrink_to_fit
from utils.images.io import read_image
from utils.images.pixel_range import PixelRange

Boxes = Sequence[Sequence[float]]  # each (x1, y1, x2, y2) in pixels of the upright image
Region = tuple[int, int, int, int]  # such a box, perhaps reaching out of the image

SIDE = 360  # pixels of an image's long side
QUALITIES = 80, 60, 40, 25  # of the JPEG: the first that keeps to
MOST_BYTES = 30_000
SHARP_COLOURS = cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444  # lines of 3 pixels keep theirs
MAX_ASPECT = 3  # a panorama is shown in part
MARGIN = 0.3  # of the image's long side: how far out of it boxes are followed
SMALL, TINY = 44, 14  # pixels in the image: a box below the first is enlarged, below the second pointed at
LEAST_SEEN = 32.0  # pixels of the image that are enlarged, across
COLOURS = 8, 2  # labels of `class_color`: pink for a finding's first box, blue for its second


@dataclass(frozen=True)
class Thumbnail:
    """A JPEG and its size in pixels; `fault` says instead why there is none."""

    jpeg: bytes = b""
    width: int = 0
    height: int = 0
    fault: str = ""


@dataclass(frozen=True)
class Wanted:
    """An image to show, its long side `side` pixels; `seconds` are the indices of the boxes in another colour."""

    path: Path
    boxes: Boxes = ()
    seconds: frozenset[int] = frozenset()
    side: int = SIDE

    def draw(self, image: np.ndarray) -> np.ndarray:
        """Draw the boxes in question on the image, RGB uint8 (H, W, 3)."""
        return show_boxes(image, self.boxes, seconds=self.seconds, side=self.side)


@dataclass(frozen=True, eq=False)
class Sample:
    """An annotated image to show as it is, its long side at most `SIDE` pixels, with all its boxes and names."""

    annotation: Annotation
    class_names: tuple[str, ...]

    @property
    def path(self) -> Path:
        return self.annotation.image_path

    def draw(self, image: np.ndarray) -> np.ndarray:
        """Draw all boxes with the names of their classes, or without where these would hide the image."""
        scale, labels = min(1.0, SIDE / max(image.shape[:2])), self.annotation.labels
        image = shrink_to_fit(image, (SIDE, SIDE))
        named = not is_crowded(labels, self.class_names, image.shape[:2])
        return draw_boxes(image, self.annotation.boxes * scale, labels, self.class_names, show_labels=named)


def make_thumbnails(
    wanted: Sequence[Wanted | Sample], *, pixel_range: PixelRange | None = None, progress: bool = True
) -> list[Thumbnail]:
    """Make a thumbnail of each; one that cannot be made has its fault and stops nothing."""
    # Threads, because OpenCV lets others run while it decodes; few, because each may hold an image of a gigabyte.
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        made = pool.map(lambda one: _make(one, pixel_range), wanted)
        try:
            bar = tqdm(
                made, total=len(wanted), desc="Images", unit="image", dynamic_ncols=True, delay=2,
                disable=None if progress else True,
            )  # fmt: skip
            return list(bar)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _make(wanted: Wanted | Sample, pixel_range: PixelRange | None) -> Thumbnail:
    try:
        thumbnail = wanted.draw(read_image(wanted.path, pixel_range=pixel_range))
    except DatasetError as error:
        return Thumbnail(fault=str(error).removeprefix(f"{wanted.path}: "))
    except (OSError, ValueError, MemoryError, cv2.error) as error:  # a name with a null byte; an image of gigabytes
        return Thumbnail(fault=str(error) or type(error).__name__)
    height, width = thumbnail.shape[:2]
    return Thumbnail(_jpeg(thumbnail), width, height)


def _jpeg(thumbnail: np.ndarray) -> bytes:
    data = b""
    for quality in QUALITIES:
        flags = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1, *SHARP_COLOURS]
        data = cv2.imencode(".jpg", cv2.cvtColor(thumbnail, cv2.COLOR_RGB2BGR), flags)[1].tobytes()
        if len(data) <= MOST_BYTES:
            break
    return data


def show_boxes(
    image: np.ndarray, boxes: Boxes, *, seconds: frozenset[int] = frozenset(), side: int = SIDE
) -> np.ndarray:
    """Return the image with its boxes, RGB uint8, its long side `side` pixels.

    Where boxes leave the image, a hatched margin follows them, up to 30 % of the image's long side. Boxes that would be
    too small to be seen have brackets around them, and one of them is enlarged in a corner. Boxes that are not finite
    are left out; inverted ones are turned about.
    """
    corners = np.asarray(boxes, np.float64).reshape(-1, 4)
    labels = np.array([COLOURS[i in seconds] for i in range(len(corners))], np.int64)
    finite = np.isfinite(corners).all(axis=1)
    corners, labels = corners[finite], labels[finite]
    start, end = corners[:, :2], corners[:, 2:]
    corners = np.concatenate([np.minimum(start, end), np.maximum(start, end)], axis=1)

    region = _region(image.shape[:2], corners)
    corners = np.clip(corners, np.tile(region[:2], 2), np.tile(region[2:], 2))
    scale = side / max(region[2] - region[0], region[3] - region[1])
    shown = _view(image, region, scale)
    _paint(shown, (corners - np.tile(region[:2], 2)) * scale, labels)
    focus = _focus(corners, scale)
    return shown if focus is None else _with_lens(shown, image, region, corners, labels, focus)


def _region(size_hw: tuple[int, int], corners: np.ndarray) -> Region:
    """Return what is shown: the image and what its boxes need around it; of a panorama what is near its first box."""
    height, width = size_hw
    start, end = np.zeros(2), np.array([width, height], np.float64)
    if len(corners):
        least, most = max(width, height) * 0.04, max(width, height) * MARGIN
        out = np.concatenate([-corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0) - end])
        margins = np.where(out > 0.5, np.clip(out * 1.1, least, most), 0).round()
        start, end = start - margins[:2], end + margins[2:]
    size = end - start
    kept = np.minimum(size, size.min() * MAX_ASPECT)
    middle = corners[0].reshape(2, 2).mean(axis=0) if len(corners) else (start + end) / 2
    start = np.clip((middle - kept / 2).round(), start, end - kept)
    return *start.astype(int).tolist(), *(start + kept).astype(int).tolist()


def _view(image: np.ndarray, region: Region, scale: float) -> np.ndarray:
    """Return a part of the image, scaled, on a hatched ground where it reaches out of the image."""
    height, width = image.shape[:2]
    left, top, right, bottom = region
    out_width, out_height = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    ys, xs = np.ogrid[:out_height, :out_width]
    view = np.repeat((72 + 20 * ((ys + xs) // 6 % 2)).astype(np.uint8)[:, :, None], 3, axis=2)
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if x1 >= x2 or y1 >= y2:
        return view
    start_x, start_y = min(round((x1 - left) * scale), out_width - 1), min(round((y1 - top) * scale), out_height - 1)
    end_x, end_y = max(start_x + 1, round((x2 - left) * scale)), max(start_y + 1, round((y2 - top) * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST if scale > 3 else cv2.INTER_CUBIC
    view[start_y:end_y, start_x:end_x] = cv2.resize(
        image[y1:y2, x1:x2], (end_x - start_x, end_y - start_y), interpolation=how
    )
    return view


def _paint(canvas: np.ndarray, corners: np.ndarray, labels: np.ndarray) -> None:
    """Draw frames on `canvas`, those of the first colour on top; `corners` (N, 4) are in its pixels."""
    last = np.array(canvas.shape[1::-1]) - 2  # so that the line of a box at the border is seen
    for i in [*np.flatnonzero(labels != COLOURS[0]), *np.flatnonzero(labels == COLOURS[0])]:
        box, label = corners[i], labels[i]
        colour, (width, height) = class_color(int(label)), box[2:] - box[:2]
        if min(width, height) < TINY / 3 or max(width, height) < TINY:
            _brackets(canvas, box, colour)
        start = np.clip(np.rint(box[:2]), 1, last).astype(int)
        end = np.clip(np.rint(box[2:]) - 1, start, last).astype(int)
        line = 1 if min(width, height) <= TINY else 3 if label == COLOURS[0] else 7  # seen where it is below, too
        for thickness, paint in ((line + 2, WHITE), (line, colour)):
            cv2.rectangle(canvas, start.tolist(), end.tolist(), paint, thickness)


def _brackets(canvas: np.ndarray, box: np.ndarray, colour: tuple[int, int, int]) -> None:
    """Draw four strokes that point at a box from outside."""
    gap, stroke = 6, 13
    x, y = ((box[:2] + box[2:]) / 2).round().astype(int).tolist()
    reach_x, reach_y = (np.ceil((box[2:] - box[:2]) / 2).astype(int) + gap).tolist()
    for thickness, paint in ((5, WHITE), (3, colour)):
        for sign in (-1, 1):
            start = (x + sign * reach_x, y)
            cv2.line(canvas, start, (start[0] + sign * stroke, y), paint, thickness)
            start = (x, y + sign * reach_y)
            cv2.line(canvas, start, (x, start[1] + sign * stroke), paint, thickness)


def _focus(corners: np.ndarray, scale: float) -> np.ndarray | None:
    """Choose what to enlarge: all boxes, if together they are small, else the first small one, xyxy (4,)."""
    if not len(corners):
        return None
    union = np.concatenate([corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)])
    for box in (union, *corners):
        if (box[2:] - box[:2]).max() * scale < SMALL:
            return box
    return None


def _with_lens(shown, image, region: Region, corners, labels, focus) -> np.ndarray:
    """Enlarge the vicinity of `focus` in a corner of `shown`, the one that hides the least of it."""
    height, width = shown.shape[:2]
    left, top, right, bottom = region
    scale = width / (right - left)
    lens = round(min(0.42 * max(height, width), 0.62 * min(height, width)))
    seen = max(LEAST_SEEN, 2.2 * (focus[2:] - focus[:2]).max())
    seen = round(min(seen, right - left, bottom - top))  # pixels of the image across the lens
    if lens / seen < 1.5 * scale:  # the image shows it as large
        return shown
    middle = (focus[:2] + focus[2:]) / 2
    x, y = np.clip((middle - seen / 2).round(), (left, top), (right - seen, bottom - seen)).astype(int).tolist()
    view = _view(image, (x, y, x + seen, y + seen), lens / seen)
    inside = corners - (x, y, x, y)
    near = (inside[:, :2] < seen).all(axis=1) & (inside[:, 2:] >= 0).all(axis=1)
    _paint(view, inside[near] * lens / seen, labels[near])
    view[:3] = view[-3:] = view[:, :3] = view[:, -3:] = WHITE
    view[0] = view[-1] = view[:, 0] = view[:, -1] = BLACK
    middle = (middle - (left, top)) * scale
    places = [(left, top) for top in (0, height - lens) for left in (width - lens, 0)]
    left, top = max(places, key=lambda place: np.abs(np.array(place) + lens / 2 - middle).max())
    shown[top : top + lens, left : left + lens] = view
    return shown
