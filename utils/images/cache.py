"""Decoded images kept for all epochs: one block of memory or one file, shared by every process of a machine."""

import contextlib
import errno
import hashlib
import mmap
import os
import socket
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from utils.dataset.annotation_table import AnnotationTable
from utils.errors import ConfigError
from utils.images.io import SHRINKS
from utils.images.pixel_range import PixelRange
from utils.system import free_disk, free_memory, in_units

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

KINDS = ("ram", "disk")
CACHE_ROOT = Path("outputs/cache")
MEMORY_SHARE = 0.9  # of what is free: the rest is for the workers, whose batches come on top

MAGIC = b"images 1"
PAGE = 4096
RECORD = np.dtype([("mtime_ns", "<i8"), ("bytes", "<i8"), ("state", "<i8")])
# A slot's state. Written after its pixels: a process that is killed leaves slots empty or whole, for what it wrote is
# the kernel's. A power cut may bring a FILLED to the disk without the pixels, so after a restart of the machine those
# count for nothing; ON_DISK says that the pixels were there before.
EMPTY, FILLED, ON_DISK = 0, 1, 2


class ImageCache:
    """A slot for each image of a dataset; whichever process needs an image first fills it for all.

    Pickles as the path of its block, so that processes of every kind share it.

    Args:
        path: of a block that `open_cache` has made.
        table: of the images, for their files.
        sizes_hw: (N, 2) int, height and width of each image in the cache.
    """

    def __init__(self, path: Path, table: AnnotationTable, sizes_hw: np.ndarray):
        self.path, self.table, self.sizes_hw = Path(path), table, sizes_hw
        self._starts, total = _layout(sizes_hw)
        with self.path.open("r+b") as file:
            block = np.frombuffer(mmap.mmap(file.fileno(), total), np.uint8)
        self.records = block[PAGE : PAGE + len(sizes_hw) * RECORD.itemsize].view(RECORD)
        self.header, self._block = block[:PAGE], block

    def __reduce__(self):
        return ImageCache, (self.path, self.table, self.sizes_hw)

    @property
    def nbytes(self) -> int:
        return len(self._block)

    def load(self, index: int, read: Callable[[int], np.ndarray]) -> np.ndarray:
        """The image of image `index`: read-only from its slot, or what `read(index)` gives, which fills the slot."""
        if self.records["state"][index]:
            image = self._slot(index)
            image.flags.writeable = False
            return image
        # Before the image: should the file change meanwhile, the older mark gives it away.
        mark = _mark(self.table.file(index))
        image = read(index)
        if mark:
            self._slot(index)[...] = image
            self.records["mtime_ns"][index], self.records["bytes"][index] = mark
            self.records["state"][index] = FILLED
        return image

    def _slot(self, index: int) -> np.ndarray:
        height, width = self.sizes_hw[index].tolist()
        start = int(self._starts[index])
        return self._block[start : start + 3 * height * width].reshape(height, width, 3)


def open_cache(
    kind: str,
    table: AnnotationTable,
    sizes_hw: np.ndarray,
    *,
    root: Path = CACHE_ROOT,
    gather: Callable[[object], list] = lambda value: [value],
    pixel_range: PixelRange | None = None,
) -> ImageCache:
    """A cache for the images of `table`, (N, 2) int `sizes_hw` in height and width; all processes call it together.

    "ram" is memory that the kernel takes back when the processes have ended, however they end. "disk" is a file below
    `root`, whose name depends on the images' paths and sizes and on `pixel_range`: a later run finds it, and fills
    anew the slots of files that have another time or size. `gather` gives what each of
    the processes has, by rank; one on each machine makes the block.

    Raises ConfigError, in all processes, where it would not fit or cannot be written.
    """
    here = (socket.gethostname(), _boot_id())
    everyone = gather((here, os.getpid()))
    leader = next(rank for rank, (place, _) in enumerate(everyone) if place == here)
    path = fault = kept = None
    if everyone[leader][1] == os.getpid():
        try:
            path, kept = (_in_memory if kind == "ram" else _on_disk)(table, sizes_hw, root, pixel_range)
        except ConfigError as error:
            fault = str(error)
    made = gather((path, fault))
    if faults := [fault for _, fault in made if fault]:
        raise ConfigError(faults[0])
    cache = ImageCache(made[leader][0], table, sizes_hw)
    if kept is not None:
        weakref.finalize(cache, _finish, os.getpid(), kept, cache.records)
    return cache


def _in_memory(table: AnnotationTable, sizes_hw: np.ndarray, root: Path, pixel_range: PixelRange | None):
    _, total = _layout(sizes_hw)
    free = free_memory()
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


