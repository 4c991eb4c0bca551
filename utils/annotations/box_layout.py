"""Whole splits whose boxes are written in another way than their format has them: one cause, reported once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

LAYOUTS = {  # the four numbers of a box, and which of them make xyxy
    "corners": ("xmin, ymin, xmax, ymax", lambda a, b, c, d: (a, b, c, d)),
    "xywh": ("x, y, width, height", lambda a, b, c, d: (a, b, a + c, b + d)),
    "centre": ("x and y of the centre, width, height", lambda a, b, c, d: (a - c / 2, b - d / 2, a + c / 2, b + d / 2)),
    "y first": ("ymin, xmin, ymax, xmax", lambda a, b, c, d: (b, a, d, c)),
    "x, then y": ("xmin, xmax, ymin, ymax", lambda a, b, c, d: (a, c, b, d)),
}
UNITS = {"pixels": None, "shares": 1.0, "percent": 100.0}  # of the image's side, the latter two
UNIT_WORDS = {"pixels": "in pixels", "shares": "as shares of the image (0 to 1)", "percent": "in percent of the image"}

LEAST = 3  # boxes that cannot be meant as they are read, and
LEAST_SHARE = 0.15  # of all boxes so many
LEAST_ALONE = 8  # boxes, where one file has them all
NEARLY_ALL = 0.98  # must fit in the other way: a single slip is no counter-example among fifty
REACH = 0.3  # of the image, that the boxes of a split go to
SMALLER = 0.7  # a size in the files, of the image's: by then eight boxes do not all lie in that corner by chance


@dataclass(frozen=True, eq=False)
class Written:
    """The boxes of one image.

    | field | shape, meaning |
    |---|---|
    | source | names the file and its first object with its box |
    | file | its name |
    | layout | how the format has boxes: keys of LAYOUTS and UNITS |
    | numbers | (N, 4) as they stand in the file |
    | boxes | (N, 4) xyxy in pixels, as they are read |
    | size | (width, height) of the image |
    | labelled | the same as the file has it, None where it does not say |
    """

    source: str
    file: str
    layout: tuple[str, str]
    numbers: np.ndarray
    boxes: np.ndarray
    size: tuple[float, float]
    labelled: tuple[float, float] | None


def one_cause(files: Sequence[Written]) -> str | None:
    """Say why the boxes of a split cannot be meant as they are read, None where no single cause explains them all."""
    files = [_without_repeats(file) for file in files if len(file.numbers)]
    if not files:
        return None
    numbers, boxes = (np.concatenate([getattr(file, name) for file in files]) for name in ("numbers", "boxes"))
    counts = [len(file.numbers) for file in files]
    image_sizes = np.array([file.size for file in files], np.float64)
    labelled = np.array([file.labelled or (np.nan, np.nan) for file in files], np.float64)
    sizes, labelled_sizes = (np.repeat(of_file, counts, axis=0) for of_file in (image_sizes, labelled))
    names = ", ".join(file.file for file in files[:3]) + ", …" * (len(files) > 3)
    of = f"{len(boxes)} boxes in {len(files)} files ({names})"

    with np.errstate(all="ignore"):  # numbers near the end of float64
        bad = int((~_fits(boxes, sizes)).sum())
        unusable = bad >= max(LEAST, LEAST_SHARE * len(boxes)) and (len(files) > 1 or len(boxes) >= LEAST_ALONE)
        other_size = (labelled != image_sizes).any(axis=1) & np.isfinite(labelled).all(axis=1)
        shrunk = (labelled <= SMALLER * image_sizes).all(axis=1)
        if (
            len(files) >= LEAST
            and other_size.mean() >= NEARLY_ALL
            and _fits(boxes, labelled_sizes).mean() >= NEARLY_ALL
            and (unusable or (shrunk.mean() >= NEARLY_ALL and len(boxes) >= LEAST_ALONE))
        ):
            turned = (labelled == image_sizes[:, ::-1]).all(axis=1).mean() >= NEARLY_ALL
            why = "the images were turned, or x and y are exchanged" if turned else "the images were resized"
            return (
                f"all of {of} were drawn on images of another size, which the files name: {files[0].source} on "
                f"{labelled[0, 0]:g}x{labelled[0, 1]:g}, but the image is {files[0].size[0]}x{files[0].size[1]}: {why}"
            )
        own = files[0].layout
        ways = _other_ways(numbers, sizes, own) if unusable else []
        if not unusable and _in_percent(files, numbers, sizes):
            ways, bad = [(own[0], "percent")], len(boxes)
    if not ways:
        return None
    others = " or as ".join(map(_title, ways))
    return f"expected {_title(own)}; {bad} of {of} cannot be meant so, and all fit as {others}: {files[0].source}"


def _without_repeats(file: Written) -> Written:
    """Drop boxes that stand there again, which show nothing new."""
    first: dict[tuple, int] = {}
    for index, row in enumerate(map(tuple, file.numbers.tolist())):
        first.setdefault(row, index)
    if len(first) == len(file.numbers):
        return file
    ids = list(first.values())
    return replace(file, numbers=file.numbers[ids], boxes=file.boxes[ids])


def _title(way: tuple[str, str]) -> str:
    return f"{LAYOUTS[way[0]][0]} {UNIT_WORDS[way[1]]}"


def _fits(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Check whether each box (N, 4) measures a pixel or more and lies in its image (N, 2), to a pixel and a percent."""
    slack = 1 + 0.01 * sizes
    inside = (boxes[:, :2] >= -slack).all(axis=1) & (boxes[:, 2:] <= sizes + slack).all(axis=1)
    return inside & (boxes[:, 2:] - boxes[:, :2] >= 1).all(axis=1)


def _pixels(numbers: np.ndarray, sizes: np.ndarray, layout: str, unit: str) -> np.ndarray:
    boxes = np.stack(LAYOUTS[layout][1](*numbers.T), axis=1)
    return boxes if UNITS[unit] is None else boxes / UNITS[unit] * np.tile(sizes, 2)


def _other_ways(numbers: np.ndarray, sizes: np.ndarray, own: tuple[str, str]) -> list[tuple[str, str]]:
    """Return the ways in which nearly all boxes fit: a change of unit or of order alone before any other."""
    found = []
    for layout in LAYOUTS:
        for unit in UNITS:
            boxes = _pixels(numbers, sizes, layout, unit)
            reach = (boxes[:, 2:] / sizes).max(axis=0)  # small numbers would fit a larger unit, all in one corner
            if (layout, unit) != own and (reach > REACH).all() and _fits(boxes, sizes).mean() >= NEARLY_ALL:
                found.append((layout, unit))
    return (
        [way for way in found if way[0] == own[0]]
        or [way for way in found if way[1] == own[1]]
        or found
    )  # fmt: skip


def _in_percent(files: Sequence[Written], numbers: np.ndarray, sizes: np.ndarray) -> bool:
    """Check whether boxes that are read as pixels fill just the first hundred of much larger images."""
    layout, unit = files[0].layout
    if unit != "pixels" or len(numbers) < 20 or len(files) < 5 or sizes.min() < 250:
        return False
    boxes = np.stack(LAYOUTS[layout][1](*numbers.T), axis=1)
    if not _fits(boxes, np.full_like(sizes, 100)).all():
        return False
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    low, high = np.quantile(centres, (0.1, 0.9), axis=0)
    return bool((low < 35).all() and (high > 65).all() and boxes[:, 2:].max() > 80)
