"""Formats of pictures that are not read, by their suffix, and what to do about each."""

from pathlib import Path

_CONVERT = "convert it to JPEG or PNG"
_RAW = (
    f"a camera's raw picture, which is not read: {_CONVERT} in the camera's program, with the pixels it was labelled at"
)
_UNREAD = {
    **dict.fromkeys(
        (".heic", ".heif", ".hif"), f"a HEIF picture, which is not read: {_CONVERT}, such as with heif-convert"
    ),
    **dict.fromkeys((".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf"), _RAW),
    ".psd": f"a Photoshop document, which is not read: {_CONVERT}",
    ".svg": f"a drawing without pixels, which is not read: {_CONVERT}",
    ".pdf": f"a document, which is not read: {_CONVERT}, one file per page",
    ".eps": f"a document, which is not read: {_CONVERT}",
    **dict.fromkeys((".dcm", ".nii"), f"a medical picture, which is not read: {_CONVERT}"),
    **dict.fromkeys((".ico", ".tga", ".exr", ".hdr", ".jxl", ".qoi", ".npy"), f"a format that is not read: {_CONVERT}"),
}


def unread_format(path: Path | str) -> str | None:
    """What a file is and what to do about it, for pictures of a format that is not read; None for any other file."""
    return _UNREAD.get(Path(path).suffix.lower())
