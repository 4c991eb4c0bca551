"""Sheets of pictures for a run's folder: what the network is trained on, and what it finds."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from utils.annotations import Annotation
from utils.colors import Color, class_color
from utils.detections import Detections
from utils.draw import draw_boxes, image_grid, is_crowded
from utils.images import read_image
from utils.pixel_range import PixelRange
from utils.runs import atomic_path

SHEETS = 2
PER_SHEET = 9
CELL = 480  # px, the side of a picture's cell
SCORE = 0.5  # detections below it are left out of the pictures, not of the metrics


@dataclass(frozen=True, eq=False)
class Drawing:
    """An RGB uint8 (H, W, 3) picture and what is to be drawn on it.

    boxes: (N, 4) xyxy in its pixels. labels: (N,). scores: (N,), or None for annotations.
    """

    title: str
    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray | None = None


def write_sheet(path: Path, drawings: Sequence[Drawing], class_names: Sequence[str]) -> np.ndarray:
    """Lay pictures with their boxes out in a grid, write it as a JPEG and return it.

    Pictures that their tags would hide have none; then the sheet has a legend of its classes' colours.
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
        partial.write_bytes(data)
    return sheet


def write_validation_sheets(
    run_dir: Path,
    stem: str,
    annotations: Sequence[Annotation],
    class_names: Sequence[str],
    *,
    found: Mapping[int, Detections] | None = None,
    pixel_range: PixelRange | None = None,
) -> None:
    """`STEM_N.jpg`: pictures evenly spread over the split, with their annotations or with what was found."""
    chosen = (
        np.linspace(0, len(annotations) - 1, min(len(annotations), SHEETS * PER_SHEET)).round().astype(int).tolist()
    )
    for sheet, start in enumerate(range(0, len(chosen), PER_SHEET)):
        ids = chosen[start : start + PER_SHEET]
        drawings = []
        for i in ids:
            image, scale = _shrunk(annotations[i], pixel_range)
            shown = annotations[i] if found is None else found[i].above(SCORE)
            scores = None if found is None else shown.scores
            drawings.append(Drawing(annotations[i].image_path.name, image, shown.boxes * scale, shown.labels, scores))
        write_sheet(run_dir / f"{stem}_{sheet}.jpg", drawings, class_names)


def _shrunk(annotation: Annotation, pixel_range: PixelRange | None) -> tuple[np.ndarray, float]:
    """The picture, no larger than its cell so that lines are drawn at the size they are seen at, and its scale."""
    image = read_image(annotation.image_path, pixel_range=pixel_range)
    scale = min(1.0, CELL / max(image.shape[:2]))
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return image, scale
