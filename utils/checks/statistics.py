"""Counts and measures what a split holds."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from utils.checks.anchors import REACHED, network_boxes
from utils.dataset.annotation_table import Objects


@dataclass(frozen=True)
class Histogram:
    """The number of values in each bin: `counts[i]` of them are in `edges[i] <= value < edges[i + 1]`.

    The last bin includes its upper edge.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class SplitStatistics:
    """The numbers of a split. Boxes are measured as the network sees them, at the diagnosis's `img_size`.

    | field | meaning |
    |---|---|
    | negatives | images without objects |
    | objects_of_class, images_of_class | by class name, in the order of CLASSES, zeros included |
    | image_sizes | "640x480" (width x height) -> images, the most frequent first |
    | objects_per_image | bins of whole numbers |
    | box_sides | square root of the area, pixels |
    | box_aspects | height / width |
    | anchor_ious | for each box the highest IoU that any anchor reaches |
    | unreached, unreached_of_class | share of boxes that no anchor reaches IoU 0.5 with; NaN without boxes |
    """

    images: int
    negatives: int
    objects: int
    difficult: int
    objects_of_class: dict[str, int]
    images_of_class: dict[str, int]
    image_sizes: dict[str, int]
    objects_per_image: Histogram
    box_sides: Histogram
    box_aspects: Histogram
    anchor_ious: Histogram
    unreached: float
    unreached_of_class: dict[str, float]


MOST_BINS = 20  # of objects per image


def split_statistics(
    objects: Objects, ious: np.ndarray, class_names: tuple[str, ...], img_size: int
) -> SplitStatistics:
    """Return the statistics of one split; `ious` (N,) are the highest that any anchor reaches with each box."""
    per_image = np.bincount(objects.image_of, minlength=len(objects.annotations))
    widths, heights = _sides(network_boxes(objects, img_size))
    count, known = len(class_names), class_names[1:]
    of_class = np.bincount(objects.labels, minlength=count)
    unreached = np.bincount(objects.labels[ious < REACHED], minlength=count)
    sizes = Counter(f"{width}x{height}" for width, height in objects.sizes_wh.tolist())
    return SplitStatistics(
        images=len(objects.annotations),
        negatives=int((per_image == 0).sum()),
        objects=len(objects.labels),
        difficult=sum(int(a.difficult.sum()) for a in objects.annotations),
        objects_of_class=dict(zip(known, of_class[1:].tolist(), strict=True)),
        images_of_class=dict(zip(known, objects.images_of_class(count)[1:].tolist(), strict=True)),
        image_sizes=dict(sizes.most_common()),
        objects_per_image=_whole_numbers(per_image),
        box_sides=_octaves(np.sqrt(widths * heights), 4, 512),
        box_aspects=_octaves(heights / widths, 1 / 4, 4),
        anchor_ious=_histogram(ious, np.round(np.linspace(0, 1, 21), 2)),
        unreached=_share(unreached.sum(), of_class.sum()),
        unreached_of_class={
            name: _share(missed, all_of)
            for name, missed, all_of in zip(known, unreached[1:], of_class[1:], strict=True)
        },
    )


def _sides(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]


def _share(part: int, whole: int) -> float:
    return float(part / whole) if whole else float("nan")


def _whole_numbers(values: np.ndarray) -> Histogram:
    most = int(values.max(initial=0))
    width = -(-(most + 1) // MOST_BINS)
    return _histogram(values, np.arange(0, most + width + 1, width))


def _octaves(values: np.ndarray, low: float, high: float) -> Histogram:
    """Count in two bins to an octave, from `low` to `high` at least and to where the values reach."""
    ends = np.log2([min(low, values.min(initial=low)), max(high, values.max(initial=high))])
    first, last = int(np.floor(2 * ends[0])), int(np.ceil(2 * ends[1]))
    return _histogram(values, 2.0 ** (np.arange(first, last + 1) / 2))


def _histogram(values: np.ndarray, edges: np.ndarray) -> Histogram:
    counts, _ = np.histogram(values, edges)
    return Histogram(tuple(edges.tolist()), tuple(counts.tolist()))
