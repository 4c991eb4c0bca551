"""Augmentation of single images; the only module that knows albumentations.

What most samples go through, and noise, is written in
OpenCV calls on uint8, each of which goes over the image once: the library takes three times as long for the same, most
of it in float arithmetic and in checking its arguments.
"""

import functools
import math
import os
import random
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from utils.augment.sample import Sample, blank, clip_and_drop, cut, pad, random_crop, resize_sample, stretch
from utils.img_size import model_scale

JITTER_RANGE = (0.1, 2.0)  # Ghiasi et al. 2021, Simple Copy-Paste; torchvision's ScaleJitter

SHORTEST = 0.6  # of the image size: torchvision's "multiscale" picks from 480, 512, …, 800

SIDE_STEP = 32  # the model pads batches to multiples of it: sides in between would cost as much as the next


# Without it, importing albumentations asks the package index for its newest version.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

LUMA = np.array([0.299, 0.587, 0.114])  # of red, green and blue, ITU-R BT.601: what cv2 calls grey
ZOOM = 1.6
SHIFT = 0.2  # of the image's sides


def flip(sample: Sample, rng: np.random.Generator) -> Sample:
    """Mirror a sample, as torchvision's reference training does."""
    width = sample.size_hw[1]
    boxes = sample.boxes[:, [2, 1, 0, 3]]
    boxes[:, ::2] = width - boxes[:, ::2]
    return Sample(cv2.flip(sample.image, 1), boxes, sample.labels)


def zoom(sample: Sample, rng: np.random.Generator) -> Sample:
    """Zoom about the centre, as often smaller as larger, and shifted, which reaches what a zoom alone would never show.

    The window that stays in sight is cut and resized, which is four times as fast as a general affine map. It is whole
    pixels wide, before and after: the scale is off by less than a pixel over the window, and the boxes follow exactly.
    """
    scale = rng.uniform(1, ZOOM) if rng.random() < 0.5 else rng.uniform(1 / ZOOM, 1)
    source, target = [], []
    for side in sample.size_hw:
        start = side * ((1 - scale) / 2 + rng.uniform(-SHIFT, SHIFT))  # where the image comes to lie
        end = start + scale * side
        # Of the image's pixels, those from `first` to before `last`; on the canvas, from `place` to before `stop`.
        first, place = (0, round(start)) if start >= 0 else (round(-start / scale), 0)
        last, stop = (side, round(end)) if end <= side else (round((side - start) / scale), side)
        source.append((first, max(first + 1, last)))
        target.append((place, max(1, stop - place)))
    (y1, y2), (x1, x2) = source
    (y, height), (x, width) = target
    window = stretch(cut(sample, (x1, y1, x2, y2)), (height, width))
    canvas = blank(sample.size_hw)
    canvas[y : y + height, x : x + width] = window.image
    return Sample(canvas, window.boxes + np.array([x, y, x, y], np.float32), sample.labels)


def of_pixels(change: Callable[[np.ndarray, np.random.Generator], np.ndarray]):
    """Make a transform of samples of one of images, (H, W, 3) uint8 to the same, which leaves its input alone."""

    @functools.wraps(change)
    def transform(sample: Sample, rng: np.random.Generator) -> Sample:
        return Sample(change(sample.image, rng), sample.boxes, sample.labels)

    return transform


