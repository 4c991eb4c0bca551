"""The result of looking at a data set: what its splits hold, and what was found."""

from dataclasses import dataclass, field

from utils.config import DatasetConfig
from utils.doctor.anchors import Anchors
from utils.findings import CHECKS, SEVERITIES, Finding
from utils.scan import Annotation


@dataclass(frozen=True)
class Histogram:
    """`counts[i]` values lie in `edges[i] <= value < edges[i + 1]`; the last bin includes its upper edge."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class SplitStatistics:
    """What a split holds. Boxes are measured as the network sees them, at the diagnosis's `img_size`.

    | field | meaning |
    |---|---|
    | negatives | images without objects |
    | objects_of_class, images_of_class | by class name, in the order of CLASSES, zeros included |
    | image_sizes | "640x480" (width x height) -> images, the most frequent first |
    | objects_per_image | bins of whole numbers |
    | box_sides | square root of the area, pixels |
    | box_aspects | height / width |
    | anchor_ious | for each box the highest IoU that any anchor reaches |
    | unreached, unreached_of_class | share of boxes that no anchor reaches IoU 0.5 with; NaN without boxes |
    """

    images: int
    negatives: int
    objects: int
    difficult: int
    objects_of_class: dict[str, int]
    images_of_class: dict[str, int]
    image_sizes: dict[str, int]
    objects_per_image: Histogram
    box_sides: Histogram
    box_aspects: Histogram
    anchor_ious: Histogram
    unreached: float
    unreached_of_class: dict[str, float]


@dataclass(frozen=True)
class Diagnosis:
    """`statistics`, `findings` and a few `samples` by split; what concerns both splits stands with "valid"."""

    config: DatasetConfig
    model: str
    anchors: Anchors
    img_size: int
    statistics: dict[str, SplitStatistics] = field(default_factory=dict)
    findings: dict[str, list[Finding]] = field(default_factory=dict)
    samples: dict[str, list[Annotation]] = field(default_factory=dict)

    def by_check(self) -> dict[str, list[tuple[str, Finding]]]:
        """Check -> its (split, finding), for checks that found something, the gravest first."""
        found: dict[str, list[tuple[str, Finding]]] = {}
        for check in sorted(CHECKS, key=lambda name: SEVERITIES.index(CHECKS[name].severity)):
            if pairs := [(split, f) for split, findings in self.findings.items() for f in findings if f.check == check]:
                found[check] = pairs
        return found

    def count(self, severity: str) -> int:
        """How many findings are of a severity, "error", "warning" or "note"."""
        return sum(finding.severity == severity for findings in self.findings.values() for finding in findings)
