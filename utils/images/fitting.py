"""Scales images to fit into a width and height, with their aspect kept."""

import cv2
import numpy as np


def fit_scale(size_wh: tuple[float, float], limit_wh: tuple[float, float]) -> float:
    """Return the factor by which a size just fits into a limit, both (width, height)."""
    return min(limit_wh[0] / size_wh[0], limit_wh[1] / size_wh[1])


def resize(image: np.ndarray, scale: float, *, pixel_aspect: float = 1.0) -> np.ndarray:
    """Return the image scaled, at least one pixel a side: averaged where it shrinks, bilinear where it grows.

    `pixel_aspect` is the width of its pixels over their height; those of the result are square.
    """
    height, width = image.shape[:2]
    size = max(1, round(width * pixel_aspect * scale)), max(1, round(height * scale))
    if size == (width, height):
        return image
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def shrink_to_fit(image: np.ndarray, limit_wh: tuple[float, float]) -> np.ndarray:
    """Return the image, smaller where it is larger than `limit_wh`, (width, height) in pixels."""
    return resize(image, min(1.0, fit_scale(image.shape[1::-1], limit_wh)))


def fit_into(image: np.ndarray, size_wh: tuple[int, int], *, pixel_aspect: float = 1.0) -> np.ndarray:
    """Return the whole image in the middle of black, RGB uint8 of `size_wh`; `pixel_aspect` is as in `resize`."""
    (width, height), (own_height, own_width) = size_wh, image.shape[:2]
    scale = fit_scale((own_width * pixel_aspect, own_height), size_wh)
    inner = resize(image, scale, pixel_aspect=pixel_aspect)
    top, left = (height - inner.shape[0]) // 2, (width - inner.shape[1]) // 2
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return canvas
