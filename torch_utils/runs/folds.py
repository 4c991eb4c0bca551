"""Cross-validation: one training for each part of the dataset that is held out, and what all of them found."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

from torch_utils.distributed import under_torchrun
from utils.cli.command import command
from utils.cli.settings import TRAINING_ROOT, TrainSettings
from utils.coco_eval import CocoEvaluator
from utils.dataset.folds import fold_scans
from utils.detections import Detections
from utils.errors import ConfigError
from utils.evaluation.packed import PackedDetections, PackedTruth
from utils.files import write_text_atomically
from utils.label_errors.find import find_label_errors
from utils.label_errors.table import CSV_NAME, error_lines, error_rows, write_csv
from utils.runs.console import setup_logging
from utils.runs.data import TrainingData
from utils.runs.run_dir import check_run_name, create_run_dir

PREDICTIONS, GROUND_TRUTH = "out_of_fold_predictions.json", "out_of_fold_ground_truth.json"


def train_folds(
    settings: TrainSettings, train: Callable[[TrainSettings], int], read_whole: Callable[[TrainSettings], TrainingData]
) -> int:
    """Train one model for each part of the dataset, without it; then write what each found in its part.

    The runs are folders `fold_1`, `fold_2` … of the run's folder. With `resume_training`, complete ones stay as they
    are, and one that was stopped continues.

    Args:
        train: trains as its settings ask for, and returns the exit status; `fold` says which part is held out.
        read_whole: reads all splits of the dataset, such as `utils.runs.read_data.read_whole_data`.

    Returns the first exit status that is not 0, or 0. Raises ConfigError under torchrun.
    """
    if under_torchrun():
        raise ConfigError("--folds trains in a single process: start it without torchrun")
    folder = _open_folder(settings)
    name = folder.relative_to(TRAINING_ROOT).as_posix()
    settings = replace(settings, project_name=name)
    write_text_atomically(folder / "args.yaml", yaml.safe_dump(settings.as_dict(), allow_unicode=True))
    for number in range(1, settings.folds + 1):
        run_dir = folder / f"fold_{number}"
        if settings.resume_training and (run_dir / "last_model_state.pth").is_file():
            continue
        begun = settings.resume_training and (run_dir / "last_model.pth").is_file()
        setup_logging().info(f"fold {number} of {settings.folds}: {run_dir}")
        status = train(replace(settings, fold=number, project_name=f"{name}/fold_{number}", resume_training=begun))
        if status:
            again = command("train.py", project_name=name)
            setup_logging().info(f"continue with this and the other folds: {again} --resume-training")
            return status
    for line in write_out_of_fold(folder, read_whole(settings), settings):
        setup_logging().info(line)
    return 0


def _open_folder(settings: TrainSettings) -> Path:
    folder = settings.run_dir
    if settings.resume_training and folder:
        return folder
    if folder and not settings.exist_ok:
        for number in range(1, settings.folds + 1):
            check_run_name(TRAINING_ROOT, f"{settings.project_name}/fold_{number}")
    return create_run_dir(TRAINING_ROOT, settings.project_name, exist_ok=settings.exist_ok)


def write_out_of_fold(folder: Path, whole: TrainingData, settings: TrainSettings) -> list[str]:
    """Write the detections in all images, each by the model that did not learn it, and the labels they contradict.

    Returns lines for the log. The files are those of a validation, of all images: COCO's JSON.
    """
    scans = fold_scans(whole.scans, settings.folds, whole.config.split_groups)
    annotations = [a for scan in scans for a in scan["val"].annotations]
    found: list[Detections] = []
    for number, parts in enumerate(scans, start=1):
        part = TrainingData(whole.config, parts)
        path = folder / f"fold_{number}" / "val_predictions.json"
        found += _read_detections(path, part.evaluator(settings.max_detections or 0))
    most = max(len(part) for part in found)
    evaluator = CocoEvaluator(annotations, whole.config.class_names, max_detections=most)
    for index, detections in enumerate(found):
        evaluator.add(index, detections)
    for name, content in ((PREDICTIONS, evaluator.results()), (GROUND_TRUTH, evaluator.ground_truth())):
        write_text_atomically(folder / name, json.dumps(content, ensure_ascii=False))
    truth = PackedTruth.of_annotations(annotations, whole.config.class_names)
    errors = find_label_errors(truth, PackedDetections.of_detections(found))
    rows = error_rows(errors, [a.image_path for a in annotations], whole.config.class_names)
    write_csv(folder / CSV_NAME, rows)
    metrics = evaluator.compute()
    return [
        f"all {len(annotations)} images, each by the model that did not learn it: "
        f"AP {metrics['map_50_95']:.4f}, AP50 {metrics['map_50']:.4f}",
        *error_lines(rows, images=len(annotations)),
        f"written: {folder}: {CSV_NAME}, {PREDICTIONS}, {GROUND_TRUTH}",
    ]


def _read_detections(path: Path, evaluator: CocoEvaluator) -> list[Detections]:
    """Read the detections of each image of a fold, in the order of its annotations."""
    try:
        results = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}): start the fold again: remove {path.parent}") from error
    of_image: dict[int, list[dict]] = {number: [] for number in evaluator.ids}
    for result in results:
        if result["image_id"] not in of_image:
            raise ConfigError(f"{path}: image {result['image_id']} is not in this fold: the dataset has changed")
        of_image[result["image_id"]].append(result)
    return [_detections(of_image[number]) for number in evaluator.ids]


def _detections(results: list[dict]) -> Detections:
    boxes = np.array([result["bbox"] for result in results], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return Detections(
        boxes.astype(np.float32),
        np.array([result["score"] for result in results], np.float32),
        np.array([result["category_id"] for result in results], np.int64),
    )
