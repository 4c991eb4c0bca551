"""Objects nearer and farther away: large-scale jitter, and short sides to choose from."""

import cv2
import numpy as np

from utils.crops import pad, random_crop
from utils.geometry import model_scale
from utils.sample import Sample, resize_sample

JITTER_RANGE = (0.1, 2.0)  # Ghiasi et al. 2021, Simple Copy-Paste; torchvision's ScaleJitter
SHORTEST = 0.6  # of the image size: torchvision's "multiscale" picks from 480, 512, …, 800
SIDE_STEP = 32  # the model pads batches to multiples of it: sides in between would cost as much as the next


def scale_jitter(sample: Sample, rng: np.random.Generator, img_size: int) -> Sample:
    """The sample at 0.1 to 2 times the model's scale: a random window where that is too large, filled where too small.

    The references jitter about the scale at which the image fits their square of 1024, next to which they evaluate at
    a short side of 800: for a photograph of 4:3 nearly the same scale. Here the square has the short side, so that
    scale would be smaller than that of evaluation, by 0.75 at 4:3; the model's own scale is the middle instead.

    An image farther away than the model will see it is first made what the model would see, and shrunk from there by
    INTER_AREA: bilinear samples at a tenth of the size would be every tenth pixel, noise where the camera would
    average. All else is sampled as by the model.

    Args:
        sample: of any size.
        rng: the only source of randomness.
        img_size: side of the result in pixels, the model's `--img-size`, which then resizes it no more.

    Returns:
        A new sample of (img_size, img_size), boxes cut and dropped by `clip_and_drop`; there may be none left.
    """
    jitter = rng.uniform(*JITTER_RANGE)
    scale = jitter * model_scale(sample.size_hw, img_size)
    if scale < jitter < 1:
        sample, scale = resize_sample(sample, scale / jitter), jitter
    interpolation = cv2.INTER_AREA if max(scale, jitter) < 1 else cv2.INTER_LINEAR
    return pad(random_crop(sample, scale, (img_size, img_size), rng, interpolation=interpolation), (img_size, img_size))


def short_sides(img_size: int) -> list[int]:
    """Short sides in pixels, ascending, that training takes turns with: down from `img_size` in steps of 32.

    None is larger than `img_size`, as in torchvision's and detectron2's references: memory is that of the plain run,
    and no image is enlarged beyond what evaluation shows.
    """
    return sorted(range(img_size, max(1, round(SHORTEST * img_size)) - 1, -SIDE_STEP))
