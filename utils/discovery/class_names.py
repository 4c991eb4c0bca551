"""The class names of a dataset, from its annotations or, for YOLO's numbers, from the files beside them."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from utils.annotations.annotation import BACKGROUND
from utils.annotations.labels import Labels
from utils.discovery.layout import ClassNames
from utils.errors import DatasetError
from utils.formats.format import ReadOptions
from utils.formats.yolo.class_names import class_lists
from utils.names import nfc
from utils.suggestions import plain


def named_classes(counts: Mapping[str, int], *, notes: Iterable[str] = ()) -> ClassNames:
    """Make one class of names that differ in case, spaces, hyphens or underscores alone: the most frequent one."""
    kept: dict[str, str] = {}
    for name in sorted(counts, key=lambda name: -counts[name]):
        kept.setdefault(plain(name), name)
    renamed = {name: kept[plain(name)] for name in counts if kept[plain(name)] != name}
    objects = {
        name: sum(count for other, count in counts.items() if plain(other) == plain(name))
        for name in counts
        if name not in renamed and name != BACKGROUND
    }
    joined = [
        f"{old} ({counts[old]} objects) is taken for {new} ({counts[new]}): see RENAME" for old, new in renamed.items()
    ]
    return ClassNames(tuple(objects), objects, renamed, (*notes, *joined))


def classes_of_files(read_file: Callable[[Path, ReadOptions], Labels], paths: Iterable[Path]) -> ClassNames:
    """Count the names in files that a format's `read_file` reads, in alphabetical order; damaged files are a note."""
    options = ReadOptions((BACKGROUND,))
    counts: Counter[str] = Counter()
    damaged = 0
    for path in paths:
        try:
            counts.update(nfc(item.name.strip()) for item in read_file(path, options).objects)
        except DatasetError:
            damaged += 1
    notes = [f"{damaged} annotation files cannot be read: the check names them"] if damaged else []
    return named_classes({name: counts[name] for name in sorted(counts, key=str.casefold)}, notes=notes)


def yolo_classes(root: Path, folders: Iterable[tuple[Path, Path]], labels: Iterable[Path]) -> ClassNames:
    """Find the names of YOLO's class numbers: data.yaml, classes.txt, obj.names and the like; none are made up.

    Args:
        folders: of images and of labels, where lists of names may lie.
    """
    lists = {found.path.resolve(): found for pair in (*folders, (root, root)) for found in class_lists(*pair)}
    found = sorted(lists.values(), key=lambda one: one.path.suffix.lower() not in (".yaml", ".yml"))
    counts = _numbers(labels)
    highest = max(counts, default=-1)
    if not found:
        return ClassNames((), {str(number): counts[number] for number in sorted(counts)})
    names = found[0].names
    notes = [f"class names from {found[0].path}"]
    for other in found[1:]:
        if [plain(name) for name in other.names] != [plain(name) for name in names]:
            notes.append(f"{other.path} has other class names: the check compares them")
    if highest >= len(names):
        notes.append(
            f"the labels have the class number {highest}, but there are {len(names)} names, 0 to {len(names) - 1}"
        )
    objects = {name: counts[number] for number, name in enumerate(names)}
    return ClassNames(tuple(names), objects, notes=tuple(notes))


def _numbers(labels: Iterable[Path]) -> Counter[int]:
    counts: Counter[int] = Counter()
    for path in labels:
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except (OSError, UnicodeError):  # the check names it
            continue
        counts.update(int(match[1]) for match in re.finditer(r"^\s*(\d{1,6})(?:\.0*)?\s", text, re.MULTILINE))
    return counts
