"""Scans kept for the next start: whole while no file has changed, and else what is known of images that have not."""

import hashlib
import importlib.metadata
import json
import os
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from utils.annotations.annotation import Annotation
from utils.annotations.findings import Finding
from utils.annotations.scan_result import Scan
from utils.annotations.turning import TurnedImage
from utils.dataset.tree_state import RESOLUTION_NS, tree_state
from utils.files import atomic_path
from utils.formats.yolo.class_names import class_lists
from utils.images.pixel_range import UsedValues
from utils.images.probed import ProbedImages

LEAST = 500  # images; fewer are read as fast
MOST_FILES, MOST_BYTES = 16, 2**30  # of all datasets together; those that were used last stay
# What reading a file that is damaged, cut short or somebody else's may raise.
UNREADABLE = (
    OSError, ValueError, LookupError, TypeError, AttributeError, SyntaxError, EOFError, MemoryError, RecursionError,
    zipfile.BadZipFile, zlib.error, NotImplementedError,
)  # fmt: skip


class ScanCache:
    """Memory of a dataset's last scan.

    | attribute | meaning |
    |---|---|
    | scans | the scans, where no file, setting or line of this toolkit has changed since; else None |
    | probe | to read images with; it remembers those that have not changed |

    A file that cannot be read or written is as good as none. Several processes may use one folder at once: a file is
    replaced as a whole.
    """

    def __init__(self, root: Path, config, names: Collection[str] | None, *, skip_bad: bool):
        wanted = tuple(config.splits if names is None else names)
        about = (str(config.path.absolute()), names is None, wanted, skip_bad, config.split, config.test_share)
        self.path = root / f"scan_{_digest([repr(about)]).hex()[:16]}.npz"
        self.code = _digest(_code())
        self.scans: dict[str, Scan] | None = None
        self.probe = ProbedImages()
        self.state = b""
        started = time.time_ns()
        try:
            state, newest = _state(config, wanted, about)
            if newest + RESOLUTION_NS < started:  # else a later change might leave no trace
                self.state = state
        except OSError:  # reported where it is read
            return
        with suppress(*UNREADABLE):
            self._load()

    def _load(self) -> None:
        if self.path.stat().st_size > MOST_BYTES:
            return
        with np.load(self.path, allow_pickle=False) as file:
            if file["code"].tobytes() != self.code:
                return
            arrays = {name: file[name] for name in file.files}
        if arrays.pop("checksum").tobytes() != _checksum(arrays):
            return
        self.probe = ProbedImages(arrays)
        if self.state and arrays["state"].tobytes() == self.state:
            self.scans = _unpacked(arrays, self.probe)
            os.utime(self.path)

    def store(self, scans: Mapping[str, Scan]) -> None:
        """Keep the scans, of a dataset without errors, for the next start; otherwise what is known of its images."""
        if len(self.probe.found) < LEAST:
            return
        arrays = {"code": np.frombuffer(self.code, np.uint8), **self.probe.pack()}
        whole = self.state and not any(scan.errors or scan.outside for scan in scans.values())
        arrays["state"] = np.frombuffer(self.state if whole else b"", np.uint8)
        if whole:
            arrays |= _packed(scans, {os.fsdecode(key): row for row, key in enumerate(self.probe.found)})
        arrays["checksum"] = np.frombuffer(_checksum(arrays), np.uint8)
        if sum(array.nbytes for array in arrays.values()) > MOST_BYTES:
            return
        with suppress(OSError):  # a full disk, a folder that is read-only: the next start reads all files again
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(self.path) as partial:
                np.savez(partial, allow_pickle=False, **arrays)
            _tidy(self.path.parent)


def _digest(parts: Iterable[str]) -> bytes:
    return hashlib.sha256("\0".join(parts).encode(errors="surrogateescape")).digest()


def _checksum(arrays: Mapping[str, np.ndarray]) -> bytes:
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.digest()


def _code() -> Iterable[str]:
    """Give the versions of all that reads a dataset: this toolkit's source, and the libraries that decode."""
    for name in ("numpy", "opencv-python", "opencv-python-headless", "pillow"):
        with suppress(importlib.metadata.PackageNotFoundError):
            yield f"{name} {importlib.metadata.version(name)}"
    for file in sorted(Path(__file__).parents[1].rglob("*.py")):
        yield hashlib.sha256(file.read_bytes()).hexdigest()


def _state(config, wanted: Collection[str], about: tuple) -> tuple[bytes, int]:
    """Return a digest of all that the scans depend on, and when the last of the files changed."""
    divided = ("train",) if config.split and set(wanted) & {"train", "val", "test"} else ()
    folders = [folder for name in dict.fromkeys((*divided, *wanted)) for folder in config.folders(name)]
    places = [place for of in folders for place in (of.images_dir, of.labels_dir, of.list_path) if place]
    # Where folders of other splits lie decides what is left out of these.
    everywhere = [of.images_dir.resolve() for name in config.splits for of in config.folders(name)]
    everywhere += [of.labels_dir.resolve() for name in config.splits for of in config.folders(name)]
    lists = [class_lists(of.images_dir, of.labels_dir) for of in folders if config.annotation_format == "yolo"]
    files, newest = tree_state(places)
    return _digest([repr(part) for part in (about, str(Path.cwd()), config, everywhere, lists, files)]), newest


