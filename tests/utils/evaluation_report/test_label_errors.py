"""Rows of probable label errors as the report shows them."""

from pathlib import Path

import numpy as np

from support.html_pages import Page
from support.report_data import HOSTILE, random_evaluation
from utils.evaluation.packed import PackedTruth
from utils.evaluation_report.label_errors import label_errors_to_show
from utils.evaluation_report.report import MOST_LABEL_ERRORS, write_report

# The objects of image 1 stand apart in the arrays, as those of a COCO file may.
TRUTH = PackedTruth(
    np.array([1, 0, 1]),
    np.array([1, 1, 2]),
    np.array([(1, 2, 30, 40), (5, 5, 5, 5), (7, 8.26, 9, 10)], float),
    np.array([1200.0, 25, 90]),
    np.zeros(3, bool),
    2,
    ("-", "cat", HOSTILE),
)


def row(file, kind, number, own, other, box):
    return {
        "file": str(file), "kind": kind, "object": number, "class": own, "suggested_class": other,
        "suggested_box": box, "score": 0.8, "confidence": 0.9, "stays": None,
    }  # fmt: skip


def test_each_kind_has_its_text_and_boxes(tmp_path):
    data = random_evaluation(tmp_path)
    paths = [Path(data["gallery"][0]["path"]), Path(data["gallery"][1]["path"])]
    rows = [
        row(paths[0], "missing", None, None, "{cat}", [10.0, 10.0, 30.0, 25.0]),
        row(paths[1], "wrong-class", 2, HOSTILE, "cat", [7.0, 8.0, 16.0, 18.0]),
        row(paths[1], "badly-placed", 1, "cat", "cat", [3.0, 4.0, 33.0, 44.0]),
        row(paths[0], "doubled", 1, "cat", None, None),
    ]
    shown = label_errors_to_show(rows, paths, TRUTH)
    assert [(one["kind"], one["text"], one["box"], one["better_box"]) for one in shown] == [
        ("no box", "{cat} is not annotated", None, [10, 10, 20, 15]),
        ("wrong class", f"annotated as {HOSTILE}, probably cat", [7, 8.3, 9, 10], [7, 8, 9, 10]),
        ("badly placed", "the box of cat is beside it", [1, 2, 30, 40], [3, 4, 30, 40]),
        ("doubled", "cat is annotated twice", [5, 5, 5, 5], None),
    ]
    write_report(tmp_path / "report.html", data | {"label_errors": shown * 10})
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    labels = [svg["aria-label"] for svg in page.all("svg") if svg.get("aria-label")]
    assert labels.count("{cat} is not annotated") == 6
    assert f"{40 - MOST_LABEL_ERRORS} more are in the CSV file" in page.text
