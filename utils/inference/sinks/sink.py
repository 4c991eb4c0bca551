"""The base of all sinks, and the result of an image that they are given."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.detections import Detections


@dataclass(frozen=True, eq=False)
class ImageResult:
    """Detections in one image.

    path: the file. name: its name in results. width, height: pixels, upright. detections: boxes in those pixels.
    """

    path: Path
    name: Path
    width: int
    height: int
    detections: Detections


class Sink:
    """Base of one kind of output. Its files are known before anything is computed, so that none is overwritten.

    Args:
        images: name of each source image -> name of its annotated image, both relative.

    Attributes:
        place: the file or folder, relative to the folder of the results, that the summary names.
        holds_names: the part of it that holds names of image files, in words for a note; None where none does.
    """

    place = ""
    holds_names: str | None = None

    def __init__(self, images: Mapping[Path, Path]):
        self.images = images

    def planned(self) -> list[Path]:
        """Return the files and folders that will be written, relative to the folder of the results."""
        return [Path(self.place)]

    def write_image(self, folder: Path, image: np.ndarray, result: ImageResult, class_names: Sequence[str]) -> None:
        """Write what belongs to one image, RGB uint8 (H, W, 3) as it was read; several threads call this at once.

        Raises ToolkitError or OSError where a file cannot be written.
        """

    def write_table(self, folder: Path, results: Sequence[ImageResult], class_names: Sequence[str]) -> None:
        """Write what belongs to all images, once, at the end. Raises as `write_image` does."""

    def notes(self) -> Iterator[str]:
        """Yield what a user should know of the files."""
        return iter(())
