"""Finds the names of YOLO's class numbers: CLASSES, and the lists beside the labels, which may disagree."""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.config.yaml_files import read_yaml
from utils.errors import ConfigError
from utils.formats.yolo.data_yaml import is_yolo_yaml, names_of, translated
from utils.suggestions import plain

TEXT_LISTS = ("classes.txt", "_darknet.labels", "darknet.labels")  # and *.names, as Darknet has them
YAML_NAMES = ("data", "dataset")  # a YAML of another name counts where its paths lead to the labels
MAX_BYTES = 2**20
SHOWN = 20  # names of a list in a message

# Folders inside a dataset: what lies above one of them still belongs to the set.
_INSIDE = re.compile(
    r"images?|imgs?|labels?|annotations?|yolo|(train|valid|val|validation|test|dev)\w*|obj_\w+_data|data", re.IGNORECASE
)


@dataclass(frozen=True)
class ClassList:
    """The names of class numbers from 0 on, and YOLO's kpt_shape, where the file at `path` has them."""

    path: Path
    names: tuple[str, ...]
    kpt_shape: tuple[int, int] | None = None


def class_lists(images_dir: Path, labels_dir: Path) -> list[ClassList]:
    """Return the lists of class names beside and above a folder of labels or of their images, within the dataset."""
    found: dict[Path, ClassList] = {}
    for folder, inside in _folders(images_dir, labels_dir):
        if inside:
            for path in (*(folder / name for name in TEXT_LISTS), *sorted(folder.glob("*.names"))):
                _add(found, path, _text_names(path))
            _add(found, folder / "notes.json", _label_studio_names(folder / "notes.json"))
        for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
            if about := _of_yaml(path, images_dir, labels_dir, named=inside and path.stem.lower() in YAML_NAMES):
                found.setdefault(path.resolve(), about)
    return list(found.values())


def numbered_names(
    lists: Iterable[ClassList],
    written: Sequence[str],
    *,
    renamed: Mapping[str, str],
    ignored: Collection[str],
    labels_dir: Path,
) -> tuple[tuple[str, ...], list[str]]:
    """Return the names of the class numbers from 0 on, and what contradicts them.

    `written` are those of the dataset's YAML. Beyond them the lists count; also where they only have names more than
    `written` that `renamed` or `ignored` speak of. Spellings that differ in case, spaces, hyphens or underscores are
    one.
    """
    names, faults = tuple(written), []
    spelled = {plain(name): name for name in written}

    def key(name: str) -> str:
        return plain(renamed.get(name, name))

    gone = {key(name) for name in ignored}
    for found in lists:
        of_list, of_yaml = [key(name) for name in found.names], [key(name) for name in written]
        left = list(dict.fromkeys(name for name in of_list if name not in gone))
        if _agree(of_list, of_yaml):
            more = tuple(found.names[len(names) :])
        elif not gone & set(of_yaml) and len(left) < len(of_list) and _agree(left, of_yaml):
            names, more = found.names, ()
        else:
            faults.append(_contradiction(found, written, of_list, of_yaml))
            continue
        names = tuple(spelled.get(plain(name), name) for name in (*names, *more))
    known = {key(name) for name in names}
    faults += [
        f"IGNORE: {name}: YOLO's labels have numbers, and nothing beside {labels_dir} says which one is {name}: write "
        "it in CLASSES, too, at its place"
        for name in ignored
        if key(name) not in known and not faults
    ]
    return names, faults


def _agree(one: Sequence[str], other: Sequence[str]) -> bool:
    return all(a == b for a, b in zip(one, other, strict=False))


