"""The one rule by which an image meets the network: torchvision's own.

`--img-size S` is the short side; the long side is at most S * 1333 / 800, the ratio the published models use; the
aspect ratio is kept. The model applies the rule (`GeneralizedRCNNTransform`); code that needs its result
beforehand calls this module.
"""

import math

from utils.errors import DatasetError

LONG_OVER_SHORT = 1333 / 800
MOST_ASPECT = 100  # long side over short side; beyond, no pixel of the short side is left at the smallest image size
STRIDE = 32  # pixels; the model pads images to multiples of it


def long_side_limit(img_size: int) -> int:
    """Return the largest long side, in pixels, of an image at `--img-size img_size`."""
    return round(img_size * LONG_OVER_SHORT)


def model_scale(size_hw: tuple[int, int], img_size: int) -> float:
    """Return the factor by which the model will resize an image of `size_hw` (height, width)."""
    short, long = min(size_hw), max(size_hw)
    return min(img_size / short, long_side_limit(img_size) / long)


def padded_hw(size_hw: tuple[int, int], short_side: int, long_side: int) -> tuple[int, int]:
    """Return height and width of the batch that the model makes of one image of `size_hw`, or of several alike in it.

    An image padded beyond that is not seen as it is alone: what a convolution finds near the border depends on the
    padding. `short_side` and `long_side` are the model's limits in pixels.
    """
    scale = min(short_side / min(size_hw), long_side / max(size_hw))  # and rounded as torch's interpolation does it
    height, width = (max(1, math.ceil(math.floor(side * scale) / STRIDE)) * STRIDE for side in size_hw)
    return height, width


def require_visible(size_hw: tuple[int, int], short_side: int, long_side: int) -> None:
    """Raise DatasetError for an image of whose short side the network would get less than a pixel."""
    short, long = min(size_hw), max(size_hw)
    seen = short * min(short_side / short, long_side / long)
    if seen < 1:
        raise DatasetError(
            f"too thin for the network: of its short side {seen:.2g} pixels would be left, where its long side is "
            f"shrunk to {long_side}; cut it into parts of at most 10 times their width"
        )
