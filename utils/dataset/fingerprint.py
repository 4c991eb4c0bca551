"""Fingerprints of splits, small enough to keep, and the differences between two of them."""

import zlib
from collections.abc import Mapping, Sequence

from utils.annotations.annotation import Annotation

LISTED = 3  # names of a kind in a message


def fingerprint(annotations: Sequence[Annotation], class_names: Sequence[str]) -> dict[str, int]:
    """Name of each image -> checksum of its size, its boxes and their class names.

    Where the dataset lies and the order of CLASSES are not in it; the pixels are not, either. Images of one name in
    several folders share a checksum.
    """
    found: dict[str, int] = {}
    for annotation in annotations:
        name = annotation.image_path.name
        found[name] = _checksum(annotation, class_names, found.get(name, 0))
    return found


def _checksum(annotation: Annotation, class_names: Sequence[str], start: int) -> int:
    names = "\n".join(class_names[label] for label in annotation.labels)
    text = f"{annotation.width}x{annotation.height}\n{names}\n".encode(errors="surrogateescape")
    return zlib.crc32(annotation.boxes.astype("<f4").tobytes(), zlib.crc32(text, start))


def differences(before: Mapping[str, Mapping[str, int]], now: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return one line for each split, `{"train": fingerprint, ...}`, that has changed: counts and the first names."""
    lines = []
    for split, old in before.items():
        new = now[split]
        kinds = {
            "missing": [name for name in old if name not in new],
            "new": [name for name in new if name not in old],
            "changed": [name for name in old if name in new and old[name] != new[name]],
        }
        found = [f"{len(names)} {kind} ({_first(names)})" for kind, names in kinds.items() if names]
        if found:
            lines.append(f"{split} split: the run has {len(old)} images, here are {len(new)}: {', '.join(found)}")
    return lines


def _first(names: list[str]) -> str:
    return ", ".join(names[:LISTED]) + ", …" * (len(names) > LISTED)
