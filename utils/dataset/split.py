"""One folder of images split in parts: every class in each of them, and what belongs together in one."""

import hashlib
import re
from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np

from utils.errors import ConfigError
from utils.images.similarity import near_duplicate_groups
from utils.pairing.file_tree import folder_of, names_below, stem_of

LARGEST_GROUP = 0.05  # of all images; more that look alike are one scene, which training and validation may share
# Names whose images belong together though nobody said so: frames of one video ("walk_frame_012", "walk-frame12"), and
# the augmented copies that Roboflow exports ("photo_jpg.rf.1a2b3c").
FRAMES = r"(.*?)(?:[ _.-]?frame[ _.-]?\d+)"
COPIES = r"(.+?)(?:\.rf\.\w+)"


def groups_of(paths: Sequence[Path], thumbnails: Sequence[bytes], pattern: str | None = None) -> list[str]:
    """Return the group of each image: those of one group, by their names or by what they look like, stay together.

    Args:
        thumbnails: of the images, as a Scan has them. pattern: as in `group_names`.
    """
    alike = near_duplicate_groups(thumbnails, most=max(10, round(LARGEST_GROUP * len(paths))))
    return joined_groups(group_names(paths, pattern), alike.tolist())


def group_names(paths: Sequence[Path], pattern: str | None = None) -> list[str]:
    """Return for each image the group that it must stay with.

    Args:
        pattern: a regular expression for the whole name without extension, or else for the path below the folder that
            all images are in; its first group, or the match itself, names the group. Where it does not match, an image
            is a group of its own. None takes what `FRAMES` finds, in one folder, and `COPIES`, in all of them.

    Raises:
        ConfigError: the pattern is no regular expression.
    """
    try:
        compiled = re.compile(pattern if pattern is not None else "")
    except re.error as error:
        raise ConfigError(f"--split-groups {pattern!r}: not a regular expression: {error}") from error
    groups = []
    for name in names_below(paths):
        stem = stem_of(name)
        folder, last, group = folder_of(stem), stem.rpartition("/")[2], None
        if pattern is not None:
            match = compiled.fullmatch(last) or compiled.fullmatch(stem)
            group = match[1 if compiled.groups else 0] if match else None
        elif match := re.fullmatch(COPIES, last):
            group = match[1]
        elif (match := re.fullmatch(FRAMES, last)) and (folder or match[1]):
            group = f"{folder}/{match[1]}" if folder else match[1]
        groups.append(name if group is None else f"group {group}")
    return groups


def joined_groups(names: Sequence[str], others: Sequence[Hashable]) -> list[str]:
    """Return the groups of images that share a name or an entry of `others`, or are linked by images that do."""
    first: dict[Hashable, int] = {}
    parent = list(range(len(names)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = index = parent[parent[index]]
        return index

    for index, keys in enumerate(zip(names, others, strict=True)):
        for kind, key in enumerate(keys):
            parent[root(index)] = root(first.setdefault((kind, key), index))
    called: dict[int, str] = {}  # a group by the first of its names, whatever the order of the images
    for index, name in enumerate(names):
        called[root(index)] = min(name, called.get(root(index), name))
    return [called[root(index)] for index in range(len(names))]


def deal(labels: Sequence[np.ndarray], groups: Sequence[str], shares: Sequence[float]) -> np.ndarray:
    """Deal images out to parts, (M,) int64: 0 for training, and 1 on for those held out, about `shares` of all.

    Iterative stratification (Sechidis et al. 2011, On the Stratification of Multi-Label Data), with groups in place of
    examples and a class counted by the images that show it: the class with the fewest images left is dealt out first,
    each of its groups to the part that lacks most of that class. Images without objects are dealt out like a class.

    The result depends on the groups' names, their classes and `shares` alone, not on the order of the images.

    Args:
        labels: for each image (N,) int, its objects' classes, from 1.
        groups: for each image the name of its group.
        shares: of each part that is held out; above 0, and below 1 together.
    """
    names, group_of = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    classes = int(max((of_image.max(initial=0) for of_image in labels), default=0)) + 1
    shows = np.zeros((len(names), classes))  # images of a group that show a class; class 0: none at all
    for group, of_image in zip(group_of, labels, strict=True):
        shows[group, np.unique(of_image) if len(of_image) else 0] += 1
    images = np.bincount(group_of, minlength=len(names)).astype(float)
    # Larger groups first, while there is still room for them; among equals an order that no name's pattern decides.
    order = sorted(range(len(names)), key=lambda group: (-images[group], _drawn(str(names[group]))))
    of_parts = np.array([1 - sum(shares), *shares])
    lacks = shows.sum(axis=0) * of_parts[:, None]  # (parts, classes)
    room = images.sum() * of_parts
    part = np.full(len(names), -1)
    while (part < 0).any():
        left = shows[part < 0].sum(axis=0)
        rarest = np.flatnonzero(left > 0)[left[left > 0].argmin()]
        for group in order:
            if part[group] >= 0 or not shows[group, rarest]:
                continue
            to = max(range(len(of_parts)), key=lambda p: (lacks[p, rarest], room[p]))
            part[group] = to
            lacks[to] -= shows[group]
            room[to] -= images[group]
    for empty in range(len(of_parts)):  # a handful of images
        if len(names) >= len(of_parts) and not (part == empty).any():
            sizes = np.bincount(part, minlength=len(of_parts))
            part[next(group for group in reversed(order) if sizes[part[group]] > 1)] = empty
    return part[group_of]


def _drawn(name: str) -> bytes:
    return hashlib.blake2b(name.encode("utf-8", "surrogateescape")).digest()
