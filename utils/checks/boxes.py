"""Boxes that were probably not meant: drawn twice, around everything, too small to be seen."""

import numpy as np

from utils.annotations.boxes import box_area, box_iou
from utils.annotations.findings import Finding
from utils.checks.anchors import network_boxes
from utils.dataset.annotation_table import Objects

SAME_BOX = 0.9  # IoU. Two people seldom draw one object so much alike; two objects do not lie so, even in a crowd
COVERING = 0.95  # share of the image. Below, a close-up is more likely than a slip, and above it is not ruled out
# Pixels at the network's scale: one cell of the finest feature map that a model here has. A box with a shorter side is
# pooled from between two samples; most are slips of the mouse.
SMALLEST_SIDE = 4


def box_findings(objects: Objects, class_names: tuple[str, ...], img_size: int) -> list[Finding]:
    """Find duplicates, boxes of two classes, boxes that cover their image, and tiny boxes."""
    found = []

    def add(check: str, index: int, text: str, *others: int) -> None:
        image = objects.annotations[objects.image_of[index]].image_path
        boxes = tuple(tuple(objects.boxes[i].tolist()) for i in (index, *others))
        found.append(Finding(check, f"{image.name}: {named(index)} {text}", image=image, boxes=boxes))

    def named(index: int) -> str:
        box = ", ".join(f"{value:g}" for value in objects.boxes[index].round(1))
        return f"{class_names[objects.labels[index]]} ({box})"

    repeats = same_boxes(objects.boxes, objects.image_of * len(class_names) + objects.labels)
    for index, first in repeats:
        add("box-twice", index, f"is there twice: {named(first)}", first)
    single = np.setdiff1d(np.arange(len(objects.labels)), [index for index, _ in repeats])
    for index, first in same_boxes(objects.boxes[single], objects.image_of[single]):
        index, first = int(single[index]), int(single[first])  # of different classes, or one would not be here
        add("box-two-classes", index, f"is the same box as {named(first)}", first)

    areas = box_area(objects.boxes)
    covered = areas / objects.sizes_wh.prod(axis=1)[objects.image_of]
    for index in np.flatnonzero(covered >= COVERING).tolist():
        add("box-covers-image", index, f"covers {covered[index]:.0%} of the image")

    seen = network_boxes(objects, img_size)
    sides = seen[:, 2:] - seen[:, :2]
    for index in np.flatnonzero((sides < SMALLEST_SIDE).any(axis=1)).tolist():
        width, height = sides[index]
        add("box-tiny", index, f"is {width:.1f}x{height:.1f} pixels to the network at --img-size {img_size}")
    return found


def same_boxes(boxes: np.ndarray, groups: np.ndarray, *, least: float = SAME_BOX) -> list[tuple[int, int]]:
    """Find boxes that repeat another of their group: (index, that of the other), each index once, in rising order.

    Boxes with an IoU of t differ at their left sides by at most 1 - t of the left one's width. So each box, in the
    order of those sides, meets only the next few: thousands of boxes in one image need no table of all pairs.

    Args:
        boxes: (N, 4) xyxy with an area.
        groups: (N,) int; only boxes of the same group are compared.
        least: IoU.
    """
    order = np.lexsort((boxes[:, 0], groups))
    boxes, groups = boxes[order], groups[order]
    left = boxes[:, 0]
    reach = left + (1 - least) * (boxes[:, 2] - left)
    partner = np.full(len(boxes), -1)
    active, step = np.arange(len(boxes)), 1
    while len(active := active[active < len(boxes) - step]):
        other = active + step
        near = (groups[other] == groups[active]) & (left[other] <= reach[active])
        active, other = active[near], other[near]
        fresh = (box_iou(boxes[active], boxes[other]) >= least) & (partner[other] < 0)
        partner[other[fresh]] = active[fresh]
        # A box that repeats another need not be compared any further: a pile of a thousand is reported a thousand
        # times, not half a million.
        active = active[partner[active] < 0]
        step += 1
    found = np.flatnonzero(partner >= 0)
    return sorted(zip(order[found].tolist(), order[partner[found]].tolist(), strict=True))
