"""The same picture several times: in both splits, where it makes the score false, or within one.

Pictures are compared by their looks, 16x16 grey pixels each, which the reader takes on the way. Brightness and contrast
are taken out of them: each becomes a vector of length 1 and mean 0, and two are compared by their product, the
correlation of the pictures. Two that are equal in all pixels are compared as files.

How close is close? Pictures of 640x480 that were compressed anew, resized, brightened by a third or cut by 2 %
correlate by 0.94 and more with their originals, those cut by 5 % by 0.90 to 0.98, and those cut by 10 % are not known
again. Distinct photographs correlate by 0.83 at most, microscope slides by 0.75. But where a camera stands still, or
all are X-rays, any two do by 0.9. So what counts is how much of what sets a picture apart from the average of the data
set is not in the other one.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from utils.findings import Finding
from utils.images import LOOK_SIDE
from utils.scan import Scan

TOLERANCE = 0.07  # of a picture's distance, squared, from the average of all
LEAST_TOLERANCE = 0.005  # what compression makes of the looks, where a picture is hardly apart from the average
STEADY = 50  # pictures that say nothing, counted in the average: that of two pictures would be half of each
FLAT = 2.0  # grey levels of standard deviation; in less there is nothing to know a picture by
CHUNK = 2**24  # correlations at a time, 64 MB; 10,000 pictures against 100,000 take seconds
NAMED = 3  # pictures of a group


def leaks(scans: Mapping[str, Scan], *, thorough: bool = True) -> dict[str, list[Finding]]:
    """What is there several times, as findings of "train" and "valid"; pairs across the splits stand with "valid".

    `thorough` also looks for like pictures within a split, which costs the square of their number.
    """
    looks = {split: _pixels(scan.looks) for split, scan in scans.items()}
    paths = {split: [a.image_path for a in scan.annotations] for split, scan in scans.items()}
    digests = _digests([*scans["train"].looks, *scans["valid"].looks], [*paths["train"], *paths["valid"]])
    digests = {"train": digests[: len(paths["train"])], "valid": digests[len(paths["train"]) :]}

    vectors = {split: _vectors(pixels) for split, pixels in looks.items()}
    count = sum(len(of_split) for of_split in vectors.values())
    average = sum(of_split.sum(axis=0) for of_split in vectors.values()) / (count + STEADY)
    least = {  # correlation from which on another picture is nearly the same
        split: 1 - np.maximum(LEAST_TOLERANCE, TOLERANCE * ((of_split - average) ** 2).sum(axis=1))
        for split, of_split in vectors.items()
    }
    found = {}
    for split in scans:
        copies = _copies(digests[split])
        found[split] = [_twice(group, paths[split], scans[split]) for group in copies]
        if thorough:
            again = {index for group in copies for index in group[1:]}
            single = np.array([i for i in range(len(paths[split])) if i not in again], int)
            groups = _like(vectors[split][single], least[split][single])
            found[split] += [_like_within(single[group].tolist(), paths[split]) for group in groups]
    found["valid"] += _across(vectors, least["valid"], digests, paths)
    return found


def _pixels(looks: Sequence[bytes]) -> np.ndarray:
    """(M, 256) uint8; a picture that was not decoded is flat."""
    size = LOOK_SIDE**2
    joined = b"".join(look if len(look) == size else bytes(size) for look in looks)
    return np.frombuffer(joined, np.uint8).reshape(-1, size)


def _vectors(pixels: np.ndarray) -> np.ndarray:
    """(M, 256) float32 of mean 0 and length 1, or all 0 for a flat picture, which correlates with none."""
    vectors = pixels.astype(np.float32)
    vectors -= vectors.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(lengths < FLAT * LOOK_SIDE, 0, vectors / np.maximum(lengths, 1))


def _mirrored(vectors: np.ndarray) -> np.ndarray:
    return vectors.reshape(-1, LOOK_SIDE, LOOK_SIDE)[:, :, ::-1].reshape(len(vectors), -1)


def _digests(looks: Sequence[bytes], paths: Sequence[Path]) -> list[bytes | None]:
    """The content's hash of each file that looks exactly like another; None for all others, which need not be read."""
    by_look = defaultdict(list)
    for index, look in enumerate(looks):
        by_look[look].append(index)
    digests: list[bytes | None] = [None] * len(looks)
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
    """Groups of equal files, each in rising order."""
    by_digest = defaultdict(list)
    for index, digest in enumerate(digests):
        if digest is not None:
            by_digest[digest].append(index)
    return [group for group in by_digest.values() if len(group) > 1]


