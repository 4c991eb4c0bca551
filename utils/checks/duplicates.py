"""Finds the same image several times: in two splits, where it makes the score false, or within one.

Images are compared by their thumbnails, see `similarity`; two of equal thumbnails, as files.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations, islice
from pathlib import Path

import numpy as np

from utils.annotations.findings import Finding
from utils.annotations.scan_result import Scan
from utils.images.similarity import CHUNK, average_of, is_near_duplicate, least_likeness, mirrored, thumbnail_vectors

NAMED = 3  # images of a group
CALLED = {"train": "training", "val": "validation"}


def duplicates(scans: Mapping[str, Scan], *, thorough: bool = True) -> dict[str, list[Finding]]:
    """Find what is there several times, by split; pairs across two splits stand with the later one.

    `thorough` also finds like images within a split, which costs the square of their number.
    """
    paths = {split: [a.image_path for a in scan.annotations] for split, scan in scans.items()}
    thumbnails = [thumbnail for scan in scans.values() for thumbnail in scan.thumbnails]
    every = iter(_digests(thumbnails, [path for of_split in paths.values() for path in of_split]))
    digests = {split: list(islice(every, len(of_split))) for split, of_split in paths.items()}

    vectors = {split: thumbnail_vectors(scan.thumbnails) for split, scan in scans.items()}
    average = average_of(*vectors.values())
    least = {split: least_likeness(of_split, average) for split, of_split in vectors.items()}
    found = {}
    for split in scans:
        copies = _copies(digests[split])
        found[split] = [_twice(group, paths[split], scans[split]) for group in copies]
        if thorough:
            again = {index for group in copies for index in group[1:]}
            single = np.array([i for i in range(len(paths[split])) if i not in again], int)
            groups = _like(vectors[split][single], least[split][single])
            found[split] += [_like_within(single[group].tolist(), paths[split]) for group in groups]
    for other, split in combinations(scans, 2):
        found[split] += _across(split, other, vectors, least, digests, paths)
    return found


def _digests(thumbnails: Sequence[bytes], paths: Sequence[Path]) -> list[bytes | None]:
    """Return the hash of each file whose thumbnail another has, too; None for all others, which need not be read."""
    by_look = defaultdict(list)
    for index, look in enumerate(thumbnails):
        by_look[look].append(index)
    digests: list[bytes | None] = [None] * len(thumbnails)
    for index in (i for group in by_look.values() if len(group) > 1 for i in group):
        digest = hashlib.blake2b()
        try:
            with paths[index].open("rb") as file:
                while block := file.read(2**20):
                    digest.update(block)
        except OSError:  # gone since it was read
            continue
        digests[index] = digest.digest()
    return digests


def _copies(digests: Sequence[bytes | None]) -> list[list[int]]:
    """Find groups of equal files, each in rising order."""
    by_digest = defaultdict(list)
    for index, digest in enumerate(digests):
        if digest is not None:
            by_digest[digest].append(index)
    return [group for group in by_digest.values() if len(group) > 1]


def _like(vectors: np.ndarray, least: np.ndarray) -> list[list[int]]:
    """Find groups of nearly the same images: each belongs to the most like one before it."""
    group_of = np.arange(len(vectors))
    rows = max(1, CHUNK // max(1, len(vectors)))
    for start in range(0, len(vectors), rows):
        stop = min(start + rows, len(vectors))
        likeness = vectors[start:stop] @ vectors[:stop].T
        likeness[np.arange(stop) >= np.arange(start, stop)[:, None]] = -1  # itself, and those after it
        likeness[~is_near_duplicate(likeness, least[start:stop, None], least[:stop])] = -1
        best = likeness.argmax(axis=1)
        for row in np.flatnonzero(likeness[np.arange(stop - start), best] > -1).tolist():
            group_of[start + row] = group_of[best[row]]
    order = np.argsort(group_of, kind="stable")
    ends = np.flatnonzero(np.diff(group_of[order])) + 1
    return [group.tolist() for group in np.split(order, ends) if len(group) > 1]


def _across(
    split: str,
    other_split: str,
    vectors: Mapping[str, np.ndarray],
    least: Mapping[str, np.ndarray],
    digests: Mapping[str, Sequence[bytes | None]],
    paths: Mapping[str, Sequence[Path]],
) -> list[Finding]:
    """Find for each image of a split the image of another that it is, or is most like."""
    first = {digest: index for index, digest in reversed(list(enumerate(digests[other_split]))) if digest is not None}
    there, here, place = vectors[other_split], vectors[split], f"in the {CALLED[other_split]} split"
    rows, found = max(1, CHUNK // max(1, len(there))), []
    for start in range(0, len(here), rows) if len(there) else ():
        chunk, own = here[start : start + rows], np.arange(min(rows, len(here) - start))
        best, likeness = {}, {}
        for way, compared in (("", chunk), ("the mirror image of ", mirrored(chunk))):
            product = compared @ there.T
            product[~is_near_duplicate(product, least[split][start : start + rows, None], least[other_split])] = -1
            best[way] = product.argmax(axis=1)
            likeness[way] = product[own, best[way]]
        for row in own.tolist():
            way = max(likeness, key=lambda way: likeness[way][row])
            path, digest = paths[split][start + row], digests[split][start + row]
            same = first.get(digest) if digest is not None else None
            if same is not None:
                other = paths[other_split][same]
                name, other_name = _names([path, other])
                text = f"{name} is the same file as {other_name} {place}"
                found.append(Finding("same-in-both", text, image=path, other=other))
            elif likeness[way][row] > -1:
                other = paths[other_split][best[way][row]]
                name, other_name = _names([path, other])
                text = f"{name} looks like {way}{other_name} {place} (correlation {likeness[way][row]:.3f})"
                found.append(Finding("like-in-both", text, image=path, other=other))
    return found


def _twice(group: list[int], paths: Sequence[Path], scan: Scan) -> Finding:
    boxes = [scan.annotations[index].boxes for index in group]
    differ = any(not np.array_equal(other, boxes[0]) for other in boxes[1:])
    text = _group_text(group, paths, "are one and the same image") + ("; their boxes differ" if differ else "")
    return Finding("same-twice", text, image=paths[group[0]], other=paths[group[1]])


def _like_within(group: list[int], paths: Sequence[Path]) -> Finding:
    text = _group_text(group, paths, "look nearly the same")
    return Finding("like-within", text, image=paths[group[0]], other=paths[group[1]])


def _group_text(group: list[int], paths: Sequence[Path], what: str) -> str:
    names = _names([paths[index] for index in group])
    rest = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{rest} {what}"


def _names(paths: Sequence[Path]) -> list[str]:
    """Return the files' names, with their folders where two names are equal."""
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else [f"{path.parent.name}/{path.name}" for path in paths]
