"""Turns an evaluation into texts, rows and charts for the template; a part without data is None."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from utils.evaluation_report.charts import Line, LineChart, line_chart, stacked_bars
from utils.evaluation_report.data import CalibrationData, CurveData, Number, ReportData
from utils.html.markup import share

KINDS = {  # of errors: name, what it means, as a text after a class and a score
    "classification": ("Wrong class", "the place is right, the class is not", "right place, wrong class"),
    "localisation": ("Wrong place", "the class is right, the box is too far off", "right class, box too far off"),
    "both": ("Wrong class and place", "it touches an object, but class and box are wrong", "class and box wrong"),
    "duplicate": ("Found twice", "a second box on an object that is found already", "found already"),
    "background": ("Nothing there", "a box where no object is", "nothing is there"),
    "missed": ("Missed", "an object without any box, not even a wrong one", "missed"),
}
COCO_NAMES = {
    "map_50_95": "AP", "map_50": "AP50", "map_75": "AP75",
    "map_small": "AP of small objects", "map_medium": "AP of medium objects", "map_large": "AP of large objects",
    "mar_1": "AR, 1 box an image", "mar_10": "AR, 10 boxes an image", "mar_100": "AR, 100 boxes an image",
    "mar_small": "AR of small objects", "mar_medium": "AR of medium objects", "mar_large": "AR of large objects",
}  # fmt: skip
MOST_CONFUSED = 24  # classes that the confusion matrix shows


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with so many digits, – where there is none (COCO's -1, too)."""
    return "–" if value is None or math.isnan(value) or value == -1 else f"{value:.{digits}f}"


def with_interval(value: float | None, interval: Sequence[float | None] | None, digits: int = 2) -> str:
    """Return `0.45 (0.38–0.52)`, or the value alone."""
    text = number(value, digits)
    if text == "–" or not interval or any(end is None or math.isnan(end) for end in interval):
        return text
    return f"{text} ({number(interval[0], digits)}–{number(interval[1], digits)})"


def tiles(numbers: Sequence[Number]) -> list[dict[str, str]]:
    """Return name, value, interval and meaning of the results on top."""
    shown = []
    for one in numbers:
        value, unit = one.get("value"), one.get("unit", "")
        digits = 0 if unit == "ms" else 2
        ends = [number(end, digits) for end in one.get("interval") or []]
        shown.append(
            {
                "name": one["name"],
                "value": number(value, digits) + (f" {unit}" if unit and value is not None else ""),
                "interval": f"{ends[0]}–{ends[1]}" if len(ends) == 2 and "–" not in ends else "",
                "meaning": one.get("meaning", ""),
            }
        )
    return shown


def threshold_of(data: ReportData) -> float:
    """Return the threshold at which the page opens."""
    value = data.get("threshold")
    return 0.5 if value is None or math.isnan(value) else value


def counts_at(curve: CurveData, threshold: float) -> tuple[int, int]:
    """Return right and wrong detections with a score of at least `threshold`, as the page's script does."""
    row = sum(score >= threshold for score in curve["scores"]) - 1
    return (curve["tp"][row], curve["fp"][row]) if row >= 0 else (0, 0)


def point_rows(data: ReportData) -> list[dict[str, Any]]:
    """Return a row for all classes together and each class: counts, precision, recall and F1 at the threshold."""
    rows = []
    for curve in data.get("curves", []):
        right, wrong = counts_at(curve, threshold_of(data))
        objects, shown = curve["objects"], right + wrong
        rows.append(
            {
                "label": curve["label"] or 0,
                "name": name_of(data, curve["label"]),
                "objects": objects,
                "shown": shown,
                "right": right,
                "precision": share(right / shown if shown else math.nan),
                "recall": share(right / objects if objects else math.nan),
                "f1": number(2 * right / (shown + objects) if objects else None, 2),
            }
        )
    return rows


def name_of(data: ReportData, label: int | None) -> str:
    """Return the name of a class; "all classes" for None and 0."""
    return data["class_names"][label - 1] if label else "all classes"


