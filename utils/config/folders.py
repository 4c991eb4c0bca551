"""Splits of several folders: lists in place of single paths in a dataset's YAML."""

from collections.abc import Sequence
from pathlib import Path

from utils.annotations.annotation import YAML_PREFIX
from utils.config.dataset_config import KINDS, Folder
from utils.config.paths import find_path


def further_folders(
    path: Path, values: dict, faults: list[str], notes: list[str], *, splits: Sequence[str]
) -> tuple[dict, dict[str, tuple[Folder, ...]]]:
    """Return the keys with the first folder of each split alone, and the others as {"train": ..., "val": ...}.

    The labels and lists of a split are as many as its folders of images, or there are none.
    """
    first, further = dict(values), {}
    for name in splits:
        keys = [f"{YAML_PREFIX[name]}_{kind}" for kind in KINDS]
        given = [values.get(key) for key in keys]
        if not any(isinstance(value, list) for value in given):
            continue
        counts = [len(value) if isinstance(value, list) else 1 for value in given if value is not None]
        if not isinstance(given[0], list) or not given[0] or set(counts) != {len(given[0])}:
            faults.append(
                f"{', '.join(key for key, value in zip(keys, given, strict=True) if value is not None)}: expected one "
                f"path each or lists of one length, found {', '.join(map(str, counts))} paths"
            )
            continue
        rows = list(zip(*(value or [None] * len(given[0]) for value in given), strict=True))
        first |= {key: value for key, value in zip(keys, rows[0], strict=True) if key in values}
        found = [_found(path, dict(zip(keys, row, strict=True)), keys, faults, notes) for row in rows[1:]]
        further[name] = tuple(folder for folder in found if folder)
    return first, further


def test_folders(path: Path, values: dict, notes: list[str]) -> tuple[tuple[Folder, ...], list[str]]:
    """Return the folders of the test split, none without TEST_DIR_IMAGES, and what is wrong with them.

    Training takes no part in it, so a test split that is not at hand stops only those who ask for it.
    """
    keys, faults = [f"{YAML_PREFIX['test']}_{kind}" for kind in KINDS], list[str]()
    given = [key for key in keys if values.get(key) is not None]
    if given and keys[0] not in given:
        return (), [f"{keys[0]}: missing or empty, but there is {', '.join(given)}"]
    first, further = further_folders(path, values, faults, notes, splits=("test",))
    found = _found(path, {key: first.get(key) for key in keys}, keys, faults, notes) if given and not faults else None
    return ((found, *further.get("test", ())) if found and not faults else ()), faults


def folders_of_both(first: Sequence[Folder], second: Sequence[Folder], *, harm: str) -> list[str]:
    """Return faults, folders that are of both splits and whose images no list separates; `harm` is the consequence."""
    return [
        f"{one.images_dir} is of both splits: {harm}; take it out of one"
        for one in first
        for other in second
        if one.images_dir.resolve() == other.images_dir.resolve() and not (one.list_path and other.list_path)
        if one.labels_dir == other.labels_dir or one.labels_dir.suffix.lower() != ".json"
    ]


def _found(path: Path, values: dict, keys: list[str], faults: list[str], notes: list[str]) -> Folder | None:
    images = find_path(path, values, keys[0], faults, notes, want_folder=True)
    is_file = str(values[keys[1]]).lower().endswith(".json")
    labels = find_path(path, values, keys[1], faults, notes, want_folder=not is_file) or images
    listed = find_path(path, values, keys[2], faults, notes, want_folder=False)
    return Folder(images, labels, listed) if images and labels else None
