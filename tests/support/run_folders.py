"""Folders as trainings leave them, with metrics and detections made up."""

import json
from pathlib import Path

import numpy as np
import yaml

from support.coco_reference import coco_dicts, random_split
from utils.evaluation.packed import PackedDetections
from utils.runs.loggers import JsonlLogger


def write_run(
    folder: Path, *, aps=(0.1, 0.3, 0.2), settings=None, dataset=None, truth=None, detections=None, found=1.0, seed=1
) -> Path:
    """Write args.yaml, config.yaml, metrics.jsonl and both COCO files; `found` is the share of detections kept."""
    folder.mkdir(parents=True)
    args = {"epochs": len(aps), "lr": 0.01, "augment": ["mosaic"], "project_name": folder.name} | (settings or {})
    (folder / "args.yaml").write_text(yaml.safe_dump(args), encoding="utf-8")
    (folder / "config.yaml").write_text(yaml.safe_dump({"CLASSES": ["a", "b"]} | (dataset or {})), encoding="utf-8")
    write_metrics(folder, aps)
    if truth is None:
        truth, detections = random_split(seed, images=40, crowds=0, classes=2)
    kept = np.flatnonzero(np.random.default_rng(0).random(len(detections)) < found)
    names = ("image_of", "labels", "boxes_xywh", "scores")
    dataset, results = coco_dicts(truth, PackedDetections(*(getattr(detections, name)[kept] for name in names)))
    (folder / "val_ground_truth.json").write_text(json.dumps(dataset), encoding="utf-8")
    (folder / "val_predictions.json").write_text(json.dumps(results), encoding="utf-8")
    return folder


def write_metrics(folder: Path, aps, *, steps: int = 0) -> None:
    """Write a record for each epoch, 30 s each, and for `steps` steps of another."""
    logger = JsonlLogger(folder)
    for epoch, ap in enumerate(aps, start=1):
        record = {"epoch": epoch, "step": 10 * epoch, "train/loss": 1 / epoch, "val/loss": 2 / epoch, "lr": 0.01}
        scores = {"val/map_50_95": ap, "val/map_50": ap, "val/ap/0": ap}
        logger.epoch(record | scores | {"time/epoch_s": 30.0})
    logger.steps([{"step": 10 * len(aps) + number, "train/loss": 1.0} for number in range(1, steps + 1)])
    logger.close()
