"""Images from disk: what counts as one, how it is read, and its upright size without reading all of it."""

import io
import struct
import threading
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError, features
from PIL.JpegImagePlugin import JpegImageFile

from utils.errors import DatasetError, ToolkitError
from utils.files import atomic_path
from utils.images.exif import TRANSPOSING, orientation_of, stored_size_of, turned_upright
from utils.images.formats import frames_of, unread_content, unread_tiff
from utils.images.pixel_range import PixelRange, UsedValues, to_eight_bits, used_values

HUGE_PIXELS = 10**8  # as a file of 50 kB may claim to have; one of them is decoded at a time, whatever the threads
MAX_PIXELS = 2**30  # OpenCV's own limit for a decoded image

# Pillow calls anything above 89 megapixels an attack. Set once, at import: swapping the limit around each call is not
# safe with threads.
Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS or 0, MAX_PIXELS)

THUMBNAIL_SIDE = 16

JPEG_START = b"\xff\xd8\xff"
GIF_START = b"GIF8"
AVIF_STARTS = (b"ftypavif", b"ftypavis")
SHRUNK = {  # flags that go with IMREAD_COLOR_RGB; OpenCV names them together with another order of colours
    1: 0,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}


_ONE_HUGE_IMAGE = threading.Lock()

# What Pillow lets through from its parsers when a file is damaged.
_PILLOW_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, ArithmeticError, struct.error,
    Image.DecompressionBombError,
)  # fmt: skip
SHRINKS = (8, 4, 2)  # parts that training may decode; () to have all of every image decoded


@dataclass(frozen=True)
class ImageInfo:
    """Size in pixels of an image as `read_image` returns it, and as it is stored before EXIF `orientation` (1..8).

    `thumbnail` is the upright image in THUMBNAIL_SIDE x THUMBNAIL_SIDE grey pixels, row by row, to find similar
    images by; empty where the image was not decoded. Of `frames` or pages the first is the image. `used` are the
    values of one of more than eight bits.
    """

    width: int
    height: int
    stored_width: int
    stored_height: int
    orientation: int
    thumbnail: bytes = b""
    frames: int = 1
    used: UsedValues | None = None


def read_image(path: Path | str, *, shrink: int = 1, pixel_range: PixelRange | None = None) -> np.ndarray:
    """Read an image as RGB uint8 (H, W, 3), upright by its EXIF orientation.

    Of several frames or pages it is the first. Grey, palette, CMYK and alpha become plain RGB. Raises DatasetError
    naming the file and what was found in it.

    Args:
        shrink: 1, 2, 4 or 8: a JPEG is decoded at that part of its sides, rounded up, in less time. Other
            formats are always decoded whole.
        pixel_range: values of 16-bit samples that become 0 and 255; None keeps their upper eight bits. Samples of
            eight bits stay as they are.
    """
    image = _decoded(path, shrink, deep=pixel_range is not None)
    return to_eight_bits(image, pixel_range) if pixel_range and image.dtype == np.uint16 else image


def _decoded(path: Path | str, shrink: int, *, deep: bool) -> np.ndarray:
    """Decode an image as RGB uint8, or with `deep`, where its samples have more than eight bits, as uint16."""
    try:
        data = np.fromfile(path, np.uint8)  # cv2.imread cannot open non-ASCII paths on Windows
    except OSError as error:
        raise DatasetError(f"{path}: {_why_unopened(Path(path), error)}") from error
    if data[:4].tobytes() == GIF_START or data[4:12].tobytes() in AVIF_STARTS:
        return _read_with_pillow(path, data)
    if unread := unread_tiff(data.data):
        raise DatasetError(f"{path}: cannot be decoded as an image; it is {unread}")
    try:
        jpeg = data[:3].tobytes() == JPEG_START
        deep &= not jpeg
        # Of 16-bit TIFFs with compression, OpenCV's own RGB is not to be had: some of the colours stay swapped.
        flags = (
            cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH if deep else cv2.IMREAD_COLOR_RGB | (SHRUNK[shrink] if jpeg else 0)
        )
        image = cv2.imdecode(data, flags) if data.size else None
    except cv2.error as error:
        raise DatasetError(f"{path}: cannot be decoded ({error.err}); {_found(data)}") from error
    if image is None:
        raise DatasetError(f"{path}: cannot be decoded as an image; {_found(data)}")
    if image.ndim != 3:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if deep else image


def _read_with_pillow(path: Path | str, data: np.ndarray) -> np.ndarray:
    """Read a GIF's or AVIF's first frame: OpenCV ignores an AVIF's orientation, and swaps the colours beside alpha."""
    try:
        with Image.open(io.BytesIO(data.data)) as image:
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except UnidentifiedImageError as error:
        known = features.check("avif") or data[:4].tobytes() == GIF_START
        remedy = (
            _found(data) if known else "this Pillow reads no AVIF: install Pillow 11.3 or later, or convert it to PNG"
        )
        raise DatasetError(f"{path}: cannot be decoded as an image; {remedy}") from error
    except _PILLOW_ERRORS as error:
        raise DatasetError(f"{path}: damaged image ({error})") from error


