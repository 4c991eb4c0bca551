"""Detections of a video as JSON lines, one line per frame."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import numpy as np

from utils.detections import Detections
from utils.video.decoding.container import VideoError


class FrameLines:
    """Writes `{"frame", "time", "width", "height", "detections": [...]}` per frame.

    A detection is `{"class", "label", "score", "box", "track"}`.
    frame: number in the source, from 0. time: seconds from its beginning. width, height: pixels of the upright frame,
    which may change from one to the next. box: x1, y1, x2, y2 in pixels of the upright
    frame. track: number of the object, null where it has none yet; the key is there with tracking only. A context
    manager; the file is made with the first line, and each line is on disk when `write` returns.
    Raises VideoError where the file exists or cannot be written.
    """

    def __init__(self, path: Path, class_names: Sequence[str]):
        self.path = path
        self._class_names = class_names
        self._file: TextIO | None = None

    def write(
        self,
        index: int,
        time: float,
        size_wh: tuple[int, int],
        detections: Detections,
        track_ids: np.ndarray | None = None,
    ) -> None:
        """Append one frame; `track_ids`: int64 (N,), -1 for an object without a number."""
        found = [
            {
                "class": self._class_names[label],
                "label": label,
                "score": round(score, 4),
                "box": [round(side, 2) for side in box],
            }
            for box, score, label in zip(
                detections.boxes.tolist(), detections.scores.tolist(), detections.labels.tolist(), strict=True
            )
        ]
        if track_ids is not None:
            for entry, number in zip(found, track_ids.tolist(), strict=True):
                entry["track"] = number if number >= 0 else None
        width, height = size_wh
        line = {"frame": index, "time": round(time, 6), "width": width, "height": height, "detections": found}
        try:
            if self._file is None:
                self._file = self.path.open("x", encoding="utf-8", errors="backslashreplace", newline="\n")
            self._file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
            self._file.flush()
        except OSError as error:
            raise VideoError(f"{self.path} cannot be written: {error.strerror}") from error

    def __enter__(self) -> "FrameLines":
        return self

    def __exit__(self, *_) -> None:
        if self._file is not None:
            self._file.close()
