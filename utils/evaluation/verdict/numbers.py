"""All numbers of an evaluation as one plain dict: what evaluation.json holds, and what every page and line says."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from utils.evaluation.bootstrap import ap_intervals
from utils.evaluation.calibration import expected_calibration_error, fit_calibration, reliability, scored
from utils.evaluation.choices import Thresholds
from utils.evaluation.coco.metrics import COCO_KEYS, coco_metrics
from utils.evaluation.confusion import confusion_matrix
from utils.evaluation.curves import Curve, curve_of
from utils.evaluation.failures.error_kinds import ErrorKinds, error_kinds
from utils.evaluation.failures.misses import found_scores, miss_sentences, misses, wrong_by_score
from utils.evaluation.matching import IOU_THRESHOLDS, Matches, match
from utils.evaluation.packed import PackedDetections, PackedTruth
from utils.evaluation.thresholds import choose_thresholds
from utils.evaluation.verdict.stored import GRID

FORMAT = 1  # of evaluation.json
CONFUSED_AT = np.arange(0.05, 1.0, 0.05)  # scores that the page has a confusion matrix of
CLASS_POINTS = 200  # of a class's curve that are kept,
SLIDER = (
    np.arange(101) / 100 - 1e-7
)  # and those of the thresholds of the page; 0.7 in single precision is just below 0.7


@dataclass(frozen=True)
class EvaluationOptions:
    """Options of an evaluation, beside what is always computed.

    iou: overlap from which a box is right. threshold: a score to look at; None for that of the best F1.
    min_precision, min_recall: shares that a threshold is to keep. max_detections: of an image and class, for AP.
    """

    iou: float = 0.5
    threshold: float | None = None
    min_precision: float | None = None
    min_recall: float | None = None
    max_detections: int = 100


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A split's objects and detections, their matches at COCO's overlaps and at the chosen one, and what follows.

    numbers: plain types, of which NaN has become None. found: (N,), as of `misses.found_scores`.
    """

    truth: PackedTruth
    detections: PackedDetections
    matches: Matches
    matches_at_iou: Matches
    thresholds: Thresholds
    errors: ErrorKinds
    found: np.ndarray
    numbers: dict[str, Any]


def evaluate_detections(
    truth: PackedTruth,
    detections: PackedDetections,
    options: EvaluationOptions | None = None,
    *,
    image_ids: Sequence[int] | None = None,
    sizes_wh: np.ndarray | None = None,
) -> Evaluation:
    """Compute everything that is said of a detector.

    Args:
        image_ids: by whose order COCO breaks ties of scores; None for the order of the images.
        sizes_wh: (num_images, 2), width and height in pixels; without them nothing is said of borders.

    Raises:
        ValueError: labels or images that are none of `truth`'s.
    """
    options = options or EvaluationOptions()
    most, iou = options.max_detections, options.iou
    metrics = coco_metrics(truth, detections, image_ids=image_ids, max_detections=most)
    matches = match(truth, detections, max_detections=most, image_ids=image_ids)
    at_iou = matches
    if not np.isclose(IOU_THRESHOLDS, iou).any():
        at_iou = match(truth, detections, iou_thresholds=[iou], max_detections=most, image_ids=image_ids)
    thresholds = choose_thresholds(at_iou, min_precision=options.min_precision, min_recall=options.min_recall, iou=iou)
    best = thresholds.overall.best_f1.threshold
    used = options.threshold if options.threshold is not None else best
    overall = curve_of(at_iou, iou=iou)
    intervals = ap_intervals(matches)
    curves = [curve_of(at_iou, of_class.label, iou=iou) for of_class in at_iou.classes]
    errors, found = error_kinds(truth, detections, matches), found_scores(truth, at_iou, iou)
    tables = misses(truth, found, 0.0 if used is None else used, sizes_wh=sizes_wh)
    confusions = [confusion_matrix(truth, detections, at_iou, threshold=t, iou=iou).tolist() for t in CONFUSED_AT]
    numbers = {
        "format": FORMAT,
        "images": truth.num_images,
        "objects": int((~truth.crowd).sum()),
        "detections": len(detections),
        "class_names": list(truth.class_names[1:]),
        "ap": metrics["map_50_95"],
        "ap_interval": intervals["ap"][1:],
        "ap50": metrics["map_50"],
        "ap50_interval": intervals["ap_50"][1:],
        "coco": {key: metrics[key] for key in COCO_KEYS},
        "coco_at_100": {k: metrics[k] for k in ("map_50_95_at_100", "map_50_at_100") if k in metrics},
        "max_detections": most,
        "iou": iou,
        "threshold": used,
        "threshold_reason": "as asked for" if options.threshold is not None else "the best F1: much found, much right",
        "at_threshold": None if used is None else overall.at(used).to_dict(),
        "thresholds": thresholds.to_dict(),
        "classes": _classes(matches, curves, thresholds, metrics | intervals, used),
        "curves": [
            curve.to_dict(points, exact_at=SLIDER if used is None else [*SLIDER, used])
            for curve, points in [(overall, 500), *((curve, CLASS_POINTS) for curve in curves)]
        ],
        "confusion": {"thresholds": [round(float(t), 2) for t in CONFUSED_AT], "counts": confusions},
        "error_kinds": errors.to_dict(),
        "wrong_by_score": wrong_by_score(errors, detections),
        "misses": [asdict(table) for table in tables],
        "miss_sentences": miss_sentences(tables),
        "calibration": _calibration(at_iou, iou),
    }
    return Evaluation(truth, detections, matches, at_iou, thresholds, errors, found, plain(numbers))


