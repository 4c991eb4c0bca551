"""The splits that YOLO's own data.yaml names."""

from collections.abc import Sequence
from pathlib import Path

from utils.config.dataset_config import Folder
from utils.config.yaml_files import read_yaml
from utils.discovery.layout import Layout, Part
from utils.discovery.split_names import count_listed
from utils.errors import ConfigError
from utils.formats.yolo.data_yaml import is_yolo_yaml, translated


def find_data_yaml(files: Sequence[tuple[str, Path]]) -> tuple[Path, dict] | None:
    """Find the data.yaml nearest to the root; returns its path and its keys as this toolkit's."""
    for _, path in sorted(files, key=lambda file: (file[0].count("/"), file[0])):
        if path.suffix.lower() in (".yaml", ".yml"):
            try:
                values = read_yaml(path)
                if is_yolo_yaml(values):
                    return path, translated(values, path, [])
            except (ConfigError, TypeError, AttributeError):  # of another kind
                continue
    return None


def layout_of_data_yaml(path: Path, values: dict, images: Sequence[Path]) -> Layout | None:
    """Return the splits of a data.yaml; None where its folders are not there."""
    train = _part(values, "TRAIN", images)
    if not train or not train.images:
        return None
    val, test = _part(values, "VALID", images), _part(values, "TEST", images)
    if test and (not test.images or test.folders in (train.folders, val and val.folders)):
        test = None
    if val and val.folders == train.folders:
        note = f"{path.name} validates on the training images: they are divided instead"
        return Layout(train, test=test, notes=(note,))
    return Layout(train, val if val and val.images else None, test)


def _part(values: dict, key: str, images: Sequence[Path]) -> Part | None:
    columns = [values.get(f"{key}_{kind}") for kind in ("DIR_IMAGES", "DIR_LABELS", "LIST")]
    if columns[0] is None:
        return None
    rows = zip(*(c if isinstance(c, list) else [c] * _length(columns[0]) for c in columns), strict=True)
    folders = tuple(Folder(Path(row[0]), Path(row[1]), Path(row[2]) if row[2] else None) for row in rows)
    if not all(folder.images_dir.is_dir() for folder in folders):
        return None
    resolved = [image.resolve() for image in images]
    count = 0
    for folder in folders:
        inside = folder.images_dir.resolve()
        here = [image for image in resolved if image.is_relative_to(inside)]
        count += count_listed(folder.list_path, here, inside) if folder.list_path else len(here)
    return Part(folders, count)


def _length(column: object) -> int:
    return len(column) if isinstance(column, list) else 1
