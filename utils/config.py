"""The data set's YAML file, read into a `DatasetConfig`; every fault of the file is reported at once."""

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from utils.annotations import READERS, detect_format
from utils.config_paths import find_path
from utils.errors import ConfigError
from utils.scan import BACKGROUND
from utils.split import group_names
from utils.yolo_yaml import is_yolo_yaml, translated

REQUIRED_KEYS = ("TRAIN_DIR_IMAGES", "VALID_DIR_IMAGES", "CLASSES")
OPTIONAL_KEYS = (
    "TRAIN_DIR_LABELS", "VALID_DIR_LABELS", "TRAIN_LIST", "VALID_LIST", "NC", "FORMAT", "VOC_ONE_BASED",
    "RENAME", "SPLIT", "SPLIT_GROUPS", "SAVE_VALID_PREDICTION_IMAGES", "SOURCE",
)  # fmt: skip
KNOWN_KEYS = REQUIRED_KEYS + OPTIONAL_KEYS

LAYOUT = """\
  Expected: folders of images, with a Pascal VOC XML or a YOLO text file of the same name beside each image (photo.jpg,
  photo.xml) or in the folders that TRAIN_DIR_LABELS and VALID_DIR_LABELS name, or there a COCO JSON file."""


@dataclass(frozen=True)
class DatasetConfig:
    """Where a data set lies and what its classes are. `class_names[0]` is the background.

    A labels path may be a COCO file. `renamed` are names in the annotations that mean one of the classes. With
    `split`, the images of the training folder are divided: this share of them, by `utils.split`, is for validation,
    and the paths of the two splits are the same.
    """

    path: Path
    train_images_dir: Path
    train_labels_dir: Path
    valid_images_dir: Path
    valid_labels_dir: Path
    class_names: tuple[str, ...]
    train_list: Path | None = None
    valid_list: Path | None = None
    annotation_format: str = "voc"
    one_based: bool = False
    save_valid_predictions: bool = True
    source: str | None = None
    split: float | None = None
    split_groups: str | None = None
    renamed: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        if self.class_names[:1] != (BACKGROUND,) or len(self.class_names) < 2:
            raise ValueError(f"{self.path}: expected {BACKGROUND!r} and at least one class, got {self.class_names!r}")

    @property
    def num_classes(self) -> int:
        """Classes with the background."""
        return len(self.class_names)

    def as_dict(self) -> dict:
        """The YAML's keys with plain values, as a checkpoint keeps them."""
        optional = {
            "TRAIN_LIST": self.train_list, "VALID_LIST": self.valid_list, "SOURCE": self.source,
            "SPLIT_GROUPS": self.split_groups,
        }  # fmt: skip
        return {
            "TRAIN_DIR_IMAGES": str(self.train_images_dir),
            "TRAIN_DIR_LABELS": str(self.train_labels_dir),
            "VALID_DIR_IMAGES": str(self.valid_images_dir),
            "VALID_DIR_LABELS": str(self.valid_labels_dir),
            "CLASSES": list(self.class_names),
            "NC": self.num_classes,
            "FORMAT": self.annotation_format,
            "VOC_ONE_BASED": self.one_based,
            "SAVE_VALID_PREDICTION_IMAGES": self.save_valid_predictions,
            **({"SPLIT": self.split} if self.split else {}),
            **({"RENAME": self.renamed} if self.renamed else {}),
            **{key: str(value) for key, value in optional.items() if value is not None},
        }


