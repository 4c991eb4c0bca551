"""Reads the classes of a dataset's YAML: CLASSES, NC, RENAME, IGNORE, and what YOLO's class numbers stand for."""

from collections import Counter
from dataclasses import dataclass, field

from utils.annotations.annotation import BACKGROUND
from utils.names import how_they_differ, look_alike, nfc


@dataclass(frozen=True)
class Classes:
    """The classes of a dataset.

    | field | meaning |
    |---|---|
    | names | those that are trained, the background first; () where CLASSES is at fault |
    | renamed | names in the annotations -> one of `names` or of `ignored` |
    | ignored | names in the annotations whose objects are left out |
    | numbered | the names of YOLO's class numbers from 0 on, where they are not those of `names` |
    """

    names: tuple[str, ...] = ()
    renamed: dict[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    numbered: tuple[str, ...] = ()


def read_classes(values: dict, faults: list[str]) -> Classes:
    """Return the classes that the keys of a YAML name; what is wrong with them goes to `faults`."""
    written = _class_names(values, faults)
    _check_nc(values, written, faults)
    ignored = _text_list(values, "IGNORE", faults)
    numbered = _text_list(values, "YOLO_NAMES", faults)
    if BACKGROUND in ignored:
        faults.append(f"IGNORE: {BACKGROUND} is no class of objects")
    names = tuple(name for name in written if name not in ignored)
    if len(written) > 1 and len(names) == 1:
        faults.append("IGNORE: every one of CLASSES is in it, and nothing is left to train")
    if not numbered and len(names) < len(written):  # a class left out keeps its number
        numbered = written[1:]
    renamed = _renamed(values, names, ignored, faults)
    return Classes(names, renamed, ignored, numbered)


def _class_names(values: dict, faults: list[str]) -> tuple[str, ...]:
    """Return the classes with the background first; () where CLASSES itself is at fault."""
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
    names = [nfc(str(name).strip()) for name in classes]
    faults += [f"CLASSES: {name!r} is listed {count} times" for name, count in Counter(names).items() if count > 1]
    for index, name in enumerate(names):
        if other := look_alike(name, names[:index]):
            differs = how_they_differ(name, other)
            faults.append(f"CLASSES: {other!r} and {name!r} look alike, but the second {differs}: spell them as one")
    if BACKGROUND in names[1:]:
        faults.append(f"CLASSES: {BACKGROUND} comes first or not at all, found as item {names.index(BACKGROUND) + 1}")
    names = [BACKGROUND, *(name for name in names if name != BACKGROUND)]
    if len(names) == 1:
        faults.append("CLASSES: expected at least one class beside the background")
    return tuple(names)


def _text_list(values: dict, key: str, faults: list[str]) -> tuple[str, ...]:
    given = values.get(key)
    if given is None:
        return ()
    if not isinstance(given, list):
        faults.append(f"{key}: expected a list of class names such as [Mask, Gloves], found {given!r}")
        return ()
    for index, name in enumerate(given, 1):
        if not isinstance(name, str) or not name.strip():
            faults.append(f"{key}: item {index}: expected a class name, in quotes where it is a number, found {name!r}")
    names = [nfc(str(name).strip()) for name in given]
    faults += [f"{key}: {name!r} is listed {count} times" for name, count in Counter(names).items() if count > 1]
    return tuple(names)


def _renamed(values: dict, class_names: tuple[str, ...], ignored: tuple[str, ...], faults: list[str]) -> dict[str, str]:
    renamed = values.get("RENAME") or {}
    if not isinstance(renamed, dict) or not all(isinstance(text, str) for pair in renamed.items() for text in pair):
        faults.append(f"RENAME: expected names and classes, such as {{mask: Mask}}, found {renamed!r}")
        return {}
    renamed = {nfc(old.strip()): nfc(new.strip()) for old, new in renamed.items() if nfc(old) != nfc(new) or old == new}
    known = class_names[1:]
    if class_names:
        faults += [f"RENAME: {new!r} is none of CLASSES" for new in renamed.values() if new not in (*known, *ignored)]
        faults += [f"RENAME: {old!r} is itself one of CLASSES" for old in renamed if old in known]
    faults += [f"RENAME: {old!r} is in IGNORE, too: leave out either" for old in renamed if old in ignored]
    return renamed


def _check_nc(values: dict, class_names: tuple[str, ...], faults: list[str]) -> None:
    declared, count = values.get("NC"), len(class_names)
    if declared is None or not count:
        return
    if isinstance(declared, bool) or declared not in (count, count - 1):
        faults.append(
            f"NC: {declared!r}, but CLASSES has {count - 1} classes, {count} with the background; leave it out"
        )
