"""Images inside the report: JPEGs of bounded size, as many as the page may hold."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from utils.errors import DatasetError
from utils.images.fitting import shrink_to_fit
from utils.images.io import read_image
from utils.images.pixel_range import PixelRange

SIDE = 720  # pixels of an image's long side
QUALITIES = 82, 65, 45, 25  # of the JPEG: the first that keeps to
MOST_BYTES = 110_000
MOST_PAGE_BYTES = 7_000_000  # of all images before base64 adds a third; what comes after has no image


@dataclass(frozen=True)
class Embedded:
    """An image as base64 JPEG, and its size in pixels before it was shrunk; `fault` says instead why there is none."""

    data: str = ""
    width: int = 0
    height: int = 0
    fault: str = ""

    @property
    def aspect(self) -> float:
        """Return width over height; that of most photographs where there is no image."""
        return round(self.width / self.height, 3) if self.height else 1.5


def embed_images(paths: Sequence[str], *, pixel_range: PixelRange | None = None) -> list[Embedded]:
    """Read images and make them small. One that cannot be read has its fault and stops nothing."""
    made, left = [], MOST_PAGE_BYTES
    for path in paths:
        if left <= 0:
            made.append(Embedded(fault="left out, so that the page stays small"))
            continue
        one = _embed(Path(path), pixel_range)
        left -= len(one.data) * 3 // 4
        made.append(one)
    return made


def _embed(path: Path, pixel_range: PixelRange | None) -> Embedded:
    try:
        image = read_image(path, pixel_range=pixel_range)
        height, width = image.shape[:2]
        data = _jpeg(shrink_to_fit(image, (SIDE, SIDE)))
    except DatasetError as error:
        return Embedded(fault=str(error).removeprefix(f"{path}: "))
    except (OSError, ValueError, MemoryError, cv2.error) as error:  # a name with a null byte; an image of gigabytes
        return Embedded(fault=str(error) or type(error).__name__)
    return Embedded(base64.b64encode(data).decode(), width, height)


def _jpeg(image: np.ndarray) -> bytes:
    data = b""
    for quality in QUALITIES:
        flags = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
        data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), flags)[1].tobytes()
        if len(data) <= MOST_BYTES:
            break
    return data
