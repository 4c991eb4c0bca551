"""All checks of a data set: what the reader found, and what only shows when everything has been read."""

from collections.abc import Mapping, Sequence

import numpy as np

from utils.config import DatasetConfig
from utils.doctor.anchors import Anchors, best_ious
from utils.doctor.boxes import box_findings
from utils.doctor.classes import anchor_findings, class_findings
from utils.doctor.diagnosis import Diagnosis
from utils.doctor.images import image_findings, range_findings
from utils.doctor.leaks import leaks
from utils.doctor.objects import Objects
from utils.doctor.statistics import split_statistics
from utils.scan import Annotation, Scan

SAMPLES = {"train": 8, "valid": 4}  # annotated images that a report shows, whatever was found


def examine(
    config: DatasetConfig,
    scans: Mapping[str, Scan],
    *,
    model: str,
    anchors: Anchors,
    img_size: int,
    thorough: bool = True,
) -> Diagnosis:
    """The diagnosis of a data set that was read by `utils.annotations.scan_splits`.

    Args:
        model: the model that is to be trained, for the words of the report.
        anchors: that model's.
        img_size: short side in pixels that it is to see.
        thorough: also compare the pictures within a split, which only yields notes.
    """
    statistics, found = {}, {split: list(scan.findings) for split, scan in scans.items()}
    for split, scan in scans.items():
        objects = Objects.of(scan.annotations)
        ious = best_ious(objects, anchors, img_size)
        statistics[split] = split_statistics(objects, ious, config.class_names, img_size)
        found[split] += image_findings(scan.annotations, img_size)
        found[split] += box_findings(objects, config.class_names, img_size)
        if split == "train":  # what it is not taught well, it is not asked for in vain either
            found[split] += anchor_findings(objects, ious, config.class_names, anchors, img_size)
    unusable = any(scan.of("box-layout") for scan in scans.values())  # of its classes nothing is known
    ranges = range_findings(scans, config.pixel_range)
    for more in ({} if unusable else class_findings(statistics), leaks(scans, thorough=thorough), ranges):
        for split, findings in more.items():
            found[split] += findings
    samples = {split: _spread(scan.annotations, SAMPLES[split]) for split, scan in scans.items()}
    return Diagnosis(config, model, anchors, img_size, statistics, found, samples)


def _spread(annotations: Sequence[Annotation], count: int) -> list[Annotation]:
    """At most so many images with objects, evenly spread over the split."""
    shown = [annotation for annotation in annotations if len(annotation.labels)]
    chosen = np.linspace(0, len(shown) - 1, min(count, len(shown))).round().astype(int)
    return [shown[i] for i in chosen.tolist()]
