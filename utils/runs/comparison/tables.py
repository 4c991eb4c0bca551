"""Tables of runs side by side: what they reached, and in which settings they differ."""

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from utils.errors import printable
from utils.runs.comparison.run_folder import RunFolder

NONE = "–"
WIDEST = 36  # characters of a cell

Row = tuple[str, list[str]]
Span = tuple[float, float, float]  # a value with the ends of its interval


def result_rows(runs: Sequence[RunFolder], intervals: Sequence[Mapping[str, Span]]) -> list[Row]:
    """Return the results: a name, and the text of each run; rows that no run has a value for are left out.

    `intervals` are of each run's detections, as of `bootstrap.ap_intervals`; empty where it has none.
    """
    names = list(dict.fromkeys(name for found in intervals for name in found if name.startswith("ap/")))
    names += [name for name in _classes_of(runs) if name not in names]
    rows = [
        ("epochs", [_epochs(run) for run in runs]),
        ("best epoch", [_whole(run.best.get("epoch")) for run in runs]),
        ("AP", [_score(run, found, "ap") for run, found in zip(runs, intervals, strict=True)]),
        ("AP50", [_score(run, found, "ap_50") for run, found in zip(runs, intervals, strict=True)]),
        *((f"AP {n[3:]}", [_score(r, f, n) for r, f in zip(runs, intervals, strict=True)]) for n in names),
        ("validation loss", [_number(run.best.get("val/loss")) for run in runs]),
        ("threshold", [_number(run.evaluation.get("threshold"), 2) for run in runs]),
        *((name, [_at_threshold(run, name) for run in runs]) for name in ("precision", "recall")),
        ("time", [_duration(run.seconds) for run in runs]),
        ("time per epoch", [_duration(run.seconds and run.seconds / len(run.epochs)) for run in runs]),
    ]
    return [(name, cells) for name, cells in rows if any(cell != NONE for cell in cells)]


def setting_rows(runs: Sequence[RunFolder]) -> list[Row]:
    """Return the settings in which the runs differ, with the text of each run."""
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    missing = object()
    rows = []
    for key in keys:
        values = [run.settings.get(key, missing) for run in runs]
        if any(value != values[0] for value in values):
            rows.append((key, [NONE if value is missing else _plain(value) for value in values]))
    return rows


def text_table(heads: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Lay out rows under the names of the runs, for a terminal; what is too long is cut in its middle."""
    table = [["", *heads], *([name, *cells] for name, cells in rows)]
    table = [[_cut(printable(" ".join(cell.split()))) for cell in row] for row in table]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]


def _classes_of(runs: Sequence[RunFolder]) -> list[str]:
    keys = dict.fromkeys(key for run in runs for key in run.best)
    return [key.removeprefix("val/") for key in keys if key.startswith("val/ap/")]


def _epochs(run: RunFolder) -> str:
    if not run.epochs and not run.steps and "epochs" not in run.settings:
        return NONE
    done, wanted = len(run.epochs), run.settings.get("epochs")
    text = f"{done} of {wanted}" if wanted is not None else f"{done}"
    last = run.steps[-1].get("step") if run.steps else None
    return f"{text}, {last} steps" if not run.epochs and last else text


def _score(run: RunFolder, intervals: Mapping[str, Span], name: str) -> str:
    """Write AP with its interval; the record's, with no interval, where there are no detections."""
    if name in intervals:
        value, low, high = intervals[name]
        around = f" ({low:.3f}–{high:.3f})" if math.isfinite(low) else ""
        return f"{_number(value)}{around}"
    key = {"ap": "map_50_95", "ap_50": "map_50"}.get(name, name)
    value = run.best.get(f"val/{key}", -1.0)
    return NONE if value == -1 else _number(value)


def _at_threshold(run: RunFolder, name: str) -> str:
    point = run.evaluation.get("at_threshold") or {}
    low, high = point.get(f"{name}_interval") or (None, None)
    around = f" ({low:.2f}–{high:.2f})" if low is not None and high is not None else ""
    return f"{_number(point.get(name), 2)}{around}"


def _number(value: float | None, digits: int = 3) -> str:
    return NONE if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def _whole(value: float | None) -> str:
    return NONE if value is None else f"{value:.0f}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return NONE
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def _cut(text: str) -> str:
    if len(text) <= WIDEST:
        return text
    half = (WIDEST - 1) // 2
    return f"{text[: WIDEST - 1 - half]}…{text[-half:]}"
