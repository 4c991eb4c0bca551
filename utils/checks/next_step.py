"""The command to type after a check: the training, or the copy without the errors."""

from collections.abc import Mapping

from utils.annotations.annotation import equal_annotations
from utils.annotations.findings import CHECKS, ERROR, Finding
from utils.annotations.scan_result import Scan
from utils.checks.diagnosis import Diagnosis
from utils.cli.command import command


def next_step(diagnosis: Diagnosis, scans: Mapping[str, Scan], flags: Mapping[str, object]) -> str:
    """Return the training command where there is no error, that with --fix-to where it fixes all of them.

    Args:
        flags: those that were given to the check and that training takes, too, such as `{"img_size": 480}`.
    """
    config = diagnosis.config.path
    if not diagnosis.count(ERROR):
        return command("train.py", config=config, **flags)
    if fixable(diagnosis, scans):
        return command("check_dataset.py", config=config, **flags, fix_to=f"data/{config.stem}_fixed")
    return "fix the errors, then run the same check again"


def fixable(diagnosis: Diagnosis, scans: Mapping[str, Scan]) -> bool:
    """Check whether `repair` leaves none of the errors, and something to train on and to validate on."""
    errors = [finding for of_split in diagnosis.findings.values() for finding in of_split if finding.severity == ERROR]
    images = all(statistics.images for statistics in diagnosis.statistics.values())
    return images and all(_is_fixed(finding, scans) for finding in errors)


def _is_fixed(finding: Finding, scans: Mapping[str, Scan]) -> bool:
    if finding.check == "same-in-both":  # a copy with other boxes stays: which are right?
        of_path = {a.image_path: a for scan in scans.values() for a in scan.annotations}
        image, other = (of_path.get(path) if path else None for path in (finding.image, finding.other))
        return image is not None and other is not None and equal_annotations(image, other)
    if finding.check == "unknown-class":  # others would cost the whole image
        return finding.meant is not None
    return CHECKS[finding.check].of_a_file