def _like(vectors: np.ndarray, least: np.ndarray) -> list[list[int]]:
    """Groups of nearly the same pictures: each belongs to the most like one before it."""
    group_of = np.arange(len(vectors))
    rows = max(1, CHUNK // max(1, len(vectors)))
    for start in range(0, len(vectors), rows):
        stop = min(start + rows, len(vectors))
        likeness = vectors[start:stop] @ vectors[:stop].T
        likeness[np.arange(stop) >= np.arange(start, stop)[:, None]] = -1  # itself, and those after it
        best = likeness.argmax(axis=1)
        for row in np.flatnonzero(likeness[np.arange(stop - start), best] >= least[start:stop]).tolist():
            group_of[start + row] = group_of[best[row]]
    order = np.argsort(group_of, kind="stable")
    ends = np.flatnonzero(np.diff(group_of[order])) + 1
    return [group.tolist() for group in np.split(order, ends) if len(group) > 1]


def _across(vectors, least: np.ndarray, digests, paths) -> list[Finding]:
    """For each validation picture the training picture that it is, or is most like."""
    first = {digest: index for index, digest in reversed(list(enumerate(digests["train"]))) if digest is not None}
    train, valid = vectors["train"], vectors["valid"]
    rows, found = max(1, CHUNK // max(1, len(train))), []
    for start in range(0, len(valid), rows) if len(train) else ():
        chunk, own = valid[start : start + rows], np.arange(min(rows, len(valid) - start))
        best, likeness = {}, {}
        for way, compared in (("", chunk), ("the mirror image of ", _mirrored(chunk))):
            product = compared @ train.T
            best[way] = product.argmax(axis=1)
            likeness[way] = product[own, best[way]]
        for row in own.tolist():
            way = max(likeness, key=lambda way: likeness[way][row])
            path, same = paths["valid"][start + row], first.get(digests["valid"][start + row])
            if same is not None:
                other = paths["train"][same]
                name, other_name = _names([path, other])
                text = f"{name} is the same file as {other_name} in the training split"
                found.append(Finding("same-in-both", text, image=path, other=other))
            elif likeness[way][row] >= least[start + row]:
                other = paths["train"][best[way][row]]
                name, other_name = _names([path, other])
                text = f"{name} looks like {way}{other_name} in the training split (correlation "
                text += f"{likeness[way][row]:.3f})"
                found.append(Finding("like-in-both", text, image=path, other=other))
    return found


def _twice(group: list[int], paths: Sequence[Path], scan: Scan) -> Finding:
    boxes = [scan.annotations[index].boxes for index in group]
    differ = any(not np.array_equal(other, boxes[0]) for other in boxes[1:])
    text = _told(group, paths, "are one and the same picture") + ("; their boxes differ" if differ else "")
    return Finding("same-twice", text, image=paths[group[0]], other=paths[group[1]])


def _like_within(group: list[int], paths: Sequence[Path]) -> Finding:
    text = _told(group, paths, "look nearly the same")
    return Finding("like-within", text, image=paths[group[0]], other=paths[group[1]])


def _told(group: list[int], paths: Sequence[Path], what: str) -> str:
    names = _names([paths[index] for index in group])
    rest = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{rest} {what}"


def _names(paths: Sequence[Path]) -> list[str]:
    """The files' names, with their folders where two names are equal."""
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else [f"{path.parent.name}/{path.name}" for path in paths]