def read_shrunk(
    path: Path | str, size_hw: tuple[int, int], wanted_hw: tuple[int, int], *, pixel_range: PixelRange | None = None
) -> np.ndarray:
    """Read an image at `wanted_hw`, (height, width) in pixels, no larger than `size_hw`, which it has on disk.

    Sampled as the model does it, bilinear without antialiasing; from half the size on, a JPEG is first decoded at the
    smallest part of its sides that suffices, which averages pixels: smoother than the model, and in less time.
    `pixel_range` is as in `read_image`. Raises DatasetError where the file has another size.
    """
    (height, width), (wanted_height, wanted_width) = size_hw, wanted_hw
    sizes = {shrink: (-(-height // shrink), -(-width // shrink)) for shrink in (*SHRINKS, 1)}
    shrink = next(s for s, (h, w) in sizes.items() if s == 1 or (h >= wanted_height and w >= wanted_width))
    image = read_image(path, shrink=shrink, pixel_range=pixel_range)
    if image.shape[:2] not in (sizes[1], sizes[shrink]):
        found = read_image(path).shape
        raise DatasetError(f"{path}: has changed since the start: expected {(*size_hw, 3)}, found {found}")
    if image.shape[:2] == tuple(wanted_hw):
        return image
    return cv2.resize(image, wanted_hw[::-1], interpolation=cv2.INTER_LINEAR)


def probe_image(path: Path | str, *, decode: bool = True) -> ImageInfo:
    """Read size and EXIF orientation from the header; with `decode`, prove that `read_image` will get all of the image.

    A JPEG is decoded at an eighth of its size or little more, which still reads every byte of it; anything else by
    `read_image`.
    Raises DatasetError naming the file: missing, no image, truncated, above 2**30 pixels.
    """
    path, thumbnail, frames, used = Path(path), b"", 1, None
    try:
        with Image.open(path) as image:
            (width, height), orientation = stored_size_of(image), orientation_of(image)
            if width * height > MAX_PIXELS:
                raise DatasetError(f"{path}: {width}x{height} is above the limit of 2**30 pixels")
            cheap, frames = isinstance(image, JpegImageFile), frames_of(image)
            if decode and cheap:
                image.draft(None, (2 * THUMBNAIL_SIDE, 2 * THUMBNAIL_SIDE))
                image.load()
                thumbnail = turned_upright(_small(np.asarray(image.convert("L"))), orientation).tobytes()
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise DatasetError(f"{path}: {_why_unopened(path, error)}") from error
    except UnidentifiedImageError:  # nothing, or a format that only OpenCV knows
        pixels, used = _probed(path)
        (height, width), thumbnail = pixels.shape[:2], _thumbnail(pixels) if decode else b""
        return ImageInfo(width, height, width, height, 1, thumbnail, used=used)
    except _PILLOW_ERRORS as error:
        raise DatasetError(f"{path}: damaged image ({error})") from error

    upright = (height, width) if orientation in TRANSPOSING else (width, height)
    if decode and not cheap:
        with _ONE_HUGE_IMAGE if width * height > HUGE_PIXELS else nullcontext():
            pixels, used = _probed(path)
        seen, thumbnail = pixels.shape[1::-1], _thumbnail(pixels)
        if seen != upright:  # a format whose orientation OpenCV does not apply: training sees what it shows
            upright, orientation = seen, 1
            width, height = seen
    return ImageInfo(*upright, width, height, orientation, thumbnail, frames, used)


def _probed(path: Path) -> tuple[np.ndarray, UsedValues | None]:
    """Decode an image as uint8, and its values where they have more bits: then it is stretched to show its content."""
    image = _decoded(path, 1, deep=True)
    if image.dtype != np.uint16:
        return image, None
    used = used_values(image)
    return to_eight_bits(image, (used.low, max(used.high, used.low + 1))), used


def _thumbnail(image: np.ndarray) -> bytes:
    return _small(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)).tobytes()


def _small(grey: np.ndarray) -> np.ndarray:
    return cv2.resize(grey, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA)


def _why_unopened(path: Path, error: OSError) -> str:
    if path.is_dir():
        return "is a folder, not an image file"
    if path.is_symlink() and not path.exists():
        return f"is a link to {path.readlink()}, which is not there"
    if not path.exists():
        return "image file not found"
    return f"cannot be opened: {error.strerror or error}"


def _found(data: np.ndarray) -> str:
    if not data.size:
        return "the file is empty"
    what = unread_content(data[:4096].tobytes()) or "damaged, truncated, or no image"
    return f"found {data.size} bytes that begin with {bytes(data[:16])!r}: {what}"


def write_image(path: Path, image: np.ndarray) -> None:
    """Write RGB uint8 (H, W, 3) in the format of the suffix, all or nothing; folders above are made.

    Raises DatasetError where the format cannot hold the image, ToolkitError where the file cannot be written.
    """
    try:
        done, data = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    except cv2.error as error:
        done, reason = False, error.err
    else:
        reason = "the encoder refused"
    if not done:
        raise DatasetError(
            f"{path}: an image of {image.shape[1]}x{image.shape[0]} cannot be written in this format ({reason})"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as partial:
            partial.write_bytes(data.tobytes())  # cv2.imwrite cannot open non-ASCII paths on Windows
    except OSError as error:
        raise ToolkitError(f"{path}: cannot be written: {error.strerror or error}") from error
