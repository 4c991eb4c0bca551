"""The types that every annotation format gives: the objects of an image as in its file, and how that file is read."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from utils.errors import DatasetError
from utils.names import nfc

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class LabelledObject:
    """An object of an image; `source` names it in messages: "object 3 (Mask)"; `name` is its class, known or not.

    `named` is False where the file has a number that no name is known of, and `name` only mentions it.
    `rotation` is what the box is turned by around its centre, in degrees.
    """

    source: str
    name: str
    box: Box
    difficult: bool = False
    named: bool = True
    rotation: float = 0.0

    def __post_init__(self):
        if not self.name.isascii():  # composed and decomposed accents are one name
            object.__setattr__(self, "name", nfc(self.name))


@dataclass(frozen=True)
class Labels:
    """The contents of an annotation of one image.

    | field | meaning |
    |---|---|
    | objects | boxes as they stand in the file |
    | size | (width, height) of the image as the file has it, None where it does not say |
    | to_pixels | from the box as it stands to xyxy in pixels, given the image's (width, height) |
    | notes | findings about the file, (check, text) |
    | crowds | regions of several objects that have no box of their own here |
    | layout | how the format writes a box: a key of `LAYOUTS` and one of `UNITS` |
    """

    objects: tuple[LabelledObject, ...]
    size: tuple[float, float] | None = None
    to_pixels: Callable[[Box, tuple[int, int]], Box] = lambda box, size: box
    notes: tuple[tuple[str, str], ...] = ()
    crowds: int = 0
    layout: tuple[str, str] = ("corners", "pixels")


@dataclass(frozen=True)
class Pair:
    """An image and what reads its annotation, which messages name by `called`, and in errors by `path`."""

    image_path: Path
    path: Path | str
    called: str
    read: Callable[[], Labels]


class UnitError(DatasetError):
    """Numbers of a file that are too large for their unit; `labels` are what they would be, if one knew the unit."""

    SUBJECT = "numbers that are no shares of the image from 0 to 1: are these pixels?"

    def __init__(self, message: str, labels: Labels):
        super().__init__(message)
        self.labels = labels
