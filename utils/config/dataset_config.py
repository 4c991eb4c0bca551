"""A dataset's files and classes, as its YAML names them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from utils.annotations.annotation import BACKGROUND, YAML_PREFIX
from utils.errors import ConfigError
from utils.images.pixel_range import PixelRange

KINDS = ("DIR_IMAGES", "DIR_LABELS", "LIST")  # of a path, in the names of keys


@dataclass(frozen=True)
class Folder:
    """Images, where their labels are, and the file that lists which of them count; None where all do."""

    images_dir: Path
    labels_dir: Path
    list_path: Path | None = None


def as_keys(split: str, folders: Sequence[Folder]) -> dict:
    """Return the YAML's keys of one split, "train", "val" or "test", with plain values."""
    rows = [(str(f.images_dir), str(f.labels_dir), f.list_path and str(f.list_path)) for f in folders]
    columns = zip(KINDS, map(list, zip(*rows, strict=True)), strict=True)
    return {
        f"{YAML_PREFIX[split]}_{kind}": column if len(rows) > 1 else column[0]
        for kind, column in columns
        if any(column)
    }


@dataclass(frozen=True)
class DatasetConfig:
    """A dataset's files and classes. `class_names[0]` is the background.

    A labels path may be a COCO file. `renamed` are names in the annotations that mean one of the classes, and objects
    of the `ignored` ones are left out. `numbered` are the names of YOLO's class numbers where they are not those of
    `class_names`, and `kpt_shape` the keypoints and numbers of each in YOLO's rows; None where nothing says it. A
    split may have `further` folders, by "train", "val" and "test". `notes` tell which of two readings of the file
    holds. With `split`, the images of the training folder are divided: this share, by `dataset.split`, is for
    validation, `test_share` for the test, and the paths of these splits are the same. Without a test split its paths
    are None, and `test_faults` say what is wrong with one that is named. `pixel_range` is as in `read_image`.
    """

    path: Path
    train_images_dir: Path
    train_labels_dir: Path
    val_images_dir: Path
    val_labels_dir: Path
    class_names: tuple[str, ...]
    train_list: Path | None = None
    val_list: Path | None = None
    test_images_dir: Path | None = None
    test_labels_dir: Path | None = None
    test_list: Path | None = None
    annotation_format: str = "voc"
    one_based: bool = False
    save_val_predictions: bool = True
    source: str | None = None
    split: float | None = None
    test_share: float | None = None
    split_groups: str | None = None
    renamed: dict[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    numbered: tuple[str, ...] = ()
    kpt_shape: tuple[int, int] | None = None
    further: dict[str, tuple[Folder, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    test_faults: tuple[str, ...] = ()
    pixel_range: PixelRange | None = None

    def __post_init__(self):
        if self.class_names[:1] != (BACKGROUND,) or len(self.class_names) < 2:
            raise ValueError(f"{self.path}: expected {BACKGROUND!r} and at least one class, got {self.class_names!r}")

    def folders(self, split: str) -> tuple[Folder, ...]:
        """Return all folders of a split, "train", "val" or "test"; none where there is no test split."""
        images_dir, labels_dir, list_path = (
            getattr(self, f"{split}_{kind}") for kind in ("images_dir", "labels_dir", "list")
        )
        first = (Folder(images_dir, labels_dir, list_path),) if images_dir else ()
        return *first, *self.further.get(split, ())

    @property
    def splits(self) -> tuple[str, ...]:
        """Return the splits that there are: "train", "val", and maybe "test"."""
        return ("train", "val", "test") if self.test_images_dir else ("train", "val")

    def require_test(self) -> None:
        """Raise ConfigError, with the keys, where there is no test split, or one that cannot be found."""
        if self.test_faults:
            raise ConfigError("\n".join([f"{self.path}:", *(f"  {fault}" for fault in self.test_faults)]))
        if not self.test_images_dir:
            raise ConfigError(
                f"{self.path}: names no test split: add TEST_DIR_IMAGES, and TEST_DIR_LABELS or TEST_LIST where they "
                "are needed, as for VALID_DIR_IMAGES; or divide the training images in three: --split 0.15 0.15"
            )

    @property
    def _named(self) -> tuple[str, ...]:
        """Return the splits that have keys of their own."""
        return ("train", "val") if self.test_share else self.splits

    @property
    def num_classes(self) -> int:
        """Count the classes with the background."""
        return len(self.class_names)

    def as_dict(self) -> dict:
        """Return the YAML's keys with plain values, as a checkpoint keeps them."""
        optional = {"SOURCE": self.source, "SPLIT_GROUPS": self.split_groups}
        return {
            **{key: value for split in self._named for key, value in as_keys(split, self.folders(split)).items()},
            "CLASSES": list(self.class_names),
            "NC": self.num_classes,
            "FORMAT": self.annotation_format,
            "VOC_ONE_BASED": self.one_based,
            "SAVE_VALID_PREDICTION_IMAGES": self.save_val_predictions,
            **({"SPLIT": [self.split, self.test_share] if self.test_share else self.split} if self.split else {}),
            **({"RENAME": self.renamed} if self.renamed else {}),
            **({"IGNORE": list(self.ignored)} if self.ignored else {}),
            **({"YOLO_NAMES": list(self.numbered)} if self.numbered else {}),
            **({"KPT_SHAPE": list(self.kpt_shape)} if self.kpt_shape else {}),
            **({"PIXEL_RANGE": list(self.pixel_range)} if self.pixel_range else {}),
            **{key: str(value) for key, value in optional.items() if value is not None},
        }
