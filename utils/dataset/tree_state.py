"""The state of files on disk, in a few bytes: which there are, and when each was changed last."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

# Until so much later, a second change may have left a file with the time of the first. FAT has the coarsest times.
RESOLUTION_NS = 2 * 10**9


def file_mark(about: os.stat_result) -> tuple[int, int, int]:
    """Return what tells whether a file has changed: time of change of its content, of anything about it, bytes."""
    return about.st_mtime_ns, about.st_ctime_ns, about.st_size


def changed_ns(about: os.stat_result) -> int:
    """Return when anything about a file changed last, by the system's clock, whatever time it was given since."""
    return about.st_ctime_ns if os.name == "posix" else max(about.st_mtime_ns, about.st_ctime_ns)


def tree_state(roots: Iterable[Path]) -> tuple[bytes, int]:
    """Return a digest of the files and folders at and below `roots`, and when the last of them changed, in ns.

    Each file counts by its name and `file_mark`, each link by where it leads, too. Hidden entries are left out. A
    folder of several ways to it is listed once. Raises OSError where a folder cannot be listed.
    """
    digest, seen, newest = hashlib.blake2b(), set[tuple[int, int]](), 0
    waiting = [os.fspath(root) for root in dict.fromkeys(roots)]
    while waiting:
        place = waiting.pop()
        digest.update(os.fsencode(f"\0\0{place}\0"))
        about = os.stat(place)  # noqa: PTH116 - no Path for each of very many files
        if not os.path.isdir(place):  # noqa: PTH112
            digest.update(repr(file_mark(about)).encode())
            newest = max(newest, changed_ns(about))
            continue
        if (about.st_dev, about.st_ino) in seen and about.st_ino:
            continue
        seen.add((about.st_dev, about.st_ino))
        with os.scandir(place) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        lines = []
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_symlink():
                lines.append(f"{entry.name}\0{os.readlink(entry.path)}\0{file_mark(os.lstat(entry.path))}")  # noqa: PTH115
            if entry.is_dir():
                lines.append(f"{entry.name}/")
                waiting.append(entry.path)
                continue
            try:
                about = entry.stat()
            except OSError:  # a link to nothing
                continue
            lines.append(f"{entry.name}\0{file_mark(about)}")
            newest = max(newest, changed_ns(about))
        digest.update(os.fsencode("\n".join(lines)))
    return digest.digest(), newest
