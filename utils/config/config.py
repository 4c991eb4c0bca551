"""The dataset's YAML file, read into a `DatasetConfig`; every fault of the file is reported at once."""

from collections.abc import Sequence
from pathlib import Path

from utils.annotations.annotation import YAML_PREFIX
from utils.config.classes import read_classes
from utils.config.dataset_config import DatasetConfig, Folder
from utils.config.folders import folders_of_both, further_folders, test_folders
from utils.config.paths import find_path
from utils.config.yaml_files import read_yaml
from utils.dataset.split import group_names
from utils.errors import ConfigError
from utils.formats.formats import DEFAULT, FORMATS, detect_format
from utils.formats.yolo.data_yaml import is_yolo_yaml, translated
from utils.images.pixel_range import read_pixel_range
from utils.suggestions import suggestion

REQUIRED_KEYS = ("TRAIN_DIR_IMAGES", "VALID_DIR_IMAGES", "CLASSES")
OPTIONAL_KEYS = (
    "TRAIN_DIR_LABELS", "VALID_DIR_LABELS", "TRAIN_LIST", "VALID_LIST", "TEST_DIR_IMAGES", "TEST_DIR_LABELS",
    "TEST_LIST", "NC", "FORMAT", "VOC_ONE_BASED",
    "RENAME", "IGNORE", "YOLO_NAMES", "KPT_SHAPE", "SPLIT", "SPLIT_GROUPS", "SAVE_VALID_PREDICTION_IMAGES", "SOURCE",
    "PIXEL_RANGE",
)  # fmt: skip
KNOWN_KEYS = REQUIRED_KEYS + OPTIONAL_KEYS

LAYOUT = """\
  Expected: folders of images, with a Pascal VOC XML or a YOLO text file of the same name beside each image (photo.jpg,
  photo.xml) or in the folders that TRAIN_DIR_LABELS and VALID_DIR_LABELS name, or there a COCO JSON file."""


def load_config(
    path: Path | str, *, split: float | Sequence[float] | None = None, split_groups: str | None = None
) -> DatasetConfig:
    """Read a dataset's YAML. A relative path in it counts from the YAML's folder, or else from the working folder.

    `split` and `split_groups` win over the YAML's SPLIT and SPLIT_GROUPS; with a split, a validation folder is not
    needed. `split` is the share to validate on, or that and the share to test on. A data.yaml of YOLO's tools (`path`,
    `train`, `val`, `names`) is read, too. Raises ConfigError with all faults of the file: keys, class names, NC,
    folders and list files; those of the test split are kept for `require_test`.
    """
    path = Path(path)
    values, faults, notes = read_yaml(path, REQUIRED_KEYS), list[str](), list[str]()
    if is_yolo_yaml(values):
        values = translated(values, path, faults, notes)
    given = {"SPLIT": list(split) if isinstance(split, Sequence) else split, "SPLIT_GROUPS": split_groups}
    values |= {key: value for key, value in given.items() if value is not None}
    shares, split_groups = _split(values, faults)
    faults += _key_faults(values, ("TRAIN_DIR_IMAGES", "CLASSES") if shares else REQUIRED_KEYS)
    classes = read_classes(values, faults)
    kpt_shape = _kpt_shape(values, faults)
    source = values.get("SOURCE")
    if source is not None and not isinstance(source, str):
        faults.append(f"SOURCE: expected text, found {source!r}")
    tests, test_faults = test_folders(path, values, notes)
    values, further = further_folders(path, values, faults, notes, splits=("train",) if shares else ("train", "val"))
    images, labels, lists = _paths(path, values, faults, notes, source, one_folder=bool(shares))
    every = {
        name: (Folder(images[prefix], labels[prefix], lists[prefix]), *further.get(name, ()))
        for name, prefix in YAML_PREFIX.items()
        if images.get(prefix)
    }
    if further and not shares and len(every) == 2:
        faults += folders_of_both(*every.values(), harm="validation images would be trained on")
    if len(shares) == 2 and values.get("TEST_DIR_IMAGES") is not None:
        faults.append("SPLIT has a share to test on, but there is TEST_DIR_IMAGES, too: leave out either")
    for name, folders in every.items():
        done = {"train": "trained on", "val": "chosen by"}[name]
        test_faults += folders_of_both(folders, tests, harm=f"test images would be {done}")
    every["test"] = tests if len(shares) < 2 else every.get("train", ())
    if shares:
        further |= dict.fromkeys(("val", "test") if len(shares) == 2 else ("val",), further.get("train", ()))
    if tests[1:] and not test_faults:
        further["test"] = tests[1:]
    first_test = every["test"][0] if every["test"] and not test_faults else None
    annotation_format = values.get("FORMAT")
    if annotation_format is None:
        annotation_format = DEFAULT if faults else detect_format(images["TRAIN"], labels["TRAIN"])
    elif annotation_format not in list(FORMATS):
        faults.append(f"FORMAT: expected one of {', '.join(FORMATS)}, found {annotation_format!r}")
    one_based = _flag(values, "VOC_ONE_BASED", False, faults)
    pixel_range = read_pixel_range(values.get("PIXEL_RANGE"), faults)
    save_val_predictions = _flag(values, "SAVE_VALID_PREDICTION_IMAGES", True, faults)
    if faults:
        lines = "\n".join(f"  {fault}" for fault in faults).splitlines()
        raise ConfigError("\n".join([f"{path}:", *dict.fromkeys(lines)]))  # folders side by side have the same vicinity
    return DatasetConfig(
        path=path,
        train_images_dir=images["TRAIN"],
        train_labels_dir=labels["TRAIN"],
        val_images_dir=images["VALID"],
        val_labels_dir=labels["VALID"],
        class_names=classes.names,
        train_list=lists["TRAIN"],
        val_list=lists["VALID"],
        test_images_dir=first_test.images_dir if first_test else None,
        test_labels_dir=first_test.labels_dir if first_test else None,
        test_list=first_test.list_path if first_test else None,
        annotation_format=annotation_format,
        one_based=one_based,
        save_val_predictions=save_val_predictions,
        source=source,
        split=shares[0] if shares else None,
        test_share=shares[1] if len(shares) == 2 else None,
        split_groups=split_groups,
        renamed=classes.renamed,
        ignored=classes.ignored,
        numbered=classes.numbered,
        kpt_shape=kpt_shape,
        further={name: folders for name, folders in further.items() if folders},
        test_faults=tuple(test_faults),
        notes=tuple(dict.fromkeys(notes)),
        pixel_range=pixel_range,
    )


