"""Checks whether a media file is whole, by the sizes that its container states: facts, where durations are guesses."""

import struct
from pathlib import Path
from typing import BinaryIO

_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")  # its file properties object
_BROADCAST = 1  # flag of an ASF that was sent while it was made: its sizes mean nothing


def is_cut_short(path: Path) -> bool | None:
    """Check whether the file ends before the end that its container states; None where that states none.

    Knows MP4 and MOV, Matroska and WebM, AVI, and ASF and WMV. Raises nothing: None for a file that cannot be read.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(16)
            if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp"):
                end = _end_of_boxes(file, size)
            elif head[:4] == b"\x1a\x45\xdf\xa3":
                end = _end_of_segment(file)
            elif head[:4] == b"RIFF":
                end = _end_of_chunks(file, size)
            elif head == _ASF_HEADER:
                end = _size_in_asf(file)
            else:
                end = None
    except (OSError, struct.error, IndexError):
        return None
    return None if end is None else end > size


def _end_of_boxes(file: BinaryIO, size: int) -> int | None:
    """End of the last box of an MP4 (ISO/IEC 14496-12, 4.2); each states its size."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        length = struct.unpack(">I4x", file.read(8))[0]
        if length == 1:
            length = struct.unpack(">Q", file.read(8))[0]
        if length == 0:  # up to the end, wherever that is
            return None
        if length < 8:  # no box: something that was appended
            return position
        position += length
    return position


def _end_of_segment(file: BinaryIO) -> int | None:
    """End of the one segment of a Matroska file, after its EBML header (RFC 8794, 5 and 6)."""
    position = 4
    for _ in range(2):
        file.seek(position)
        data = file.read(8)
        length = 9 - data[0].bit_length()
        unknown = (1 << 7 * length) - 1  # all bits set: written while it was sent
        value = int.from_bytes(data[:length], "big") & unknown
        if value == unknown:
            return None
        position += length
        position += value
        end, position = position, position + 4  # the next element's name has four bytes
    return end


def _end_of_chunks(file: BinaryIO, size: int) -> int | None:
    """End of the last RIFF chunk; an AVI of more than a gigabyte has several."""
    position = 0
    while position + 12 <= size:
        file.seek(position)
        name, length = struct.unpack("<4sI", file.read(8))
        if name != b"RIFF":  # something that was appended
            return position
        if length in (0, 2**32 - 1):  # never finished
            return None
        position += 8 + length
    return position


def _size_in_asf(file: BinaryIO) -> int | None:
    """Return the file's size as its header states it (ASF specification, 3.2)."""
    file.seek(16)
    length = struct.unpack("<Q", file.read(8))[0]
    position = 30
    while position < length:
        file.seek(position)
        name, size = struct.unpack("<16sQ", file.read(24))
        if name == _ASF_FILE:
            properties = file.read(68)
            flags = struct.unpack_from("<I", properties, 64)[0]
            return None if flags & _BROADCAST else struct.unpack_from("<Q", properties, 16)[0] or None
        if size < 24:
            return None
        position += size
    return None
