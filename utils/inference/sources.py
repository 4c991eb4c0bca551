"""Finds the images that `--input` of inference.py means, and names their results."""

import glob
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from utils.errors import DatasetError
from utils.files import natural_key
from utils.images.formats import is_image, unread_format

# What OpenCV writes in colour and without palette; any other image's result is a PNG.
WRITABLE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".ppm", ".pnm"}
)
VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".ts"})


@dataclass(frozen=True)
class SourceImage:
    """An image to be read.

    path: the file. name: what it is called in results, relative to the folder that all of them come from.
    """

    path: Path
    name: Path


def find_images(source: str, *, exclude: Iterable[Path] = ()) -> tuple[list[SourceImage], list[str]]:
    """Find the images that `source` means, in natural order (a list's in its own); return them and notes on the rest.

    - an image: itself;
    - a folder: every image in it and below, hidden ones left out; not those below a folder of `exclude`, where
      earlier results are;
    - a pattern with `*`, `?`, `[...]`, `**` for any depth: the images that match;
    - a `.txt` file: one path per line, relative to the list's folder, else to the working directory.

    Raises DatasetError where there is no image, saying what is there.
    """
    path = Path(source)
    if not path.exists():  # in quotes the shell leaves a ~ alone
        path = path.expanduser()
        source = str(path)
    notes: list[str] = []
    if path.is_dir():
        files, others = _walk(path, {Path(folder).resolve() for folder in exclude})
        base, unread = path, [other for other in others if unread_format(other)]
        if not files:
            kinds = ", ".join(sorted({other.suffix or other.name for other in others})[:8])
            raise DatasetError(
                f"{path}: no image in this folder or below; it holds "
                + (f"{len(others)} other files ({kinds})" if others else "no files")
                + "".join(f"; {unread[0]}: {unread_format(unread[0])}" for _ in unread[:1])
            )
        if unread:
            which = f"{unread[0]}: {unread_format(unread[0])}"
            notes.append(f"{len(unread)} images of formats that are not read are left out, such as {which}")
        if others := [other for other in others if not unread_format(other)]:
            notes.append(f"{len(others)} files that are no images are left out, such as {others[0]}")
    elif path.is_file() and path.suffix.lower() == ".txt":
        files, notes = _read_list(path)
        base = _common_folder(files)
    elif path.is_file():
        if path.suffix.lower() in VIDEO_SUFFIXES:
            raise DatasetError(f"{path}: a video; use inference_video.py for it")
        files, base = [path], path.parent
    elif glob.has_magic(source):
        files, base = _match(source), _fixed_folder(source)
    else:
        raise DatasetError(f"{path}: no such file or folder; {_nearest_entries(path)}")
    return [SourceImage(file, _absolute(file).relative_to(_absolute(base))) for file in files], notes


def result_names(names: Sequence[Path]) -> list[Path]:
    """Return a file name for each image's result, no two alike: its own, with `.png` added where needed."""
    taken = {name for name in names if name.suffix.lower() in WRITABLE_SUFFIXES}
    results = []
    for name in names:
        if name.suffix.lower() not in WRITABLE_SUFFIXES:
            plain, number = name, 1
            name = plain.with_name(f"{plain.name}.png")
            while name in taken:
                number += 1
                name = plain.with_name(f"{plain.name}.{number}.png")
            taken.add(name)
        results.append(name)
    return results


def annotation_names(names: Sequence[Path]) -> list[Path]:
    """Return an XML file name for each image: `a.xml`, or `a.jpg.xml` and `a.png.xml` where two share a stem."""
    stems = [name.with_suffix("") for name in names]
    unsuffixed = set(stems)
    counts = Counter(stems) + Counter(name for name in names if name in unsuffixed)  # "a.jpg" and "a.jpg.png"
    return [
        name.with_name(f"{stem.name if counts[stem] == 1 else name.name}.xml")
        for name, stem in zip(names, stems, strict=True)
    ]


def _walk(folder: Path, exclude: set[Path]) -> tuple[list[Path], list[Path]]:
    """List the images below a folder, and the other files there."""
    images, others = [], []

    def refuse(error: OSError):
        raise DatasetError(f"{error.filename}: cannot be listed: {error.strerror}") from error

    for root, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [f for f in folders if not f.startswith(".") and Path(root, f).resolve() not in exclude]
        for name in names:
            if is_image(name):
                images.append(Path(root, name))
            elif not name.startswith("."):
                others.append(Path(root, name))
    return sorted(images, key=lambda path: natural_key(path.as_posix())), sorted(others)


def _match(pattern: str) -> list[Path]:
    # Not pathlib's, which refuses "x/**.jpg" and enters hidden folders.
    found = {Path(match) for match in glob.iglob(pattern, recursive=True)}  # noqa: PTH207
    matches = sorted(found, key=lambda path: natural_key(path.as_posix()))
    files = [match for match in matches if is_image(match) and match.is_file()]
    if not files:
        problem = "matches nothing"
        if matches:
            problem = f"matches no image, but {len(matches)} others such as {matches[0]}"
        raise DatasetError(f"{pattern}: {problem}; {_nearest_entries(Path(pattern))}. Put a pattern in quotes.")
    return files


def _fixed_folder(pattern: str) -> Path:
    """Return the leading folders of a pattern that hold no wildcard."""
    parts = Path(pattern).parts
    first = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:first])


def _read_list(path: Path) -> tuple[list[Path], list[str]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(
            f"{path}: cannot be read as a list of images in UTF-8, one path per line: {error}"
        ) from error
    lines = [line.strip() for line in lines if line.strip()]
    if not lines:
        raise DatasetError(f"{path}: expected one image path per line, found no lines")
    files = []
    for line in lines:
        beside = path.parent / Path(line).expanduser()
        files.append(beside if beside.exists() or not Path(line).exists() else Path(line))
    once = list({_absolute(file): file for file in files}.values())
    repeated = len(files) - len(once)
    return once, [f"{repeated} lines of {path} repeat an earlier one"] if repeated else []


def _common_folder(files: Sequence[Path]) -> Path:
    try:
        return Path(os.path.commonpath([_absolute(file.parent) for file in files]))
    except ValueError as error:  # Windows: no path leads from one drive to another
        raise DatasetError(f"the images listed are on different drives ({error}): give a list for each") from error


def _absolute(path: Path) -> Path:
    """Return a path without `..`; links are not followed, because that would change names."""
    return Path(os.path.normpath(path.absolute()))


def _nearest_entries(path: Path) -> str:
    """Name the nearest folder above that exists, and some of its entries."""
    folder = path.parent
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    try:
        names = sorted((entry.name for entry in folder.iterdir() if not entry.name.startswith(".")), key=natural_key)
    except OSError:
        names = []
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"{folder.absolute()} has: {', '.join(names[:8]) or 'nothing'}{more}"