def load_config(path: Path | str, *, split: float | None = None, split_groups: str | None = None) -> DatasetConfig:
    """Read a data set's YAML. A relative path in it counts from the YAML's folder, or else from the working folder.

    `split` and `split_groups` win over the YAML's SPLIT and SPLIT_GROUPS; with a split, a validation folder is not
    needed. A data.yaml of YOLO's tools (`path`, `train`, `val`, `names`) is read, too. Raises ConfigError with all
    faults of the file: keys, class names, NC, folders and list files.
    """
    path = Path(path)
    values, faults = _read_yaml(path), []
    if is_yolo_yaml(values):
        values = translated(values, path, faults)
    given = {"SPLIT": split, "SPLIT_GROUPS": split_groups}
    values |= {key: value for key, value in given.items() if value is not None}
    split, split_groups = _split(values, faults)
    faults += _key_faults(values, REQUIRED_KEYS if split is None else ("TRAIN_DIR_IMAGES", "CLASSES"))
    class_names = _class_names(values, faults)
    _check_nc(values, class_names, faults)
    renamed = _renamed(values, class_names, faults)
    source = values.get("SOURCE")
    if source is not None and not isinstance(source, str):
        faults.append(f"SOURCE: expected text, found {source!r}")
    images, labels, lists = _paths(path, values, faults, source, one_folder=split is not None)
    annotation_format = values.get("FORMAT")
    if annotation_format is None and not faults:
        annotation_format = detect_format(images["TRAIN"], labels["TRAIN"])
    elif annotation_format is not None and annotation_format not in list(READERS):
        faults.append(f"FORMAT: expected one of {', '.join(READERS)}, found {annotation_format!r}")
    one_based = _flag(values, "VOC_ONE_BASED", False, faults)
    save_valid_predictions = _flag(values, "SAVE_VALID_PREDICTION_IMAGES", True, faults)
    if faults:
        lines = "\n".join(f"  {fault}" for fault in faults).splitlines()
        raise ConfigError("\n".join([f"{path}:", *dict.fromkeys(lines)]))  # folders side by side have the same vicinity
    return DatasetConfig(
        path=path,
        train_images_dir=images["TRAIN"],
        train_labels_dir=labels["TRAIN"],
        valid_images_dir=images["VALID"],
        valid_labels_dir=labels["VALID"],
        class_names=class_names,
        train_list=lists["TRAIN"],
        valid_list=lists["VALID"],
        annotation_format=annotation_format,
        one_based=one_based,
        save_valid_predictions=save_valid_predictions,
        source=source,
        split=split,
        split_groups=split_groups,
        renamed=renamed,
    )


def _split(values: dict, faults: list[str]) -> tuple[float | None, str | None]:
    """SPLIT and SPLIT_GROUPS, checked."""
    share, pattern = values.get("SPLIT"), values.get("SPLIT_GROUPS")
    if share is not None and (isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1):
        faults.append(f"SPLIT: expected the share of images to validate on, between 0 and 1, found {share!r}")
        share = None
    if pattern is not None and not isinstance(pattern, str):
        faults.append(f"SPLIT_GROUPS: expected a regular expression, found {pattern!r}")
    elif pattern is not None:
        try:
            group_names([], pattern)
        except ConfigError as error:
            faults.append(str(error))
    if pattern is not None and share is None:
        faults.append("SPLIT_GROUPS: says what a split keeps together, but there is no SPLIT")
    return share, pattern


def _paths(path: Path, values: dict, faults: list[str], source: str | None, *, one_folder: bool) -> tuple[dict, ...]:
    """Images, labels and lists of each split, `{"TRAIN": ..., "VALID": ...}`."""
    images, labels, lists, missing = {}, {}, {}, False
    for split in ("TRAIN",) if one_folder else ("TRAIN", "VALID"):
        key = f"{split}_DIR_IMAGES"
        images[split] = labels[split] = find_path(path, values, key, faults, want_folder=True)
        missing |= key in values and images[split] is None
        if values.get(labels_key := f"{split}_DIR_LABELS") not in (None, values.get(key)):
            is_file = str(values[labels_key]).lower().endswith(".json")
            labels[split] = find_path(path, values, labels_key, faults, want_folder=not is_file)
            missing |= labels[split] is None
        has_list = values.get(f"{split}_LIST") is not None
        lists[split] = find_path(path, values, f"{split}_LIST", faults, want_folder=False) if has_list else None
    if missing:
        faults.append("\n".join([LAYOUT.strip(), *([f"  The data set comes from: {source}"] if source else [])]))
    if one_folder:
        if other := [key for key in ("VALID_DIR_LABELS", "VALID_LIST") if values.get(key) is not None]:
            other = [key for key in other if values[key] != values.get(key.replace("VALID", "TRAIN"))]
        if values.get("VALID_DIR_IMAGES") not in (None, values.get("TRAIN_DIR_IMAGES")):
            other = ["VALID_DIR_IMAGES", *other]
        if other:
            faults.append(f"SPLIT divides the training images, but there is {', '.join(other)}, too: leave out either")
        return tuple({"TRAIN": of["TRAIN"], "VALID": of["TRAIN"]} for of in (images, labels, lists))
    if (
        images["TRAIN"]
        and images["VALID"]
        and images["TRAIN"].resolve() == images["VALID"].resolve()
        and not (values.get("TRAIN_LIST") and values.get("VALID_LIST"))
        and not (labels["TRAIN"] != labels["VALID"] and all(str(p).lower().endswith(".json") for p in labels.values()))
    ):
        faults.append(
            f"TRAIN_DIR_IMAGES and VALID_DIR_IMAGES are the same folder, {images['TRAIN']}: validation images "
            "would be trained on. Name two folders, give both TRAIN_LIST and VALID_LIST, or divide it: --split 0.15"
        )
    return images, labels, lists