def _split(values: dict, faults: list[str]) -> tuple[tuple[float, ...], str | None]:
    """Check SPLIT and SPLIT_GROUPS; returns the shares to validate and maybe to test on, and the pattern."""
    given, pattern = values.get("SPLIT"), values.get("SPLIT_GROUPS")
    shares = tuple(given) if isinstance(given, list) else () if given is None else (given,)
    numbers = all(isinstance(s, int | float) and not isinstance(s, bool) and 0 < s < 1 for s in shares)
    if given is not None and not (numbers and 1 <= len(shares) <= 2 and sum(shares) < 1):
        two = ", or [that, the share to test on], less than 1 together" if isinstance(given, list) else ""
        faults.append(f"SPLIT: expected the share of images to validate on, between 0 and 1{two}, found {given!r}")
        shares = ()
    if pattern is not None and not isinstance(pattern, str):
        faults.append(f"SPLIT_GROUPS: expected a regular expression, found {pattern!r}")
    elif pattern is not None:
        try:
            group_names([], pattern)
        except ConfigError as error:
            faults.append(str(error))
    if pattern is not None and given is None:
        faults.append("SPLIT_GROUPS: says what a split keeps together, but there is no SPLIT")
    return shares, pattern


def _paths(
    path: Path, values: dict, faults: list[str], notes: list[str], source: str | None, *, one_folder: bool
) -> tuple[dict, ...]:
    """Return images, labels and lists of each split, `{"TRAIN": ..., "VALID": ...}`."""
    images, labels, lists, missing = {}, {}, {}, False
    for split in ("TRAIN",) if one_folder else ("TRAIN", "VALID"):
        key = f"{split}_DIR_IMAGES"
        images[split] = labels[split] = find_path(path, values, key, faults, notes, want_folder=True)
        missing |= key in values and images[split] is None
        if values.get(labels_key := f"{split}_DIR_LABELS") not in (None, values.get(key)):
            is_file = str(values[labels_key]).lower().endswith(".json")
            labels[split] = find_path(path, values, labels_key, faults, notes, want_folder=not is_file)
            missing |= labels[split] is None
        has_list = values.get(f"{split}_LIST") is not None
        lists[split] = find_path(path, values, f"{split}_LIST", faults, notes, want_folder=False) if has_list else None
    if missing:
        faults.append("\n".join([LAYOUT.strip(), *([f"  The dataset comes from: {source}"] if source else [])]))
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
    """Return the classes of a dataset YAML, background first, without asking whether its folders exist."""
    path = Path(path)
    faults: list[str] = []
    values = read_yaml(path, REQUIRED_KEYS)
    values = translated(values, path, faults) if is_yolo_yaml(values) else values
    class_names = read_classes(values, faults).names
    if faults:
        raise ConfigError(f"{path}:\n  " + "\n  ".join(faults))
    return class_names


def _key_faults(values: dict, required: Sequence[str]) -> list[str]:
    faults = []
    for key in required:
        if values.get(key) is None:
            found = ", ".join(str(name) for name in values) or "none"
            divide = "; or divide the training images: --split 0.15" if key == "VALID_DIR_IMAGES" else ""
            faults.append(f"{key}: missing or empty; keys found: {found}{divide}")
    for key in values:
        # Only a likely slip is a fault: the file may hold keys for other tools.
        close = suggestion(str(key), KNOWN_KEYS, cutoff=0.85)
        if key not in KNOWN_KEYS and close:
            faults.append(f"{key}: unknown key (did you mean {close}?)")
    return faults


def _flag(values: dict, key: str, default: bool, faults: list[str]) -> bool:
    value = values.get(key, default)
    if not isinstance(value, bool):
        faults.append(f"{key}: expected True or False, found {value!r}")
    return value


def _kpt_shape(values: dict, faults: list[str]) -> tuple[int, int] | None:
    shape = values.get("KPT_SHAPE")
    if shape is None:
        return None
    whole = isinstance(shape, list) and all(isinstance(n, int) and not isinstance(n, bool) for n in shape)
    if not whole or len(shape) != 2 or (shape != [0, 0] and (shape[0] < 1 or shape[1] not in (2, 3))):
        faults.append(
            f"KPT_SHAPE: expected [keypoints, numbers of each: 2 or 3], or [0, 0] for polygons, found {shape!r}"
        )
        return None
    return tuple(shape)
