"""Four images in one, at the scale of each: more objects and contexts in a batch, and objects cut as at a border."""

from collections.abc import Sequence

import numpy as np

from utils.crops import random_crop
from utils.geometry import model_scale
from utils.sample import Sample, blank

# Nearer the edge, two of the tiles are slivers in which next to no object keeps enough of itself to count.
CENTRE_RANGE = (0.2, 0.8)


def mosaic(samples: Sequence[Sample], rng: np.random.Generator, img_size: int) -> Sample:
    """Windows of four samples around a random centre, as one square sample.

    Each window shows its image at the scale the model would use, so objects keep their size (a mosaic shrunk to
    fit would show all of them at half of it), and lies anywhere in its image, so that all of it is seen in time.
    An image too narrow for its quarter touches the centre; grey fills the rest.

    Args:
        samples: four samples, in the order top left, top right, bottom left, bottom right.
        rng: the only source of randomness.
        img_size: side of the result in pixels, the model's `--img-size`, which then resizes it no more.

    Returns:
        A new sample of (img_size, img_size), boxes cut and dropped by `clip_and_drop` against their whole objects.
    """
    if len(samples) != 4:
        raise ValueError(f"samples: expected 4, got {len(samples)}")
    low, high = (round(share * img_size) for share in CENTRE_RANGE)
    centre_x, centre_y = rng.integers(low, high, size=2, endpoint=True).tolist()
    canvas = blank((img_size, img_size))
    boxes, labels = [], []
    for i, sample in enumerate(samples):
        right, below = i % 2, i // 2
        quarter_hw = (img_size - centre_y if below else centre_y, img_size - centre_x if right else centre_x)
        tile = random_crop(sample, model_scale(sample.size_hw, img_size), quarter_hw, rng)
        height, width = tile.size_hw
        x, y = centre_x - (0 if right else width), centre_y - (0 if below else height)
        canvas[y : y + height, x : x + width] = tile.image
        boxes.append(tile.boxes + np.float32([x, y, x, y]))
        labels.append(tile.labels)
    return Sample(canvas, np.concatenate(boxes), np.concatenate(labels))
