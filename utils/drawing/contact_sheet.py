"""Lays images out in a grid, with titles and a legend."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from utils.drawing.boxes import MOST_IN_LEGEND, check_image, draw_boxes, is_crowded
from utils.drawing.colors import Color, class_color, contrast_color
from utils.drawing.text import elide, paint_text, text_mask
from utils.files import atomic_path
from utils.images.fitting import fit_scale, resize

CELL = 480  # px, the side of an image's cell


def image_grid(
    images: Sequence[np.ndarray],
    *,
    titles: Sequence[str] | None = None,
    legend: Sequence[tuple[str, Color]] = (),
    columns: int = 3,
    cell_hw: tuple[int, int] = (480, 480),
    background: Color = (32, 32, 32),
) -> np.ndarray:
    """Lay images out in a grid: each scaled to its cell with its aspect kept, its title above it.

    Args:
        images: RGB uint8 (H, W, 3), of any sizes, at least one.
        titles: as many as images; one that is too long ends in an ellipsis.
        legend: the meaning of each colour, in rows above the images.
        columns: at most so many cells in a row.
        cell_hw: height and width of a cell in pixels, without title.

    Raises:
        ValueError: no images, another number of titles, or an image of another shape or dtype.
    """
    if not images or columns < 1 or min(cell_hw) < 1:
        raise ValueError(f"expected images and positive sizes, got {len(images)} images, {columns=}, {cell_hw=}")
    if titles is not None and len(titles) != len(images):
        raise ValueError(f"expected a title for each of the {len(images)} images, got {len(titles)}")
    for image in images:
        check_image(image)
    cell_height, cell_width = cell_hw
    gap = max(2, min(cell_hw) // 60)
    text_size = max(8, min(cell_hw) // 28)
    title_height = 0 if titles is None else text_mask("", text_size).shape[0]
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    pitch_y, pitch_x = cell_height + title_height + gap, cell_width + gap
    sheet = np.full((rows * pitch_y + gap, columns * pitch_x + gap, 3), background, np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * pitch_y + gap, i % columns * pitch_x + gap
        resized = resize(image, fit_scale(image.shape[1::-1], (cell_width, cell_height)))
        height, width = resized.shape[:2]
        y, x = top + title_height + (cell_height - height) // 2, left + (cell_width - width) // 2
        sheet[y : y + height, x : x + width] = resized
        if titles is not None:
            title = elide(str(titles[i]), text_size, cell_width)
            x = max(left, min(x, left + cell_width - text_mask(title, text_size).shape[1]))
            cell = sheet[y - title_height : y, x : left + cell_width]
            paint_text(cell, title, text_size, (0, 0), contrast_color(background), background)
    return np.concatenate([_legend(legend, sheet.shape[1], text_size, gap, background), sheet]) if legend else sheet


def _legend(
    entries: Sequence[tuple[str, Color]], width: int, text_size: int, gap: int, background: Color
) -> np.ndarray:
    """Draw rows of colours with their names, RGB uint8 (H, width, 3)."""
    if len(entries) > MOST_IN_LEGEND:
        entries = [*entries[:MOST_IN_LEGEND], (f"and {len(entries) - MOST_IN_LEGEND} more", background)]
    ink, height = contrast_color(background), text_mask("", text_size).shape[0]
    rows, x = [np.full((height + gap, width, 3), background, np.uint8)], gap
    for name, color in entries:
        name = elide(name, text_size, width - height - 3 * gap)
        needed = height + gap + text_mask(name, text_size).shape[1] + 3 * gap
        if x > gap and x + needed > width:
            rows.append(np.full_like(rows[0], background))
            x = gap
        rows[-1][gap + 2 : gap + height - 2, x + 2 : x + height - 2] = color
        paint_text(rows[-1], name, text_size, (x + height, gap), ink, background)
        x += needed
    return np.concatenate(rows)


@dataclass(frozen=True, eq=False)
class Drawing:
    """An RGB uint8 (H, W, 3) image and what is to be drawn on it.

    boxes: (N, 4) xyxy in its pixels. labels: (N,). scores: (N,), or None for annotations.
    """

    title: str
    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray | None = None


def write_sheet(path: Path, drawings: Sequence[Drawing], class_names: Sequence[str]) -> np.ndarray:
    """Lay images with their boxes out in a grid, write it as a JPEG and return it.

    Images that their tags would hide have none; then the sheet has a legend of its classes' colours.
    """
    crowded = [is_crowded(d.labels, class_names, d.image.shape[:2], scores=d.scores) for d in drawings]
    drawn = [
        draw_boxes(d.image, d.boxes, d.labels, class_names, scores=d.scores, show_labels=not hidden)
        for d, hidden in zip(drawings, crowded, strict=True)
    ]
    legend: list[tuple[str, Color]] = []
    if any(crowded):
        counts = Counter(label for d in drawings for label in d.labels.tolist())
        legend = [(class_names[label], class_color(label)) for label, _ in counts.most_common()]
    titles = [d.title for d in drawings]
    sheet = image_grid(drawn, titles=titles, legend=legend, columns=3, cell_hw=(CELL, CELL))
    with atomic_path(path) as partial:
        _, data = cv2.imencode(".jpg", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])
        partial.write_bytes(data.tobytes())
    return sheet
