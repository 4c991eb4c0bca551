"""Ids of images in the COCO files that are written: of the name alone, so that all files agree on them."""

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

ID_BYTES = 6  # below 2**53, which every JSON reader holds; 100,000 names share one with a chance of 2 in 100,000


def image_ids(names: Sequence[str]) -> list[int]:
    """Return an id from 1 on for each image's file name, relative and with "/", as it stands in `file_name`.

    The same name has the same id in every file, whatever other images are there: what was found in some images of a
    folder, in any order, belongs to the ground truth of all of them. A position would pair the wrong images in silence.
    """
    taken: dict[int, str] = {}
    for name in sorted(names):
        digest = hashlib.sha256(unicodedata.normalize("NFC", name).encode(errors="surrogateescape")).digest()
        number = int.from_bytes(digest[:ID_BYTES], "big") + 1
        while number in taken:  # two names that are two to the file system and one to Unicode, or pure chance
            number += 1
        taken[number] = name
    ids = {name: number for number, name in taken.items()}
    return [ids[name] for name in names]


def image_names(paths: Iterable[Path], folder: Path | None) -> list[str]:
    """Return what each image is called in COCO files: its path below `folder`, or its name where it is elsewhere.

    Where names alone would be the same, they are whole paths.
    """
    paths = list(paths)
    names = [
        (path.relative_to(folder) if folder and path.is_relative_to(folder) else Path(path.name)).as_posix()
        for path in paths
    ]
    return names if len(set(names)) == len(names) else [path.as_posix() for path in paths]