def curve_charts(data: ReportData) -> list[LineChart]:
    """Lay out precision against recall, and both and F1 against the score; the page shows one class of the latter."""
    recalls, scores = [], []
    for curve in data.get("curves", []):
        key, name = str(curve["label"] or 0), name_of(data, curve["label"])
        if not curve["objects"]:
            continue
        rows = list(zip(curve["scores"], curve["tp"], curve["fp"], strict=True))
        objects = curve["objects"]
        recalls.append(Line(name, [(tp / objects, tp / (tp + fp)) for _, tp, fp in rows if tp + fp], "curve", key))
        for kind, values in (
            ("precision", [(s, tp / (tp + fp)) for s, tp, fp in rows if tp + fp]),
            ("recall", [(s, tp / objects) for s, tp, _ in rows]),
            ("f1", [(s, 2 * tp / (tp + fp + objects)) for s, tp, fp in rows]),
        ):
            scores.append(Line(f"{kind} of {name}", values, f"score-line {kind}", key))
    if not recalls:
        return []
    return [
        line_chart(
            "Precision against recall",
            recalls,
            x_name="recall: share of the objects that are found",
            y_name="precision",
            label="Precision against recall for each class; the table below has the values at the chosen threshold.",
        ),
        line_chart(
            "Against the threshold",
            scores,
            x_name="confidence threshold",
            y_name="share",
            label="Precision, recall and F1 against the threshold; the table below has the values at the chosen one.",
        ),
    ]


def confusion(data: ReportData) -> dict[str, Any] | None:
    """Return names, thresholds and counts of the confusion matrices, of the most confused classes where there are many.

    Background is last here. A matrix over more than `MOST_CONFUSED` classes leaves the others out.
    """
    given = data.get("confusion")
    if not given or not given["thresholds"]:
        return None
    names = data["class_names"]
    middle = given["counts"][min(range(len(given["thresholds"])), key=lambda i: _far(data, given["thresholds"][i]))]
    errors = {
        label: sum(middle[label]) + sum(row[label] for row in middle) - 2 * middle[label][label]
        for label in range(1, len(names) + 1)
    }
    kept = sorted(sorted(errors, key=lambda label: -errors[label])[:MOST_CONFUSED])
    order = [*kept, 0]
    return {
        "names": [*(names[label - 1] for label in kept), "background"],
        "thresholds": given["thresholds"],
        "counts": [[[matrix[row][column] for column in order] for row in order] for matrix in given["counts"]],
        "left_out": len(names) - len(kept),
    }


def _far(data: ReportData, threshold: float) -> float:
    return abs(threshold - threshold_of(data))


def error_kinds(data: ReportData) -> dict[str, Any] | None:
    """Return a row for each kind of error: name, meaning, count, cost as text, and the length of its bar."""
    given = data.get("error_kinds")
    if not given:
        return None
    highest = max((cost or 0 for cost in given["costs"].values()), default=0)
    rows = [
        {
            "name": KINDS[kind][0],
            "term": kind,
            "meaning": KINDS[kind][1],
            "count": given["counts"][kind],
            "cost": number(None if cost is None else 100 * cost, 1),
            "width": 100 * (cost or 0) / highest if highest else 0,
        }
        for kind, cost in given["costs"].items()
    ]
    return {"rows": rows, "ap50": number(given.get("ap50"))}


def score_bars(data: ReportData) -> dict[str, Any] | None:
    """Lay out the detections in ten ranges of the score, by what they are."""
    counts = data.get("wrong_by_score")
    if not counts or not any(map(sum, counts.values())):
        return None
    bins = len(next(iter(counts.values())))
    names = [f"{i / bins:.1f} to {(i + 1) / bins:.1f}" for i in range(bins)]
    legend = {"correct": "right"} | {kind: KINDS[kind][0].lower() for kind in counts if kind in KINDS}
    rows = [(name, [f"{counts[kind][i]:,}" for kind in counts]) for i, name in enumerate(names)]
    return {
        "bars": stacked_bars(names, counts),
        "legend": legend,
        "heads": ["score", *(legend[kind] for kind in counts)],
        "rows": rows,
    }