def _on_disk(table: AnnotationTable, sizes_hw: np.ndarray, root: Path, pixel_range: PixelRange | None):
    _, total = _layout(sizes_hw)
    path = root / f"{_key(table, sizes_hw, pixel_range)}.images"
    try:
        root.mkdir(parents=True, exist_ok=True)
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0)
        alone = _lock(file)
        size = os.fstat(file.fileno()).st_size
        if alone and (size != total or file.read(len(MAGIC)) != MAGIC):
            _allocate(file, path, total, len(sizes_hw))
    except OSError as error:
        raise ConfigError(
            f"--cache disk: {path} cannot be written ({error.strerror}): fix that, or go without --cache disk"
        ) from error
    cache = ImageCache(path, table, sizes_hw)
    states = cache.records["state"]
    boot = np.frombuffer(_boot_id().encode().ljust(64), np.uint8)
    same_boot = bool(_boot_id()) and np.array_equal(cache.header[64:128], boot)
    if alone and not same_boot:
        states[states == FILLED] = EMPTY
        cache.header[64:128] = boot
    elif _boot_id() and not same_boot:
        raise ConfigError(f"--cache disk: {path} is in use by another machine: go without --cache disk, or wait")
    for index in np.flatnonzero(states).tolist():
        if _mark(table.file(index)) != (cache.records["mtime_ns"][index], cache.records["bytes"][index]):
            states[index] = EMPTY
    _settle(file, states)
    if alone:
        _lock(file, shared=True)
    return path, file


def _allocate(file, path: Path, total: int, count: int) -> None:
    """Make the file anew, with all of its space taken now: a full disk met later would kill the process (SIGBUS)."""
    file.truncate(0)
    free = free_disk(path.parent)
    need = f"--cache disk needs {in_units(total)} for {count} images"
    remedy = "make room, take a smaller --img-size, or no --cache"
    if total > free:
        path.unlink()
        raise ConfigError(f"{need}, and {in_units(free)} are free at {path.parent}: {remedy}")
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, total)
        else:
            file.truncate(total)
    except OSError as error:
        path.unlink()
        raise ConfigError(f"{need}, which {path.parent} does not take ({error.strerror}): {remedy}") from error
    file.seek(0)
    file.write(MAGIC)


def _finish(owner: int, file, records: np.ndarray) -> None:
    if os.getpid() == owner:  # not in a forked process, which ends earlier
        _settle(file, records["state"])
        file.close()


def _settle(file, states: np.ndarray) -> None:
    """Write what is filled to the disk."""
    filled = np.flatnonzero(states == FILLED)
    if len(filled):
        os.fsync(file.fileno())
        states[filled] = ON_DISK


def _lock(file, *, shared: bool = False) -> bool:
    """Lock the file until it is closed: for us alone, and True, or where others have it with them, and False."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.ENOTSUP):  # a file system without locks
            return True
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
    fcntl.flock(file, fcntl.LOCK_SH)  # waits for one who is opening it
    return False


def _layout(sizes_hw: np.ndarray) -> tuple[np.ndarray, int]:
    """Return where each image's pixels start, (N,) int64, and the bytes of all: header, records, pixels."""
    lengths = sizes_hw.astype(np.int64).prod(axis=1) * 3
    lengths += -lengths % 64
    ends = PAGE + -(-len(sizes_hw) * RECORD.itemsize // PAGE) * PAGE + lengths.cumsum()
    return ends - lengths, int(ends[-1]) if len(ends) else PAGE


def _key(table: AnnotationTable, sizes_hw: np.ndarray, pixel_range: PixelRange | None) -> str:
    """Return a hash of what decides the block's contents, the files' own contents aside."""
    digest = hashlib.sha256(f"{cv2.__version__} {SHRINKS} {pixel_range} {len(table)}\n".encode())
    digest.update(np.ascontiguousarray(sizes_hw, "<i8").tobytes())
    for index in range(len(table)):
        digest.update(os.fsencode(Path(table.file(index)).absolute()) + b"\n")
    return digest.hexdigest()[:16]


def _mark(file: str) -> tuple[int, int] | None:
    with contextlib.suppress(OSError):
        found = os.stat(file)  # noqa: PTH116 - a Path for each image is what AnnotationTable avoids
        return found.st_mtime_ns, found.st_size
    return None


def _boot_id() -> str:
    """Return an id of this start of the machine; empty where the system does not say."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def cache_report(kind: str, cache: ImageCache) -> str:
    """A line for the log."""
    kept = np.count_nonzero(cache.records["state"])
    on_disk = f", {kept} of them kept in {cache.path}" if kind == "disk" else ""
    return f"cache: {kind}, {in_units(cache.nbytes)} for {len(cache.sizes_hw)} images{on_disk}"
