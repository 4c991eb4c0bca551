"""The verdict in words: a sentence that anybody understands, AP with its interval, and a table per class."""

from collections.abc import Mapping
from typing import Any

from utils.evaluation.choices import ClassThresholds, OperatingPoint, describe
from utils.metrics import FEW_OBJECTS, is_few

WIDTH = 80  # columns
LONGEST_NAME = 22


def verdict_lines(numbers: Mapping[str, Any]) -> list[str]:
    """Return the console's lines for what `numbers.evaluate_detections` computed."""
    return [*headline(numbers), "", *class_lines(numbers), "", *threshold_lines(numbers), *ending_lines(numbers)]


def headline(numbers: Mapping[str, Any]) -> list[str]:
    """Return the verdict in a sentence, and AP."""
    images, objects = numbers["images"], numbers["objects"]
    on = f"On {images} image{'s' * (images != 1)}"
    if not objects:
        return [f"{on}: there is no object to find, so nothing can be said of what it finds; {_boxes(numbers)}."]
    if numbers["at_threshold"] is None:
        return [f"{on}: none of its {numbers['detections']} boxes is right; {objects} objects were to be found."]
    point = OperatingPoint.from_dict(numbers["at_threshold"])
    lines = [f"{on}: {describe(point)}."]
    if numbers["iou"] != 0.5:
        lines.append(f"(A box is right from an overlap, IoU, of {numbers['iou']:g} on.)")
    aps = ", ".join(f"{name} {with_interval(numbers, key)}" for name, key in (("AP", "ap"), ("AP50", "ap50")))
    average_recall = _number(numbers["coco"]["mar_100"])
    return [*lines, f"{aps}, average recall (AR@[.50:.95]) {average_recall}"]


def cautions(numbers: Mapping[str, Any]) -> list[str]:
    """Return sentences on what limits the verdict."""
    lines = [
        f"{row['name']}: {row['objects']} objects say little." for row in numbers["classes"] if is_few(row["objects"])
    ]
    lines += [f"{row['name']}: no object to find." for row in numbers["classes"] if not row["objects"]]
    if numbers.get("split") == "val":
        lines.append("These images chose the best epoch, so the scores are a little too good; a test split is honest.")
    if numbers.get("split") == "train":
        lines.append("It has learned these images: the scores say nothing of new ones.")
    return lines


def ending_lines(numbers: Mapping[str, Any]) -> list[str]:
    """Return how fast it is, how far its scores can be taken at their word, and how it compares."""
    lines, latency, error = [], numbers.get("latency_ms"), numbers["calibration"]["ece"]
    if error is not None:
        lines.append(f"scores miss the share of right boxes by {100 * error:.0f} points on average (calibration error)")
    if latency:
        lines.append(
            f"latency: {latency['median']:.0f} ms an image by itself, {latency['p95']:.0f} ms at most for 95 of 100 "
            f"({numbers['device']})"
        )
    return lines


def class_lines(numbers: Mapping[str, Any]) -> list[str]:
    """Return the table per class, in 80 columns, and what is too few data to say much."""
    rows = numbers["classes"]
    width = max(5, *(min(LONGEST_NAME, len(row["name"])) for row in rows))
    lines = [f"{'class':<{width}} objects  found  right  AP                AP50              AR"]
    for row in rows:
        name = row["name"] if len(row["name"]) <= width else f"{row['name'][: width - 1]}…"
        point = row["at_threshold"] or {"recall": None, "precision": None}
        cells = f"{_percent(point['recall']):>5}  {_percent(point['precision']):>5}"
        aps = "  ".join(f"{with_interval(row, key):<16}" for key in ("ap", "ap50"))
        lines.append(f"{name:<{width}} {row['objects']:>7,}  {cells}  {aps}  {_number(row['ar'])}".rstrip())
    few = [f"{row['name']} ({row['objects']})" for row in rows if is_few(row["objects"])]
    if few:
        lines.append(f"says little, with fewer than {FEW_OBJECTS} objects: {', '.join(few)}")
    none = [row["name"] for row in rows if not row["objects"]]
    return [*lines, *([f"no object of {', '.join(none)}: nothing is known of how well they are found"] if none else [])]


def threshold_lines(numbers: Mapping[str, Any]) -> list[str]:
    """Return what each wished threshold is, and what it brings or why there is none."""
    chosen, lines = ClassThresholds.from_dict(numbers["thresholds"]["overall"]), []
    best = chosen.best_f1
    if best.threshold is not None and best.threshold != numbers["threshold"]:
        lines.append(f"best threshold (F1): {best}")
    elif best.threshold is not None:
        lines.append(f"threshold {best.threshold:.2f} has the best F1: the balance of finding much and being right")
    for name, key in (("precision", "min_precision"), ("recall", "min_recall")):
        choice = getattr(chosen, key)
        if choice:
            lines.append(f"for a {name} of {numbers['thresholds'][f'wanted_{name}']:g}: {choice}")
    return lines


def with_interval(values: Mapping[str, Any], key: str) -> str:
    """Write a number with its interval, as 0.45 (0.38–0.52)."""
    low, high = values.get(f"{key}_interval") or (None, None)
    around = f" ({low:.2f}–{high:.2f})" if low is not None and high is not None else ""
    return f"{_number(values[key])}{around}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} %"


def _boxes(numbers: Mapping[str, Any]) -> str:
    count = numbers["detections"]
    return f"it gives {count} box{'es' * (count != 1)}, all of them wrong" if count else "it gives no box"
