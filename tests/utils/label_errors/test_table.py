import csv
import json
from pathlib import Path

from utils.label_errors.label_error import LabelError
from utils.label_errors.table import COLUMNS, error_lines, error_rows, write_csv

NAMES = ("__background__", "cat", '<b>dog</b>, "big"')
PATHS = [Path("images/a.jpg"), Path("images/b\x1b[31m.jpg")]
ERRORS = [
    LabelError(0, "doubled", 0.95, 2, 1, None, None, 0.9, other=1),
    LabelError(1, "missing", 0.5, None, None, 2, (60.56, 60.0, 99.0, 80.0), 0.9),
    LabelError(1, "wrong-class", 0.25, 0, 1, 2, (1.0, 1.0, 11.0, 11.0), 0.9),
    LabelError(1, "badly-placed", 0.2, 3, 1, 1, (1.0, 1.0, 11.0, 11.0), 0.9),
]


def test_rows_are_plain_values_that_count_objects_from_one():
    rows = error_rows(ERRORS, PATHS, NAMES)
    assert json.loads(json.dumps(rows)) == rows
    assert rows[0]["object"] == 3 and rows[0]["stays"] == 2 and rows[0]["suggested_box"] is None
    assert rows[1]["object"] is None and rows[1]["class"] is None and rows[1]["suggested_class"] == NAMES[2]


def test_csv_reads_back_with_odd_names_and_without_errors(tmp_path):
    write_csv(tmp_path / "e.csv", error_rows(ERRORS, PATHS, NAMES))
    found = list(csv.DictReader((tmp_path / "e.csv").open(newline="")))
    assert [row["file"] for row in found] == [str(PATHS[error.image]) for error in ERRORS]
    assert found[1]["suggested_class"] == NAMES[2] and found[1]["object"] == "" and found[1]["x1"] == "60.6"
    write_csv(tmp_path / "none.csv", [])
    assert (tmp_path / "none.csv").read_text() == ",".join(COLUMNS) + "\n"


def test_lines_say_how_many_are_to_be_expected_and_hold_no_control_codes():
    lines = error_lines(error_rows(ERRORS, PATHS, NAMES), images=2, listed=3)
    assert lines[0] == "labels that may be wrong: 4, of which about 2 are to be expected in error"
    assert "a.jpg: object 3: cat has another box, of object 2, 95%" in lines[5]
    assert "\x1b" not in "".join(lines) and lines[-1].strip() == "… and 1 more"
    assert error_lines([], images=2) == ["labels that are probably wrong: none found in 2 images"]
