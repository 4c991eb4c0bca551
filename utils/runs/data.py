"""The dataset of a training: its configuration, and every file of it as it was scanned."""

from collections.abc import Mapping
from dataclasses import dataclass

from utils.annotations.annotation import Annotation, Scan
from utils.cli.settings import TrainSettings
from utils.coco_eval import CocoEvaluator, most_of_a_class
from utils.config.config import DatasetConfig, load_config
from utils.dataset.fingerprint import fingerprint
from utils.dataset.scan import raise_for_errors, scan_splits
from utils.errors import ConfigError
from utils.metrics import is_few, limit_report, most_objects, needed_detections


@dataclass(frozen=True)
class TrainingData:
    """A dataset that has been scanned without an error; `scans` has the splits "train" and "val"."""

    config: DatasetConfig
    scans: Mapping[str, Scan]

    @property
    def annotations(self) -> dict[str, list[Annotation]]:
        """The annotations of each split."""
        return {split: scan.annotations for split, scan in self.scans.items()}

    @property
    def fingerprints(self) -> dict[str, dict[str, int]]:
        """The fingerprint of each split, by which a resumed run knows its data."""
        return {split: fingerprint(found, self.config.class_names) for split, found in self.annotations.items()}

    @property
    def needed_detections(self) -> int:
        """The detections of an image that a model must be able to give."""
        return needed_detections(most_objects(self.annotations))

    @property
    def val_objects(self) -> list[int]:
        """The number of validation objects of each class, the background's none first."""
        annotations = self.annotations["val"]
        return [sum(int((a.labels == label).sum()) for a in annotations) for label in range(self.config.num_classes)]

    @property
    def is_rough(self) -> bool:
        """Whether a class has so few validation objects that scores say little."""
        return any(map(is_few, self.val_objects))

    def limit_report(self, limit: int) -> list[str]:
        """Return lines on `limit`, a model's detections of an image; none where it is the usual one and suffices."""
        crowded = most_of_a_class(self.annotations["val"])
        return limit_report(limit, most_objects(self.annotations), of_a_class=crowded)

    def evaluator(self, max_detections: int | None) -> CocoEvaluator:
        """Return a new evaluator of the validation split."""
        config = self.config
        return CocoEvaluator(
            self.annotations["val"],
            config.class_names,
            images_dir=config.val_images_dir,
            max_detections=max_detections,
        )


def read_data(settings: TrainSettings) -> TrainingData:
    """Read and scan the dataset that the settings name.

    Raises ConfigError where its YAML is at fault, and DatasetError, with every file, where images or annotations are.
    """
    if settings.config is None:
        raise ConfigError("--config: which dataset? For example data_configs/ppe.yaml")
    config = load_config(settings.config, split=settings.split, split_groups=settings.split_groups)
    scans = scan_splits(config, skip_bad=settings.skip_bad)
    raise_for_errors(scans)
    return TrainingData(config, scans)
