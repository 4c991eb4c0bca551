"""One Pascal VOC XML file: its objects as they stand in it, with every fault named.

Anybody's file may come in here, so it is parsed as a stream that keeps nothing but what a training needs, below limits
that no annotation of a real image comes near.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

from utils.annotations.labels import Box
from utils.errors import DatasetError
from utils.formats.voc.foreign_xml import REMEDY, box_of_element, box_of_text, local_name, remedy
from utils.formats.voc.xml_source import MAX_XML_BYTES, utf8_chunks

MAX_OBJECTS = 100_000
MAX_DEPTH = 100  # VOC needs four
MAX_TAG_NAMES = 1_000  # different ones, of elements and attributes: expat keeps each to the end
MAX_MARKUP_BYTES = 2**20  # one tag, comment or instruction: expat keeps it whole, and starts over at every chunk
MAX_TEXT = 256  # characters of a name or number
MAX_FAULTS = 5  # reported of one file

__all__ = ["MAX_OBJECTS", "MAX_XML_BYTES", "VocFile", "VocObject", "called", "read_voc_file"]


@dataclass(frozen=True, slots=True)
class VocObject:
    """An <object>: the box is (xmin, ymin, xmax, ymax) before its `rotation`, in degrees around its centre."""

    name: str
    box: Box
    difficult: bool
    rotation: float = 0.0


@dataclass(frozen=True)
class VocFile:
    """A VOC annotation; `size` is (width, height), None where the file has none or zeros.

    `deleted` is the number of objects left out because LabelMe's `<deleted>1` stands in them.
    """

    size: tuple[float, float] | None
    objects: tuple[VocObject, ...]
    deleted: int = 0


def read_voc_file(path: Path) -> VocFile:
    """Parse one XML file; its <filename> and <path> are ignored, because files get renamed and moved.

    Raises DatasetError naming the file and the first faults in it: not well-formed, a DOCTYPE, another root than
    <annotation>, no object but boxes as other tools have them, an object without <name> or box, a coordinate that is
    no finite number, an element of VOC's that stands twice or where VOC has none (it would be lost without a word),
    more of anything than the limits above.
    """
    reader, parser, fed = _Reader(path), expat.ParserCreate("utf-8"), 0  # whatever encoding the file declares
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.data
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        for chunk in utf8_chunks(path):
            parser.Parse(chunk)
            fed += len(chunk)
            if fed - parser.CurrentByteIndex > MAX_MARKUP_BYTES:
                reader.refuse(f"line {parser.CurrentLineNumber} has a tag or comment of over {MAX_MARKUP_BYTES} bytes")
            if len(parser.intern) > MAX_TAG_NAMES:
                reader.refuse(f"expected at most {MAX_TAG_NAMES} names of elements and attributes, found more")
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise DatasetError(f"{path}: not well-formed XML: {error}") from error
    return reader.result()


def called(index: int, name: str) -> str:
    """Return how a message names an object, counted from 1."""
    return f"object {index} ({_printable(name[:40])})" if name else f"object {index}"


def _printable(text: str) -> str:
    """Quote and escape a text where it holds what would steer a terminal."""
    return text if text.isprintable() else repr(text)


_OBJECT, _SIZE = "annotation/object", "annotation/size"
_NAME, _DIFFICULT, _BNDBOX, _ROBNDBOX, _ATTRIBUTES, _DELETED, _ROTATION, _POLYGON = (
    f"{_OBJECT}/{tag}" for tag in "name difficult bndbox robndbox attributes deleted rotation polygon".split()
)
_ATTRIBUTE = f"{_ATTRIBUTES}/attribute"
_KEY, _VALUE = f"{_ATTRIBUTE}/name", f"{_ATTRIBUTE}/value"
_CORNERS = tuple(f"{_BNDBOX}/{tag}" for tag in ("xmin", "ymin", "xmax", "ymax"))
_CENTRED = tuple(f"{_ROBNDBOX}/{tag}" for tag in ("cx", "cy", "w", "h", "angle"))
_SIDES = tuple(f"{_SIZE}/{tag}" for tag in ("width", "height"))
_ONCE = frozenset({_SIZE, *_SIDES, _NAME, _BNDBOX, *_CORNERS, _ROBNDBOX, *_CENTRED, _ROTATION})
_WITH_TEXT = frozenset({*_SIDES, *_CORNERS, *_CENTRED, _NAME, _DIFFICULT, _DELETED, _ROTATION, _KEY, _VALUE})
_READ = _WITH_TEXT | {"annotation", _SIZE, _OBJECT, _BNDBOX, _ROBNDBOX, _ATTRIBUTES, _ATTRIBUTE, _POLYGON}


class _Reader:
    """Receiver of expat's events; of an element it reads the text before any child."""

    def __init__(self, path: Path):
        self.path = path
        self.tags: list[str] = []  # the open elements
        self.open: list[str] = []  # the same as "annotation/object"; "" for what is not read
        self.texts: dict[str, str] = {}  # by element, those of the file and of one object at a time
        self.filling = ""  # the element whose text comes now
        self.lost = 0  # depth of an open element that stands where VOC has none, 0 without
        self.flaw = ""  # the first of the open object
        self.foreign = ""  # the first box that is none of VOC's, before any object
        self.objects: list[VocObject] = []
        self.faults: list[str] = []
        self.object_count = self.fault_count = self.deleted = 0

    def refuse(self, why: str):
        raise DatasetError(f"{self.path}: {why}")

    def doctype(self, *_):
        self.refuse("has a DOCTYPE; annotations need none, and its entities could fill the memory")

    def start(self, tag: str, attributes: dict[str, str]):
        if not self.open and tag != "annotation":
            found = f"found <{_printable(tag[:40])}>{remedy(tag)}"
            self.refuse(f"expected the root element <annotation>, {found}")
        if len(self.open) == MAX_DEPTH:
            self.refuse(f"expected elements at most {MAX_DEPTH} deep, found <{_printable(tag[:40])}> below that")
        if not self.object_count and not self.foreign:
            self.foreign = box_of_element(self.tags, tag, attributes)
        element = f"{self.open[-1]}/{tag}" if self.open else tag
        if element == _OBJECT:
            self.object_count += 1
            if self.object_count > MAX_OBJECTS:
                self.refuse(f"expected at most {MAX_OBJECTS} objects, found object {self.object_count}")
            self._forget(_OBJECT)
            self.flaw = ""
        elif element == _ATTRIBUTE:
            self._forget(_ATTRIBUTE)
        elif not self.lost and (fault := self._out_of_place(element, tag)):
            self._flaw(fault)
            self.lost = len(self.open) + 1
        if element not in _READ or (element in self.texts and element != _ATTRIBUTES):
            element = ""
        self.tags.append(tag)
        self.open.append(element)
        self.filling = element if element in _WITH_TEXT else ""
        if element:
            self.texts[element] = ""

    def data(self, text: str):
        if self.filling and len(self.texts[self.filling]) <= MAX_TEXT:
            self.texts[self.filling] += text[: MAX_TEXT + 1]
        elif not (self.filling or self.object_count or self.foreign):
            self.foreign = box_of_text(self.tags, text)

    def end(self, _):
        self.filling = ""
        if self.lost == len(self.open):
            self.lost = 0
        self.tags.pop()
        element = self.open.pop()
        if element == _ATTRIBUTE and self.texts.get(_KEY, "").strip().lower() == "rotation":
            if _ROTATION in self.texts:
                self._flaw("expected one rotation, found two")
            self.texts[_ROTATION] = self.texts.get(_VALUE, "")
        if element == _OBJECT:
            try:
                self._end_object()
            except ValueError as fault:
                self._fault(f"{called(self.object_count, self.texts.get(_NAME, '').strip())}: {fault}")

    def _end_object(self) -> None:
        if self._flag(_DELETED):
            self.deleted += 1
            return
        if self.flaw:
            raise ValueError(self.flaw)
        if not self._text(_NAME):
            raise ValueError("no <name>")
        rotation = (
            0.0 if re.fullmatch(r"(?!nan|inf)[^\W\d]*", self._text(_ROTATION).lower()) else self._number(_ROTATION)
        )
        if _BNDBOX in self.texts:
            if _ROBNDBOX in self.texts:
                raise ValueError("expected one box, found <bndbox> and <robndbox>")
            x1, y1, x2, y2 = (self._number(corner) for corner in _CORNERS)
            box = x1, y1, x2, y2
        elif _ROBNDBOX in self.texts:  # as roLabelImg writes rotated boxes, the angle in radians
            x, y, width, height, angle = (self._number(element) for element in _CENTRED)
            if abs(angle) > 2 * math.pi:
                raise ValueError(f"expected <angle> in radians, at most 2 pi, found {angle:g}")
            box, rotation = (x - width / 2, y - height / 2, x + width / 2, y + height / 2), math.degrees(angle)
        else:
            outline = f", but a <polygon>, as in LabelMe's XML: {REMEDY}" if _POLYGON in self.texts else ""
            raise ValueError(f"no <bndbox>{outline}")
        self.objects.append(VocObject(self._text(_NAME), box, self._flag(_DIFFICULT), rotation))

    def result(self) -> VocFile:
        size = None
        try:
            if all(self._text(side) for side in _SIDES):
                width, height = (self._number(side) for side in _SIDES)
                size = (width, height) if width and height else None
        except ValueError as fault:
            self._fault(f"<size>: {fault}")
        if self.foreign and not (self.object_count or self.faults):
            self._fault(f"expected <object> with <bndbox>, found {_printable(self.foreign)}: {REMEDY}")
        if self.faults:
            more = self.fault_count - len(self.faults)
            self.refuse("; ".join(self.faults) + (f"; … and {more} more" if more else ""))
        return VocFile(size, tuple(self.objects), self.deleted)

    def _out_of_place(self, element: str, tag: str) -> str:
        """Return why an element is not where, or not spelled as, VOC has it; "" for one in place or unknown.

        Tools add elements of their own, such as <part> and <attributes>, with other names and boxes in them.
        """
        if element in _READ:
            return f"expected one <{tag}>, found two" if element in _ONCE and element in self.texts else ""
        parent = self.tags[-1] if self.tags else ""
        kind, inside = local_name(tag), local_name(parent)
        if kind == "object":
            expected = "<object> directly in <annotation>"
        elif kind in ("bndbox", "robndbox") and parent != "part":
            expected = f"<{kind}> directly in an <object>"
        elif kind == "name" and inside in ("annotation", "object", "bndbox", "robndbox", "size"):
            expected = "<name> directly in an <object>"
        elif kind == "xmin" and inside != "bndbox":
            expected = "<xmin> in a <bndbox>"
        elif kind in ("width", "height") and inside == "size":
            expected = "<size> directly in <annotation>"
        else:
            return ""
        return f"expected {expected}, found <{_printable(tag[:40])}> in <{_printable(parent[:40])}>"

    def _forget(self, element: str) -> None:
        self.texts = {key: text for key, text in self.texts.items() if not key.startswith(element)}

    def _flaw(self, text: str) -> None:
        """Note a fault of the open object, of which the first is reported, or of the file."""
        if _OBJECT not in self.open:
            self._fault(text)
        self.flaw = self.flaw or text

    def _fault(self, text: str):
        self.fault_count += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(text)

    def _text(self, element: str) -> str:
        text = self.texts.get(element, "")
        if len(text) > MAX_TEXT:
            tag = element.rpartition("/")[2]
            raise ValueError(f"expected at most {MAX_TEXT} characters in <{tag}>, found {text[:40]!r} and more")
        return text.strip()

    def _number(self, element: str) -> float:
        text = self._text(element)
        # float() alone would take "1_0" for ten, and the digits of every script
        value = float(text) if re.fullmatch(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", text) else math.nan
        if not math.isfinite(value):
            raise ValueError(f"expected a finite number in <{element.rpartition('/')[2]}>, found {text[:40]!r}")
        return value

    def _flag(self, element: str) -> bool:
        text = self._text(element).lower()
        if text not in ("", "0", "1", "false", "true", "unspecified"):
            raise ValueError(f"expected 0 or 1 in <{element.rpartition('/')[2]}>, found {text[:40]!r}")
        return text in ("1", "true")
