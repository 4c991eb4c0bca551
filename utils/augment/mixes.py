"""Four images in one, at the scale of each: more objects and contexts in a batch, and objects cut as at a border."""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from utils.augment.sample import Sample, blank, clip_and_drop, cut, pad, random_crop, resize_sample
from utils.img_size import model_scale

# Mostly 0.25 to 0.75: both images can be made out. Zhang et al. 2019 (Bag of Freebies) found for detection that, unlike
# for classification, an even blend serves best.
MIXUP_BETA = 8.0

MAX_PASTED = 5  # cut-outs in an image

MAX_CUT_OUT = 0.4  # of the image's area: a larger cut-out would replace the image rather than add to it

BORDER = 0.1  # width of the soft border, of the square root of the cut-out's area

MIN_SEEN = 0.3  # of a box not covered by later cut-outs; with less, a reader of the image would not name the object


# Nearer the edge, two of the tiles are slivers in which next to no object keeps enough of itself to count.
CENTRE_RANGE = (0.2, 0.8)


def mosaic(samples: Sequence[Sample], rng: np.random.Generator, img_size: int) -> Sample:
    """Join windows of four samples around a random centre, as one square sample.

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
        boxes.append(tile.boxes + np.array([x, y, x, y], np.float32))
        labels.append(tile.labels)
    return Sample(canvas, np.concatenate(boxes), np.concatenate(labels))


def shuffled_mosaic(samples: Sequence[Sample], rng: np.random.Generator, img_size: int) -> Sample:
    """Make a mosaic of samples in a random order."""
    return mosaic([samples[i] for i in rng.permutation(len(samples))], rng, img_size)


def mixup(samples: Sequence[Sample], rng: np.random.Generator, img_size: int) -> Sample:
    """Blend two samples, with all boxes of both and no weights on them.

    Both are at the scale the model would use. The first decides the size, so that the model resizes the result no
    more; a canvas for both, say of a landscape and a portrait, would be shrunk. The second lies at the top left where
    it is smaller, FILL around it, and is seen through a random window where it is larger.

    Args:
        samples: two samples. rng: the only source of randomness. img_size: the model's short side in pixels.
    """
    first, second = samples
    first = resize_sample(first, model_scale(first.size_hw, img_size))
    second = random_crop(second, model_scale(second.size_hw, img_size), first.size_hw, rng)
    weight = rng.beta(MIXUP_BETA, MIXUP_BETA)
    image = cv2.addWeighted(first.image, weight, pad(second, first.size_hw).image, 1 - weight, 0)
    return Sample(image, np.concatenate([first.boxes, second.boxes]), np.concatenate([first.labels, second.labels]))


def copy_paste(samples: Sequence[Sample], rng: np.random.Generator, img_size: int) -> Sample:
    """Paste 1 to MAX_PASTED objects of the second sample into the first, at random places and their model scale.

    After Ghiasi et al. 2021 (Simple Copy-Paste), who paste masks. There are only boxes here, so what is pasted is the
    box, with a border that fades into its new place: a hard edge is what a network would learn to detect (Dwibedi
    et al. 2017, Cut, Paste and Learn). Other objects that show in a cut-out come along, by `clip_and_drop`.

    Objects covered by later cut-outs are dropped below MIN_SEEN; above it they keep their box, since without a mask
    nobody knows how far the rest of them reaches. An object that does not fit into the first image, or fills most of
    it, is not pasted.

    Args:
        samples: two samples. rng: the only source of randomness. img_size: the model's short side in pixels.
    """
    base, donor = (clip_and_drop(resize_sample(s, model_scale(s.size_hw, img_size))) for s in samples)
    (height, width), canvas = base.size_hw, base.image.copy()
    top_layer = np.zeros((height, width), np.uint8)  # number of the cut-out that each pixel shows, 0 the first image
    layers = [base]
    chosen = rng.permutation(len(donor.boxes))[: rng.integers(1, MAX_PASTED, endpoint=True)]
    for window in _whole_pixels(donor.boxes[chosen], donor.size_hw).tolist():
        x1, y1, x2, y2 = window
        if x2 - x1 > width or y2 - y1 > height or (x2 - x1) * (y2 - y1) > MAX_CUT_OUT * width * height:
            continue
        x = int(rng.integers(0, width - (x2 - x1), endpoint=True))
        y = int(rng.integers(0, height - (y2 - y1), endpoint=True))
        _paste(canvas, donor.image, window, (x, y))
        top_layer[y : y + y2 - y1, x : x + x2 - x1] = len(layers)
        pasted = clip_and_drop(cut(donor, window))
        layers.append(Sample(pasted.image, pasted.boxes + np.array([x, y, x, y], np.float32), pasted.labels))
    layers = [layer.keep(_seen(layer.boxes, top_layer == number) >= MIN_SEEN) for number, layer in enumerate(layers)]
    return Sample(canvas, *(np.concatenate([getattr(layer, name) for layer in layers]) for name in ("boxes", "labels")))


def _whole_pixels(boxes: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Return the pixels, (N, 4) int xyxy, that boxes (N, 4) touch in an image of `size_hw`."""
    height, width = size_hw
    outer = np.concatenate([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])], axis=1)
    return outer.clip(0, [width, height, width, height]).astype(int)


def _seen(boxes: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Return for each box, (N, 4), the share of the pixels it touches that are True in `shown`, (H, W) bool."""
    windows = _whole_pixels(boxes, shown.shape).tolist()
    return np.array([shown[y1:y2, x1:x2].mean() for x1, y1, x2, y2 in windows])


def _paste(canvas: np.ndarray, image: np.ndarray, window: tuple[int, int, int, int], place: tuple[int, int]) -> None:
    """Copy `window` (xyxy) of `image` to `place` (x, y) on the canvas, and fade out what surrounds it."""
    x1, y1, x2, y2 = window
    border = round(BORDER * math.sqrt((x2 - x1) * (y2 - y1)))
    source, target, weights = [], [], []
    for start, end, at, side, canvas_side in zip(
        (y1, x1), (y2, x2), place[::-1], image.shape[:2], canvas.shape[:2], strict=True
    ):
        before = min(border, start, at)
        after = min(border, side - end, canvas_side - (at + end - start))
        source.append(slice(start - before, end + after))
        target.append(slice(at - before, at + end - start + after))
        ramp = np.arange(1, border + 1) / (border + 1)
        weights.append(np.concatenate([ramp[border - before :], np.ones(end - start), ramp[::-1][:after]]))
    alpha = np.outer(*weights).astype(np.float32)
    place_of = tuple(target)
    canvas[place_of] = cv2.blendLinear(image[tuple(source)], canvas[place_of], alpha, 1 - alpha)
