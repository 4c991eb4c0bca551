"""Images of more than eight bits: which of their values are used, and how they become eight bits."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

PixelRange = tuple[int, int]

LARGEST = 2**16 - 1
DARK = 4  # a range this many times smaller than that of 16 bits: what is left of it as eight bits is 64 shades or fewer
FLAT = 256 // DARK  # shades
DEEP_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".pgm", ".ppm", ".pnm", ".jp2"})
OUTLIERS = 0.1  # percent at either end: dead pixels, burnt-in text
SAMPLED = 1 << 18  # pixels at most that are read of an image


@dataclass(frozen=True)
class UsedValues:
    """The values of an image's samples: `low` to `high` without OUTLIERS at either end."""

    low: int
    high: int


def used_values(image: np.ndarray) -> UsedValues:
    """Return what an image of uint16 (H, W, 3) uses, from samples spread over it."""
    values = image.reshape(-1)[:: max(1, image.size // SAMPLED)]
    low, high = np.percentile(values, (OUTLIERS, 100 - OUTLIERS), method="nearest").tolist()
    return UsedValues(int(low), int(high))


def to_eight_bits(image: np.ndarray, pixel_range: PixelRange) -> np.ndarray:
    """Turn uint16 into uint8: the range's ends become 0 and 255, what lies outside becomes the nearer end."""
    return _table(*pixel_range)[image]


@lru_cache(maxsize=8)
def _table(low: int, high: int) -> np.ndarray:
    values = np.arange(LARGEST + 1, dtype=np.float64)
    return np.clip((values - low) * 255 / (high - low), 0, 255).round().astype(np.uint8)


def read_pixel_range(value, faults: list[str], *, key: str = "PIXEL_RANGE") -> PixelRange | None:
    """Return the range that a YAML or a checkpoint gives, [lowest, highest] value; None where there is none."""
    if value is None:
        return None
    whole = isinstance(value, (list, tuple)) and len(value) == 2 and all(type(v) is int for v in value)
    if not whole or not 0 <= value[0] < value[1] <= LARGEST:
        faults.append(f"{key}: expected two whole numbers from 0 to {LARGEST}, such as [0, 4095], found {value!r}")
        return None
    return value[0], value[1]


def suggested_range(used: Sequence[UsedValues]) -> PixelRange:
    """Return the range for images that use these values: from 0, and all of so many bits, where that wastes little."""
    low, high = min(values.low for values in used), max(values.high for values in used)
    of_bits = 2 ** max(1, high.bit_length()) - 1
    if low <= of_bits // 8:
        return 0, of_bits
    return low, max(high, low + 1)


def problem_with(used: Sequence[UsedValues], pixel_range: PixelRange | None) -> str | None:
    """Say what is wrong with how images that use these values become eight bits; None where nothing is.

    Without a range, most images decide, because a few brighter ones help the others nothing; with one, all together.
    """
    first, last = pixel_range or (0, LARGEST)
    dark = [values for values in used if (values.high - values.low) * DARK <= last - first]
    meant = used if pixel_range else dark
    low, high = min(values.low for values in meant or used), max(values.high for values in meant or used)
    remedy = f"`PIXEL_RANGE: {list(suggested_range(meant or used))}`"
    if (high - low) * DARK <= last - first if pixel_range else 2 * len(dark) > len(used):
        shades = max(1, round(256 * (high - low) / (last - first)))
        count = "" if len(meant) == len(used) else f"{len(meant)} of them: "
        return f"{count}used are the values {low} to {high}, of which eight bits keep about {shades} shades; {remedy}"
    lost = sum(values.high > last or values.low < first for values in used)
    if pixel_range and lost:
        return f"{lost} of them use values outside of PIXEL_RANGE {list(pixel_range)}, in all {low} to {high}: {remedy}"
    return None
