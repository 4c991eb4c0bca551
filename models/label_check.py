"""Detections of a trained model in annotated images, to find labels that they contradict."""

from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from models.detector import Detector
from utils.annotations.annotation import Annotation
from utils.detections import Detections
from utils.errors import ConfigError

LEAST_SCORE = 0.05  # of detections that say anything about a label


def detect_on(
    annotations: Sequence[Annotation], weights: Path, class_names: Sequence[str], *, progress: bool = True
) -> list[Detections]:
    """Return what a checkpoint finds in each image, down to a score of 0.05.

    Raises ConfigError where its classes are not those of the dataset; CheckpointError where it cannot be read.
    """
    detector = Detector(weights)
    if tuple(detector.class_names) != tuple(class_names):
        raise ConfigError(
            f"{weights}: its classes are {', '.join(detector.class_names[1:])}, those of the dataset "
            f"{', '.join(class_names[1:])}: give a checkpoint that was trained on this dataset"
        )
    found = []
    bar = tqdm(annotations, desc="Detecting", unit="image", dynamic_ncols=True, disable=None if progress else True)
    for annotation in bar:
        (seen,) = detector([annotation.image_path], threshold=LEAST_SCORE)
        found.append(Detections(seen.boxes, seen.scores, seen.labels))
    return found
