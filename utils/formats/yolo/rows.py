"""The meaning of the numbers of a YOLO row: a box, a box with keypoints or a score, or the corners of a polygon."""

import contextlib
import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from utils.annotations.labels import Box

ROUNDING = 0.01  # beyond 1 that a corner may be
OUTSIDE = 0.05  # of the image that a box of good labels may reach out
BESIDE = 0.25  # of a box's side that its keypoints may lie out of it
SURE = 6.0  # natural logarithm of how many times likelier one reading of a row is, at the most
ENOUGH = 3.3  # of all rows together: 27 times
MAX_SAMPLED = 200  # rows of as many numbers; more would show nothing new
MANY = 20  # rows, of which some would be no box by chance if they were polygons
MAX_BYTES = 16 * 2**20


class OtherUnit(ValueError):
    """Numbers too large for shares; `box` is the row's box in their unit, (x_centre, y_centre, width, height)."""

    def __init__(self, values: Sequence[float]):
        super().__init__(f"expected shares of the image from 0 to 1, found {max(values):g}: are these pixels?")
        x, y, *sides = values if len(values) == 4 else _around(values[: len(values) - len(values) % 2])
        self.box: Box = x, y, sides[0], sides[1]


class RowReader:
    """Reader that separates boxes from polygons in the rows of a split, by `kpt_shape` or else by their geometry.

    Args:
        paths: the label files of the split, read when a row by itself does not show it.
        kpt_shape: keypoints and numbers of each, (0, 0) where there are none; None where nothing says it.
    """

    def __init__(self, paths: Iterable[Path] = (), kpt_shape: tuple[int, int] | None = None):
        self.paths, self.kpt_shape = paths, kpt_shape
        self._lock = threading.Lock()
        self._polygons: dict[int, bool | None] | None = None  # by how many numbers the rows have

    def box(self, values: Sequence[float]) -> tuple[Box, str]:
        """Return the box, (x_centre, y_centre, width, height) in shares, and what else the row was taken to have.

        That is "keypoints" or "a score", and "" where there is nothing else or `kpt_shape` says it.
        Raises ValueError for numbers that are none of what a row may have, or where nothing shows what they are.
        """
        count = len(values)
        if count < 4:
            raise ValueError(f"expected four numbers, or the corners of a polygon, after the class, found {count}")
        if count == 4:
            return _checked(values), ""
        if count == 5:
            return _scored(values), "a score"
        if self.kpt_shape is not None and self.kpt_shape != (0, 0):
            points, numbers = self.kpt_shape
            extra = count - 4 - points * numbers
            if extra not in (0, 1, 2):
                raise ValueError(
                    f"expected 4 or {4 + points * numbers} numbers after the class, as KPT_SHAPE is "
                    f"[{points}, {numbers}], found {count}"
                )
            return _checked(values[:4]), "a score" if extra else ""
        corners = values[: count - count % 2]
        if not _may_be_polygon(values):
            if self.kpt_shape is None and _may_be_box(values):
                return _checked(values[:4]), _behind(values)
            raise OtherUnit(values)
        is_polygon = self.kpt_shape == (0, 0) or self._is_polygon(count)
        if is_polygon is None:
            raise ValueError(_ambiguous_text(count))
        if not is_polygon:
            return _checked(values[:4]), _behind(values)
        return _around(corners), "a score" if count % 2 else ""

    def _is_polygon(self, count: int) -> bool | None:
        """Check whether rows of so many numbers are polygons; None where all of them together leave it open."""
        with self._lock:
            if self._polygons is None:
                self._polygons = _decide(_long_rows(self.paths))
        return self._polygons.get(count)


def numbers_of(words: Sequence[str]) -> list[float]:
    """Parse numbers. Raises ValueError for what is not a finite number."""
    values = []
    for word in words:
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or "_" in word:
            raise ValueError(f"expected finite numbers, found {word[:40]!r}")
        values.append(value)
    return values


