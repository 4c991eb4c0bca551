"""Measures how well a model's anchors match the boxes of a dataset, without building the model.

The region proposal network learns from the anchors that overlap an object: IoU 0.7 makes one an example of an object,
and where none gets there the best one alone is taken. An object that even its best anchor overlaps by less than half
has to be guessed from far off, and is found late or never.
"""

from dataclasses import dataclass

import numpy as np

from utils.annotations.boxes import box_iou
from utils.dataset.annotation_table import Objects
from utils.img_size import long_side_limit, model_scale

REACHED = 0.5  # the IoU from which COCO calls a box found
RATIOS = (0.5, 1.0, 2.0)  # height / width, of every model here
PADDED_TO = 32  # torchvision pads images to multiples of this
TRIED_SIZES = (480, 640, 800, 1024, 1333)  # --img-size; 1333 costs more than four times the memory of 640


@dataclass(frozen=True)
class Anchors:
    """The places and sizes of a model's anchors.

    strides: pixels between the centres, for each feature map.
    sizes: for each feature map the sides of its anchors, square roots of their areas.
    """

    strides: tuple[int, ...]
    sizes: tuple[tuple[int, ...], ...]


def network_sizes(sizes_wh: np.ndarray, img_size: int) -> np.ndarray:
    """Return width and height of images as the network sees them, (M, 2) int64: resized, not yet padded."""
    distinct, index = np.unique(np.asarray(sizes_wh).reshape(-1, 2), axis=0, return_inverse=True)
    scales = np.array([model_scale((height, width), img_size) for width, height in distinct.tolist()])
    return np.floor(distinct * scales[:, None]).astype(np.int64)[index.reshape(-1)]


def network_boxes(objects: Objects, img_size: int) -> np.ndarray:
    """Return the boxes as the network sees them, (N, 4) xyxy in pixels of its resized images."""
    factors = network_sizes(objects.sizes_wh, img_size) / objects.sizes_wh
    return objects.boxes * np.tile(factors, 2)[objects.image_of]


def best_ious(objects: Objects, anchors: Anchors, img_size: int) -> np.ndarray:
    """Return for each box the highest IoU that any of a model's anchors has with it, (N,) float64.

    Anchors of one shape differ in their centres alone, and what two intervals share only shrinks as their centres move
    apart. So the nearest centre is the best one, in x and in y by themselves, and no other needs to be looked at.

    An image is taken by itself: beside a larger one in a batch it is padded further, which adds anchors outside.

    Args:
        anchors: the model's.
        img_size: short side in pixels that the network resizes to, at most `long_side_limit` for the long one.
    """
    padded = (-(-network_sizes(objects.sizes_wh, img_size) // PADDED_TO) * PADDED_TO)[objects.image_of]  # (N, 2)
    boxes = network_boxes(objects, img_size)
    best = np.zeros(len(boxes))
    low, high = boxes[:, :2], boxes[:, 2:]
    for stride, sizes in zip(anchors.strides, anchors.sizes, strict=True):
        cells = -(-padded // stride)  # of the feature map; the last one is torchvision's max pooling, which rounds up
        step = padded // cells  # as in torchvision: not quite the stride where the cells do not divide the image
        centres = np.clip(np.rint((low + high) / 2 / step), 0, cells - 1) * step
        for size in sizes:
            for ratio in RATIOS:
                half = np.round(np.array([size / ratio**0.5, size * ratio**0.5]) / 2)  # torchvision rounds them, too
                best = np.maximum(best, box_iou(boxes, np.concatenate([centres - half, centres + half], axis=1)))
    return best


def shown_size(img_size: int) -> str:
    """Return the meaning of --img-size in words."""
    return f"short side {img_size} px, long side up to {long_side_limit(img_size)}"
