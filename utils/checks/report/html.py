"""Writes the report on a dataset as one HTML page that needs nothing else: no other file, no network, no script."""

import base64
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from pathlib import Path

import yaml
from markupsafe import Markup

from utils.annotations.annotation import Annotation
from utils.annotations.findings import CHECKS, ERROR, NOTE, SEVERITIES, WARNING, Finding
from utils.checks.diagnosis import Diagnosis
from utils.checks.report.html_statistics import statistics_view
from utils.checks.report.terminal import format_title
from utils.checks.report.thumbnails import SIDE, Sample, Thumbnail, Wanted, make_thumbnails
from utils.files import write_text_atomically
from utils.html.markup import STYLE, counted, environment, short_path

MOST_CARDS = 12  # images of a check, or pairs of them,
MOST_IMAGES = 120  # and of all checks together
PAIR_SIDE = 260  # pixels
MOST_TEXTS = 2000  # lines of a check,
MOST_LINES = 12_000  # and of all checks together
MOST_CAUSES = 20
MOST_SHOWN = 20  # lines at once, where there are no images
LONGEST_TEXT = 1000  # characters

SIGNS = {ERROR: "✕", WARNING: "!", NOTE: "i"}
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # a browser asks nobody and runs nothing


@dataclass
class Card:
    """An image with all that a check found in it, perhaps beside another image."""

    split: str
    findings: list[Finding]

    @property
    def wanted(self) -> list[Wanted]:
        """Return the images to make, those that are there."""
        boxes: list[tuple[float, float, float, float]] = []
        seconds: set[int] = set()
        for finding in self.findings:
            seconds |= {len(boxes) + i for i in range(1, len(finding.boxes))}
            boxes += finding.boxes
        first = self.findings[0]
        side = PAIR_SIDE if first.image and first.other else SIDE
        images = [Wanted(first.image, boxes, frozenset(seconds), side)] if first.image else []
        return [*images, Wanted(first.other, side=side)] if first.other else images


def write_html(diagnosis: Diagnosis, path: Path, *, progress: bool = True) -> None:
    """Write the report to `path`, whole or not at all. An image that cannot be shown has the reason in its place.

    Raises OSError where `path` cannot be written.
    """
    write_text_atomically(path, _page(diagnosis, progress=progress))


def _page(diagnosis: Diagnosis, *, progress: bool) -> str:
    found = diagnosis.by_check()
    cards = {check: _cards(pairs, _room(found)) for check, pairs in found.items()}
    wanted: list[Wanted | Sample] = [one for of_check in cards.values() for card in of_check for one in card.wanted]
    samples = [(split, a) for split, of_split in diagnosis.samples.items() for a in of_split]
    wanted += [Sample(annotation, diagnosis.config.class_names) for _, annotation in samples]
    thumbnails = iter(make_thumbnails(wanted, pixel_range=diagnosis.config.pixel_range, progress=progress))
    config = diagnosis.config
    return (
        environment(Path(__file__).parent)
        .get_template("report.html")
        .render(
            name=config.path.name,
            path=config.path,
            style=Markup(STYLE.read_text(encoding="utf-8")),
            policy=POLICY,
            signs=SIGNS,
            facts={
                "format": format_title(diagnosis),
                "classes": f"{len(config.class_names) - 1:,}",
                "for model": diagnosis.model,
                "image size": diagnosis.img_size,
                "checked": f"{datetime.now():%Y-%m-%d %H:%M}",
            },
            verdict=_verdict(diagnosis),
            counts={severity: diagnosis.count(severity) for severity in SEVERITIES},
            tiles=[
                (split, counted(s.images, "image"), counted(s.objects, "object"))
                for split, s in diagnosis.statistics.items()
            ],
            sections=[_section(check, pairs, cards[check], thumbnails, len(found)) for check, pairs in found.items()],
            samples=[_sample(split, annotation, next(thumbnails)) for split, annotation in samples],
            statistics=statistics_view(diagnosis),
        )
    )


