"""Images in a row as a video: a folder, a pattern, or the images of an animated image file."""

import glob
import re
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence

from utils.errors import DatasetError
from utils.files import natural_key
from utils.images.formats import is_image
from utils.images.io import read_image
from utils.inference.sources import VIDEO_SUFFIXES, find_images
from utils.video.decoding.container import VideoError
from utils.video.frames import Frame, exact

DEFAULT_FPS = 25
ANIMATED_SUFFIXES = frozenset({".webp", ".avif", ".avifs"})  # animations that Pillow reads and FFmpeg does not
TIME_BASE = Fraction(1, 90_000)
NO_DURATION = 100  # milliseconds, where an animation states none, as browsers show it
_NUMBER = re.compile(r"%(0?)(\d*)d")


class SequenceReader:
    """Frames of images in a row, as VideoReader gives those of a file; a context manager, to be iterated once.

    Args:
        path: its name in messages.
        images: (function that reads it, seconds that it is shown) per image; reading returns RGB uint8 (H, W, 3).
        every, start, end: as VideoReader has them.
        notes: lines for the user.
        close: called at the end.
    """

    live = False
    audio_streams = tail = ()
    time_base = TIME_BASE

    def __init__(
        self,
        path: Path | str,
        images: Sequence[tuple[Callable[[], np.ndarray], Fraction]],
        *,
        every: int = 1,
        start: float = 0.0,
        end: float | None = None,
        notes: Sequence[str] = (),
        close: Callable[[], None] = lambda: None,
    ):
        self.path, self.notes = path, list(notes)
        self.missing: str | None = None
        self.close = close
        duration = sum((seconds for _, seconds in images), Fraction(0))
        self.rate = len(images) / duration
        self._every, ends = every, exact(end) if end is not None else duration
        self._chosen, time, shown = [], Fraction(0), exact(start)
        for index, (read, seconds) in enumerate(images):
            if shown <= time < ends:
                self._chosen.append((index, read, time, seconds))
            time += seconds
        if shown >= duration:
            raise VideoError(f"{path}: --start {start:g} is after its end at {float(duration):.2f} seconds")
        self._chosen = self._chosen[::every]
        self.total = len(self._chosen)

    def __iter__(self) -> Iterator[Frame]:
        unread: list[str] = []
        for index, read, time, seconds in self._chosen:
            try:
                image = read()
            except DatasetError as error:
                unread.append(str(error))
                continue
            yield Frame(image, index, time, seconds * self._every)
        if len(unread) == self.total and unread:
            raise VideoError(f"{self.path}: none of its images can be read, the first: {unread[0]}")
        if unread:
            self.missing = f"{self.path}: {len(unread)} images cannot be read and are left out, the first: {unread[0]}"

    def stop(self) -> None:
        """Do nothing: files never wait."""

    def __enter__(self) -> "SequenceReader":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def find_sequence(source: str) -> tuple[list[Path], list[str]] | None:
    """Find the images of a folder, or of a pattern with `*` or `%04d`, in order, and notes; None for others.

    Raises VideoError where there is no image.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return _in_folder(path)
    if path.exists():
        return None
    if _NUMBER.search(path.name):
        return _numbered(path)
    if not glob.has_magic(source):
        return None
    try:
        images, notes = find_images(source)
    except DatasetError as error:
        raise VideoError(f"{error} Name one video file, without wildcards.") from error
    return [image.path for image in images], notes


def read_sequence(source: str, files: Sequence[Path], *, fps: float | None, notes=(), **options) -> SequenceReader:
    """Return a reader of image files at `fps` images per second, DEFAULT_FPS where that is None."""
    rate = exact(DEFAULT_FPS if fps is None else fps)
    note = f"{source}: {len(files)} images, taken as a video of {float(rate):g} frames per second"
    note += "" if fps is not None else "; --fps gives another rate"
    images = [(lambda file=file: read_image(file), 1 / rate) for file in files]
    return SequenceReader(source, images, notes=[note, *notes], **options)


def read_animation(path: Path, **options) -> SequenceReader | None:
    """Return a reader of an animated WebP or AVIF; None where the file is another, or a single image."""
    if path.suffix.lower() not in ANIMATED_SUFFIXES or not path.is_file():
        return None
    try:
        with Image.open(path) as image:
            if getattr(image, "n_frames", 1) < 2:
                return None
            milliseconds = []
            for frame in ImageSequence.Iterator(image):
                frame.load()
                milliseconds.append(frame.info.get("duration") or NO_DURATION)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise VideoError(f"{path}: cannot be read as an animation: {error}") from error
    opened = Image.open(path)

    def read(number: int) -> np.ndarray:
        try:
            opened.seek(number)
            return np.asarray(opened.convert("RGB"))
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            raise DatasetError(f"{path}: its image {number + 1} cannot be decoded: {error}") from error

    images = [(lambda n=n: read(n), exact(ms / 1000)) for n, ms in enumerate(milliseconds)]
    return SequenceReader(path, images, close=opened.close, **options)


def _in_folder(folder: Path) -> tuple[list[Path], list[str]]:
    try:
        entries = sorted(folder.iterdir(), key=lambda path: natural_key(path.name))
    except OSError as error:
        raise VideoError(f"{folder}: cannot be listed: {error.strerror}") from error
    entries = [entry for entry in entries if not entry.name.startswith(".")]
    files = [entry for entry in entries if is_image(entry) and entry.is_file()]
    others = [entry.name for entry in entries if entry not in files]
    if not files:
        raise VideoError(
            f"{folder} is a folder without images of its own; expected a video file or a folder of a video's images. "
            f"It has: {', '.join(others[:8]) or 'nothing'}{' ...' if len(others) > 8 else ''}"
        )
    if videos := [name for name in others if Path(name).suffix.lower() in VIDEO_SUFFIXES]:
        raise VideoError(
            f"{folder} is a folder with {len(files)} images and {len(videos)} videos, such as {videos[0]}: give one "
            f'video, or the images as a pattern in quotes, such as "{folder / ("*" + files[0].suffix)}"'
        )
    left = f"{len(others)} other entries of {folder} are left out, such as {others[0]}" if others else None
    return files, [left] if left else []


def _numbered(pattern: Path) -> tuple[list[Path], list[str]]:
    """Find the files that a name such as frame_%04d.jpg means, by number."""
    parts = re.split(r"(%0?\d*d|%%)", pattern.name)
    expression = "".join(
        r"(\d{%s,})" % (match[2] or 1) if (match := _NUMBER.match(part)) else re.escape("%" if part == "%%" else part)
        for part in parts
    )
    found = {}
    if pattern.parent.is_dir():
        for file in pattern.parent.iterdir():
            if (match := re.fullmatch(expression, file.name)) and is_image(file):
                found[tuple(int(number) for number in match.groups())] = file
    if not found:
        raise VideoError(f"{pattern}: no image has such a name in {pattern.parent.absolute()}")
    numbers = sorted(found)
    gaps = numbers[-1][-1] - numbers[0][-1] + 1 - len(numbers) if len(numbers[0]) == 1 else 0
    notes = (
        [f"{pattern}: {gaps} numbers between the first and the last are missing; the rest is joined"] if gaps else []
    )
    return [found[number] for number in numbers], notes
