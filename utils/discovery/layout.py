"""The result of a search: the splits of a dataset, its format and its classes."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from utils.config.dataset_config import Folder

SHARE = 0.15  # of the images for validation, where nothing says which


@dataclass(frozen=True)
class Part:
    """One split: its folders, and the number of images in them that count."""

    folders: tuple[Folder, ...]
    images: int


@dataclass(frozen=True)
class Layout:
    """The splits of a dataset as its folder has them.

    train: the training images, or all where they are to be divided. val: None where `train` is to be divided.
    test: None where there is none, or where it is what `val` holds.
    """

    train: Part
    val: Part | None = None
    test: Part | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClassNames:
    """The class names in the order of the YAML, () where YOLO's numbers have none.

    objects: number of objects by name, or by number where there are no names. renamed: other spellings -> name.
    """

    names: tuple[str, ...]
    objects: dict[str, int]
    renamed: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Discovery:
    """Everything that a dataset YAML needs."""

    root: Path
    annotation_format: str
    layout: Layout
    classes: ClassNames
    kpt_shape: list[int] | None = None
    notes: tuple[str, ...] = ()


def common_folder(paths: Iterable[Path]) -> Path:
    """Return the deepest folder that holds all of the files."""
    return Path(os.path.commonpath([path.parent for path in paths]))
