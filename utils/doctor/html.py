"""The report on a data set as one HTML page that needs nothing else: no other file, no network, no script."""

import base64
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from pathlib import Path

import yaml

from utils.doctor.diagnosis import Diagnosis
from utils.doctor.html_statistics import statistics_html
from utils.doctor.html_text import counted, flagged, plain, short_path, table
from utils.doctor.pictures import SIDE, Picture, Wanted, make_pictures
from utils.doctor.report import FORMATS
from utils.findings import CHECKS, ERROR, NOTE, SEVERITIES, WARNING, Finding
from utils.runs import write_text_atomically

MOST_CARDS = 12  # pictures of a check, or pairs of them,
MOST_PICTURES = 120  # and of all checks together
PAIR_SIDE = 260  # pixels
MOST_TEXTS = 2000  # lines of a check,
MOST_LINES = 12_000  # and of all checks together
MOST_CAUSES = 20
MOST_SHOWN = 20  # lines at once, where there are no pictures
LONGEST_TEXT = 1000  # characters

SIGNS = {ERROR: "✕", WARNING: "!", NOTE: "i"}
STYLE = Path(__file__).with_name("report.css")
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # a browser asks nobody and runs nothing


@dataclass
class Card:
    """What is shown together: an image with all that a check found in it, perhaps beside another image."""

    split: str
    findings: list[Finding]

    @property
    def wanted(self) -> list[Wanted]:
        """The pictures to make, those that are there."""
        boxes, seconds = [], set()
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
    wanted = [wanted for of_check in cards.values() for card in of_check for wanted in card.wanted]
    pictures = iter(make_pictures(wanted, progress=progress))
    sections = [_section(check, pairs, cards[check], pictures, len(found)) for check, pairs in found.items()]
    name = plain(diagnosis.config.path.name)
    style = STYLE.read_text(encoding="utf-8")
    problems = ['<h2 id="findings">What was found</h2>', _contents(found), *sections] if found else []
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{name}: the data set examined</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>",
            _header(diagnosis, name),
            _verdict(diagnosis),
            *problems,
            statistics_html(diagnosis),
            "</main>\n</body>\n</html>\n",
        ]
    )


