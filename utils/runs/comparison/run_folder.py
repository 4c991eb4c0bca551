"""The folder of a run, or of an evaluation, as far as it can be read."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.config.yaml_files import read_yaml
from utils.errors import ToolkitError
from utils.files import first_entries
from utils.runs.best_epoch import BestEpoch
from utils.runs.loggers import METRICS_FILE, read_metrics
from utils.suggestions import suggestion

TRAINING_ROOT = Path("outputs/training")
SETTINGS_FILE, DATASET_FILE, EVALUATION_FILE = "args.yaml", "config.yaml", "evaluation.json"
COCO_FILES = (("val_ground_truth.json", "val_predictions.json"), ("ground_truth.json", "predictions.json"))
# Settings that say where a run lies and how it was started, and nothing of what it does.
NOT_COMPARED = {"project_name", "exist_ok", "resume_training", "vis_transformed", "save_every", "log"}
OF_EVALUATION = ("split", "dataset", "weights", "predictions", "model", "img_size", "slice", "half")


@dataclass(frozen=True)
class RunFolder:
    """A run as its files tell it; all but the folder may be missing.

    settings: of args.yaml and, as `dataset: KEY`, of config.yaml. steps, epochs: the records of metrics.jsonl.
    coco_files: ground truth and predictions. evaluation: the content of evaluation.json.
    """

    path: Path
    settings: dict[str, Any]
    steps: list[dict[str, Any]]
    epochs: list[dict[str, Any]]
    coco_files: tuple[Path, Path] | None
    evaluation: dict[str, Any]

    @property
    def best(self) -> dict[str, float]:
        """The record of the best epoch, `val/...` of its better weights; empty without a scored epoch."""
        best = BestEpoch()
        for record in self.epochs:
            if "val/map_50_95" in record:
                best.update(record)
        return best.record

    @property
    def max_detections(self) -> int:
        """The most detections of an image; 100, torchvision's, where the files do not say."""
        found = self.evaluation.get("max_detections", self.settings.get("max_detections"))
        return max(found, 100) if isinstance(found, int) else 100

    @property
    def seconds(self) -> float | None:
        """The time of all epochs; None without any."""
        values = [value for record in self.epochs if math.isfinite(value := record.get("time/epoch_s", math.nan))]
        return sum(values) if values else None


def find_runs(names: Iterable[str]) -> tuple[list[Path], list[str]]:
    """Return the folders of runs, each once, and those names that mean one of them again.

    A name is a folder, or that of a run below outputs/training. Raises ToolkitError where it is neither.
    """
    found: dict[Path, Path] = {}
    again = []
    for name in names:
        path = Path(name) if Path(name).exists() else TRAINING_ROOT / name
        if not path.is_dir():
            raise ToolkitError(_missing(Path(name)))
        if path.resolve() in found:
            again.append(name)
        found.setdefault(path.resolve(), path)
    return list(found.values()), again


def _missing(path: Path) -> str:
    if path.is_file():
        return f"{path} is a file: give the folder of the run, such as {path.parent}"
    known = sorted(entry.name for entry in TRAINING_ROOT.iterdir() if entry.is_dir()) if TRAINING_ROOT.is_dir() else []
    close = suggestion(path.name, known, numbers_matter=False)
    hint = f"did you mean {TRAINING_ROOT / close}?" if close else f"{TRAINING_ROOT} has {first_entries(TRAINING_ROOT)}"
    return f"{path}: no such folder, nor a run of that name; {hint}"


def read_run(path: Path) -> RunFolder:
    """Read the results and settings in a run's folder.

    Raises:
        ToolkitError: it holds no file of a run, or one that cannot be read.
    """
    settings = _settings(path)
    metrics = path / METRICS_FILE
    steps, epochs = read_metrics(metrics) if metrics.is_file() else ([], [])
    evaluation = _evaluation(path / EVALUATION_FILE)
    coco_files = next(
        ((path / a, path / b) for a, b in COCO_FILES if (path / a).is_file() and (path / b).is_file()), None
    )
    if not (settings or steps or epochs or evaluation or coco_files):
        raise ToolkitError(
            f"{path} is not the folder of a run: expected {SETTINGS_FILE}, {METRICS_FILE} or {EVALUATION_FILE}, "
            f"found {first_entries(path)}"
        )
    settings |= {
        key: evaluation[key] for key in OF_EVALUATION if evaluation and key not in settings and key in evaluation
    }
    return RunFolder(path, settings, steps, epochs, coco_files, evaluation)


def _settings(path: Path) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if (path / SETTINGS_FILE).is_file():
        settings |= {key: value for key, value in read_yaml(path / SETTINGS_FILE).items() if key not in NOT_COMPARED}
    if (path / DATASET_FILE).is_file():
        settings |= {f"dataset: {key}": value for key, value in read_yaml(path / DATASET_FILE).items()}
    return settings


def _evaluation(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ToolkitError(f"{path} cannot be read: {error}. evaluate.py writes it anew.") from error
    if not isinstance(content, dict):
        raise ToolkitError(f"{path}: expected the numbers of an evaluation, found a {type(content).__name__}")
    return content


def short_names(paths: Sequence[Path]) -> list[str]:
    """Name folders by their last part, and where that does not tell all of them apart by an earlier one before it."""
    parts = [path.resolve().parts for path in paths]
    names = [part[-1] for part in parts]
    for back in range(2, max(map(len, parts)) + 1):
        if len(set(names)) == len(names):
            break
        names = [f"{part[-back]}/{'…/' * (back > 2)}{part[-1]}" if len(part) >= back else part[-1] for part in parts]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]
