"""Writes the model card: what a model is, how good, at what threshold, and where not to trust it, in Markdown."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from utils.evaluation_report import view
from utils.evaluation_report.data import ReportData
from utils.files import write_text_atomically

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~&])")
_BREAKS = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")


def write_model_card(path: Path, data: ReportData) -> None:
    """Write the card to `path`, whole or not at all. Parts that `data` lacks are left out.

    Raises:
        OSError: `path` cannot be written.
    """
    write_text_atomically(Path(path), "\n\n".join(_parts(data)) + "\n")


def _parts(data: ReportData) -> list[str]:
    facts = {
        "Model": data.get("model"),
        "Scored on": _scored_on(data),
        "Made": data.get("created"),
        "Classes": ", ".join(data.get("class_names", [])),
    }
    sections = {
        "Results": [_list(data.get("verdict", [])), _numbers(data), _classes(data)],
        "Threshold": [_threshold(data)],
        "Data": [
            _pairs(view.plain(data.get("fingerprint"))),
            *(_table(one["heads"], one["rows"]) for one in data.get("dataset", [])),
        ],
        "Limits": [_list([*data.get("cautions", []), *data.get("limits", []), *data.get("miss_sentences", [])])],
        "How to use it": [f"{text(c['purpose'])}\n\n{_code(c['command'])}" for c in data.get("commands", [])],
        "Made with": [_pairs(view.plain({**data.get("versions", {}), **data.get("git", {})}))],
    }
    parts = [f"# {text(data.get('title', 'Model'))}", _pairs({k: v for k, v in facts.items() if v})]
    for title, blocks in sections.items():
        if blocks := [block for block in blocks if block]:
            parts += [f"## {title}", *blocks]
    return [part for part in parts if part]


def text(value: Any) -> str:
    """Return a text of one line that Markdown shows as it is."""
    return _SPECIAL.sub(r"\\\1", _BREAKS.sub(" ", str(value)).strip())


def _code(command: str) -> str:
    """Return a block of code, its fence longer than any run of backticks in it."""
    fence = "`" * max(3, *(len(run) + 1 for run in ["", *re.findall("`+", command)]))
    return f"{fence}bash\n{command}\n{fence}"


def _list(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {text(sentence)}" for sentence in sentences)


def _pairs(values: Mapping[str, Any]) -> str:
    return "\n".join(f"- {text(name)}: {text(value)}" for name, value in values.items())


def _table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [[text("–" if cell is None else cell) for cell in row] for row in rows]
    if not lines:
        return ""
    lines = [[text(head) for head in heads], ["---", *["---:"] * (len(heads) - 1)], *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _scored_on(data: ReportData) -> str:
    images = f"{data['images']:,} images" if "images" in data else ""
    return ", ".join(part for part in (data.get("split", ""), images) if part)


def _numbers(data: ReportData) -> str:
    rows = [
        (tile["name"], tile["value"], tile["interval"] or "–", tile["meaning"])
        for tile in view.tiles(data.get("numbers", []))
    ]
    return _table(["result", "value", "95 % interval", ""], rows)


def _classes(data: ReportData) -> str:
    return _table(
        ["class", "objects", "AP", "AP50", "AR", "best F1 at"],
        [(name, *cells) for name, cells in view.class_table(data)],
    )


def _threshold(data: ReportData) -> str:
    if data.get("threshold") is None:
        return ""
    reason = text(data.get("threshold_reason", "")).rstrip(".")
    first = f"Confidence threshold {view.threshold_of(data):.2f}" + (f": {reason}." if reason else ".")
    rows = [(r["name"], r["precision"], r["recall"], r["f1"]) for r in view.point_rows(data)]
    return "\n\n".join(part for part in (first, _table(["class", "precision", "recall", "F1"], rows)) if part)
