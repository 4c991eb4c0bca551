"""The one rule by which an image meets the network: torchvision's own.

`--img-size S` is the short side; the long side is at most S * 1333 / 800, the ratio the published models use; the
aspect ratio is kept. The model applies the rule (`GeneralizedRCNNTransform`); whoever needs to know its result
beforehand asks here.
"""

LONG_OVER_SHORT = 1333 / 800
MOST_ASPECT = 100  # long side over short side; beyond, no pixel of the short side is left at the smallest image size


def long_side_limit(img_size: int) -> int:
    """The largest long side, in pixels, of an image at `--img-size img_size`."""
    return round(img_size * LONG_OVER_SHORT)


def model_scale(size_hw: tuple[int, int], img_size: int) -> float:
    """The factor by which the model will resize an image of `size_hw` (height, width)."""
    short, long = min(size_hw), max(size_hw)
    return min(img_size / short, long_side_limit(img_size) / long)
