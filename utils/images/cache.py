"""Decoded images kept for all epochs: one block of memory or one file, shared by every process of a machine."""

import hashlib
import os
import socket
import tempfile
import weakref
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from utils.dataset.annotation_table import AnnotationTable
from utils.errors import ConfigError
from utils.files import atomic_path
from utils.images.io import SHRINKS
from utils.images.pixel_range import PixelRange
from utils.system import boot_id, free_disk, free_memory, in_units

CACHE_ROOT = Path("outputs/cache")
MEMORY_SHARE = 0.9  # of what is free: the rest is for the workers, whose batches come on top
MAGIC = b"images 2"
PAGE = 4096


class ImageCache:
    """A slot for each image of a dataset; whichever process needs an image first fills it for all.

    Pickles as the path of its block, so that processes of every kind share it. Each process compares what it finds in
    a slot with the slot's checksum once: the file may have changed since, and a power cut may have lost the pixels.

    Args:
        path: of a block that `open_cache` has made.
        table: of the images, for their files.
        sizes_hw: (N, 2) int, height and width of each image in the cache.
    """

    def __init__(self, path: Path, table: AnnotationTable, sizes_hw: np.ndarray):
        self.path, self.table, self.sizes_hw = path, table, sizes_hw
        self._starts, self.nbytes = _layout(sizes_hw)
        self._block = np.memmap(path, np.uint8, "r+", shape=(self.nbytes,)).view(np.ndarray)
        self._sums = self._block[PAGE : PAGE + 8 * len(sizes_hw)].view("<i8")  # of file and pixels; 0: an empty slot
        self._checked = np.zeros(len(sizes_hw), bool)

    def __reduce__(self):
        return ImageCache, (self.path, self.table, self.sizes_hw)

    @property
    def filled(self) -> np.ndarray:
        """Return which slots hold an image, (N,) bool."""
        return self._sums != 0

    def load(self, index: int, read: Callable[[int], np.ndarray]) -> np.ndarray:
        """Return the image `index`, read-only, from its slot; `read(index)` fills it where it is empty or outdated."""
        height, width = self.sizes_hw[index].tolist()
        start = int(self._starts[index])
        slot = self._block[start : start + 3 * height * width].reshape(height, width, 3)
        if not self._checked[index]:
            mark = _mark(self.table.file(index))  # before the image: should the file change meanwhile, the mark is old
            if not self._sums[index] or self._sums[index] != _checksum(slot, mark):
                slot[...] = read(index)
                self._sums[index] = _checksum(slot, mark)  # last: a process that is killed leaves no slot that counts
            self._checked[index] = True
        slot.flags.writeable = False
        return slot


def open_cache(
    kind: str,
    table: AnnotationTable,
    sizes_hw: np.ndarray,
    *,
    root: Path = CACHE_ROOT,
    gather: Callable[[Any], list] = lambda value: [value],
    pixel_range: PixelRange | None = None,
) -> ImageCache:
    """Open a cache for the images of `table`, (N, 2) int `sizes_hw` in height and width, in all processes together.

    "ram" is memory that the kernel takes back when the processes have ended, however they end. "disk" is a file below
    `root`, whose name depends on the images' paths and sizes and on `pixel_range`: a later run finds it, and fills
    anew the slots of files that have another time or size. `gather` gives what each of the processes has, by rank; one
    on each machine makes the block.

    Raises ConfigError, in all processes, where it would not fit or cannot be written.
    """
    here = (socket.gethostname(), boot_id())
    everyone = gather((here, os.getpid()))
    leader = next(rank for rank, (place, _) in enumerate(everyone) if place == here)
    path = fault = memory = None
    if everyone[leader][1] == os.getpid():
        try:
            if kind == "ram":
                path, memory = _in_memory(sizes_hw)
            else:
                path = _on_disk(root / f"{_key(table, sizes_hw, pixel_range)}.images", sizes_hw)
        except ConfigError as error:
            fault = str(error)
    made = gather((path, fault))
    if faults := [fault for _, fault in made if fault]:
        raise ConfigError(faults[0])
    cache = ImageCache(made[leader][0], table, sizes_hw)
    if memory is not None:
        weakref.finalize(cache, memory.close)  # others open it by its path as long as the cache lives
    return cache


