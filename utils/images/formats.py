"""Knows image files by their names; describes those of formats that are not read, and counts frames of the others."""

import struct
from pathlib import Path

from PIL import Image

IMAGE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .bmp .dib .webp .tif .tiff .ppm .pgm .pbm .pnm .avif .gif .jp2".split()
)

_CONVERT = "convert it to JPEG or PNG"
_RAW = (
    f"a camera's raw image, which is not read: {_CONVERT} in the camera's program, with the pixels it was labelled at"
)
_UNREAD = {
    **dict.fromkeys(
        (".heic", ".heif", ".hif"), f"a HEIF image, which is not read: {_CONVERT}, such as with heif-convert"
    ),
    **dict.fromkeys((".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf"), _RAW),
    ".psd": f"a Photoshop document, which is not read: {_CONVERT}",
    ".svg": f"a drawing without pixels, which is not read: {_CONVERT}",
    ".pdf": f"a document, which is not read: {_CONVERT}, one file per page",
    ".eps": f"a document, which is not read: {_CONVERT}",
    **dict.fromkeys((".dcm", ".nii"), f"a medical image, which is not read: {_CONVERT}"),
    **dict.fromkeys((".ico", ".tga", ".exr", ".hdr", ".jxl", ".qoi", ".npy"), f"a format that is not read: {_CONVERT}"),
}


def is_image(path: Path | str) -> bool:
    """Check whether the name is an image's, in any case; hidden files, such as macOS's "._a.jpg", are not."""
    path = path if isinstance(path, Path) else Path(path)  # to make another one of it takes as long as the rest
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def unread_format(path: Path | str) -> str | None:
    """Describe an image of a format that is not read, with a remedy; None for any other file."""
    return _UNREAD.get((path if isinstance(path, Path) else Path(path)).suffix.lower())


# First bytes, where they begin -> what the file is.
_CONTENT = (
    (0, b"%PDF", ".pdf"), (0, b"8BPS", ".psd"), (4, b"ftyphei", ".heic"), (4, b"ftyphev", ".heic"),
    (4, b"ftypmif1", ".heic"), (4, b"ftypcrx", ".cr3"), (0, b"%!PS", ".eps"), (128, b"DICM", ".dcm"),
    (0, b"\xff\x0a", ".jxl"), (4, b"JXL \r\n", ".jxl"),
    (0, b"\x76\x2f\x31\x01", ".exr"), (0, b"\x93NUMPY", ".npy"),
)  # fmt: skip
_NO_IMAGE = (
    (b"<!doctype html", "a web page: take the image from its source again"),
    (b"<html", "a web page: take the image from its source again"),
    (b"<svg", _UNREAD[".svg"]),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself: run git lfs pull"),
    (b"pk\x03\x04", "a ZIP archive"),
    (b"<?xml", "an XML file"),
    (b"{", "a text file"),
)
_SAMPLE_KINDS = {3: " floating-point", 5: " complex", 6: " complex"}


def unread_content(head: bytes) -> str | None:
    """Do as `unread_format`, from a file's first bytes, whatever its name."""
    for start, magic, suffix in _CONTENT:
        if head[start : start + len(magic)] == magic:
            return _UNREAD[suffix]
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:256].lower()
    if text.startswith(b"<?xml") and b"<svg" in head[:1024].lower():
        return _UNREAD[".svg"]
    return next((what for magic, what in _NO_IMAGE if text.startswith(magic)), None) or unread_tiff(head)


def unread_tiff(data: bytes | memoryview) -> str | None:
    """Describe a TIFF whose samples are no plain numbers of 8 or 16 bits; None for any other file."""
    order = {b"II": "<", b"MM": ">"}.get(bytes(data[:2]))
    if order is None or len(data) < 8:
        return None
    magic, start = struct.unpack_from(f"{order}HI", data, 2)
    if magic != 42:
        return None
    tags = {}
    try:
        (count,) = struct.unpack_from(f"{order}H", data, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, values = struct.unpack_from(f"{order}HHI", data, entry)
            if tag in (258, 339) and kind == 3:  # bits, and what they mean, of each sample
                place = entry + 8 if values <= 2 else struct.unpack_from(f"{order}I", data, entry + 8)[0]
                (tags[tag],) = struct.unpack_from(f"{order}H", data, place)
    except struct.error:  # cut short, or further on than `data` goes
        pass
    bits, kind = tags.get(258, 8), _SAMPLE_KINDS.get(tags.get(339, 1), "")
    if bits <= 16 and not kind:
        return None
    return (
        f"a TIFF of {bits}-bit{kind} samples, which have no range to show: scale them to 8 or 16 bits, as PNG or TIFF"
    )


def frames_in(path: Path | str) -> int:
    """Count the frames or pages of an image file; 1 where it states none, and for any JPEG."""
    if Path(path).suffix.lower() not in (".gif", ".avif", ".webp", ".png", ".tif", ".tiff"):
        return 1
    try:
        with Image.open(path) as image:
            return frames_of(image)
    except Exception:  # whatever a damaged file makes Pillow raise: decoding it reports the fault
        return 1


def frames_of(image: Image.Image) -> int:
    """Do as `frames_in`, for an image that Pillow has opened."""
    try:
        return 1 if image.format in ("JPEG", "MPO") else getattr(image, "n_frames", 1)
    except Exception:  # as above
        return 1
