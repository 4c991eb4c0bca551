"""The result of reading one split of a dataset: an `Annotation` per usable image, and every finding."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from utils.annotations.annotation import Annotation
from utils.annotations.findings import CHECKS, ERROR, Finding
from utils.images.pixel_range import UsedValues


@dataclass
class Scan:
    """A split as read: `annotations` in natural order of the image names, and what was found on the way.

    `thumbnails` has for each annotation a small copy of its image, as bytes. With `skip_bad`, files that
    cannot be used are left out; otherwise they are `errors`, which stop the training. `ignored` counts by image and
    name the objects of ignored classes, which are left out. `turned` are the `TurnedImage`s in it, and `used` the
    values of images of more than eight bits. `outside` is True where files outside of the split's folders had a say.
    """

    annotations: list[Annotation] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    thumbnails: list[bytes] = field(default_factory=list)
    skip_bad: bool = False
    ignored: dict[Path, Counter] = field(default_factory=dict)
    turned: list = field(default_factory=list)
    used: dict[Path, UsedValues] = field(default_factory=dict)
    outside: bool = False

    def extend(self, other: "Scan") -> None:
        """Append the annotations and findings of another part of the split."""
        self.annotations += other.annotations
        self.findings += other.findings
        self.thumbnails += other.thumbnails
        self.ignored |= other.ignored
        self.turned += other.turned
        self.used |= other.used
        self.outside |= other.outside

    def add(self, check: str, text: str, **more) -> None:
        """Append a `Finding`."""
        self.findings.append(Finding(check, text, **more))

    def of(self, check: str) -> list[Finding]:
        """Return the findings of one check."""
        return [finding for finding in self.findings if finding.check == check]

    @property
    def errors(self) -> list[Finding]:
        """Return the findings that stop a training."""
        return [f for f in self.findings if f.severity == ERROR and not (self.skip_bad and CHECKS[f.check].of_a_file)]

    @property
    def skipped(self) -> list[Finding]:
        """Return faults of files that were left out by `skip_bad`."""
        return [f for f in self.findings if self.skip_bad and CHECKS[f.check].of_a_file]

    def summary(self, class_names: tuple[str, ...], max_listed: int | None = 5) -> list[str]:
        """Return lines for the log: counts, objects of each class (0 is the background), the first of each finding."""
        labels = np.concatenate([np.zeros(0, np.int64), *(a.labels for a in self.annotations)])
        per_class = np.bincount(labels, minlength=len(class_names))
        negatives = sum(len(a.labels) == 0 for a in self.annotations)
        difficult = sum(int(a.difficult.sum()) for a in self.annotations)
        lines = [
            f"{len(self.annotations)} images, {negatives} of them without objects",
            f"{len(labels)} objects, {difficult} of them difficult",
        ]
        lines += [f"  {name}: {count}" for name, count in zip(class_names[1:], per_class[1:], strict=True)]
        for check in CHECKS:
            if found := format_findings(self.of(check)):
                skipped = "left out: " if self.skip_bad and CHECKS[check].of_a_file else ""
                lines.append(f"{skipped}{CHECKS[check].title}: {len(self.of(check))}")
                lines += [f"  {text}" for text in found[:max_listed]]
                if max_listed is not None and len(found) > max_listed:
                    lines.append(f"  … and {len(found) - max_listed} more")
        return lines


def format_findings(findings: Sequence[Finding], *, files: int = 3) -> list[str]:
    """Return a line for each finding, but one for all of one subject: its count and the first few files."""
    lines: list[str] = []
    of_subject: dict[str, list[Finding]] = {}
    for finding in findings:
        of_subject.setdefault(finding.subject, []).append(finding)
    for finding in findings:
        like = of_subject[finding.subject]
        if not finding.subject or len(like) <= files:
            lines.append(finding.text)
        elif finding is like[0]:
            names = [f.image.name if f.image else f.text for f in like[:files]]
            lines.append(f"{finding.subject} in {len(like)} files: {', '.join(names)}, …")
    return lines
