"""Text files with a name or path on each line, and which of several folders a line means."""

import codecs
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from utils.errors import DatasetError


def read_split_list(path: Path) -> list[str]:
    """Return the lines of a split list (ImageSets/Main/train.txt) that are not blank; UTF-8 or UTF-16 with a BOM."""
    try:
        data = path.read_bytes()
        utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = data.decode("utf-16" if utf16 else "utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise DatasetError(f"{path}: expected a text file with one image name per line: {error}") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def deal_lines(lines: Iterable[str], folders: Sequence[Path]) -> list[list[str]]:
    """Return the lines of a list of images for each of several folders, every line once.

    A line belongs to a folder whose path its own folders are the end of, and of several to one that has the file.
    What belongs to none goes to the first, where it will be missed.
    """
    shared_out: list[list[str]] = [[] for _ in folders]
    ends = [folder.resolve().parts for folder in folders]
    for line in lines:
        wanted = PurePosixPath(line.replace("\\", "/"))
        above = tuple(part for part in wanted.parent.parts if part not in ("/", ".", ".."))
        fits = [i for i, parts in enumerate(ends) if parts[len(parts) - len(above) :] == above]
        fits = [i for i in fits if (folders[i] / wanted.name).is_file()] or fits or [0]
        shared_out[fits[0]].append(line)
    return shared_out
