"""An evaluation as plain types, of objects and detections drawn at random, with an image for each."""

from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np

from utils.evaluation.confusion import confusion_matrix
from utils.evaluation.curves import curve_of
from utils.evaluation.failures.error_kinds import error_kinds
from utils.evaluation.failures.misses import found_scores, miss_sentences, misses, wrong_by_score
from utils.evaluation.failures.worst_images import boxes_to_draw, worst_images
from utils.evaluation.matching import match
from utils.evaluation.packed import PackedDetections, PackedTruth
from utils.evaluation_report.data import ReportData

HOSTILE = "</script><script>document.title='taken'</script>\"'&|` \u2028é"
SIZE = 160, 120  # of the images, width and height in pixels


def random_evaluation(
    folder: Path, *, images: int = 4, class_names: tuple[str, ...] = ("cat", HOSTILE), seed: int = 0
) -> ReportData:
    """Return a report's data with every part, and write its images into `folder`."""
    truth, detections = _split(images, class_names, np.random.default_rng(seed))
    matches = match(truth, detections)
    errors, found, threshold = error_kinds(truth, detections, matches), found_scores(truth, matches), 0.5
    missed = misses(truth, found, threshold, sizes_wh=np.tile(SIZE, (images, 1)))
    thresholds = [i / 10 for i in range(1, 10)]
    gallery = []
    for worst in worst_images(truth, detections, errors, found, threshold):
        path = folder / f"image <{worst.image}>.png"
        cv2.imwrite(str(path), np.full((SIZE[1], SIZE[0], 3), 40 * worst.image % 255, np.uint8))
        gallery.append(
            {"path": str(path), "name": path.name, "cost": worst.cost}
            | boxes_to_draw(worst, truth, detections, errors, found)
        )
    return {
        "title": f"run {HOSTILE}",
        "created": "2026-11-25 18:00",
        "model": "fasterrcnn_resnet50_fpn_v2",
        "split": "val",
        "images": images,
        "verdict": ["It finds 8 of 10 objects.", "See --threshold."],
        "cautions": [f"{images} images are few."],
        "numbers": [
            {"name": "AP", "value": 0.45, "interval": [0.38, 0.52], "meaning": "over ten overlaps"},
            {"name": "time", "value": 31.4, "interval": None, "unit": "ms"},
            {"name": "AR", "value": float("nan"), "interval": None},
        ],
        "coco": {"map_50_95": 0.45, "map_small": -1.0},
        "class_names": list(class_names),
        "classes": [
            {"name": n, "objects": 3, "ap": 0.4, "ap_interval": [0.3, 0.5], "ap50": None} for n in class_names
        ],
        "iou": 0.5,
        "threshold": threshold,
        "threshold_reason": "there F1 is highest",
        "curves": [curve_of(matches, label).to_dict() for label in (None, *range(1, len(class_names) + 1))],
        "confusion": {
            "thresholds": thresholds,
            "counts": [confusion_matrix(truth, detections, matches, threshold=t).tolist() for t in thresholds],
        },
        "error_kinds": errors.to_dict(),
        "wrong_by_score": wrong_by_score(errors, detections),
        "misses": [asdict(table) for table in missed],
        "miss_sentences": miss_sentences(missed) or [f"{HOSTILE}: 90% of 20 missed"],
        "calibration": {
            "bins": [
                {"low": 0.0, "high": 0.5, "count": 4, "confidence": 0.3, "precision": 0.2},
                {"low": 0.5, "high": 1.0, "count": 0, "confidence": None, "precision": None},
            ],
            "ece": 0.08,
            "ece_calibrated": 0.03,
        },
        "gallery": gallery,
        "label_errors": [
            {"path": gallery[0]["path"], "kind": "missing", "text": HOSTILE, "score": 0.9, "box": None,
             "better_box": [5.0, 5.0, 20.0, 20.0]},
        ],
        "epochs": [
            {"epoch": 1, "train/loss": 2.0, "val/loss": float("nan"), "val/map_50": 0.1, "val/map_50_95": 0.05},
            {"epoch": 2, "train/loss": 1.0, "val/loss": 1.5, "val/map_50": 0.3, "val/map_50_95": 0.2},
        ],
        "best_epoch": 2,
        "dataset": [{"title": HOSTILE, "heads": ["", "val"], "rows": [["images", images], [HOSTILE, None]]}],
        "limits": ["Made for indoor images."],
        "settings": {"lr": "0.01", HOSTILE: HOSTILE},
        "versions": {"python": "3.11"},
        "git": {"commit": "abc"},
        "fingerprint": {"val": "4 images, 1a2b"},
        "commands": [{"purpose": "Use it:", "command": f"python inference.py --input '{HOSTILE}'"}],
    }  # fmt: skip


def _split(images: int, class_names: tuple[str, ...], rng: np.random.Generator) -> tuple[PackedTruth, PackedDetections]:
    """Draw three objects an image, and on each up to two detections, some of them shifted or of another class."""
    image_of = np.repeat(np.arange(images), 3)
    corners = np.stack([np.tile([5.0, 60.0, 110.0], images), rng.uniform(5, 60, len(image_of))], 1)
    boxes = np.concatenate([corners, rng.uniform(20, 40, (len(image_of), 2))], 1)
    labels = rng.integers(1, len(class_names) + 1, len(image_of))
    truth = PackedTruth(
        image_of, labels, boxes, boxes[:, 2] * boxes[:, 3], np.zeros(len(boxes), bool), images, ("-", *class_names)
    )
    of = np.repeat(np.arange(len(boxes)), rng.integers(0, 3, len(boxes)))
    shifted = boxes[of] + rng.choice([0.0, 1.0, 14.0], (len(of), 1)) * np.array([1.0, 0, 0, 0])
    found_labels = np.where(rng.random(len(of)) < 0.2, rng.integers(1, len(class_names) + 1, len(of)), labels[of])
    return truth, PackedDetections(image_of[of], found_labels, shifted, rng.permutation(len(of)) / max(len(of), 1))
