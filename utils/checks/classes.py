"""Classes that cannot be learned or measured, and what no anchor reaches."""

from collections.abc import Mapping

import numpy as np

from utils.annotations.findings import Finding
from utils.checks.anchors import REACHED, TRIED_SIZES, Anchors, best_ious, network_boxes
from utils.checks.statistics import SplitStatistics
from utils.dataset.annotation_table import Objects
from utils.metrics import FEW_OBJECTS, is_few

RARE = 10  # times as many images show the most frequent class
AIM = 3  # --repeat-rare is meant to leave a third of that
UNREACHED = 0.1  # share of boxes; with the default model and size it was below 0.01 on every dataset we have
# Times as long as wide. Of all boxes of one shape, an anchor twice as long as wide overlaps best the one of its own
# area, with an IoU of s / (2 - s) where s is the root of the ratio of the two shapes: a half at s = 2/3.
SLIM = 4.5
LEAST_IMAGES = 3  # of a split
FEWEST = 10  # boxes from which a share is reported: of three boxes, one is no share


def class_findings(statistics: Mapping[str, SplitStatistics]) -> dict[str, list[Finding]]:
    """Find classes without objects, rare ones, and splits too small, by split."""
    train, val = statistics["train"], statistics["val"]
    found: dict[str, list[Finding]] = {split: [] for split in statistics}

    def add(split: str, check: str, text: str) -> None:
        found[split].append(Finding(check, text))

    for split, of_split in statistics.items():
        images, purpose = of_split.images, {"train": "train", "val": "validate", "test": "test"}[split]
        if 0 < images < LEAST_IMAGES:
            add(split, "few-images", f"{images} image{'s' if images > 1 else ''} to {purpose} on")
    if not train.objects:  # an error by itself; what would follow from it says nothing new
        return found
    for name, count in train.objects_of_class.items():
        in_val = val.objects_of_class[name]
        if not count and in_val:
            add("val", "class-only-val", f"{name}: {in_val} objects here and none to train on")
        elif not count:
            add("train", "class-unused", f"{name}: no object in either split")
        elif not in_val and val.objects:
            add("val", "class-not-validated", f"{name}: no object here, {count} in the training split")
    for name, count in val.objects_of_class.items():
        if is_few(count) and train.objects_of_class[name]:
            add(
                "val",
                "class-few-val",
                f"{name}: {count} object{'s' if count > 1 else ''} here, expected {FEW_OBJECTS} or more: one found or "
                f"missed moves its AP by {1 / count:.0%}",
            )
    if val.images and not val.objects:
        add("val", "class-not-validated", "no object of any class: AP is undefined, the last epoch will be the best")

    most = max(train.images_of_class, key=lambda name: train.images_of_class[name])
    for name, shown in train.images_of_class.items():
        if shown and shown * RARE <= train.images_of_class[most]:
            # As in batch_sampler: an image comes sqrt(SHARE / share of the images with its class) times.
            share = max(0.01, round(train.images_of_class[most] / train.images / AIM, 2))
            times = (share * train.images / shown) ** 0.5
            add(
                "train",
                "class-rare",
                f"{name} is on {shown} images, {most} on {train.images_of_class[most]}: --repeat-rare {share:g} shows "
                f"its images {times:.1f} times an epoch",
            )
    return found


def anchor_findings(
    objects: Objects, ious: np.ndarray, class_names: tuple[str, ...], anchors: Anchors, img_size: int
) -> list[Finding]:
    """Find shares of boxes that no anchor reaches: of all, or else of single classes."""
    groups = [("boxes", np.ones(len(ious), bool))]
    groups += [(f"{name} boxes", objects.labels == label) for label, name in enumerate(class_names) if label]
    seen = network_boxes(objects, img_size)
    sides_wh = seen[:, 2:] - seen[:, :2]
    sides, shapes = np.sqrt(sides_wh.prod(axis=1)), sides_wh.max(axis=1) / sides_wh.min(axis=1)
    found, tried = [], {}
    for called, of_group in groups:
        missed = of_group & (ious < REACHED)
        if missed.sum() < FEWEST or missed.sum() <= UNREACHED * of_group.sum():
            continue
        for size in TRIED_SIZES:
            if size not in tried:
                tried[size] = best_ious(objects, anchors, size) < REACHED
        shares = {size: float(tried[size][of_group].mean()) for size in TRIED_SIZES}
        share = f"{missed.sum() / of_group.sum():.0%} of the {called} ({missed.sum()} of {of_group.sum()})"
        measure = f"half of them measure {np.median(sides[missed]):.0f} px or less there"
        if slim := int((missed & (shapes > SLIM)).sum()):
            measure += f", and {slim} of these are more than {SLIM:g} times as long as wide, out of reach at any size"
        text = f"{share} at --img-size {img_size}; {measure}; {_advice(shares, img_size)}"
        found.append(Finding("unreached", text))
        if called == "boxes":  # which says it for the classes
            break
    return found


def _advice(shares: Mapping[int, float], img_size: int) -> str:
    """Return the size nearest to `img_size` that leaves few boxes out, or else what all sizes leave out."""
    enough = [size for size, share in shares.items() if share <= UNREACHED]
    if not enough:
        listed = ", ".join(f"{share:.0%} at {size}" for size, share in shares.items())
        return f"no --img-size brings it to {UNREACHED:.0%}: {listed}"
    size = min(enough, key=lambda size: abs(np.log(size / img_size)))
    return f"--img-size {size} leaves {shares[size]:.1%}"
