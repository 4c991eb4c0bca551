"""Reads the orientation that EXIF gives an image."""

import os
import struct

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

ORIENTATION_TAG = 0x0112

TRANSPOSING = frozenset({5, 6, 7, 8})  # EXIF orientations that swap width and height


def turned_upright(stored: np.ndarray, orientation: int) -> np.ndarray:
    """Turn a square image, (S, S), as its EXIF orientation says."""
    turned = stored.T if orientation in TRANSPOSING else stored
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    return turned


def stored_size_of(image: Image.Image) -> tuple[int, int]:
    """Return (width, height) as stored; Pillow turns a TIFF's size at once, every other format's never."""
    if isinstance(image, TiffImageFile):
        return int(image.tag_v2[256]), int(image.tag_v2[257])
    return image.size


def orientation_of(image: Image.Image) -> int:
    """Read the EXIF orientation 1..8 as OpenCV applies it. Pillow's `getexif` also reads XMP and text chunks."""
    if isinstance(image, TiffImageFile):
        value = image.tag_v2.get(ORIENTATION_TAG, 1)
    elif isinstance(image, PngImageFile):
        value = _exif_orientation(_png_exif(image.fp))
    elif image.format == "AVIF":
        value = image.getexif().get(ORIENTATION_TAG, 1)
    elif image.format in ("JPEG", "MPO", "WEBP"):
        value = _exif_orientation(image.info.get("exif", b"").removeprefix(b"Exif\0\0"))
    else:
        value = 1
    return value if value in range(1, 9) else 1


def _png_exif(file) -> bytes:
    """Read the eXIf chunk, wherever it is: exiftool puts it after the pixels, where Pillow sees it only after them."""
    start = file.tell()
    file.seek(8)
    exif = b""
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"eXIf":
            exif = file.read(length)
            break
        file.seek(length + 4, os.SEEK_CUR)
    file.seek(start)
    return exif


def _exif_orientation(exif: bytes) -> int:
    """Read the orientation in EXIF's first directory (TIFF 6.0, section 2), 1 where there is none."""
    order = "<" if exif[:2] == b"II" else ">"  # as lenient as OpenCV
    try:
        magic, directory = struct.unpack_from(order + "HI", exif, 2)
        if magic != 42:
            return 1
        (entries,) = struct.unpack_from(order + "H", exif, directory)
        for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
            if struct.unpack_from(order + "H", exif, entry)[0] == ORIENTATION_TAG:
                # OpenCV reads two bytes whatever type and count the entry declares.
                return struct.unpack_from(order + "H", exif, entry + 8)[0]
    except struct.error:  # cut short: no orientation
        pass
    return 1
