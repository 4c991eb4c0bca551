"""The data set's YAML file, read into a `DatasetConfig`; every fault of the file is reported at once."""

import difflib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import yaml

from utils.annotations import READERS, first_entries
from utils.errors import ConfigError
from utils.images import is_image
from utils.scan import BACKGROUND

REQUIRED_KEYS = ("TRAIN_DIR_IMAGES", "VALID_DIR_IMAGES", "CLASSES")
OPTIONAL_KEYS = (
    "TRAIN_DIR_LABELS", "VALID_DIR_LABELS", "TRAIN_LIST", "VALID_LIST", "NC", "FORMAT", "VOC_ONE_BASED",
    "SAVE_VALID_PREDICTION_IMAGES", "SOURCE",
)  # fmt: skip
KNOWN_KEYS = REQUIRED_KEYS + OPTIONAL_KEYS

LAYOUT = """\
  Expected: folders of images, with a Pascal VOC XML of the same name beside each image (photo.jpg, photo.xml) or in the
  folders that TRAIN_DIR_LABELS and VALID_DIR_LABELS name."""


@dataclass(frozen=True)
class DatasetConfig:
    """Where a data set lies and what its classes are. `class_names[0]` is the background."""

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

    def __post_init__(self):
        if self.class_names[:1] != (BACKGROUND,) or len(self.class_names) < 2:
            raise ValueError(f"{self.path}: expected {BACKGROUND!r} and at least one class, got {self.class_names!r}")

    @property
    def num_classes(self) -> int:
        """Classes with the background."""
        return len(self.class_names)

    def as_dict(self) -> dict:
        """The YAML's keys with plain values, as a checkpoint keeps them."""
        optional = {"TRAIN_LIST": self.train_list, "VALID_LIST": self.valid_list, "SOURCE": self.source}
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
            **{key: str(value) for key, value in optional.items() if value is not None},
        }


def load_config(path: Path | str) -> DatasetConfig:
    """Read a data set's YAML. A relative path in it counts from the working folder, or else from the YAML's folder.

    Raises ConfigError with all faults of the file: keys, class names, NC, folders and list files.
    """
    path = Path(path)
    values = _read_yaml(path)
    faults = _key_faults(values)
    class_names = _class_names(values, faults)
    _check_nc(values, class_names, faults)
    annotation_format = values.get("FORMAT", "voc")
    if not isinstance(annotation_format, str) or annotation_format not in READERS:
        faults.append(f"FORMAT: expected one of {', '.join(READERS)}, found {annotation_format!r}")
    source = values.get("SOURCE")
    if source is not None and not isinstance(source, str):
        faults.append(f"SOURCE: expected text, found {source!r}")

    images, labels, lists, missing = {}, {}, {}, False
    for split in ("TRAIN", "VALID"):
        key = f"{split}_DIR_IMAGES"
        images[split] = labels[split] = _find(path, values, key, faults, want_folder=True)
        missing |= key in values and images[split] is None
        if values.get(labels_key := f"{split}_DIR_LABELS") not in (None, values.get(key)):
            labels[split] = _find(path, values, labels_key, faults, want_folder=True)
            missing |= labels[split] is None
        has_list = values.get(f"{split}_LIST") is not None
        lists[split] = _find(path, values, f"{split}_LIST", faults, want_folder=False) if has_list else None
    if missing:
        faults.append("\n".join([LAYOUT.strip(), *([f"  The data set comes from: {source}"] if source else [])]))
    if (
        images["TRAIN"]
        and images["VALID"]
        and images["TRAIN"].resolve() == images["VALID"].resolve()
        and not (values.get("TRAIN_LIST") and values.get("VALID_LIST"))
    ):
        faults.append(
            f"TRAIN_DIR_IMAGES and VALID_DIR_IMAGES are the same folder, {images['TRAIN']}: validation images "
            "would be trained on. Name two folders, or give both TRAIN_LIST and VALID_LIST"
        )
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
    )


def load_class_names(path: Path | str) -> tuple[str, ...]:
    """The classes of a data set YAML, background first, without asking whether its folders exist."""
    path = Path(path)
    faults: list[str] = []
    class_names = _class_names(_read_yaml(path), faults)
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


def _key_faults(values: dict) -> list[str]:
    faults = []
    for key in REQUIRED_KEYS:
        if values.get(key) is None:
            found = ", ".join(str(name) for name in values) or "none"
            faults.append(f"{key}: missing or empty; keys found: {found}")
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


def _find(config_path: Path, values: dict, key: str, faults: list[str], *, want_folder: bool) -> Path | None:
    """The existing path that a key names; None, and a fault, where there is none."""
    value = values.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        faults.append(f"{key}: expected a path, found {value!r}")
        return None
    try:
        wanted = Path(value.strip()).expanduser()
    except RuntimeError as error:  # "~name" of nobody
        faults.append(f"{key}: {value}: {error}")
        return None
    beside = config_path.parent / wanted
    tried = [wanted] if beside.absolute() == wanted.absolute() else [wanted, beside]
    for path in tried:
        if path.is_dir() if want_folder else path.is_file():
            return path
    kind, other = ("folder", "file") if want_folder else ("file", "folder")
    for path in tried:
        if path.exists():
            faults.append(f"{key}: expected a {kind}, but {path} is a {other}")
            return None
    places = " and ".join(str(path.absolute()) for path in tried)
    faults.append("\n".join([f"{key}: no such {kind}: {value}; tried {places}", *_nearby(tried[0], want_folder)]))
    return None


def _nearby(missing: Path, want_folder: bool) -> list[str]:
    """What lies where a path was expected: the nearest folder that exists, and folders below it that would do."""
    nearest = next(parent for parent in missing.absolute().parents if parent.is_dir())
    lines = [f"    {nearest} holds {first_entries(nearest)}"]
    candidates = _image_folders(nearest) if want_folder and nearest != nearest.parent else []
    if candidates:
        candidates.sort(key=lambda folder: (folder.name != missing.name, str(folder)))
        lines.append(f"    folders with images or XML files: {', '.join(str(folder) for folder in candidates[:6])}")
    return lines


def _image_folders(root: Path, max_folders: int = 300, max_depth: int = 4) -> list[Path]:
    """Folders below `root` that hold an image or XML file, nearest first; bounded, for root may be huge."""
    level, seen, found = [root], 0, []
    for _ in range(max_depth):
        below = []
        for folder in level:
            seen += 1
            if seen > max_folders:
                return found
            try:
                entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
            except OSError:  # not ours to read
                continue
            if folder != root and any(is_image(entry) or entry.suffix.lower() == ".xml" for entry in entries):
                found.append(folder)
            below += [entry for entry in entries if entry.is_dir() and not entry.is_symlink()]
        level = below
    return found