def _room(found: dict) -> int:
    """Cards for each check, in rows of four: fewer where many checks found something."""
    return max(4, min(MOST_CARDS, MOST_PICTURES // max(1, len(found)) // 4 * 4))


def _header(diagnosis: Diagnosis, name: str) -> str:
    config = diagnosis.config
    facts = {
        "format": FORMATS.get(config.annotation_format, config.annotation_format),
        "classes": f"{len(config.class_names) - 1:,}",
        "for model": diagnosis.model,
        "image size": f"{diagnosis.img_size}",
        "examined": f"{datetime.now():%Y-%m-%d %H:%M}",
    }
    items = "".join(f"<div><dt>{key}</dt><dd>{plain(value)}</dd></div>" for key, value in facts.items())
    title = f'<p class="kicker">Data set report</p>\n<h1>{name}</h1>\n<p class="path">{plain(config.path)}</p>'
    return f"<header>\n{title}\n<dl>{items}</dl>\n</header>"


def _verdict(diagnosis: Diagnosis) -> str:
    counts = {severity: diagnosis.count(severity) for severity in SEVERITIES}
    if counts[ERROR]:
        kind, text = ERROR, "Mend the errors before any training."
        if all(check.of_a_file for check in map(CHECKS.get, diagnosis.by_check()) if check.severity == ERROR):
            text = "Errors stop a training before it starts: mend them, or leave these files out with --skip-bad."
    elif counts[WARNING]:
        kind, text = WARNING, "Nothing stops a training, but look at the warnings: the network learns what is labelled."
    elif counts[NOTE]:
        kind, text = "good", "Nothing wrong found. The notes tell what else there is to know."
    else:
        kind, text = "good", "Nothing wrong found."
    tiles = [
        f'<li class="{severity if counts[severity] else "none"}"><b>{counts[severity]:,}</b> '
        f"{severity}{'' if counts[severity] == 1 else 's'}</li>"
        for severity in SEVERITIES
    ]
    for split, statistics in diagnosis.statistics.items():
        images, objects = counted(statistics.images, "image"), counted(statistics.objects, "object")
        tiles.append(f'<li class="split"><b>{plain(split)}</b> {images}<br>{objects}</li>')
    sign = SIGNS.get(kind, "✓")
    return (
        f'<section class="verdict {kind}" aria-label="Summary">\n<p><span class="sign" aria-hidden="true">{sign}</span>'
        f'<span>{flagged(text)}</span></p>\n<ul class="tiles">{"".join(tiles)}</ul>\n</section>'
    )


def _contents(found: dict[str, list[tuple[str, Finding]]]) -> str:
    items = [
        f'<li><a href="#check-{check}">{_badge(CHECKS[check].severity)} {plain(_title(check))} '
        f"<b>{len(pairs):,}</b></a></li>"
        for check, pairs in found.items()
    ]
    return f'<nav aria-label="Findings"><ul>{"".join(items)}</ul></nav>' if len(found) > 1 else ""


def _title(check: str) -> str:
    title = CHECKS[check].title
    return title[:1].upper() + title[1:]


def _badge(severity: str) -> str:
    return f'<span class="badge {severity}"><span aria-hidden="true">{SIGNS[severity]}</span> {severity}</span>'


def _cards(pairs: list[tuple[str, Finding]], most: int) -> list[Card]:
    """At most so many, of every split and every cause in turn, so that they show all kinds of what was found."""
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


def _section(check: str, pairs: list[tuple[str, Finding]], cards: list[Card], pictures: Iterator[Picture], checks: int):
    about = CHECKS[check]
    of_split = Counter(split for split, _ in pairs)
    counts = ", ".join(f"<b>{count:,}</b> in {plain(split)}" for split, count in of_split.items())
    figures = "\n".join(_figure(card, [next(pictures) for _ in card.wanted]) for card in cards)
    parts = [
        f'<section class="check {about.severity}" id="check-{check}">',
        f'<h3>{_badge(about.severity)} {plain(_title(check))}</h3>\n<p class="counts">{counts}</p>',
        f'<p class="remedy"><b>What to do:</b> {flagged(about.remedy)}{_renaming(pairs)}</p>',
        _causes(pairs),
        f'<div class="gallery">\n{figures}\n</div>' if figures else "",
        _texts(pairs, min(MOST_TEXTS, MOST_LINES // checks), shown=not figures and len(pairs) <= MOST_SHOWN),
        "</section>",
    ]
    return "\n".join(part for part in parts if part)


def _renaming(pairs: list[tuple[str, Finding]]) -> str:
    """The YAML's line that gives misspelt classes their meaning, if any have one."""
    meant = dict(finding.meant for _, finding in pairs if finding.meant)
    if not meant:
        return ""
    line = yaml.safe_dump({"RENAME": meant}, default_flow_style=None, allow_unicode=True, sort_keys=False, width=10**6)
    return f" Or write in the YAML: <code>{plain(line.strip())}</code>"


def _causes(pairs: list[tuple[str, Finding]]) -> str:
    """How many findings have a cause in common, where they have."""
    causes = Counter(finding.subject for _, finding in pairs if finding.subject).most_common()
    if not causes or len(causes) == len(pairs):
        return ""
    rows = [(plain(_cut(subject)), [f"{count:,}"]) for subject, count in causes[:MOST_CAUSES]]
    if rest := causes[MOST_CAUSES:]:
        rows.append((f"{len(rest):,} others", [f"{sum(count for _, count in rest):,}"]))
    return table("", ["cause", "findings"], rows, kind="numbers causes")


def _figure(card: Card, pictures: list[Picture]) -> str:
    first, more = card.findings[0], len(card.findings) - 1
    paths = [path for path in (first.image, first.other) if path]
    where, _, fault = first.text.partition(": ")
    shown = [_img(picture, path, card) for picture, path in zip(pictures, paths, strict=True)]
    if not paths:  # of an image that cannot be read, the text has the name
        paths, shown = [Path(where)], [_placeholder(fault)]
    called = [short_path(path) if len(paths) > 1 else path.name for path in paths]
    names = "<br>".join(f'<b title="{plain(p)}">{plain(name)}</b>' for p, name in zip(paths, called, strict=True))
    text = first.text if first.image else ""
    if first.image and Path(where).stem == first.image.stem:  # the list of all findings has the folders
        text = Path(where).name + text.removeprefix(where)
    text = f'<span class="text">{plain(_cut(text, 300))}</span>' if text not in ("", paths[0].name) else ""
    also = f" <i>… and {more:,} more here</i>" if more else ""
    caption = f'<figcaption><span class="in">{plain(card.split)}</span> {names} {text}{also}</figcaption>'
    kind = "pair" if len(paths) > 1 else "" if any(picture.jpeg for picture in pictures) else "low"
    return f'<figure class="{kind}"><div class="pictures">{"".join(shown)}</div>\n{caption}</figure>'


def _img(picture: Picture, path: Path, card: Card) -> str:
    if picture.fault:
        return _placeholder(picture.fault)
    boxes = sum(len(finding.boxes) for finding in card.findings) if path == card.findings[0].image else 0
    alt = plain(path.name) + (f", with {counted(boxes, 'marked box', 'marked boxes')}" if boxes else "")
    data = base64.b64encode(picture.jpeg).decode()
    return f'<img src="data:image/jpeg;base64,{data}" width="{picture.width}" height="{picture.height}" alt="{alt}">'


def _placeholder(reason: str) -> str:
    return (
        f'<div class="no-picture"><span aria-hidden="true">✕</span><p>No picture: {plain(_cut(reason, 200))}</p></div>'
    )


def _texts(pairs: list[tuple[str, Finding]], most: int, *, shown: bool) -> str:
    lines = [f'<li><span class="in">{plain(split)}</span> {plain(_cut(f.text))}</li>' for split, f in pairs[:most]]
    rest = f"<p>… and {len(pairs) - most:,} more. The JSON report has them all.</p>" if len(pairs) > most else ""
    title = "The one finding" if len(pairs) == 1 else f"All {len(pairs):,} findings"
    listed, is_open = "\n".join(lines), " open" if shown else ""
    return f"<details{is_open}>\n<summary>{title}</summary>\n<ol>\n{listed}\n</ol>{rest}\n</details>"


def _cut(text: str, longest: int = LONGEST_TEXT) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
