"""Objects that are missed, by size, crowding, border and class, and wrong detections by confidence and kind."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from utils.evaluation.failures.error_kinds import CORRECT, KINDS, MISSED, ErrorKinds, ious_of_all
from utils.evaluation.matching import Matches
from utils.evaluation.packed import PackedDetections, PackedTruth
from utils.metrics import FEW_OBJECTS

SMALL, LARGE = 32.0**2, 96.0**2  # square pixels, COCO's
SIZE_NAMES = "small: below 32 × 32 px", "medium", "large: 96 × 96 px and more"
SIDES = 0.05, 0.15, 0.4  # square root of an object's area by that of its image
SIDE_NAMES = "below 5 % of its side", "5 to 15 %", "15 to 40 %", "40 % and more"
OVERLAPS = 0.1, 0.3  # highest IoU with another object
OVERLAP_NAMES = "overlaps no other object", "IoU below 0.1", "IoU 0.1 to 0.3", "IoU 0.3 and more"
BORDER = 0.005  # of the image's width or height: so near, an object touches the border
SCORE_EDGES = tuple(i / 10 for i in range(11))


@dataclass(frozen=True)
class MissRow:
    """The objects of one group, and how many of them no detection finds."""

    name: str
    objects: int
    missed: int

    @property
    def rate(self) -> float:
        """Return the share that is missed, 0 to 1; NaN without objects."""
        return self.missed / self.objects if self.objects else float("nan")


@dataclass(frozen=True)
class MissTable:
    """Objects sorted into groups by one property."""

    title: str
    rows: tuple[MissRow, ...]


def found_scores(truth: PackedTruth, matches: Matches, iou: float = 0.5) -> np.ndarray:
    """Return the score (N,) of the detection that finds each object at an IoU, -inf where none does.

    COCO's rule matches the best detections first, so at a threshold t exactly the objects of scores >= t are found.

    Raises:
        ValueError: `matches` are for other IoU thresholds.
    """
    at = np.flatnonzero(np.isclose(matches.iou_thresholds, iou))
    if not len(at):
        raise ValueError(f"matches: expected an IoU threshold of {iou}, found {matches.iou_thresholds.tolist()}")
    found = np.full(len(truth), -np.inf)
    for of_class in matches.classes:
        correct = of_class.correct[at[0]]
        found[of_class.truth_of[at[0], correct]] = of_class.scores[correct]
    return found


def misses(
    truth: PackedTruth, found: np.ndarray, threshold: float, *, sizes_wh: np.ndarray | None = None
) -> list[MissTable]:
    """Count the missed objects of each group at a confidence threshold; crowds are no objects.

    Args:
        found: (N,), of `found_scores`.
        sizes_wh: (num_images, 2), width and height in pixels; without them there are no relative sizes and borders.
    """
    objects = np.flatnonzero(~truth.crowd)
    missed = found[objects] < threshold
    boxes, areas, images = truth.boxes_xywh[objects], truth.areas[objects], truth.image_of[objects]

    def table(title: str, groups: np.ndarray, names: Sequence[str]) -> MissTable:
        counts = [(name, groups == i) for i, name in enumerate(names)]
        return MissTable(title, tuple(MissRow(n, int(m.sum()), int((m & missed).sum())) for n, m in counts))

    tables = [
        table("all objects", np.zeros(len(objects), np.int64), ["all"]),
        table("class", truth.labels[objects] - 1, truth.class_names[1:]),
        table("size", np.digitize(areas, (SMALL, LARGE)), SIZE_NAMES),
    ]
    if sizes_wh is not None:
        sizes = np.asarray(sizes_wh, np.float64)[images]
        sides = np.sqrt(boxes[:, 2] * boxes[:, 3] / sizes.prod(axis=1))
        tables.append(table("size in its image", np.digitize(sides, SIDES), SIDE_NAMES))
    tables.append(table("overlap with neighbours", _crowding(boxes, images), OVERLAP_NAMES))
    if sizes_wh is not None:
        margins = np.concatenate([boxes[:, :2], sizes - boxes[:, :2] - boxes[:, 2:]], axis=1)
        touching = np.any(margins <= BORDER * np.tile(sizes, 2), axis=1)
        tables.append(table("border", np.asarray(touching, np.int64), ["inside the image", "touches the border"]))
    return tables


def _crowding(boxes_xywh: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Return 0 for each object that overlaps no other one of its image, else from 1 on by its highest IoU."""
    groups = np.zeros(len(boxes_xywh), np.int64)
    order = np.argsort(images, kind="stable")
    starts = np.unique(images[order], return_index=True)[1]
    for rows in np.split(order, starts[1:]):
        if len(rows) > 1:
            ious = ious_of_all(boxes_xywh[rows], boxes_xywh[rows])
            np.fill_diagonal(ious, 0)
            highest = ious.max(axis=1)
            groups[rows] = np.where(highest > 0, 1 + np.digitize(highest, OVERLAPS), 0)
    return groups


def miss_sentences(tables: Sequence[MissTable], most: int = 3) -> list[str]:
    """Say in words which groups are missed clearly more often than the rest of the objects, the clearest first.

    A group counts from 20 objects on, and where its rate is more than two standard errors above that of the others.
    """
    found = []
    for table in tables:
        objects, missed = sum(r.objects for r in table.rows), sum(r.missed for r in table.rows)
        for row in table.rows:
            others = objects - row.objects
            if row.objects < FEW_OBJECTS or others < FEW_OBJECTS:
                continue
            rate, other_rate, pooled = row.rate, (missed - row.missed) / others, missed / objects
            error = sqrt(pooled * (1 - pooled) * (1 / row.objects + 1 / others))
            if error and rate - other_rate > 2 * error:
                text = (
                    f"{row.name} ({table.title}): {rate:.0%} of {row.objects:,} missed, {other_rate:.0%} of the others"
                )
                found.append(((rate - other_rate) / error, text))
    return [text for _, text in sorted(found, reverse=True)[:most]]


def wrong_by_score(errors: ErrorKinds, detections: PackedDetections) -> dict[str, list[int]]:
    """Count detections in ten ranges of the score, [0, 0.1) to [0.9, 1]: the "correct" ones, and each kind of error."""
    bins: np.ndarray = np.clip(np.digitize(detections.scores, SCORE_EDGES) - 1, 0, len(SCORE_EDGES) - 2)
    kinds = {"correct": CORRECT} | {kind: i for i, kind in enumerate(KINDS[:MISSED])}
    return {
        name: np.bincount(bins[errors.kind_of == kind], minlength=len(SCORE_EDGES) - 1).tolist()
        for name, kind in kinds.items()
    }