def _room(found: dict) -> int:
    """Return the number of cards for each check, in rows of four: fewer where many checks found something."""
    return max(4, min(MOST_CARDS, MOST_IMAGES // max(1, len(found)) // 4 * 4))


def _verdict(diagnosis: Diagnosis) -> dict[str, str]:
    counts = {severity: diagnosis.count(severity) for severity in SEVERITIES}
    if counts[ERROR]:
        kind, text = ERROR, "Fix the errors before any training."
        if all(CHECKS[name].of_a_file for name in diagnosis.by_check() if CHECKS[name].severity == ERROR):
            text = "Errors stop a training before it starts: fix them, or leave these files out with --skip-bad."
    elif counts[WARNING]:
        kind, text = WARNING, "Nothing stops a training, but look at the warnings: the network learns what is labelled."
    elif counts[NOTE]:
        kind, text = "good", "Nothing wrong found. The notes say what else there is to know."
    else:
        kind, text = "good", "Nothing wrong found."
    return {"kind": kind, "text": text, "sign": SIGNS.get(kind, "✓")}


def _cards(pairs: list[tuple[str, Finding]], most: int) -> list[Card]:
    """Return at most `most` cards, of every split and cause in turn, so that they show all kinds of findings."""
    cards: dict[tuple, Card] = {}
    for number, (split, finding) in enumerate(pairs):
        alone = number if finding.other or not finding.image else None
        if finding.image or finding.other or finding.check == "image-unreadable":
            key = split, finding.subject, finding.image, alone
            cards.setdefault(key, Card(split, [])).findings.append(finding)
    kinds: dict[tuple, list[Card]] = {}
    for (split, subject, *_), card in cards.items():
        kinds.setdefault((split, subject), []).append(card)
    turns = (card for turn in zip_longest(*kinds.values()) for card in turn if card)
    return [card for card, _ in zip(turns, range(most), strict=False)]


def _section(
    check: str, pairs: list[tuple[str, Finding]], cards: list[Card], thumbnails: Iterator[Thumbnail], checks: int
) -> dict:
    about, most = CHECKS[check], min(MOST_TEXTS, MOST_LINES // checks)
    return {
        "check": check,
        "severity": about.severity,
        "title": about.title[:1].upper() + about.title[1:],
        "count": len(pairs),
        "of_split": Counter(split for split, _ in pairs),
        "remedy": about.remedy,
        "renaming": _renaming(pairs),
        "causes": _causes(pairs),
        "cards": [_figure(card, [next(thumbnails) for _ in card.wanted]) for card in cards],
        "open": not cards and len(pairs) <= MOST_SHOWN,
        "summary": "The one finding" if len(pairs) == 1 else f"All {len(pairs):,} findings",
        "lines": [(split, _cut(finding.text)) for split, finding in pairs[:most]],
        "rest": max(0, len(pairs) - most),
    }


def _renaming(pairs: list[tuple[str, Finding]]) -> str:
    """Return the YAML's line that gives misspelt classes their meaning, "" where none has one."""
    meant = dict(finding.meant for _, finding in pairs if finding.meant)
    if not meant:
        return ""
    line = yaml.safe_dump({"RENAME": meant}, default_flow_style=None, allow_unicode=True, sort_keys=False, width=10**6)
    return line.strip()


def _causes(pairs: list[tuple[str, Finding]]) -> list[tuple[str, list[str]]]:
    """Count the findings of each cause, where several have one in common."""
    causes = Counter(finding.subject for _, finding in pairs if finding.subject).most_common()
    if not causes or len(causes) == len(pairs):
        return []
    rows = [(_cut(subject), [f"{count:,}"]) for subject, count in causes[:MOST_CAUSES]]
    if rest := causes[MOST_CAUSES:]:
        rows.append((f"{len(rest):,} others", [f"{sum(count for _, count in rest):,}"]))
    return rows


def _figure(card: Card, thumbnails: list[Thumbnail]) -> dict:
    first = card.findings[0]
    paths = [path for path in (first.image, first.other) if path]
    source, _, fault = first.text.partition(": ")
    boxes = sum(len(finding.boxes) for finding in card.findings)
    images = [
        _image(thumbnail, path, boxes if path == first.image else 0)
        for thumbnail, path in zip(thumbnails, paths, strict=True)
    ]
    if not paths:  # of an image that cannot be read, the text has the name
        paths, images = [Path(source)], [{"fault": _cut(fault, 200)}]
    text = first.text if first.image else ""
    if first.image and Path(source).stem == first.image.stem:  # the list of all findings has the folders
        text = Path(source).name + text.removeprefix(source)
    return {
        "kind": "pair" if len(paths) > 1 else "" if any(thumbnail.jpeg for thumbnail in thumbnails) else "low",
        "split": card.split,
        "images": images,
        "names": [(path, short_path(path) if len(paths) > 1 else path.name) for path in paths],
        "text": "" if text == paths[0].name else _cut(text, 300),
        "more": len(card.findings) - 1,
    }


def _sample(split: str, annotation: Annotation, thumbnail: Thumbnail) -> dict:
    path = annotation.image_path
    return {
        "kind": "" if thumbnail.jpeg else "low",
        "split": split,
        "images": [_image(thumbnail, path, len(annotation.labels))],
        "names": [(path, path.name)],
        "text": counted(len(annotation.labels), "object"),
        "more": 0,
    }


def _image(thumbnail: Thumbnail, path: Path, boxes: int) -> dict:
    return {
        "fault": _cut(thumbnail.fault or "", 200),
        "data": base64.b64encode(thumbnail.jpeg or b"").decode(),
        "width": thumbnail.width,
        "height": thumbnail.height,
        "alt": path.name + (f", with {counted(boxes, 'marked box', 'marked boxes')}" if boxes else ""),
    }


def _cut(text: str, longest: int = LONGEST_TEXT) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
