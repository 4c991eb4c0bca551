"""Which annotation file belongs to which image, and which of them a split list means."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path

from utils.errors import DatasetError
from utils.images import is_image
from utils.scan import Scan


def files_by_stem(folder: Path, accept: Callable[[Path], bool]) -> dict[str, list[Path]]:
    """Files by stem, in NFC: macOS may decompose the accents of one name and not of the other."""
    found: dict[str, list[Path]] = {}
    try:
        for path in sorted(folder.iterdir()):
            if accept(path) and path.is_file():
                found.setdefault(unicodedata.normalize("NFC", path.stem), []).append(path)
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be listed: {error.strerror or error}") from error
    return found


def listed_stems(scan: Scan, lines: Iterable[str], known: Iterable[str], where: str) -> set[str]:
    """The stems of `known` that the lines of a split list mean; what means none is a finding, ending with `where`."""
    known = set(known)
    wanted = {line: _listed_stem(line, known) for line in lines}
    for line, stem in wanted.items():
        if stem is None:
            scan.add("listed-missing", f"{line}: listed, but {where}")
    return set(wanted.values()) - {None}


def _listed_stem(line: str, known: set[str]) -> str | None:
    """The stem that a line means: perhaps with a folder, the image's extension, or VOC's second column.

    The whole line comes first, since stems may hold spaces and dots.
    """
    line = unicodedata.normalize("NFC", line.strip().lstrip("\ufeff"))
    for text in (line, re.sub(r"\s+(-1|0|1)$", "", line)):
        name = text.replace("\\", "/").rpartition("/")[2]
        for candidate in (text, name, Path(name).stem if is_image(name) else None):
            if candidate in known:
                return candidate
    return None
