"""The evaluation at the end of a training: of the best epoch, from the detections that were kept when it was scored."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from utils.annotations.annotation import Annotation
from utils.cli.command import command
from utils.coco_eval import CocoEvaluator
from utils.evaluation.coco.files import load_detections, load_truth
from utils.evaluation.verdict.files import CARD_FILE, EVALUATION_FILE, REPORT_FILE, THRESHOLDS_FILE, write_evaluation
from utils.evaluation.verdict.numbers import EvaluationOptions, evaluate_detections
from utils.evaluation.verdict.report_data import report_data
from utils.evaluation.verdict.source import Source
from utils.evaluation.verdict.words import headline
from utils.evaluation_report.dataset import dataset_parts
from utils.images.pixel_range import PixelRange
from utils.runs.loggers import METRICS_FILE, read_metrics

TRUTH_FILE, PREDICTIONS_FILE, WEIGHTS_FILE = "val_ground_truth.json", "val_predictions.json", "best_model.pth"


def evaluate_best(
    folder: Path,
    evaluator: CocoEvaluator,
    splits: Mapping[str, Sequence[Annotation]],
    *,
    epoch: int,
    model: str,
    pixel_range: PixelRange | None = None,
) -> list[str]:
    """Write the evaluation of the best epoch to the run's folder; return the verdict's lines.

    Nothing is written, and no line returned, where the folder has not the best epoch's files: a run that was resumed
    elsewhere. Raises DatasetError where somebody changed them.

    Args:
        evaluator: one of the validation split; its detections play no part.
        splits: the annotations that were read, for the report's counts and fingerprints.
    """
    if not all((folder / name).is_file() for name in (TRUTH_FILE, PREDICTIONS_FILE, WEIGHTS_FILE)):
        return []
    truth = load_truth(folder / TRUTH_FILE)
    order = np.argsort(evaluator.ids)  # as the file's images are ordered
    source = Source(
        truth.packed,
        load_detections(folder / PREDICTIONS_FILE, truth),
        None,
        {"weights": str(folder / WEIGHTS_FILE), "split": "val", "epoch": epoch, "model": model},
        evaluator.max_detections,
        annotations=[evaluator.annotations[i] for i in order],
        pixel_range=pixel_range,
    )
    evaluation = evaluate_detections(
        source.truth,
        source.detections,
        EvaluationOptions(max_detections=source.max_detections),
        sizes_wh=source.sizes_wh,
    )
    evaluation.numbers.update(source.about)
    weights = folder / WEIGHTS_FILE
    commands = [
        ("evaluate again, with the latency", command("evaluate.py", weights=weights, config=folder / "config.yaml")),
        ("detect objects in images", command("inference.py", weights=weights, input="IMAGES")),
    ]
    epochs = read_metrics(folder / METRICS_FILE)[1] if (folder / METRICS_FILE).is_file() else []
    more = {"epochs": epochs, "best_epoch": epoch, **dataset_parts(splits, evaluator.class_names)}
    report = report_data(evaluation, source, title=folder.name, commands=commands, more=more)
    write_evaluation(folder, evaluation, source, report, pixel_range=pixel_range)
    return [
        *headline(evaluation.numbers),
        f"  {REPORT_FILE} shows where it fails, {EVALUATION_FILE} has the numbers, {THRESHOLDS_FILE} other thresholds, "
        f"{CARD_FILE} is for whoever uses it",
    ]
