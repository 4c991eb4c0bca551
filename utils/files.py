"""Writes files whole or not at all, and lists what is there."""

import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from utils.errors import ToolkitError

LONGEST_NAME = 255  # bytes of a file's name, on nearly every file system


def first_entries(folder: Path, limit: int = 5) -> str:
    """Return the first few names in a folder, for a message."""
    try:
        names = sorted(entry.name + "/" * entry.is_dir() for entry in folder.iterdir())
    except OSError as error:
        return f"what cannot be listed ({error.strerror or error})"
    return ", ".join(names[:limit]) + ", …" * (len(names) > limit) if names else "nothing"


def check_free(folder: Path, names: Iterable[str | Path]) -> None:
    """Raise ToolkitError, naming one, where `folder` holds any of `names`: results never overwrite anything."""
    there = [folder / name for name in names if (folder / name).exists()]
    if there:
        more = f" (and {len(there) - 1} more)" if len(there) > 1 else ""
        raise ToolkitError(
            f"{there[0]}{more} is there already and is never overwritten: move it away, or give another --output"
        )


def check_writable(folder: Path, names: Iterable[str]) -> None:
    """Raise ToolkitError where `folder` takes no file of one of `names`, none of which is there yet."""
    for name in names:
        try:
            (folder / name).open("x").close()
            (folder / name).unlink()
        except OSError as error:
            raise ToolkitError(f"{folder / name}: cannot be written: {error.strerror or error}") from error


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; on success it replaces `path`, on failure it is removed.

    A reader sees the old file or the whole new one, also when the process is killed or the machine loses power. The
    suffix is kept, because image writers choose the format by it.
    """
    path = Path(path)
    token = secrets.token_hex(4)
    partial = path.with_name(f".{path.stem}.{token}.partial{path.suffix}")
    if len(os.fsencode(partial.name)) > LONGEST_NAME:  # where the name itself just fits
        partial = path.with_name(f".{token}.partial{path.suffix}")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        if error.filename is None:  # the error of a full disk names no file
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        partial.unlink(missing_ok=True)


def write_text_atomically(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with the newlines it has, all or nothing.

    A byte of a file name that is no UTF-8 becomes an escape such as \\udcfc, which JSON reads as the same name again.
    """
    with atomic_path(path) as partial:
        partial.write_bytes(text.encode(errors="backslashreplace"))


def natural_key(name: str) -> tuple:
    """Return a key that sorts "a2" before "a10"; equal numbers ("a1", "a01") fall back on the name itself."""
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name
