"""One Pascal VOC XML file: its objects as they stand in it, with every fault named.

Anybody's file may come in here, so it is parsed as a stream that keeps nothing but what a training needs, below limits
that no annotation of a real picture comes near.
"""

import codecs
import math
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

from utils.errors import DatasetError

MAX_XML_BYTES = 64 * 2**20
MAX_OBJECTS = 100_000
MAX_DEPTH = 100  # VOC needs four
MAX_TAG_NAMES = 1_000  # different ones, of elements and attributes: expat keeps each to the end
MAX_MARKUP_BYTES = 2**20  # one tag, comment or instruction: expat keeps it whole, and starts over at every chunk
MAX_TEXT = 256  # characters of a name or number
MAX_FAULTS = 5  # told of one file

_CHUNK = 2**18

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class VocObject:
    """An <object>: the box is (xmin, ymin, xmax, ymax) as it stands in the file."""

    name: str
    box: Box
    difficult: bool


@dataclass(frozen=True)
class VocFile:
    """A VOC annotation; `size` is (width, height), None where the file has none or zeros."""

    size: tuple[float, float] | None
    objects: tuple[VocObject, ...]


def read_voc_file(path: Path) -> VocFile:
    """Parse one XML file; its <filename> and <path> are ignored, for files get renamed and moved.

    Raises DatasetError naming the file and the first faults in it: not well-formed, a DOCTYPE, another root than
    <annotation>, an object without <name> or <bndbox>, a coordinate that is no finite number, more of anything than
    the limits above.
    """
    reader, parser, fed = _Reader(path), expat.ParserCreate("utf-8"), 0  # whatever encoding the file declares
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.data
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        for chunk in _utf8(path):
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
    """How a message names an object, counted from 1."""
    return f"object {index} ({_printable(name[:40])})" if name else f"object {index}"


def _printable(text: str) -> str:
    """Quoted and escaped where it holds what would steer a terminal."""
    return text if text.isprintable() else repr(text)


_OBJECT = "annotation/object"
_NAME, _DIFFICULT, _BNDBOX = (f"{_OBJECT}/{tag}" for tag in ("name", "difficult", "bndbox"))
_CORNERS = tuple(f"{_BNDBOX}/{tag}" for tag in ("xmin", "ymin", "xmax", "ymax"))
_SIZE = tuple(f"annotation/size/{tag}" for tag in ("width", "height"))
_WITH_TEXT = frozenset({*_SIZE, *_CORNERS, _NAME, _DIFFICULT})
_READ = _WITH_TEXT | {"annotation", "annotation/size", _OBJECT, _BNDBOX}