def stored_thresholds(matches: Matches, split: str, thresholds: Thresholds | None = None) -> dict[str, Any]:
    """Return plain types for a checkpoint: thresholds, recall at scores from 0 to 1, and maps that calibrate scores."""
    thresholds = thresholds or choose_thresholds(matches)
    curve = curve_of(matches, iou=thresholds.iou)
    recall = [curve.at(float(score)).recall for score in GRID]
    return {
        "chosen": plain(thresholds.to_dict()),
        "recall": [None if math.isnan(value) else value for value in recall],
        "calibration": plain(fit_calibration(matches, iou=thresholds.iou).to_dict()["classes"]),
        "images": matches.num_images,
        "split": split,
    }


def _classes(
    matches: Matches,
    curves: Sequence[Curve],
    thresholds: Thresholds,
    metrics: dict[str, Any],
    used: float | None,
) -> list[dict]:
    """Return the numbers of each class."""
    rows = []
    for name, found, curve in zip(matches.class_names[1:], matches.classes, curves, strict=True):
        objects = int(found.objects.sum())
        rows.append(
            {
                "name": name,
                "objects": objects,
                "images": int((found.objects > 0).sum()),
                "detections": len(found.detections),
                "ap": metrics[f"ap/{name}"].value,
                "ap_interval": metrics[f"ap/{name}"][1:],
                "ap50": metrics[f"ap_50/{name}"].value,
                "ap50_interval": metrics[f"ap_50/{name}"][1:],
                "ar": float(found.correct.sum(axis=1).mean() / objects) if objects else None,
                "threshold": thresholds.classes[name].best_f1.threshold,
                "at_threshold": None if used is None else curve.at(used).to_dict(),
            }
        )
    return rows


def _calibration(matches: Matches, iou: float) -> dict:
    """Return the calibration error, the reliability curve, and maps of scores to shares of right boxes."""
    scores, right, _ = scored(matches, iou=iou)
    diagram = reliability(scores, right)
    edges = np.array_split(np.sort(scores), len(diagram["score"])) if len(scores) else []
    bins = [
        {"low": part[0], "high": part[-1], "count": count, "confidence": score, "precision": share}
        for part, count, score, share in zip(
            edges, diagram["detections"], diagram["score"], diagram["right"], strict=True
        )
    ]
    maps = fit_calibration(matches, iou=iou).to_dict()["classes"]
    return {"bins": bins, "ece": expected_calibration_error(scores, right), "maps": maps}


def plain(value: Any) -> Any:
    """Return `value` in plain types: tuples as lists, and None for NaN, infinity and COCO's -1, where nothing was."""
    if isinstance(value, dict):
        return {key: plain(of_key) for key, of_key in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (np.floating, float)):
        return float(value) if np.isfinite(value) and value != -1 else None
    return int(value) if isinstance(value, np.integer) else value