def load_class_names(path: Path | str) -> tuple[str, ...]:
    """The classes of a data set YAML, background first, without asking whether its folders exist."""
    path = Path(path)
    faults: list[str] = []
    values = _read_yaml(path)
    values = translated(values, path, faults) if is_yolo_yaml(values) else values
    class_names = _class_names(values, faults)
    if faults:
        raise ConfigError(f"{path}:\n  " + "\n  ".join(faults))
    return class_names


def _read_yaml(path: Path) -> dict:
    if not path.is_file():
        folders = dict.fromkeys((Path("data_configs"), path.parent))
        names = sorted(str(file) for folder in folders if folder.is_dir() for file in folder.glob("*.y*ml"))
        kind = "is a folder, not a YAML file" if path.is_dir() else "file not found"
        raise ConfigError(f"{path}: {kind}; there are: {', '.join(names) or 'no YAML files'}")
    try:
        values = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{path}{line}: not valid YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # not text; a date such as 2024-13-45; deep nesting
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(values, dict):
        found = "an empty file" if values is None else f"a {type(values).__name__}"
        raise ConfigError(f"{path}: expected KEY: value lines ({', '.join(REQUIRED_KEYS)}), found {found}")
    return values


def _key_faults(values: dict, required: Sequence[str]) -> list[str]:
    faults = []
    for key in required:
        if values.get(key) is None:
            found = ", ".join(str(name) for name in values) or "none"
            divide = "; or divide the training images: --split 0.15" if key == "VALID_DIR_IMAGES" else ""
            faults.append(f"{key}: missing or empty; keys found: {found}{divide}")
    for key in values:
        # Only a likely slip is a fault: the file may hold keys for other tools, such as TEST_DIR_IMAGES.
        close = difflib.get_close_matches(str(key).upper(), KNOWN_KEYS, 1, cutoff=0.85)
        if key not in KNOWN_KEYS and close:
            faults.append(f"{key}: unknown key (did you mean {close[0]}?)")
    return faults


def _class_names(values: dict, faults: list[str]) -> tuple[str, ...]:
    """The classes with the background first; () where CLASSES itself is at fault."""
    classes = values.get("CLASSES")
    if classes is None:
        return ()
    if not isinstance(classes, list):
        faults.append(f"CLASSES: expected a list such as [Mask, Gloves], found {classes!r}")
        return ()
    for index, name in enumerate(classes, 1):
        if not isinstance(name, str):
            faults.append(
                f"CLASSES: item {index} is the {type(name).__name__} {name!r}, not text: quote it as it is written "
                "in the annotations"
            )
        elif not name.strip():
            faults.append(f"CLASSES: item {index} is empty")
    names = [str(name).strip() for name in classes]
    faults += [f"CLASSES: {name!r} is listed {count} times" for name, count in Counter(names).items() if count > 1]
    if BACKGROUND in names[1:]:
        faults.append(f"CLASSES: {BACKGROUND} comes first or not at all, found as item {names.index(BACKGROUND) + 1}")
    names = [BACKGROUND, *(name for name in names if name != BACKGROUND)]
    if len(names) == 1:
        faults.append("CLASSES: expected at least one class beside the background")
    return tuple(names)


def _renamed(values: dict, class_names: tuple[str, ...], faults: list[str]) -> dict[str, str]:
    renamed = values.get("RENAME") or {}
    if not isinstance(renamed, dict) or not all(isinstance(text, str) for pair in renamed.items() for text in pair):
        faults.append(f"RENAME: expected names and classes, such as {{mask: Mask}}, found {renamed!r}")
        return {}
    known = class_names[1:]
    if class_names:
        faults += [f"RENAME: {new!r} is none of CLASSES" for new in renamed.values() if new not in known]
        faults += [f"RENAME: {old!r} is itself one of CLASSES" for old in renamed if old in known]
    return {old.strip(): new for old, new in renamed.items()}


def _check_nc(values: dict, class_names: tuple[str, ...], faults: list[str]) -> None:
    declared, count = values.get("NC"), len(class_names)
    if declared is None or not count:
        return
    if isinstance(declared, bool) or declared not in (count, count - 1):
        faults.append(
            f"NC: {declared!r}, but CLASSES has {count - 1} classes, {count} with the background; leave it out"
        )


def _flag(values: dict, key: str, default: bool, faults: list[str]) -> bool:
    value = values.get(key, default)
    if not isinstance(value, bool):
        faults.append(f"{key}: expected True or False, found {value!r}")
    return value
