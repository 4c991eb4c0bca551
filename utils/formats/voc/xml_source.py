"""The bytes of an XML file in UTF-8, whatever encoding it has."""

import codecs
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from utils.errors import DatasetError

MAX_XML_BYTES = 64 * 2**20

_CHUNK = 2**18


def utf8_chunks(path: Path) -> Iterator[bytes]:
    """Give the file in UTF-8, in chunks, decoded by Python, which knows many more encodings than expat.

    Raises DatasetError naming the file: no regular file, above MAX_XML_BYTES, not of the encoding that it declares.
    """
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
