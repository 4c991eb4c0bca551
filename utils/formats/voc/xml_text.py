"""XML as text that any parser reads."""

import re
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

# What XML 1.0 has no way to write: control characters, halves of surrogate pairs, two code points that are none.
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_text(root: ElementTree.Element) -> str:
    """The element, indented by tabs; characters that XML cannot hold are written as in Python, such as \\udcfc."""
    for element in root.iter():
        element.text = element.text and escaped(element.text)
    ElementTree.indent(root, "\t")
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def escaped(text: str) -> str:
    """The text with `\\udcfc` for a byte of a file name that is no UTF-8, and alike for control characters."""
    return _UNWRITABLE.sub(lambda match: ascii(match[0])[1:-1], text)


def escape_note(names: Iterable[Path | str], where: str) -> list[str]:
    """A line on the file names that `where`, such as "<filename> in the XML", can hold with escapes only."""
    odd = [str(name) for name in names if escaped(str(name)) != str(name)]
    if not odd:
        return []
    more = f" and {len(odd) - 1} more" if len(odd) > 1 else ""
    return [
        f"{escaped(odd[0])}{more}: no UTF-8 or with control characters; the files keep their names, "
        f"{where} has such bytes as \\udcNN"
    ]