def _in_memory(sizes_hw: np.ndarray):
    """Make a block that ends with its file; returns its path and that file."""
    (_, total), free = _layout(sizes_hw), free_memory()
    if free is not None and total > MEMORY_SHARE * free:
        raise ConfigError(
            f"--cache ram needs {in_units(total)} for {len(sizes_hw)} images, and "
            f"{in_units(int(MEMORY_SHARE * free))} may be taken of {in_units(free)} free memory: "
            "take --cache disk, a smaller --img-size, or no --cache"
        )
    if hasattr(os, "memfd_create"):  # not /dev/shm, which containers make small
        file = os.fdopen(os.memfd_create("images"), "r+b", buffering=0)
        path = Path(f"/proc/{os.getpid()}/fd/{file.fileno()}")
    else:
        handle, name = tempfile.mkstemp(prefix="images-")
        file, path = os.fdopen(handle, "r+b", buffering=0), Path(name)
        weakref.finalize(file, path.unlink, missing_ok=True)
    file.truncate(total)
    return path, file


def _on_disk(path: Path, sizes_hw: np.ndarray) -> Path:
    """Find the block, or make it with all of its space taken: a full disk met later would kill the process (SIGBUS)."""
    _, total = _layout(sizes_hw)
    needs, refused = f"--cache disk needs {in_units(total)} for {len(sizes_hw)} images", None
    remedy = "make room, take a smaller --img-size, or no --cache"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.stat().st_size != total or np.fromfile(path, "S8", 1)[0] != MAGIC:
            if total > (free := free_disk(path.parent)):
                raise ConfigError(f"{needs}, and {in_units(free)} are free at {path.parent}: {remedy}")
            with atomic_path(path) as partial, partial.open("wb") as file:  # nobody may have a part of it open
                try:
                    file.truncate(total)
                    if hasattr(os, "posix_fallocate"):
                        os.posix_fallocate(file.fileno(), 0, total)
                except OSError as error:
                    refused = f"{needs}, which {path.parent} does not take ({error.strerror}): {remedy}"
                    raise
                file.write(MAGIC)
        path.open("r+b").close()
    except OSError as error:
        raise ConfigError(
            refused
            or f"--cache disk: {path} cannot be written ({error.strerror}): fix that, or go without --cache disk"
        ) from error
    return path


def _layout(sizes_hw: np.ndarray) -> tuple[np.ndarray, int]:
    """Return where each image's pixels start, (N,) int64, and the bytes of all: header, records, pixels."""
    lengths = sizes_hw.astype(np.int64).prod(axis=1) * 3
    lengths += -lengths % 64
    ends = PAGE + -(-8 * len(sizes_hw) // PAGE) * PAGE + lengths.cumsum()
    return ends - lengths, int(ends[-1]) if len(ends) else PAGE


def _key(table: AnnotationTable, sizes_hw: np.ndarray, pixel_range: PixelRange | None) -> str:
    """Return a digest of what decides the block's contents, the files' own contents aside."""
    digest = hashlib.sha256(f"{cv2.__version__} {SHRINKS} {pixel_range} {len(table)}\n".encode())
    digest.update(np.ascontiguousarray(sizes_hw, "<i8").tobytes())
    for index in range(len(table)):
        digest.update(os.fsencode(Path(table.file(index)).absolute()) + b"\n")
    return digest.hexdigest()[:16]


def _mark(file: str) -> int:
    """Return a checksum of a file's time and size; 0 where it is not there."""
    try:
        found = os.stat(file)  # noqa: PTH116 - a Path for each image is what AnnotationTable avoids
    except OSError:
        return 0
    return zlib.crc32(f"{found.st_mtime_ns} {found.st_size}".encode())


def _checksum(slot: np.ndarray, mark: int) -> int:
    """Return a number above 0 that depends on the pixels and on the mark of their file."""
    return 1 + zlib.crc32(slot.data, mark)


def cache_report(kind: str, cache: ImageCache) -> str:
    """Return a line for the log."""
    kept = f", {np.count_nonzero(cache.filled)} of them kept in {cache.path}" if kind == "disk" else ""
    return f"cache: {kind}, {in_units(cache.nbytes)} for {len(cache.sizes_hw)} images{kept}"