def _contradiction(found: ClassList, written: Sequence[str], of_list: Sequence[str], of_yaml: Sequence[str]) -> str:
    number = next(i for i, (a, b) in enumerate(zip(of_list, of_yaml, strict=False)) if a != b)
    text = (
        f"{found.path} has the classes {_listed(found.names)}, CLASSES is {_listed(written)}: number {number} is "
        f"{found.names[number]!r} there and {written[number]!r} here"
    )
    if sorted(of_list) == sorted(of_yaml):
        spelled = dict(zip(of_yaml, written, strict=True))
        return (
            f"{text}. If the file is right, write CLASSES: {_listed([spelled[name] for name in of_list], most=10**6)}"
        )
    unknown = [name for name, plain_name in zip(found.names, of_list, strict=True) if plain_name not in of_yaml]
    if not unknown:
        return f"{text}. If the file is right, write CLASSES in its order"
    return (
        f"{text}. If the file is right, write CLASSES in its order, with {_listed(unknown)}, and leave out what you do "
        "not want with IGNORE, or join classes with RENAME"
    )


def _listed(names: Sequence[str], most: int = SHOWN) -> str:
    return f"[{', '.join(names[:most])}{', …' * (len(names) > most)}]"


def _folders(*starts: Path) -> list[tuple[Path, bool]]:
    """Return each start with the folders above it, and whether they surely belong to the dataset; the last may not."""
    found: dict[Path, bool] = {}
    for start in starts:
        folder, inside = Path(start).absolute(), True
        if not folder.is_dir():
            folder = folder.parent
        for _ in range(5):
            found[folder] = found.get(folder, False) or inside
            if not inside or folder == folder.parent:
                break
            inside, folder = bool(_INSIDE.fullmatch(folder.name)), folder.parent
    return list(found.items())


def _add(found: dict[Path, ClassList], path: Path, names: Sequence[str]) -> None:
    if names:
        found.setdefault(path.resolve(), ClassList(path, tuple(names)))


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig") if path.is_file() and path.stat().st_size <= MAX_BYTES else ""
    except (OSError, UnicodeError):
        return ""


def _text_names(path: Path) -> list[str]:
    return [line.strip() for line in _text(path).splitlines() if line.strip()]


def _label_studio_names(path: Path) -> list[str]:
    """Return the names in the notes.json that Label Studio exports with labels."""
    try:
        items = json.loads(_text(path) or "{}")["categories"]
        names = {item["id"]: item["name"] for item in items}
    except (ValueError, LookupError, TypeError, RecursionError):
        return []
    whole = sorted(names, key=str) == sorted(range(len(names)), key=str)
    return [str(names[number]) for number in range(len(names))] if whole else []


def _of_yaml(path: Path, images_dir: Path, labels_dir: Path, *, named: bool) -> ClassList | None:
    """Return the names in a YAML, if it is this dataset's: its paths lead here, or nowhere and it has a usual name."""
    try:
        values = read_yaml(path) if path.stat().st_size <= MAX_BYTES else {}
    except (ConfigError, OSError):
        return None
    shape: Any = None
    names: object = ()
    if is_yolo_yaml(values) or ("names" in values and named):
        names = names_of(values["names"], path, [])
        values = translated(values, path, [])
        shape = values.get("KPT_SHAPE")
    elif named and values.get("FORMAT") == "yolo" and isinstance(values.get("CLASSES"), list):
        names = values.get("YOLO_NAMES") or [name for name in values["CLASSES"] if name != "__background__"]
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
        return None
    given = [values.get(f"{split}_DIR_{kind}") for split in ("TRAIN", "VALID") for kind in ("IMAGES", "LABELS")]
    places = [str(item) for place in given if place for item in (place if isinstance(place, list) else [place])]
    there = {q.resolve() for place in places for q in (Path(place), path.parent / place) if q.exists()}
    ours = {Path(images_dir).resolve(), Path(labels_dir).resolve()}
    leads_here = any(a == b or a in b.parents or b in a.parents for a in there for b in ours)
    if not leads_here and (there or not named):
        return None
    whole = isinstance(shape, list) and len(shape) == 2 and all(type(number) is int for number in shape)
    return ClassList(path, tuple(name.strip() for name in names), (shape[0], shape[1]) if whole else None)
