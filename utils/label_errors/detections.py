"""Detections in annotated images, to find labels that they contradict."""

from collections.abc import Callable, Sequence
from pathlib import Path

from tqdm import tqdm

from utils.annotations.annotation import Annotation
from utils.detections import Detections

LEAST_DETECTED = 0.05  # of detections that say anything about a label


def detect_on(
    annotations: Sequence[Annotation], detect: Callable[[Path], Detections], *, progress: bool = True
) -> list[Detections]:
    """Return what `detect` finds in each image."""
    bar = tqdm(annotations, desc="Detecting", unit="image", dynamic_ncols=True, disable=None if progress else True)
    seen = (detect(annotation.image_path) for annotation in bar)
    return [Detections(one.boxes, one.scores, one.labels) for one in seen]
