"""Sheets of images for a run's folder: what the network is trained on, and what it finds."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from utils.annotations.annotation import Annotation
from utils.detections import Detections
from utils.drawing.contact_sheet import CELL, Drawing, write_sheet
from utils.images.fitting import shrink_to_fit
from utils.images.io import read_image
from utils.images.pixel_range import PixelRange

SHEETS = 2
PER_SHEET = 9
SCORE = 0.5  # detections below it are left out of the images, not of the metrics


def write_validation_sheets(
    run_dir: Path,
    stem: str,
    annotations: Sequence[Annotation],
    class_names: Sequence[str],
    *,
    found: Mapping[int, Detections] | None = None,
    pixel_range: PixelRange | None = None,
) -> None:
    """Write `STEM_N.jpg`, images evenly spread over the split, with their annotations or with what was found."""
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
    """Return the image, no larger than its cell so that lines are drawn at the size they are seen at, and its scale."""
    image = read_image(annotation.image_path, pixel_range=pixel_range)
    return shrink_to_fit(image, (CELL, CELL)), min(1.0, CELL / max(image.shape[:2]))