def _around(corners: Sequence[float]) -> Box:
    xs, ys = corners[::2], corners[1::2]
    return (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2, max(xs) - min(xs), max(ys) - min(ys)


def _checked(values: Sequence[float]) -> Box:
    if max(values) > 2:  # slightly out of the image is clipped; this is another unit
        raise OtherUnit(values)
    x, y, width, height = values[:4]
    return x, y, width, height


def _scored(values: Sequence[float]) -> Box:
    box, last = _checked(values[:4]), values[4]
    if _leaves_image(box) and 0 <= values[0] <= 1 and not _leaves_image(values[1:]):
        raise ValueError(
            "expected a box inside the image after the class, found one from the second number on: is the first a "
            "score? Write class, box, score"
        )
    if not 0 <= last <= 1 and not (last > 0 and last.is_integer()):
        raise ValueError(
            f"expected a score from 0 to 1 or a track number as the fifth number, found {last:g}; where it is an "
            "angle, export the four corners instead: class x1 y1 x2 y2 x3 y3 x4 y4"
        )
    return box


def _leaves_image(values: Sequence[float]) -> bool:
    """Check whether a box reaches further out of the image than good labels do."""
    x, y, width, height = values[:4]
    return min(x - width / 2, y - height / 2) < -OUTSIDE or max(x + width / 2, y + height / 2) > 1 + OUTSIDE


def _behind(values: Sequence[float]) -> str:
    tracked = len(values) == 6 and 0 <= values[4] <= 1 and values[5].is_integer()
    return "a score" if tracked else "keypoints"


def _ambiguous_text(count: int) -> str:
    shapes = [f"[{(count - 4) // n}, {n}]" for n in (2, 3) if (count - 4) % n == 0]
    boxes = f"KPT_SHAPE: {' or '.join(shapes)} for a box with keypoints, " if shapes else ""
    track = "a box, a score and a track number, " if count == 6 else ""
    return (
        f"{count} numbers after the class: {track}a box with keypoints, or a polygon? Neither this row nor the others "
        f"tell. Say it in the YAML: {boxes}KPT_SHAPE: [0, 0] for polygons; or keep four numbers, the box"
    )


def _long_rows(paths: Iterable[Path]) -> dict[int, list[list[float]]]:
    """Return the first rows of each count of numbers above five; faults are reported where the files are read."""
    rows: dict[int, list[list[float]]] = {}
    for path in paths:
        try:
            text = path.read_bytes().decode("utf-8-sig") if path.stat().st_size <= MAX_BYTES else ""
        except (OSError, UnicodeError):
            continue
        for line in text.splitlines():
            words = line.split()[1:]
            if len(words) > 5 and len(like := rows.setdefault(len(words), [])) < MAX_SAMPLED:
                with contextlib.suppress(ValueError):
                    like.append(numbers_of(words))
    return rows


def _decide(rows: Mapping[int, Sequence[Sequence[float]]]) -> dict[int, bool | None]:
    """Count of numbers -> whether such rows are polygons; None where nothing shows it."""
    leanings = {count: [_leaning(values) for values in like] for count, like in rows.items()}
    whole = sum(map(sum, leanings.values()))
    various = len({count // 2 for count in rows}) > 2  # a skeleton has always as many points
    decided: dict[int, bool | None] = {}
    for count, like in leanings.items():
        total = sum(like)
        if various and total > -ENOUGH:  # few outlines have as many corners; all of them say what they are
            total = whole
        by_chance = len(like) < MANY or count >= 12 or various or like.count(SURE) > 0.02 * len(like)
        decided[count] = None if abs(total) < ENOUGH or (total > 0 and not by_chance) else total > 0
    return decided


def _may_be_polygon(values: Sequence[float]) -> bool:
    """Return a score may follow the corners."""
    corners = values[: len(values) - len(values) % 2]
    return max(corners) <= 1 + ROUNDING and (len(values) % 2 == 0 or 0 <= values[-1] <= 1)


def _may_be_box(values: Sequence[float]) -> bool:
    """Check whether it is a box in the image, followed by keypoints of two or three values, a score, a track number."""
    if min(values[2:4]) <= 0:
        return False
    if _leaves_image(values):
        return False
    for tail in (0, 1, 2):
        points, end = values[4 : len(values) - tail], values[len(values) - tail :]
        if (tail and not 0 <= end[0] <= 1) or (tail == 2 and not (end[1] >= 0 and end[1].is_integer())):
            continue
        if any(len(points) % numbers == 0 and _beside(values, points, numbers) for numbers in (2, 3)):
            return True
    return False


def _beside(values: Sequence[float], points: Sequence[float], numbers: int) -> bool:
    """Check whether all keypoints that are not hidden lie in the box, or nearly so."""
    x, y, width, height = values[:4]
    for index in range(0, len(points), numbers):
        px, py, *seen = points[index : index + numbers]
        if seen and not 0 <= seen[0] <= 2:
            return False
        if (px, py) == (0, 0) or seen == [0]:
            continue
        if abs(px - x) > (0.5 + BESIDE) * width or abs(py - y) > (0.5 + BESIDE) * height:
            return False
    return True


def _leaning(values: Sequence[float]) -> float:
    """Return the natural logarithm of how many times likelier the row is a polygon than a box with something behind it.

    A polygon's second corner is near its others, while a width and height may lie anywhere; its outline seldom crosses
    itself, while the path through keypoints mostly does; and what is no box in the image, or has its keypoints beside
    it, is no box with keypoints.
    """
    if not _may_be_polygon(values):
        return -SURE if _may_be_box(values) else 0.0  # neither is a fault of its own
    if not _may_be_box(values):
        return SURE
    corners = [(values[i], values[i + 1]) for i in range(0, len(values) - 1, 2)]
    if len(corners) == 4 and _is_parallelogram(corners):
        return SURE
    x, y, width, height = values[:4]
    behind = [point for point in corners[2:] if point != (0, 0)]
    total = math.log(0.44)  # of polygons so many are a box by chance
    total -= ENOUGH * (len(behind) < len(corners) - 2)
    total -= 2 * (len(values) % 2 and values[-1] in (0, 1))
    for axis, (centre, side) in enumerate(((x, width), (y, height))):
        rest = [centre, *(point[axis] for point in behind)]
        low, high = min(rest), max(rest)
        extent = max(high - low, 0.005)
        distance = abs(side - (low + high) / 2) / extent
        as_corner = 1 / (math.pi * extent * (1 + distance**2))
        as_side = 0.5 + 0.5 / (math.log(200) * max(side, 0.005))
        total += math.log(as_corner / as_side)
        if len(behind) > 1:
            ends = [point[axis] for point in behind]
            exact = abs((min(ends) + max(ends)) / 2 - centre) < 0.01 * side and abs(max(ends) - min(ends) - side) < (
                0.02 * side
            )
            total -= ENOUGH * exact  # the box was drawn around the points
    if len(corners) > 3:
        total += -3 if _crosses(corners) else len(corners) - 3
    return max(-SURE, min(total, SURE - 1e-6))


def _is_parallelogram(corners: Sequence[tuple[float, float]]) -> bool:
    a, b, c, d = corners
    size = max(abs(c[0] - a[0]), abs(c[1] - a[1]), abs(d[0] - b[0]), abs(d[1] - b[1]))
    return size > 0 and all(abs(a[i] + c[i] - b[i] - d[i]) < 0.02 * size for i in (0, 1))


def _crosses(corners: Sequence[tuple[float, float]], most: int = 24) -> bool:
    """Check whether an outline crosses itself; of many corners only every second or further one is checked."""
    step = -(-len(corners) // most)
    points = corners[::step]
    count = len(points)

    def side(a, b, c) -> float:
        return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

    for i in range(count):
        a, b = points[i], points[(i + 1) % count]
        for j in range(i + 2, count - (i == 0)):
            c, d = points[j], points[(j + 1) % count]
            if side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0:
                return True
    return False
