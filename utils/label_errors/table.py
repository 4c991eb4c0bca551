"""The list of probable label errors as rows, for reports, CSV and the terminal."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from utils.errors import printable
from utils.files import write_text_atomically
from utils.label_errors.label_error import KINDS, LabelError

CSV_NAME = "label_errors.csv"
COLUMNS = ("file", "object", "class", "kind", "score", "confidence", "suggested_class", "x1", "y1", "x2", "y2", "stays")


def error_rows(errors: Sequence[LabelError], paths: Sequence[Path], class_names: Sequence[str]) -> list[dict]:
    """Return a dict of plain values for each error, in the given order.

    `file`, str; `object`, int from 1 as other messages count, None for a missing label; `class`, str or None; `kind`,
    str; `score` and `confidence`, float; `suggested_class`, str, and `suggested_box`, four floats, xyxy in pixels, both
    None for a label that is to go; `stays`, int, the other label of two on one object, else None.

    Args:
        paths: of the images. class_names: background first.
    """
    return [
        {
            "file": str(paths[error.image]),
            "object": None if error.object is None else error.object + 1,
            "class": None if error.label is None else class_names[error.label],
            "kind": error.kind,
            "score": round(error.score, 4),
            "confidence": round(error.confidence, 4),
            "suggested_class": None if error.suggested_label is None else class_names[error.suggested_label],
            "suggested_box": None if error.suggested_box is None else [round(v, 1) for v in error.suggested_box],
            "stays": None if error.other is None else error.other + 1,
        }
        for error in errors
    ]


def write_csv(path: Path, rows: Sequence[dict]) -> None:
    """Write rows of `error_rows` as CSV, one line each under `COLUMNS`; what is not there is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        values = row | dict(zip(("x1", "y1", "x2", "y2"), row["suggested_box"] or [None] * 4, strict=True))
        writer.writerow(["" if values[column] is None else values[column] for column in COLUMNS])
    write_text_atomically(path, out.getvalue())


def error_lines(rows: Sequence[dict], *, images: int, listed: int = 10) -> list[str]:
    """Return lines for the terminal: how many of each kind are to be expected, and the most probable ones."""
    if not rows:
        return [f"labels that are probably wrong: none found in {images} images"]
    expected = sum(row["score"] for row in rows)
    lines = [f"labels that may be wrong: {len(rows)}, of which about {expected:.0f} are to be expected in error"]
    counts = Counter(row["kind"] for row in rows)
    lines += [f"  {kind}: {counts[kind]} ({title})" for kind, title in KINDS.items() if counts[kind]]
    lines += [f"  {printable(Path(row['file']).name)}: {_text(row)}, {row['score']:.0%}" for row in rows[:listed]]
    if len(rows) > listed:
        lines.append(f"  … and {len(rows) - listed} more")
    return lines


def _text(row: dict) -> str:
    own, other = (printable(str(row[key])) for key in ("class", "suggested_class"))
    if row["kind"] == "missing":
        return f"{other} at {', '.join(f'{v:.0f}' for v in row['suggested_box'])} has no box"
    return {
        "wrong-class": f"object {row['object']}: {own} is probably {other}",
        "badly-placed": f"object {row['object']}: the box of {own} is beside it",
        "doubled": f"object {row['object']}: {own} has another box, of object {row['stays']}",
    }[row["kind"]]
