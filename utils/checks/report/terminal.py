"""Writes a diagnosis as lines for the terminal and as JSON."""

import json
import math
import platform
import shutil
import textwrap
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from utils.annotations.findings import CHECKS, ERROR, NOTE, WARNING
from utils.annotations.scan_result import format_findings
from utils.checks.anchors import shown_size
from utils.checks.diagnosis import Diagnosis
from utils.checks.statistics import Histogram, SplitStatistics
from utils.files import write_text_atomically
from utils.formats.formats import FORMATS

WRITTEN_BY = "check_dataset.py"
COLOURS = {ERROR: "31", WARNING: "33", NOTE: "36"}  # red, yellow, cyan
BARS = "▁▂▃▄▅▆▇█"
PLAIN_BARS = ".:-=+*#@"
MOST_CLASSES = 30


def terminal_lines(
    diagnosis: Diagnosis, *, max_listed: int = 5, colour: bool = False, plain: bool = False, width: int | None = None
) -> list[str]:
    """Return the report for a terminal, without the line that counts the findings.

    Args:
        max_listed: findings of a kind that are listed one by one.
        colour: with ANSI escapes.
        plain: histograms of ASCII characters.
        width: columns; None takes the terminal's, 100 where there is none.
    """
    width = width or min(120, shutil.get_terminal_size((100, 24)).columns)
    config = diagnosis.config
    lines = [
        _styled(f"{config.path}", "1", colour) + f": {format_title(diagnosis)}",
        f"for {diagnosis.model}, --img-size {diagnosis.img_size}: {shown_size(diagnosis.img_size)}",
    ]
    for split, statistics in diagnosis.statistics.items():
        lines += ["", *_split_lines(split, statistics, colour=colour, plain=plain)]
    for check, pairs in diagnosis.by_check().items():
        row = CHECKS[check]
        lines += ["", _styled(row.severity, COLOURS[row.severity], colour) + f"  {row.title}: {len(pairs)}"]
        texts = [
            f"{split}: {text}"
            for split in diagnosis.findings
            for text in format_findings([finding for of_split, finding in pairs if of_split == split])
        ]
        lines += [f"    {text}" for text in texts[:max_listed]]
        if len(texts) > max_listed:
            lines.append(f"    … and {len(texts) - max_listed} more")
        lines += textwrap.wrap(row.remedy, width, initial_indent="  > ", subsequent_indent="    ")
    return lines


def format_title(diagnosis: Diagnosis) -> str:
    """Return the name of the annotations' format, where any were read."""
    if not any(statistics.images for statistics in diagnosis.statistics.values()):
        return "no image with annotations was read"
    return FORMATS[diagnosis.config.annotation_format].title


def count_line(diagnosis: Diagnosis, *, colour: bool = False) -> str:
    """Return the counts by severity: "2 errors, 3 warnings, 1 note"."""
    counts = {severity: diagnosis.count(severity) for severity in (ERROR, WARNING, NOTE)}
    if not any(counts.values()):
        return "no problems found"
    return ", ".join(
        _styled(f"{count} {severity}{'' if count == 1 else 's'}", COLOURS[severity], colour and count > 0)
        for severity, count in counts.items()
    )


