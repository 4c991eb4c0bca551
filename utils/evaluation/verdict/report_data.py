"""An evaluation as the report and the model card show it."""

import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

from utils.evaluation.coco.metrics import COCO_KEYS
from utils.evaluation.failures.worst_images import boxes_to_draw, worst_images
from utils.evaluation.verdict.numbers import Evaluation
from utils.evaluation.verdict.source import Source
from utils.evaluation.verdict.words import cautions, headline, threshold_lines
from utils.evaluation_report.data import Number, ReportData
from utils.evaluation_report.dataset import dataset_parts

PACKAGES = ("torch", "torchvision", "numpy", "opencv-python", "hotcoco", "pycocotools")
ROOT = Path(__file__).resolve().parents[3]


def report_data(
    evaluation: Evaluation, source: Source, *, title: str, commands: Sequence[tuple[str, str]], more: Mapping[str, Any]
) -> ReportData:
    """Return all that a report shows.

    Args:
        commands: purpose and command line.
        more: further keys of `ReportData`, such as `epochs`.
    """
    numbers = evaluation.numbers
    data: dict[str, Any] = {key: numbers[key] for key in ReportData.__annotations__ if key in numbers}
    data |= {
        "title": title,
        "created": datetime.now().strftime("%Y-%m-%d %H:%M"),
        "verdict": [*headline(numbers), *threshold_lines(numbers)],
        "cautions": cautions(numbers),
        "numbers": _numbers(numbers),
        "coco": {key: numbers["coco"][key] for key in COCO_KEYS},
        "threshold": 0.5 if numbers["threshold"] is None else numbers["threshold"],
        "threshold_reason": numbers["threshold_reason"],
        "gallery": _gallery(evaluation, source),
        "settings": {
            key: str(numbers[key])
            for key in ("weights", "predictions", "ground_truth", "config", "img_size", "slice", "device", "half")
            if numbers.get(key)
        },
        "versions": _versions(),
        "git": _git(),
        "commands": [{"purpose": purpose, "command": command} for purpose, command in commands],
    }
    if source.annotations:
        split = str(numbers.get("split") or "images")
        data |= dataset_parts({split: source.annotations}, evaluation.truth.class_names)
    return cast(ReportData, data | dict(more))


def _numbers(numbers: Mapping[str, Any]) -> list[Number]:
    point, latency = numbers["at_threshold"] or {}, numbers.get("latency_ms") or {}
    return [
        Number(name="AP", value=numbers["ap"], interval=numbers["ap_interval"], meaning="are boxes found, and tight"),
        Number(name="AP50", value=numbers["ap50"], interval=numbers["ap50_interval"], meaning="are objects found"),
        Number(
            name="precision", value=point.get("precision"), interval=point.get("precision_interval"),
            meaning="share of the boxes that are right",
        ),
        Number(
            name="recall", value=point.get("recall"), interval=point.get("recall_interval"),
            meaning="share of the objects that are found",
        ),
        *([Number(name="latency", value=latency["median"], unit="ms", meaning="of one image")] if latency else []),
    ]  # fmt: skip


def _gallery(evaluation: Evaluation, source: Source) -> list[dict]:
    if not source.annotations:
        return []
    truth, detections, errors, found = evaluation.truth, evaluation.detections, evaluation.errors, evaluation.found
    used = evaluation.numbers["threshold"]
    shown = worst_images(truth, detections, errors, found, 0.5 if used is None else used)
    return [
        {
            "path": str(source.annotations[one.image].image_path),
            "name": source.annotations[one.image].image_path.name,
            "cost": one.cost,
            **boxes_to_draw(one, truth, detections, errors, found),
        }
        for one in shown
    ]


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _git() -> dict[str, str]:
    """Return the commit of the toolkit, and whether files differ from it; nothing outside of a repository."""

    def answer(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(ROOT), *words], capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()

    try:
        return {"commit": answer("rev-parse", "HEAD"), "changed": "yes" if answer("status", "--porcelain") else "no"}
    except (OSError, subprocess.SubprocessError):
        return {}
