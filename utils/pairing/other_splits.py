"""Folders inside a split's folder that are another split's: what is to be validated or tested on is not trained on."""

import os
import re
from pathlib import Path

from utils.annotations.annotation import Findings
from utils.images.formats import is_image
from utils.pairing.file_tree import is_kind, list_tree, placeless

# Names that say which split a folder is, such as val2017.
_NAMES = {
    "train": re.compile(r"train(ing)?[-_]?\d*", re.IGNORECASE),
    "val": re.compile(r"(val|valid|validation|dev|eval)[-_]?\d*", re.IGNORECASE),
    "test": re.compile(r"test(ing)?[-_]?(dev)?[-_]?\d*", re.IGNORECASE),
}


def split_of_folder(folder: str) -> str | None:
    """Return the split that a folder is by its name: "train", "val", "test" or None."""
    return next((name for name, pattern in _NAMES.items() if pattern.fullmatch(folder)), None)


def folders_of_other_splits(config, split: str, scan: Findings, *, listed: bool) -> set[str]:
    """Return folders below a split's images or labels, relative to them, that are no part of the split.

    Those that the configuration names for the other splits are left out in silence. Those that are called like another
    split are findings of `scan`, with their number of images, unless a list or a file of the whole split says what
    counts (`listed`). A folder that is to be divided (SPLIT) leaves out what is called a test split alone.
    """
    divided = config.split and split != "test"
    images_dir = getattr(config, f"{split}_images_dir")
    roots = [images_dir, getattr(config, f"{split}_labels_dir")]
    found: set[str] = set()
    others = [folder for name in config.splits if name != split for folder in config.folders(name)]
    inside = [place.resolve() for folder in others for place in (folder.images_dir, folder.labels_dir)]
    for inner in inside:
        for root in {root.resolve() for root in roots}:
            if inner != root and inner.is_relative_to(root):
                found.add(inner.relative_to(root).as_posix())
    if listed:
        return found
    names = [name for name in _NAMES if name != split and (name == "test" or not divided)]
    for folder in _upper_folders(images_dir):
        first = placeless(f"{folder}/").partition("/")[0]
        called = next((name for name in names if _NAMES[name].fullmatch(first)), None)
        if called is None or any(folder == known or folder.startswith(f"{known}/") for known in found):
            continue
        count = sum(is_image(path) for _, path in list_tree(images_dir / folder).files)
        if count:
            text = f"{images_dir / folder}: {count} images; by its name it is the {called} split, not the {split} split"
            scan.add("folder-left-out", text)
    return found | {
        folder
        for root in roots
        for folder in _upper_folders(root)
        if any(_NAMES[name].fullmatch(placeless(f"{folder}/").partition("/")[0]) for name in names)
    }


def _upper_folders(root: Path) -> list[str]:
    """Return the folders in `root`, and in those of them that only name a kind of file: test, images/test."""
    found, waiting = list[str](), [""]
    while waiting:
        prefix = waiting.pop(0)
        try:
            with os.scandir(root / prefix) as entries:
                names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
        except OSError:  # reported where the folder is read, or it is a COCO file
            continue
        for name in names:
            below = f"{prefix}/{name}" if prefix else name
            (waiting if is_kind(name) else found).append(below)
    return found