class _Reader:
    """Takes expat's events. Of several like elements the first counts, and of an element the text before any child."""

    def __init__(self, path: Path):
        self.path = path
        self.open: list[str] = []  # the open elements, as "annotation/object"; "" for what is not read
        self.texts: dict[str, str] = {}  # by element, those of the file and of one object at a time
        self.filling = ""  # the element whose text comes now
        self.objects: list[VocObject] = []
        self.faults: list[str] = []
        self.object_count = self.fault_count = 0

    def refuse(self, why: str):
        raise DatasetError(f"{self.path}: {why}")

    def doctype(self, *_):
        self.refuse("has a DOCTYPE; annotations need none, and its entities could fill the memory")

    def start(self, tag: str, _):
        if not self.open and tag != "annotation":
            self.refuse(f"expected the root element <annotation>, found <{_printable(tag[:40])}>")
        if len(self.open) == MAX_DEPTH:
            self.refuse(f"expected elements at most {MAX_DEPTH} deep, found <{_printable(tag[:40])}> below that")
        element = f"{self.open[-1]}/{tag}" if self.open else tag
        if element == _OBJECT:
            self.object_count += 1
            if self.object_count > MAX_OBJECTS:
                self.refuse(f"expected at most {MAX_OBJECTS} objects, found object {self.object_count}")
            self.texts = {key: text for key, text in self.texts.items() if not key.startswith(_OBJECT)}
        if element not in _READ or element in self.texts:
            element = ""
        self.open.append(element)
        self.filling = element if element in _WITH_TEXT else ""
        if element:
            self.texts[element] = ""

    def data(self, text: str):
        if self.filling and len(self.texts[self.filling]) <= MAX_TEXT:
            self.texts[self.filling] += text[: MAX_TEXT + 1]

    def end(self, _):
        self.filling = ""
        if self.open.pop() != _OBJECT:
            return
        try:
            if not self._text(_NAME):
                raise ValueError("no <name>")
            if _BNDBOX not in self.texts:
                raise ValueError("no <bndbox>")
            box = tuple(self._number(corner) for corner in _CORNERS)
            self.objects.append(VocObject(self._text(_NAME), box, self._difficult()))
        except ValueError as fault:
            self._fault(f"{called(self.object_count, self.texts.get(_NAME, '').strip())}: {fault}")

    def result(self) -> VocFile:
        size = None
        try:
            if all(self._text(side) for side in _SIZE):
                width, height = (self._number(side) for side in _SIZE)
                size = (width, height) if width and height else None
        except ValueError as fault:
            self._fault(f"<size>: {fault}")
        if self.faults:
            more = self.fault_count - len(self.faults)
            self.refuse("; ".join(self.faults) + (f"; … and {more} more" if more else ""))
        return VocFile(size, tuple(self.objects))

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

    def _difficult(self) -> bool:
        text = self._text(_DIFFICULT).lower()
        if text not in ("", "0", "1", "false", "true", "unspecified"):
            raise ValueError(f"expected 0 or 1 in <difficult>, found {text[:40]!r}")
        return text in ("1", "true")


def _utf8(path: Path) -> Iterator[bytes]:
    """The file in UTF-8, in chunks, decoded by Python, which knows many more encodings than expat."""
    try:
        status, seen, decoder = path.stat(), 0, None
        if not stat.S_ISREG(status.st_mode):  # a pipe or device may have no end, or make the reader wait for ever
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or device"
            raise DatasetError(f"{path}: expected an XML file, found {kind}")
        with path.open("rb") as file:
            while True:
                data = file.read(_CHUNK)
                seen += len(data)
                size = max(seen, status.st_size)  # a file may grow
                if size > MAX_XML_BYTES:
                    raise DatasetError(f"{path}: {size} bytes, more than the {MAX_XML_BYTES} of any annotation")
                decoder = decoder or codecs.getincrementaldecoder(_encoding(data))()
                yield decoder.decode(data, final=not data).encode()
                if not data:
                    return
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (UnicodeError, LookupError) as error:
        why = str(error)
        if isinstance(error, UnicodeDecodeError):  # it counts from the chunk, not from the file
            why = f"byte {seen - len(error.object) + error.start} is not {error.encoding}: {error.reason}"
        raise DatasetError(f"{path}: cannot be decoded: {why}; save it as UTF-8, or declare its encoding") from error


def _encoding(data: bytes) -> str:
    for encoding, marks in (
        ("utf-8-sig", (codecs.BOM_UTF8,)),
        ("utf-32", (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)),
        ("utf-16", (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)),
        ("utf-16-le", (b"<\0",)),
        ("utf-16-be", (b"\0<",)),
    ):
        if data.startswith(marks):
            return encoding
    declared = re.match(rb"<\?xml[^>]*?\bencoding\s*=\s*[\"']([A-Za-z0-9._-]+)", data[:400])
    encoding = codecs.lookup(declared[1].decode()).name if declared else "utf-8"
    if encoding.startswith(("utf-16", "utf-32")):  # it could not have been read so far
        return "utf-8"
    if encoding in ("idna", "punycode", "raw-unicode-escape", "unicode-escape") or b"<".decode(encoding) != "<":
        raise LookupError(f"{encoding} is no encoding of text files")
    return encoding
