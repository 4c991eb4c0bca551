"""The one writer of Pascal VOC XML: text that any parser reads."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

# What XML 1.0 has no way to write: control characters, halves of surrogate pairs, two code points that are none.
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def voc_xml(
    filename: str,
    size: tuple[int, int],
    names: Sequence[str],
    boxes: np.ndarray,
    *,
    difficult: Sequence[bool] | None = None,
    truncated: Sequence[bool] | None = None,
    path: Path | None = None,
) -> str:
    """Return the XML of one image as labelImg writes it, indented by tabs.

    Args:
        filename: of the image, without folders.
        size: (width, height) in pixels.
        names: the class of each box.
        boxes: (N, 4) xyxy in pixels. A number is the shortest text that reads back as the same value: 12 for 12.0.
        difficult, truncated: a flag for each box; without, none is.
        path: of the image; without, <folder> and <path> are left out.
    """
    root = ElementTree.Element("annotation")
    head: dict = {"filename": filename}
    if path:
        head = {"folder": path.parent.name, **head, "path": str(path), "source": {"database": "Unknown"}}
    width, height = size
    _add(root, {**head, "size": {"width": width, "height": height, "depth": 3}, "segmented": 0})
    none = [False] * len(boxes)
    for name, box, hard, cut in zip(names, boxes, difficult or none, truncated or none, strict=True):
        numbers = [np.format_float_positional(value, trim="-") for value in box]
        bndbox = dict(zip(("xmin", "ymin", "xmax", "ymax"), numbers, strict=True))
        entry = {"name": name, "pose": "Unspecified", "truncated": int(cut), "difficult": int(hard), "bndbox": bndbox}
        _add(root, {"object": entry})
    for element in root.iter():
        element.text = element.text and escaped(element.text)
    ElementTree.indent(root, "\t")
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _add(parent: ElementTree.Element, content: Mapping) -> None:
    for tag, value in content.items():
        child = ElementTree.SubElement(parent, tag)
        if isinstance(value, Mapping):
            _add(child, value)
        else:
            child.text = str(value)


def escaped(text: str) -> str:
    """Return the text with `\\udcfc` for a byte of a file name that is not UTF-8, and alike for control characters."""
    return _UNWRITABLE.sub(lambda match: ascii(match[0])[1:-1], text)


def escape_note(names: Iterable[Path | str], place: str) -> list[str]:
    """Return a line on the file names that `place`, such as "<filename> in the XML", can hold with escapes only."""
    odd = [str(name) for name in names if escaped(str(name)) != str(name)]
    if not odd:
        return []
    more = f" and {len(odd) - 1} more" if len(odd) > 1 else ""
    return [
        f"{escaped(odd[0])}{more}: not UTF-8 or with control characters; the files keep their names, "
        f"{place} has such bytes as \\udcNN"
    ]
