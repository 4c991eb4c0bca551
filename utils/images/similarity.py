"""The likeness of images by their thumbnails: 16x16 grey pixels each, which the reader takes on the way.

Brightness and contrast are taken out of them: each becomes a vector of length 1 and mean 0, and two are compared by
their product, the correlation of the images.

How close is close? Copies that were compressed anew, resized, brightened or cut by 2 % correlate by 0.97 and more with
their originals, those cut by 5 % by 0.91 to 0.99; distinct photographs by less than 0.83, microscope slides by less
than 0.75. But where a camera does not move, or all are X-rays, any two correlate by 0.9. So what counts is how much of
what sets an image apart from the average of the dataset is not in the other one.
"""

from collections.abc import Sequence

import numpy as np

from utils.images.io import THUMBNAIL_SIDE

TOLERANCE = 0.07  # of an image's distance, squared, from the average of all
LEAST_TOLERANCE = 0.005  # what compression makes of the thumbnails, where an image is hardly apart from the average
STEADY = 50  # images that say nothing, counted in the average: that of two images would be half of each
FLAT = 2.0  # grey levels of standard deviation; in less there is nothing to know an image by
CHUNK = 2**24  # correlations at a time, 64 MB; 10,000 images against 100,000 take seconds


def thumbnail_vectors(thumbnails: Sequence[bytes]) -> np.ndarray:
    """Return (M, 256) float32 of mean 0 and length 1; all 0, which correlates with none, for an image that is flat.

    Flat is also one that was not decoded, with an empty thumbnail.
    """
    size = THUMBNAIL_SIDE**2
    joined = b"".join(thumbnail if len(thumbnail) == size else bytes(size) for thumbnail in thumbnails)
    vectors = np.frombuffer(joined, np.uint8).reshape(-1, size).astype(np.float32)
    vectors -= vectors.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(lengths < FLAT * THUMBNAIL_SIDE, 0, vectors / np.maximum(lengths, 1))


def mirrored(vectors: np.ndarray) -> np.ndarray:
    """Return the vectors of the mirrored images."""
    return vectors.reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)[:, :, ::-1].reshape(len(vectors), -1)


def least_likeness(vectors: np.ndarray, average: np.ndarray) -> np.ndarray:
    """Return the least correlation of a near-duplicate, (M,); `average` is `average_of` all vectors."""
    return 1 - np.maximum(LEAST_TOLERANCE, TOLERANCE * ((vectors - average) ** 2).sum(axis=1))


def average_of(*parts: np.ndarray) -> np.ndarray:
    """Return the average of a dataset's vectors, (256,)."""
    return sum(part.sum(axis=0) for part in parts) / (sum(map(len, parts)) + STEADY)


def is_near_duplicate(likeness: np.ndarray, least: np.ndarray, other_least: np.ndarray) -> np.ndarray:
    """Check which pairs of images are nearly the same: the one rule, for a split and for the checks.

    Args:
        likeness: correlation of each pair; the arguments have shapes that go together.
        least, other_least: `least_likeness` of the two images of each pair. The lower one decides, so the order of the
            two does not.
    """
    return likeness >= np.minimum(least, other_least)


def near_duplicate_groups(thumbnails: Sequence[bytes], *, most: int) -> np.ndarray:
    """Return the number of each image's group, (M,) int64: those that are alike, also mirrored, share one.

    Likeness is passed on. A group of more than `most` says that the camera did not move, not that there are copies: its
    images get groups of their own again.
    """
    vectors = thumbnail_vectors(thumbnails)
    least = least_likeness(vectors, average_of(vectors))
    group = np.arange(len(vectors))
    rows = max(1, CHUNK // max(1, len(vectors)))
    for start in range(0, len(vectors), rows):
        chunk = vectors[start : start + rows]
        likeness = np.maximum(chunk @ vectors.T, mirrored(chunk) @ vectors.T)
        alike = is_near_duplicate(likeness, least[start : start + rows, None], least)
        alike[np.arange(len(chunk)), np.arange(start, start + len(chunk))] = False
        for row in np.flatnonzero(alike.any(axis=1)).tolist():
            joined = np.append(group[alike[row]], group[start + row])
            group[np.isin(group, joined)] = joined.min()
    sizes = np.bincount(group, minlength=len(group))
    return np.where(sizes[group] > most, np.arange(len(group)), group)
