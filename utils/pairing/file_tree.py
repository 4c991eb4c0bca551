"""The files of a folder and of all folders below it, by their paths relative to it."""

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from utils.errors import DatasetError
from utils.names import nfc

# What this toolkit leaves in a folder of results, whose images are no part of a dataset.
OUTPUT_FILES = frozenset({"predictions.json", "predictions.csv", "train.log", "metrics.jsonl", "repairs.txt"})


# Folders that say what lies in them, and nothing of where it belongs: images/cam1/a.jpg and labels/cam1/a.txt.
IMAGE_FOLDERS = frozenset("images image imgs img jpegimages images photos frames".split())
LABEL_FOLDERS = frozenset(
    "labels label annotations annotation annots ann xml xmls txt json jsons voc yolo labelme bboxes boxes".split()
)


@dataclass
class FileTree:
    """The files that `list_tree` found below `root`; all names are relative to it, with `/`, and composed (NFC).

    | field | meaning |
    |---|---|
    | files | (name, path) of each file, in the order of folders, dangling links included |
    | folders | names of the folders that were listed, "" for `root` itself |
    | dangling | links to what is not there -> what they name |
    | outputs | names of folders of results, which were not listed |
    """

    root: Path
    files: list[tuple[str, Path]] = field(default_factory=list)
    folders: set[str] = field(default_factory=set)
    dangling: dict[Path, str] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)


def list_tree(root: Path, *, skip: Collection[str] = ()) -> FileTree:
    """List a folder with all below it, hidden files and folders left out.

    A folder that links lead to is listed once, whatever the number of ways to it, so a loop of links ends. `skip`
    are folders' names relative to `root` that are left out. Raises DatasetError for what cannot be listed.
    """
    tree, skip = FileTree(root), set(skip)
    seen: set[tuple[int, int]] = set()
    linked: list[tuple[str, str]] = []  # after the real folders, which files are known by
    waiting = [("", os.fspath(root))]
    while waiting or linked:
        prefix, folder = (waiting or linked).pop(0)
        try:
            about = Path(folder).stat()
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise DatasetError(f"{folder}: cannot be listed: {error.strerror or error}") from error
        if about.st_ino and (about.st_dev, about.st_ino) in seen:
            continue
        seen.add((about.st_dev, about.st_ino))
        if prefix and any(entry.name in OUTPUT_FILES for entry in found):
            tree.outputs.append(prefix)
            continue
        tree.folders.add(prefix)
        below: list[tuple[str, str]] = []
        for entry in found:
            if entry.name.startswith("."):
                continue
            name = nfc(f"{prefix}/{entry.name}" if prefix else entry.name)
            if entry.is_dir():
                if name not in skip:
                    (linked if entry.is_symlink() else below).append((name, entry.path))
                continue
            path = Path(entry.path)
            if entry.is_symlink() and not path.exists():
                tree.dangling[path] = str(path.readlink())
            elif not entry.is_file():  # a pipe, a device
                continue
            tree.files.append((name, path))
        waiting[:0] = below
    return tree


def folder_of(name: str) -> str:
    """Return the folder of a relative name, "" where it has none."""
    return name.rpartition("/")[0]


def stem_of(name: str) -> str:
    """Return a relative name without its suffix."""
    start, dot = name.rfind("/") + 1, name.rfind(".")  # without a Path: this is asked for every file, time and again
    return name[:dot] if start < dot < len(name) - 1 else name


def placeless(name: str) -> str:
    """Return a relative name without the folders that only say what kind of file lies in them."""
    *folders, last = name.split("/")
    return "/".join([*(folder for folder in folders if not is_kind(folder)), last])


def is_kind(folder: str) -> bool:
    """Check whether a folder's name says what kind of file lies in it, and nothing else."""
    return folder.lower() in IMAGE_FOLDERS or folder.lower() in LABEL_FOLDERS


def is_among(name: str, folders: Collection[str]) -> bool:
    """Check whether any of the folders in a relative name is one of `folders`."""
    return any(part.lower() in folders for part in name.split("/")[:-1])


def names_below(paths: Collection[Path]) -> list[str]:
    """Return each path relative to the folder that all have in common, with `/`; in a single folder, plain names."""
    split = [os.path.split(os.fspath(path)) for path in paths]
    folders = {folder: os.path.abspath(folder) for folder in {folder for folder, _ in split}}  # noqa: PTH100
    try:
        common = os.path.commonpath(folders.values()) if folders else ""
    except ValueError:  # Windows: two drives
        return [name for _, name in split]
    below = {folder: os.path.relpath(full, common).replace(os.sep, "/") for folder, full in folders.items()}
    return [name if below[folder] == "." else f"{below[folder]}/{name}" for folder, name in split]
