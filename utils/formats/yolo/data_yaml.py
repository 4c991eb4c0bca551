"""The data.yaml of YOLO's tools, `path`, `train`, `val`, `names`, in this toolkit's keys."""

import re
from collections.abc import Sequence
from pathlib import Path

from utils.pairing.text_lists import read_split_list


def is_yolo_yaml(values: dict) -> bool:
    return "names" in values and "train" in values and "TRAIN_DIR_IMAGES" not in values


def translated(values: dict, path: Path, faults: list[str], notes: list[str] | None = None) -> dict:
    """Return the same dataset in this toolkit's keys.

    What cannot be translated goes to `faults`, paths that are there twice to `notes`.

    `path` counts from the YAML's folder or else from the working folder; so do `train` and `val` where there is none.
    Both may be a folder, a text file that lists images, or a list of these. Labels are where YOLO's tools look: in
    `labels` where the images' path has `images`, else beside the images. Keys of this toolkit's own, which have
    capitals, stay as they are.
    """
    names = names_of(values["names"], path, faults)
    own = {key: value for key, value in values.items() if isinstance(key, str) and key != key.lower()}
    if "CLASSES" in own and own["CLASSES"] != names:
        faults.append("CLASSES and names: expected one of them; IGNORE leaves classes out, RENAME joins them")
    renamed = own.get("RENAME")
    joined = renamed if isinstance(renamed, dict) else {}
    classes = [name for name in names if name not in joined] if isinstance(names, list) else names
    new = {"CLASSES": classes, "FORMAT": "yolo"}
    if classes != names:
        new["YOLO_NAMES"] = names
    if values.get("kpt_shape") is not None:
        new["KPT_SHAPE"] = values["kpt_shape"]
    if isinstance(values.get("nc"), int) and isinstance(names, list) and values["nc"] != len(names):
        faults.append(f"nc: {values['nc']}, but names has {len(names)} classes")
    root = Path() if values.get("path") is None else Path(str(values["path"])).expanduser()
    for key, split in (("train", "TRAIN"), ("val", "VALID"), ("test", "TEST")):
        places = values.get(key) or (values.get("valid") if key == "val" else None)
        if places is not None:
            places = places if isinstance(places, list) else [places]
            # A test split that is not there stops nobody but who asks for it, and is reported then.
            found = [] if key == "test" else faults
            folders = _folders(key, places, root, path, found, [] if notes is None else notes)
            if folders:
                _add_folders(new, split, folders)
    return new | own | {"CLASSES": new["CLASSES"]}


def names_of(names, path: Path, faults: list[str]) -> list:
    """Return the class names by number: of a list, of {0: Mask}, numbers quoted or not, or of a file of names."""
    if isinstance(names, str):
        file = next((place for place in (path.parent / names, Path(names)) if place.is_file()), None)
        if file is None:
            faults.append(f"names: expected a list of class names or the path of one, found {names!r}")
            return [names]
        return read_split_list(file)
    if isinstance(names, dict):
        numbers = {int(key): name for key, name in names.items() if re.fullmatch("[0-9]{1,6}", str(key))}
        if len(numbers) < len(names) or sorted(numbers) != list(range(len(names))):
            faults.append(f"names: expected the numbers 0 to {len(names) - 1}, found {', '.join(map(str, names))}")
            return [names[key] for key in sorted(names, key=str)]
        names = [numbers[number] for number in range(len(numbers))]
    # A digit as the name of a class, such as 7, is one to these tools; what else is no text is a slip.
    return [str(n) if type(n) is int else n for n in names] if isinstance(names, list) else names


def _folders(
    key: str, places: list, root: Path, path: Path, faults: list[str], notes: list[str]
) -> list[tuple[Path, Path, Path | None]]:
    """Return images, labels, and the list of those that count, of each folder that `train` or `val` names."""
    folders: list[tuple[Path, Path, Path | None]] = []
    for place in places:
        if not isinstance(place, str) or not place.strip():
            faults.append(f"{key}: expected a folder, a text file of images, or a list of these, found {place!r}")
            continue
        found = _existing(key, place.strip(), root, path, notes)
        if found.suffix.lower() != ".txt":
            folders.append((found, _labels_of(found), None))
            continue
        if not found.is_file():
            faults.append(f"{key}: no such file: {found}")
            continue
        listed = dict.fromkeys(_folder_of(line, found, root, path) for line in read_split_list(found))
        if not listed:
            faults.append(f"{key}: {found} lists no image")
        folders += [(folder, _labels_of(folder), found) for folder in listed]
    return folders


def _add_folders(new: dict, split: str, folders: list[tuple[Path, Path, Path | None]]) -> None:
    """Add `TRAIN_DIR_IMAGES`, `TRAIN_DIR_LABELS` and `TRAIN_LIST`, each one path or one for each folder."""
    images, labels, lists = zip(*folders, strict=True)
    several = len(folders) > 1
    new[f"{split}_DIR_IMAGES"] = [str(p) for p in images] if several else str(images[0])
    new[f"{split}_DIR_LABELS"] = [str(p) for p in labels] if several else str(labels[0])
    if any(lists):
        new[f"{split}_LIST"] = [p and str(p) for p in lists] if several else str(lists[0])


def _existing(key: str, place: str, root: Path, path: Path, notes: list[str]) -> Path:
    """Return the first that exists, beside the YAML first. Roboflow writes "../train/images" for what is beside it."""
    places = [base / root / place for base in (path.parent, Path())]
    note_two_places(key, places, notes)
    beside = path.parent / Path(*[part for part in (root / place).parts if part != ".."])
    return next((found for found in [*places, beside] if found.exists()), places[0])


def note_two_places(key: str, places: Sequence[Path], notes: list[str]) -> None:
    """Add a note where a relative path is there twice, beside the YAML and in the working folder."""
    there = list(dict.fromkeys(place.resolve() for place in places if place.exists()))
    if len(there) > 1:
        notes.append(f"{key}: {there[0]}, beside the YAML, is used; not {there[1]}, in the working folder")


def _folder_of(line: str, list_path: Path, root: Path, path: Path) -> Path:
    """Return the folder of an image that a list names: from the list's folder, the dataset's, or the working one."""
    wanted = Path(line.replace("\\", "/"))
    bases = dict.fromkeys((list_path.parent, path.parent / root, path.parent, root, Path()))
    return next((base / wanted for base in bases if (base / wanted).is_file()), list_path.parent / wanted).parent


def _labels_of(images: Path) -> Path:
    parts = list(images.parts)
    for index in range(len(parts) - 1, -1, -1):
        if parts[index] == "images":
            labels = Path(*parts[:index], "labels", *parts[index + 1 :])
            return labels if labels.is_dir() else images
    return images
