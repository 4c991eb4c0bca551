"""`--save csv`: all detections as one table."""

import csv
from collections.abc import Sequence
from pathlib import Path

from utils.files import atomic_path
from utils.inference.sinks.sink import ImageResult, Sink

HEADER = ("image", "class", "score", "x1", "y1", "x2", "y2")


class ImageSink(Sink):
    """`predictions.csv`: one line per object, boxes xyxy in pixels, best first within an image."""

    place = "predictions.csv"
    holds_names = "the CSV"

    def write_table(self, folder: Path, results: Sequence[ImageResult], class_names: Sequence[str]) -> None:
        with (
            atomic_path(folder / self.place) as partial,
            partial.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(HEADER)
            for result in results:
                found = result.detections
                for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True):
                    numbers = (f"{score:.4f}", *(f"{value:.2f}" for value in box))
                    writer.writerow((result.name.as_posix(), class_names[label], *numbers))
