"""The result of a check: what the splits of a dataset hold, and what was found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from utils.annotations.annotation import Annotation
from utils.annotations.findings import CHECKS, SEVERITIES, Finding
from utils.annotations.scan_result import Scan
from utils.checks.anchors import Anchors, best_ious
from utils.checks.boxes import box_findings
from utils.checks.classes import anchor_findings, class_findings
from utils.checks.duplicates import duplicates
from utils.checks.image_sizes import image_findings, range_findings
from utils.checks.statistics import SplitStatistics, split_statistics
from utils.config.dataset_config import DatasetConfig
from utils.dataset.annotation_table import Objects

SAMPLES = {"train": 8, "val": 4, "test": 4}  # annotated images that a report shows, whatever was found


@dataclass(frozen=True)
class Diagnosis:
    """A check's `statistics`, `findings` and a few `samples` by split; what concerns two stands with the later one."""

    config: DatasetConfig
    model: str
    anchors: Anchors
    img_size: int
    statistics: dict[str, SplitStatistics] = field(default_factory=dict)
    findings: dict[str, list[Finding]] = field(default_factory=dict)
    samples: dict[str, list[Annotation]] = field(default_factory=dict)

    def by_check(self) -> dict[str, list[tuple[str, Finding]]]:
        """Return check -> its (split, finding), for checks that found something, the gravest first."""
        found: dict[str, list[tuple[str, Finding]]] = {}
        for check in sorted(CHECKS, key=lambda name: SEVERITIES.index(CHECKS[name].severity)):
            if pairs := [(split, f) for split, findings in self.findings.items() for f in findings if f.check == check]:
                found[check] = pairs
        return found

    def count(self, severity: str) -> int:
        """Count the findings of a severity, "error", "warning" or "note"."""
        return sum(finding.severity == severity for findings in self.findings.values() for finding in findings)


def diagnose(
    config: DatasetConfig,
    scans: Mapping[str, Scan],
    *,
    model: str,
    anchors: Anchors,
    img_size: int,
    thorough: bool = True,
) -> Diagnosis:
    """Check a dataset that was read by `scan_splits`.

    Args:
        model: the model that is to be trained, for the words of the report.
        anchors: that model's.
        img_size: short side in pixels that it is to see.
        thorough: also compare the images within a split, which only yields notes.
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
    for more in ({} if unusable else class_findings(statistics), duplicates(scans, thorough=thorough), ranges):
        for split, findings in more.items():
            found[split] += findings
    samples = {split: _spread(scan.annotations, SAMPLES[split]) for split, scan in scans.items()}
    return Diagnosis(config, model, anchors, img_size, statistics, found, samples)


def _spread(annotations: Sequence[Annotation], count: int) -> list[Annotation]:
    """Return at most `count` images with objects, evenly spread over the split."""
    shown = [annotation for annotation in annotations if len(annotation.labels)]
    chosen = np.linspace(0, len(shown) - 1, min(count, len(shown))).round().astype(int)
    return [shown[i] for i in chosen.tolist()]
