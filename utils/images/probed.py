"""`probe_image` with a memory: an image whose file has not changed since is not decoded again."""

import os
import time
from pathlib import Path

import numpy as np

from utils.dataset.tree_state import RESOLUTION_NS, changed_ns, file_mark
from utils.images.io import THUMBNAIL_SIDE, ImageInfo, probe_image
from utils.images.pixel_range import UsedValues

FIELDS = ("width", "height", "stored_width", "stored_height", "orientation", "frames")
NOTHING = -1  # in place of used values


class ProbedImages:
    """Memory of what was found in images, by path; called like `probe_image`, from many threads.

    `known` are the arrays that `pack` once returned. Only images that can be used are remembered, and none that was
    changed so shortly before it was read that a change thereafter might not show.
    """

    def __init__(self, known: dict[str, np.ndarray] | None = None):
        self.known = known or {}
        paths = known["paths"].tobytes().split(b"\0")[:-1] if known else []
        self.rows = {path: row for row, path in enumerate(paths)}
        self.found: dict[bytes, tuple[tuple[int, int, int], ImageInfo]] = {}

    def __call__(self, path: Path) -> ImageInfo:
        try:
            about = path.stat()
        except OSError:
            return probe_image(path)  # says what is wrong
        mark, started = file_mark(about), time.time_ns()
        key = os.fsencode(path)
        info = self._known(key, mark)
        if info is None:
            info = probe_image(path)
            if changed_ns(about) + RESOLUTION_NS > started:
                return info
        self.found[key] = mark, info
        return info

    def _known(self, key: bytes, mark: tuple[int, int, int]) -> ImageInfo | None:
        row = self.rows.get(key)
        return self.info(row) if row is not None and tuple(self.known["marks"][row].tolist()) == mark else None

    def info(self, row: int) -> ImageInfo:
        """Return what is known of the image in a row of the arrays."""
        values = dict(zip(FIELDS, self.known["infos"][row].tolist(), strict=True))
        low, high = self.known["used"][row].tolist()
        used = None if low == NOTHING else UsedValues(low, high)
        return ImageInfo(**values, thumbnail=self.known["thumbnails"][row].tobytes(), used=used)

    def pack(self) -> dict[str, np.ndarray]:
        """Return all that was found since as arrays, a row for each image in the order of `found`."""
        infos = [info for _, info in self.found.values()]
        rows = len(infos)
        return {
            "paths": np.frombuffer(b"".join(key + b"\0" for key in self.found), np.uint8),
            "marks": np.array([mark for mark, _ in self.found.values()], np.int64).reshape(rows, 3),
            "infos": np.array([[getattr(info, name) for name in FIELDS] for info in infos], np.int64).reshape(rows, -1),
            "used": np.array(
                [(info.used.low, info.used.high) if info.used else (NOTHING, NOTHING) for info in infos], np.int64
            ).reshape(rows, 2),
            "thumbnails": np.frombuffer(b"".join(info.thumbnail for info in infos), np.uint8).reshape(
                rows, THUMBNAIL_SIDE**2
            ),
        }