@of_pixels
def colour(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change brightness and contrast, saturation and hue, or no colour at all: one matrix, hence one pass."""
    lights, tints, greys = rng.random(3) < (0.4, 0.3, 0.05)
    if not (lights or tints or greys):
        return image
    change = np.eye(3, 4)  # a matrix for RGB columns, and an offset
    if lights:
        change *= rng.uniform(0.8, 1.2)
        change[:, 3] = 255 * rng.uniform(-0.2, 0.2)
    if tints:
        change = _saturation(rng.uniform(0.6, 1.4)) @ _hue(math.radians(rng.uniform(-11, 11))) @ change
    if greys:
        change = _saturation(0) @ change
    return cv2.transform(image, change)


def _saturation(factor: float) -> np.ndarray:
    """Return the (3, 3) matrix for RGB columns: 1 leaves colours as they are, 0 leaves their luma alone."""
    return factor * np.eye(3) + (1 - factor) * LUMA


def _hue(angle: float) -> np.ndarray:
    """Return the matrix that turns colours about the line of greys by `angle` in radians: Rodrigues' formula."""
    axis = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    return math.cos(angle) * np.eye(3) + (1 - math.cos(angle)) / 3 + math.sin(angle) * axis


class Albumentations:
    """A transform of pixels alone from the library of that name, decided by the generator that it is called with.

    It is built at its first call, because importing the library takes a second. One thread at a time: it holds the
    random state of its call.

    Args:
        name: of the transform.
        build: takes the library, returns the transform.
    """

    def __init__(self, name: str, build: Callable):
        self.__name__, self.build = name, build
        self.made: Any = None

    def __reduce__(self) -> str:
        return self.__name__  # the name in this module: whatever the library's transforms hold stays in its process

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if self.made is None:
            import albumentations

            self.made = self.build(albumentations)
        # Not set_random_seed: it hands every part a generator of its own with one and the same seed.
        self.made.set_random_state(rng, random.Random(int(rng.integers(2**63))))
        return Sample(self.made(image=sample.image)["image"], sample.boxes, sample.labels)


gamma = Albumentations("gamma", lambda A: A.RandomGamma(gamma_limit=(75, 130), p=1))
# Out of focus, or moved while the image was taken.
blur = Albumentations(
    "blur", lambda A: A.OneOf([A.Blur(blur_limit=(3, 5), p=1), A.MotionBlur(blur_limit=(3, 7), p=1)], p=1)
)
# What compression leaves of an image.
jpeg = Albumentations("jpeg", lambda A: A.ImageCompression(quality_range=(50, 95), p=1))


@of_pixels
def noise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add noise of a deviation of 1 to 4 % of the range, by itself in each channel.

    The mean of two random bytes: its triangular distribution looks like a normal one and is drawn ten times as fast.
    """
    # Eight bytes at a time: three times as fast as one by one.
    words = rng.integers(2**64, size=(2, -(-image.size // 8)), dtype=np.uint64)
    first, second = words.view(np.uint8)[:, : image.size].reshape(2, *image.shape)
    drawn = cv2.addWeighted(first, 0.5, second, 0.5, 0)
    weight = 255 * rng.uniform(0.01, 0.04) / math.sqrt((256**2 - 1) / 24)
    return cv2.addWeighted(image, 1, drawn, weight, -127.5 * weight)


Transform = Callable[[Sample, np.random.Generator], Sample]

# How likely each transform is, and the transform. Geometry first: a zoom would enlarge or smooth away noise and
# compression artefacts made before it.
FLIP: tuple[tuple[float, Transform], ...] = ((0.5, flip),)
TRAIN: tuple[tuple[float, Transform], ...] = (
    (0.5, zoom), (1.0, colour), (0.1, gamma), (0.1, blur), (0.05, noise), (0.05, jpeg)
)  # fmt: skip
MOVING = (zoom,)  # transforms that change an object's scale and place


class Augmenter:
    """Random transforms, decided by the seed alone; no global random state is read or written.

    Args:
        transforms: pairs of a probability and a transform, in their order.
    """

    def __init__(self, transforms: Sequence[tuple[float, Transform]]):
        self.transforms = tuple(transforms)

    def __call__(self, sample: Sample, seed: int | np.random.SeedSequence | np.random.Generator) -> Sample:
        """Return a new sample: boxes cut at the image's border, dropped by the rule of `clip_and_drop`.

        Where nothing happens to the image, the new sample holds the very array of the old one. Boxes are cut once, at
        the end: one that was cut twice would count its visible share from the first cut.
        """
        rng = np.random.default_rng(seed)
        for probability, transform in self.transforms:
            if rng.random() < probability:
                sample = transform(sample, rng)
        return clip_and_drop(sample)


def scale_jitter(sample: Sample, rng: np.random.Generator, img_size: int) -> Sample:
    """Scale to 0.1 to 2 times the model's scale: a random window of what is too large, filled where too small.

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
    """Return short sides in pixels, ascending, that training takes turns with: down from `img_size` in steps of 32.

    None is larger than `img_size`, as in torchvision's and detectron2's references: memory is that of the plain run,
    and no image is enlarged beyond what evaluation shows.
    """
    return sorted(range(img_size, max(1, round(SHORTEST * img_size)) - 1, -SIDE_STEP))
