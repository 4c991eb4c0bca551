"""The dataset of a training: its configuration, and every file of it as it was scanned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from utils.annotations.annotation import Annotation
from utils.annotations.scan_result import Scan
from utils.coco_eval import CocoEvaluator, most_of_a_class
from utils.config.dataset_config import DatasetConfig
from utils.dataset.fingerprint import fingerprint
from utils.metrics import is_few, limit_report, most_objects, needed_detections


@dataclass(frozen=True)
class TrainingData:
    """A dataset that has been scanned without an error; `scans` has the splits "train" and "val"."""

    config: DatasetConfig
    scans: Mapping[str, Scan]

    @property
    def annotations(self) -> dict[str, Sequence[Annotation]]:
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
        """True where a class has so few validation objects that scores say little."""
        return any(map(is_few, self.val_objects))

    def report(self, *, max_listed: int | None) -> list[str]:
        """Return what the splits hold and what was left out; `max_listed` findings of a kind, None for all."""
        lines = []
        for split, scan in self.scans.items():
            lines += [f"{split} split:", *(f"  {line}" for line in scan.summary(self.config.class_names, max_listed))]
        if not any(len(a.labels) for a in self.annotations["val"]):
            lines.append("no object in the validation split: AP is undefined, and the best epoch will be the last")
        return lines

    def limit_report(self, limit: int) -> list[str]:
        """Return lines on `limit`, a model's detections of an image; none where it is the usual one and suffices."""
        crowded = most_of_a_class(self.annotations["val"])
        return limit_report(limit, most_objects(self.annotations), of_a_class=crowded)

    def evaluator(self, max_detections: int) -> CocoEvaluator:
        """Return a new evaluator of the validation split."""
        config = self.config
        return CocoEvaluator(
            self.annotations["val"],
            config.class_names,
            images_dir=config.val_images_dir,
            max_detections=max_detections,
        )