def as_dict(diagnosis: Diagnosis) -> dict:
    """Return the diagnosis in plain values, as report.json has it. Keys are added, and never change their meaning.

    | key | value |
    |---|---|
    | written_by, report | "check_dataset.py", and the version of these keys, 1 |
    | versions | of Python, NumPy, OpenCV, Pillow |
    | data_set | path of the YAML and `DatasetConfig.as_dict` |
    | class_names | without the background |
    | model, img_size | what boxes were measured for |
    | errors, warnings, notes | how many |
    | statistics | split -> the fields of `SplitStatistics`; NaN is null |
    | checks | check -> title, severity, remedy, of those that found something |
    | findings | list: split, check, severity, text, subject, image, other (paths or null), boxes (lists of four) |
    """
    config = diagnosis.config
    return {
        "written_by": WRITTEN_BY,
        "report": 1,
        "versions": {
            "python": platform.python_version(),
            **{name.lower(): version(name) for name in ("numpy", "opencv-python", "Pillow")},
        },
        "data_set": {"path": str(config.path), **config.as_dict()},
        "class_names": list(config.class_names[1:]),
        "model": diagnosis.model,
        "img_size": diagnosis.img_size,
        "errors": diagnosis.count(ERROR),
        "warnings": diagnosis.count(WARNING),
        "notes": diagnosis.count(NOTE),
        "statistics": {split: asdict(statistics) for split, statistics in diagnosis.statistics.items()},
        "checks": {
            check: {"title": CHECKS[check].title, "severity": CHECKS[check].severity, "remedy": CHECKS[check].remedy}
            for check in diagnosis.by_check()
        },
        "findings": [
            {
                "split": split,
                "check": finding.check,
                "severity": finding.severity,
                "text": finding.text,
                "subject": finding.subject or None,
                "image": str(finding.image) if finding.image else None,
                "other": str(finding.other) if finding.other else None,
                "boxes": finding.boxes,
            }
            for pairs in diagnosis.by_check().values()
            for split, finding in pairs
        ],
    }


def write_json(diagnosis: Diagnosis, path: Path) -> None:
    """Write `as_dict` as strictly valid JSON in UTF-8."""
    text = json.dumps(_without_nan(as_dict(diagnosis)), indent=1, ensure_ascii=False, allow_nan=False)
    write_text_atomically(path, text + "\n")


def _without_nan(value):
    """Return `value` with null for what JSON has no number for, such as a box that a broken file puts at infinity."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _split_lines(split: str, statistics: SplitStatistics, *, colour: bool, plain: bool) -> list[str]:
    difficult = f", {statistics.difficult} of them difficult" if statistics.difficult else ""
    head = f": {statistics.images} images, {statistics.negatives} of them without objects; "
    lines = [_styled(split, "1", colour) + f"{head}{statistics.objects} objects{difficult}"]
    if not statistics.objects:
        return lines
    names = [_short(name) for name in statistics.objects_of_class]
    width = max(len("class"), *(len(name) for name in names))
    lines.append(f"  {'class':<{width}}  objects   images  no anchor at IoU 0.5")
    rows = list(zip(names, statistics.objects_of_class, strict=True))
    for shown, name in rows[:MOST_CLASSES]:
        lines.append(
            f"  {shown:<{width}} {statistics.objects_of_class[name]:8d} {statistics.images_of_class[name]:8d}"
            f"  {_percent(statistics.unreached_of_class[name]):>20}"
        )
    if len(rows) > MOST_CLASSES:
        lines.append(f"  … and {len(rows) - MOST_CLASSES} more classes")
    if len(rows) > 1:
        positives = statistics.images - statistics.negatives
        lines.append(f"  {'all':<{width}} {statistics.objects:8d} {positives:8d}  {_percent(statistics.unreached):>20}")
    sizes = list(statistics.image_sizes.items())
    more = f", and {len(sizes) - 3} more" if len(sizes) > 3 else ""
    lines.append("  image sizes           " + ", ".join(f"{size} ({count})" for size, count in sizes[:3]) + more)
    bars = PLAIN_BARS if plain else BARS
    lines += [
        f"  objects per image     {_bar_line(statistics.objects_per_image, bars)}",
        f"  box side, network px  {_bar_line(statistics.box_sides, bars)}",
        f"  box height / width    {_bar_line(statistics.box_aspects, bars)}",
        f"  best anchor's IoU     {_bar_line(statistics.anchor_ious, bars)}",
    ]
    return lines


def _bar_line(histogram: Histogram, bars: str) -> str:
    """Return a histogram in one line: its first edge, a bar for each bin, its last edge; a blank for nothing."""
    top = max(*histogram.counts, 1)
    drawn = "".join(bars[math.ceil(len(bars) * count / top) - 1] if count else " " for count in histogram.counts)
    return f"{histogram.edges[0]:6.4g} {drawn} {histogram.edges[-1]:.4g}"


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{share:.1%}"


def _short(name: str, most: int = 40) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _styled(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text
