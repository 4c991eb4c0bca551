"""Boxes that are turned: around their own centres, or with an image that EXIF turns."""

import math
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from utils.annotations.labels import Box
from utils.annotations.scan_result import Scan
from utils.files import natural_key
from utils.images.exif import TRANSPOSING
from utils.images.io import ImageInfo


def enclosing_box(box: Box, degrees: float) -> Box:
    """Give the upright box around `box`, xyxy, turned around its centre; in either direction, because it is the same.

    A box without area stays as it is.
    """
    x1, y1, x2, y2 = box
    if x1 >= x2 or y1 >= y2:
        return box
    cos, sin = (abs(f(math.radians(degrees % 180))) for f in (math.cos, math.sin))
    half_width, half_height = (x2 - x1) / 2, (y2 - y1) / 2
    x, y = x1 + half_width, y1 + half_height
    if degrees % 90 == 0:  # without the rounding of cos and sin
        cos, sin = (1, 0) if degrees % 180 == 0 else (0, 1)
    reach_x, reach_y = half_width * cos + half_height * sin, half_width * sin + half_height * cos
    return x - reach_x, y - reach_y, x + reach_x, y + reach_y


def upright_box(box: Box, image: ImageInfo) -> Box:
    """Turn a box, xyxy in pixels of the image as stored, with the image as its EXIF orientation says."""
    x1, y1, x2, y2 = box
    if image.orientation in (2, 3, 7, 8):
        x1, x2 = image.stored_width - x2, image.stored_width - x1
    if image.orientation in (3, 4, 6, 7):
        y1, y2 = image.stored_height - y2, image.stored_height - y1
    return (y1, x1, y2, x2) if image.orientation in TRANSPOSING else (x1, y1, x2, y2)


# --- which image the boxes were drawn on ---------------------------------------------------------------------------

UPRIGHT, STORED = "upright", "stored"

MAX_SHOWN = 20  # boxes of an image, with a finding
OUT, INSIDE = 0.1, 0.02  # of a side: boxes that reach out by more do not fit, and within the second they do


@dataclass(eq=False)
class TurnedImage:
    """An image that EXIF turns, and what its annotation shows of the image that its boxes were drawn on.

    | field | meaning |
    |---|---|
    | by_size, by_boxes | UPRIGHT, STORED or None: what the size in the file shows, and what its boxes fit alone |
    | has_objects | without, nothing needs to be turned |
    | read | gives the image's Scan, from a reading and the words that say why it is that one |
    | reading, part | the one in use and what it gave |
    """

    image_path: Path
    called: str
    orientation: int
    by_size: str | None
    by_boxes: str | None
    has_objects: bool
    read: Callable[[str, str], Scan]
    reading: str = UPRIGHT
    part: Scan = field(default_factory=Scan)

    def shown(self, *, sizes_hold: bool = True) -> str | None:
        """Return the reading that the file itself shows."""
        if self.by_size == UPRIGHT or (self.by_size and sizes_hold):
            return self.by_size
        return self.by_boxes


def size_reading(size: tuple[float, float] | None, image: ImageInfo) -> str | None:
    """Return the image that has the size in a file, None where both or neither do."""
    upright, stored = size == (image.width, image.height), size == (image.stored_width, image.stored_height)
    return None if upright == stored else UPRIGHT if upright else STORED


def boxes_reading(upright: Sequence[Box], stored: Sequence[Box], image: ImageInfo) -> str | None:
    """Return the image that the boxes fit, each taken as drawn on it, where they do not fit the other."""
    out = [
        max((max(-x1 / w, -y1 / h, x2 / w - 1, y2 / h - 1) for x1, y1, x2, y2 in boxes), default=0)
        for boxes, w, h in (
            (upright, image.width, image.height),
            (stored, image.stored_width, image.stored_height),
        )
    ]
    if min(out) > INSIDE or max(out) < OUT:
        return None
    return UPRIGHT if out[0] < out[1] else STORED


def settle_turned(scans: Iterable[Scan]) -> None:
    """Read the boxes of images that EXIF turns as all files together show; report those where nothing shows it.

    A size or boxes that fit one image alone decide for their file. The other files follow where all that are decided
    agree; otherwise the upright image is taken, which is what viewers and browsers show, with a warning. Sizes as
    stored count for nothing where the boxes of such files fit the upright image alone: a script has added them.
    May be called again with further scans.
    """
    scans = list(scans)
    images = [image for scan in scans for image in scan.turned]
    boxes_of_stored = {image.by_boxes for image in images if image.by_size == STORED}
    sizes_hold = UPRIGHT not in boxes_of_stored or STORED in boxes_of_stored
    votes = Counter(filter(None, (image.shown(sizes_hold=sizes_hold) for image in images)))
    common = next(iter(votes)) if len(votes) == 1 else None
    for scan in scans:
        if scan.turned:
            scan.findings = [finding for finding in scan.findings if finding.check != "exif-unclear"]
        for image in scan.turned:
            own = image.shown(sizes_hold=sizes_hold)
            reading = own or common or UPRIGHT
            if reading != image.reading:
                why = "which alone they fit" if own else f"as {votes[common]} other files of the dataset show"
                _replace(scan, image, reading, image.read(reading, why))
            if image.has_objects and not (own or common):
                others = "other files differ in this" if votes else "no other file shows it"
                scan.add(
                    "exif-unclear",
                    f"{image.called}: {image.image_path.name} is turned by its EXIF orientation {image.orientation}, "
                    "and it is not known whether its boxes were drawn on the upright image or on the one as stored "
                    f"({others}); they are taken as drawn on the upright one",
                    image=image.image_path,
                    boxes=tuple(tuple(box) for a in image.part.annotations for box in a.boxes[:MAX_SHOWN].tolist()),
                )


def _replace(scan: Scan, image: TurnedImage, reading: str, part: Scan) -> None:
    """Put what another reading gives of an image in the place of what the first one gave."""
    old = {id(finding) for finding in image.part.findings}
    scan.findings = [finding for finding in scan.findings if id(finding) not in old] + part.findings
    place = next((i for i, a in enumerate(scan.annotations) if a.image_path == image.image_path), None)
    if place is None:  # all its boxes were lost
        keys = [natural_key(a.image_path.as_posix()) for a in scan.annotations]  # folders, too
        place = bisect(keys, natural_key(image.image_path.as_posix()))
    end = place + len(image.part.annotations)
    scan.annotations[place:end], scan.thumbnails[place:end] = part.annotations, part.thumbnails
    image.reading, image.part = reading, part
