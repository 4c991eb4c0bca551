"""Reading a split in whatever format its configuration names. A further format is one `read_x` and its `READERS` row.

A reader takes `(images_dir, labels_dir, class_names, *, stems, one_based, skip_bad, progress)` and returns a `Scan`.
"""

import codecs
from pathlib import Path

from utils.errors import DatasetError
from utils.scan import Annotation, Scan
from utils.voc import read_voc

__all__ = ["READERS", "Annotation", "Scan", "raise_for_errors", "read_split_list", "scan_split"]

READERS = {"voc": read_voc}


def scan_split(config, split: str, *, skip_bad: bool = False, progress: bool = True) -> Scan:
    """Read the "train" or "valid" split of a `utils.config.DatasetConfig`; every image is proved to be readable.

    Faults of single files stand in `Scan.errors`, or with `skip_bad` in `Scan.skipped`. A split without a usable image
    and a training split without an object are errors in either case. Raises DatasetError where the split as a whole
    cannot be read: a folder or list file that is missing.
    """
    if split not in ("train", "valid"):
        raise ValueError(f"expected the split 'train' or 'valid', got {split!r}")
    images_dir, labels_dir = getattr(config, f"{split}_images_dir"), getattr(config, f"{split}_labels_dir")
    list_path = getattr(config, f"{split}_list")
    scan = READERS[config.annotation_format](
        images_dir,
        labels_dir,
        config.class_names,
        stems=read_split_list(list_path) if list_path else None,
        one_based=config.one_based,
        skip_bad=skip_bad,
        progress=progress,
    )
    found = (
        f"{len(scan.unlabelled)} images without annotation file, {len(scan.orphaned)} annotation files without image, "
        f"{len(scan.errors) + len(scan.skipped)} bad files, {len(scan.dropped)} boxes dropped"
    )
    if not scan.annotations:
        listed = f"; {list_path} lists what counts" if list_path else ""
        scan.errors.append(
            f"{images_dir}: no usable image for the {split} split: {found}{listed}; the images folder holds "
            f"{first_entries(images_dir)}, the labels folder {labels_dir} holds {first_entries(labels_dir)}"
        )
    elif split == "train" and not any(len(a.labels) for a in scan.annotations):
        scan.errors.append(
            f"{labels_dir}: not one object to train on: {len(scan.annotations)} images, all without objects; {found}"
        )
    return scan


def raise_for_errors(scans: dict[str, Scan]) -> None:
    """Raise one DatasetError with all errors of all the splits, `{"train": Scan, ...}`, if there are any."""
    count = sum(len(scan.errors) for scan in scans.values())
    if not count:
        return
    lines = [f"the data set has {count} error{'s' if count > 1 else ''}:"]
    for split, scan in scans.items():
        lines += [f"  {split}: {error}" for error in scan.errors]
    lines.append("Mend or remove these files; --skip-bad trains without them.")
    raise DatasetError("\n".join(lines))


def read_split_list(path: Path) -> list[str]:
    """The lines of a split list (ImageSets/Main/train.txt) that are not blank; UTF-8 or UTF-16 with a BOM."""
    try:
        data = path.read_bytes()
        utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = data.decode("utf-16" if utf16 else "utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise DatasetError(f"{path}: expected a text file with one image name per line: {error}") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def first_entries(folder: Path, limit: int = 5) -> str:
    """The first few names in a folder, for a message."""
    try:
        names = sorted(entry.name + "/" * entry.is_dir() for entry in folder.iterdir())
    except OSError as error:
        return f"what cannot be listed ({error.strerror or error})"
    return ", ".join(names[:limit]) + ", …" * (len(names) > limit) if names else "nothing"
