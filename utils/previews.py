"""Sheets of pictures for a run's folder: what the network is trained on, and what it finds."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from utils.annotations import Annotation
from utils.detections import Detections
from utils.draw import draw_boxes, image_grid
from utils.images import read_image
from utils.runs import atomic_path

SHEETS = 2
PER_SHEET = 9
CELL = 480  # px, the side of a picture's cell
SCORE = 0.5  # detections below it are left out of the pictures, not of the metrics


def write_sheet(path: Path, images: Sequence[np.ndarray], titles: Sequence[str] | None = None) -> np.ndarray:
    """Lay RGB uint8 pictures out in a grid, write it as a JPEG and return it."""
    columns = min(3, len(images))
    sheet = image_grid(images, titles=titles, columns=columns, cell_hw=(CELL, CELL))
    with atomic_path(path) as partial:
        _, data = cv2.imencode(".jpg", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])
        data.tofile(partial)
    return sheet


def write_validation_sheets(
    run_dir: Path,
    stem: str,
    annotations: Sequence[Annotation],
    class_names: Sequence[str],
    *,
    found: Mapping[int, Detections] | None = None,
) -> None:
    """`STEM_N.jpg`: pictures evenly spread over the split, with their annotations or with what was found."""
    chosen = (
        np.linspace(0, len(annotations) - 1, min(len(annotations), SHEETS * PER_SHEET)).round().astype(int).tolist()
    )
    for sheet, start in enumerate(range(0, len(chosen), PER_SHEET)):
        ids = chosen[start : start + PER_SHEET]
        drawn = []
        for i in ids:
            image, scale = _shrunk(annotations[i])
            shown = annotations[i] if found is None else found[i].above(SCORE)
            scores = None if found is None else shown.scores
            drawn.append(draw_boxes(image, shown.boxes * scale, shown.labels, class_names, scores=scores))
        write_sheet(run_dir / f"{stem}_{sheet}.jpg", drawn, [annotations[i].image_path.name for i in ids])


def _shrunk(annotation: Annotation) -> tuple[np.ndarray, float]:
    """The picture, no larger than its cell so that lines are drawn at the size they are seen at, and its scale."""
    image = read_image(annotation.image_path)
    scale = min(1.0, CELL / max(image.shape[:2]))
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return image, scale
