"""Sinks of metrics: JSON lines and CSV.

A sink takes flat records (`dict[str, float]`). A step record has at least `step`, an epoch record at least `epoch`
(from 1) and `step`. A new sink is one class with `steps`, `epoch` and `close`, and one row of `LOGGERS`.
"""

import csv
import io
import json
import logging
import math
import warnings
from numbers import Integral
from pathlib import Path
from typing import Any

from utils.errors import ToolkitError
from utils.files import write_text_atomically

METRICS_FILE = "metrics.jsonl"
RESULTS_FILE = "results.csv"


class JsonlLogger:
    """`metrics.jsonl`: one JSON object per line, `{"kind": "step" | "epoch", ...}`, complete enough for every plot.

    An existing file is continued. NaN and infinity, which JSON lacks, are written as null.
    """

    def __init__(self, run_dir: Path) -> None:
        path = Path(run_dir) / METRICS_FILE
        try:
            end_last_line(path)
            self._file = path.open("a", encoding="utf-8", errors="backslashreplace", newline="\n")
        except OSError as error:
            raise ToolkitError(f"{path} cannot be opened for writing: {error}") from error

    def steps(self, records: list[dict[str, Any]]) -> None:
        self._write("step", records)

    def epoch(self, record: dict[str, Any]) -> None:
        self._write("epoch", [record])

    def _write(self, kind: str, records: list[dict[str, Any]]) -> None:
        for record in records:
            line = {"kind": kind, **{key: _plain(value) for key, value in record.items() if key != "kind"}}
            self._file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
            self._file.flush()

    def close(self) -> None:
        self._file.close()


def read_metrics(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Read `metrics.jsonl`: (steps, epochs), each sorted by its number.

    null is read as nan. Where a resumed run repeats a step or an epoch, the later line counts. A last line cut short
    is skipped; so is an unreadable one before it, with a warning.

    Raises:
        ToolkitError: the file cannot be read.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").rstrip("\n").split("\n")
    except OSError as error:
        raise ToolkitError(f"{path} cannot be read: {error}. Training writes it into the run folder.") from error
    found: dict[str, dict[int, dict[str, Any]]] = {"step": {}, "epoch": {}}
    broken = []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            kind = record.pop("kind")
            found[kind][int(record[kind])] = {key: math.nan if v is None else v for key, v in record.items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            broken.append(number)
    if broken and broken[0] < len(lines):
        warnings.warn(f"{path}: skipped {len(broken)} unreadable lines, the first is line {broken[0]}", stacklevel=2)
    steps, epochs = ([records[key] for key in sorted(records)] for records in found.values())
    return steps, epochs


class CsvLogger:
    """`results.csv`: one row per epoch, for spreadsheets; values that are not finite are left empty.

    The file is replaced as a whole each epoch. So a resumed run may bring other columns (the header becomes the union)
    or repeat an epoch (its row is replaced), and a kill never leaves half a row.
    """

    def __init__(self, run_dir: Path) -> None:
        self._path = Path(run_dir) / RESULTS_FILE
        self._rows: dict[int, dict[str, Any]] = {}
        try:
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                for row in csv.DictReader(file, strict=True):
                    if None in row:
                        raise ValueError("a row is longer than the header")
                    self._rows[int(row["epoch"])] = row
        except FileNotFoundError:
            return
        except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
            raise ToolkitError(
                f"{self._path} cannot be continued: expected a CSV table with whole numbers in a column 'epoch' "
                f"({type(error).__name__}: {error}). Rename it to keep it, or delete it."
            ) from error

    def steps(self, records: list[dict[str, Any]]) -> None:
        """Write nothing: the table has epochs only."""

    def epoch(self, record: dict[str, Any]) -> None:
        epoch = int(record["epoch"])
        self._rows[epoch] = {key: _plain(value) for key, value in record.items() if key != "kind"} | {"epoch": epoch}
        rows = [row for _, row in sorted(self._rows.items())]
        columns = dict.fromkeys(key for row in rows for key in row)
        table = io.StringIO(newline="")
        writer = csv.DictWriter(table, list(columns), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        try:
            write_text_atomically(self._path, table.getvalue())
        except PermissionError as error:  # Windows, while a spreadsheet has it open; the next epoch writes it whole
            logging.getLogger("train").warning(f"{self._path} is not written in this epoch: {error}")

    def close(self) -> None:
        """Do nothing: no file is held open."""


LOGGERS = {"jsonl": JsonlLogger, "csv": CsvLogger}


def _plain(value: Any) -> Any:
    """Return `value` as plain JSON takes it: NumPy scalars unwrapped, None for what is not finite."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Integral):
        return int(value)
    return float(value) if math.isfinite(value) else None


def end_last_line(path: Path) -> None:
    """End a last line that a kill cut short, so that the next one is not glued to it."""
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, io.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