def miss_tables(data: ReportData) -> list[dict[str, Any]]:
    """Return tables of missed objects; groups without objects and tables of one group are left out."""
    tables = []
    for table in data.get("misses", []):
        rows = [
            {
                "name": row["name"],
                "objects": row["objects"],
                "missed": row["missed"],
                "rate": share(row["missed"] / row["objects"]),
                "width": 100 * row["missed"] / row["objects"],
            }
            for row in table["rows"]
            if row["objects"]
        ]
        if len(rows) > 1:
            tables.append({"title": table["title"][:1].upper() + table["title"][1:], "rows": rows})
    return tables


def reliability(given: CalibrationData | None) -> dict[str, Any] | None:
    """Lay out the share of right detections against their score, and return the same as a table."""
    bins = [one for one in (given or {}).get("bins", []) if one["count"] and one["precision"] is not None]
    if not given or not bins:
        return None
    points = [(one["confidence"] or 0.0, one["precision"] or 0.0) for one in bins]
    chart = line_chart(
        "What a score is worth",
        [Line("ideal", [(0, 0), (1, 1)], "ideal"), Line("score, share right", points, "curve chosen", dots=True)],
        x_name="mean score",
        y_name="share that is right",
        label="Share of right boxes against their score; the table below has the values.",
    )
    rows = [
        (
            f"{b['low']:.2f} to {b['high']:.2f}",
            [f"{b['count']:,}", number(b["confidence"], 2), number(b["precision"], 2)],
        )
        for b in bins
    ]
    return {
        "chart": chart,
        "rows": rows,
        "ece": number(given.get("ece")),
        "calibrated": number(given.get("ece_calibrated")),
    }


def training_charts(data: ReportData) -> list[LineChart]:
    """Lay out losses and AP of a run by epoch."""
    epochs = data.get("epochs") or []
    charts = []
    best = data.get("best_epoch")
    for title, y_name, keys in (
        ("Loss", "loss", {"train/loss": "training", "val/loss": "validation"}),
        ("AP on the validation split", "AP", {
            "val/map_50": "AP50", "val/map_50_95": "AP", "ema/map_50_95": "AP of the averaged weights",
        }),
    ):  # fmt: skip
        lines = [
            Line(name, [(float(e["epoch"] or 0), _known(e.get(key))) for e in epochs], f"s{i}", dots=len(epochs) == 1)
            for i, (key, name) in enumerate(keys.items())
        ]
        lines = [line for line in lines if any(math.isfinite(y) for _, y in line.points)]
        if not lines:
            continue
        ends = "; ".join(f"{line.name} from {line.points[0][1]:.3g} to {line.points[-1][1]:.3g}" for line in lines)
        numbers = [x for line in lines for x, _ in line.points]
        charts.append(
            line_chart(
                title, lines, x_name="epoch", y_name=y_name, label=f"{title} by epoch: {ends}.",
                x_span=(min(numbers), max(numbers)), y_span=None if y_name == "loss" else (0.0, 1.0),
                marks=[(best, "best")] if best else [],
            )
        )  # fmt: skip
    return charts


def _known(value: float | None) -> float:
    return math.nan if value is None else value


def class_table(data: ReportData) -> list[tuple[str, list[str]]]:
    """Return the results of each class as cells."""
    return [
        (
            row["name"],
            [
                f"{row.get('objects', 0):,}",
                with_interval(row.get("ap"), row.get("ap_interval")),
                with_interval(row.get("ap50"), row.get("ap50_interval")),
                number(row.get("ar"), 2),
                number(row.get("threshold"), 2),
            ],
        )
        for row in data.get("classes", [])
    ]


def plain(values: Mapping[str, Any] | None) -> dict[str, str]:
    """Return a mapping as text."""
    return {str(key): "–" if value is None else str(value) for key, value in (values or {}).items()}
