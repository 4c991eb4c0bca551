"""One Pascal VOC XML file: its objects as they stand in it, with every fault named."""

import codecs
import math
import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from utils.errors import DatasetError

MAX_XML_BYTES = 64 * 2**20

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
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

    Raises DatasetError naming the file and every fault in it: not well-formed, a DOCTYPE, another root than
    <annotation>, an object without <name> or <bndbox>, a coordinate that is no finite number.
    """
    root = _parse(path)
    if root.tag != "annotation":
        raise DatasetError(f"{path}: expected the root element <annotation>, found <{root.tag[:40]}>")
    size, objects, faults = None, [], []
    try:
        size = _size(root)
    except ValueError as fault:
        faults.append(f"<size>: {fault}")
    for index, element in enumerate(root.findall("object"), 1):
        name = (element.findtext("name") or "").strip()
        try:
            if not name:
                raise ValueError("no <name>")
            objects.append(VocObject(name, _box(element), _difficult(element)))
        except ValueError as fault:
            faults.append(f"{called(index, name)}: {fault}")
    if faults:
        raise DatasetError(f"{path}: {'; '.join(faults)}")
    return VocFile(size, tuple(objects))


def called(index: int, name: str) -> str:
    """How a message names an object, counted from 1."""
    return f"object {index} ({name[:40]})" if name else f"object {index}"


def _number(parent: Element, tag: str) -> float:
    text = (parent.findtext(tag) or "").strip()
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or "_" in text:  # float() takes "1_0" for ten
        raise ValueError(f"expected a finite number in <{tag}>, found {text[:40]!r}")
    return value


def _box(element: Element) -> Box:
    bndbox = element.find("bndbox")  # direct child only: a VOC person's <part> has its own
    if bndbox is None:
        raise ValueError("no <bndbox>")
    return tuple(_number(bndbox, tag) for tag in ("xmin", "ymin", "xmax", "ymax"))


def _difficult(element: Element) -> bool:
    text = (element.findtext("difficult") or "").strip().lower()
    if text not in ("", "0", "1", "false", "true", "unspecified"):
        raise ValueError(f"expected 0 or 1 in <difficult>, found {text[:40]!r}")
    return text in ("1", "true")


def _size(root: Element) -> tuple[float, float] | None:
    size = root.find("size")
    if size is None or any(not (size.findtext(tag) or "").strip() for tag in ("width", "height")):
        return None
    width, height = _number(size, "width"), _number(size, "height")
    return (width, height) if width and height else None


def _parse(path: Path) -> Element:
    def refuse(*_):
        raise DatasetError(f"{path}: has a DOCTYPE; annotations need none, and its entities could fill the memory")

    try:
        if path.stat().st_size > MAX_XML_BYTES:
            raise DatasetError(f"{path}: {path.stat().st_size} bytes, more than the {MAX_XML_BYTES} of any annotation")
        text = _decode(path.read_bytes())
        builder, parser = TreeBuilder(), expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = builder.start
        parser.EndElementHandler = builder.end
        parser.CharacterDataHandler = builder.data
        parser.StartDoctypeDeclHandler = refuse
        parser.Parse(text, True)  # of a str, expat ignores the declared encoding
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (UnicodeError, LookupError) as error:
        raise DatasetError(f"{path}: cannot be decoded: {error}; save it as UTF-8, or declare its encoding") from error
    except expat.ExpatError as error:
        raise DatasetError(f"{path}: not well-formed XML: {error}") from error
    return builder.close()


def _decode(data: bytes) -> str:
    """Decoded by Python, which knows many more encodings than expat."""
    for encoding, marks in (
        ("utf-8-sig", (codecs.BOM_UTF8,)),
        ("utf-32", (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)),
        ("utf-16", (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)),
        ("utf-16-le", (b"<\0",)),
        ("utf-16-be", (b"\0<",)),
    ):
        if data.startswith(marks):
            return data.decode(encoding)
    declared = re.match(rb"<\?xml[^>]*?\bencoding\s*=\s*[\"']([A-Za-z0-9._-]+)", data[:400])
    encoding = declared[1].decode() if declared else "utf-8"
    if encoding.lower().startswith(("utf-16", "utf-32", "utf16", "utf32")):  # it could not have been read so far
        encoding = "utf-8"
    return data.decode(encoding)