def _packed(scans: Mapping[str, Scan], row_of: Mapping[str, int]) -> dict[str, np.ndarray]:
    arrays, rest = {}, {}
    for name, scan in scans.items():
        of = scan.annotations
        arrays[f"{name}/rows"] = np.array([row_of[str(a.image_path)] for a in of], np.int64)
        arrays[f"{name}/counts"] = np.array([len(a.labels) for a in of], np.int64)
        arrays[f"{name}/boxes"] = np.concatenate([np.zeros((0, 4), np.float32), *(a.boxes for a in of)])
        arrays[f"{name}/labels"] = np.concatenate([np.zeros(0, np.int64), *(a.labels for a in of)])
        arrays[f"{name}/difficult"] = np.concatenate([np.zeros(0, bool), *(a.difficult for a in of)])
        rest[name] = {
            "skip_bad": scan.skip_bad,
            "findings": [
                (f.check, f.text, f.subject, _text(f.image), f.boxes, _text(f.other), f.meant) for f in scan.findings
            ],
            "ignored": [(str(path), dict(count)) for path, count in scan.ignored.items()],
            "turned": [
                (str(t.image_path), t.called, t.orientation, t.by_size, t.by_boxes, t.has_objects, t.reading)
                for t in scan.turned
            ],
            "used": [(str(path), used.low, used.high) for path, used in scan.used.items()],
        }
    text = json.dumps(rest, default=lambda value: value.item())  # NumPy's numbers
    return arrays | {"rest": np.frombuffer(text.encode(), np.uint8)}


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _unpacked(arrays: Mapping[str, np.ndarray], probe: ProbedImages) -> dict[str, Scan]:
    """Make the scans of what `_packed` returned."""
    files = [os.fsdecode(key) for key in probe.rows]
    scans = {}
    for name, rest in json.loads(arrays["rest"].tobytes()).items():
        rows, counts, boxes, labels, difficult = (
            arrays[f"{name}/{kind}"] for kind in ("rows", "counts", "boxes", "labels", "difficult")
        )
        annotations = []
        ends = counts.cumsum().tolist()
        widths, heights = arrays["infos"][rows, :2].T.tolist()
        for row, count, end, width, height in zip(rows.tolist(), counts.tolist(), ends, widths, heights, strict=True):
            objects = slice(end - count, end)
            made = object.__new__(Annotation)  # what it checks when it is made was checked when it was scanned
            made.__dict__.update(
                image_path=Path(files[row]),
                width=width,
                height=height,
                boxes=boxes[objects],
                labels=labels[objects],
                difficult=difficult[objects],
            )
            annotations.append(made)
        scans[name] = Scan(
            annotations,
            [_finding(*values) for values in rest["findings"]],
            [arrays["thumbnails"][row].tobytes() for row in rows.tolist()],
            rest["skip_bad"],
            {Path(file): Counter(count) for file, count in rest["ignored"]},
            [_turned(*values) for values in rest["turned"]],
            {Path(file): UsedValues(low, high) for file, low, high in rest["used"]},
        )
    return scans


def _finding(check: str, text: str, subject: str, image: str | None, boxes, other: str | None, meant) -> Finding:
    meant = None if meant is None else (meant[0], meant[1])
    return Finding(check, text, subject, _path(image), tuple(map(tuple, boxes)), _path(other), meant)


def _turned(
    path: str,
    called: str,
    orientation: int,
    by_size: str | None,
    by_boxes: str | None,
    has_objects: bool,
    reading: str,
) -> TurnedImage:
    """Return an image that is settled: it is known which way up its boxes were drawn, and not read again."""
    return TurnedImage(Path(path), called, orientation, by_size, by_boxes, has_objects, _read_again, reading)


def _read_again(reading: str, why: str) -> Scan:
    """Stand in for what reads an image's file."""
    raise RuntimeError("expected no further reading of images that are settled")


def _tidy(folder: Path) -> None:
    """Remove what was used longest ago beyond the limits, and what killed processes left behind."""
    now = time.time()
    for partial in folder.glob(".scan_*.partial.npz"):
        if partial.stat().st_mtime < now - 3600:
            partial.unlink(missing_ok=True)
    total = 0
    files = sorted(folder.glob("scan_*.npz"), key=lambda path: path.stat().st_mtime, reverse=True)
    for number, file in enumerate(files):
        total += file.stat().st_size
        if number >= MOST_FILES or total > MOST_BYTES:
            file.unlink(missing_ok=True)
