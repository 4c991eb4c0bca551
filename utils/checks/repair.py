"""Writes a copy of a dataset without the faults that can be fixed without a look at the images."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from utils.annotations.annotation import Annotation, equal_annotations
from utils.annotations.findings import CHECKS
from utils.annotations.scan_result import Scan, format_findings
from utils.checks.boxes import same_boxes
from utils.config.dataset_config import DatasetConfig
from utils.dataset.scan import scan_splits
from utils.dataset.writer import write_dataset
from utils.errors import DatasetError
from utils.files import write_text_atomically
from utils.formats.formats import FORMATS

REPORT = "repairs.txt"
EQUAL_BOX = 0.97  # IoU; of what is merely much alike, one may be an object of its own

# What reading alone has fixed in the annotations that are written, what is wrong there still, and what is not there.
FIXED = ("box-clipped", "rotated", "box-rotated")
NOT_FIXED = ("size-mismatch", "exif-unclear")
LEFT_OUT = (
    *(name for name, check in CHECKS.items() if check.of_a_file),
    "unlabelled", "orphaned", "no-box-left", "box-dropped", "crowd", "deleted", "ignored",
)  # fmt: skip


def repair(config: DatasetConfig, scans: Mapping[str, Scan], out_dir: Path, *, progress: bool = True) -> list[str]:
    """Write the dataset to `out_dir`, in its own format, and return lines that name each difference.

    Classes that differ from a known one in case, spaces, hyphens or underscores alone get its name. Boxes are cut at
    the image's border, and left out where nothing is left or where the image has the same one already. Files that
    cannot be read or paired are left out; so are images that show objects and have no box left, and further copies of
    an image, if their boxes are equal: in its split, and of what two splits have, in the one that is learned from.
    The images are copied byte for byte. The lines stand in `repairs.txt`, too.

    Raises:
        ToolkitError: the folder is not empty, or the disk has too little room; DatasetError where no image is left,
            or where the meaning of the labels' class numbers is unknown.
    """
    unusable = [
        f"{split}: {finding.text}"
        for split, scan in scans.items()
        for check in ("box-layout", "class-numbers")
        for finding in scan.of(check)
    ]
    if unusable:
        raise DatasetError("\n".join([f"{config.path}: cannot be fixed: no copy is written", *unusable]))
    lines = []
    meant = dict(f.meant for scan in scans.values() for f in scan.of("unknown-class") if f.meant)
    if meant:
        lines += [f"renamed: {old} to {new}" for old, new in sorted(meant.items())]
        config = replace(config, renamed={**config.renamed, **meant})
        scans = scan_splits(config, tuple(scans), skip_bad=True, progress=progress)
    for split, scan in scans.items():
        lines += [
            f"{split}: fixed: {line}"
            for check in FIXED
            for line in format_findings(scan.of(check), files=len(scan.findings))
        ]
        lines += [f"{split}: not fixed: {line}" for check in NOT_FIXED for line in format_findings(scan.of(check))]
        lines += [f"{split}: left out: {line}" for check in LEFT_OUT for line in format_findings(scan.of(check))]
    annotations = {
        split: [_single(annotation, split, lines) for annotation in scan.annotations] for split, scan in scans.items()
    }
    annotations = _without_copies(annotations, lines, progress)
    if empty := [split for split, kept in annotations.items() if not kept]:
        raise DatasetError(f"{config.path}: nothing is left of the {' and the '.join(empty)} split: no copy is written")
    every = [annotation for part in annotations.values() for annotation in part]
    lines += [f"note: {line}" for line in FORMATS[config.annotation_format].notes(every)]
    path = write_dataset(
        out_dir,
        annotations,
        config.class_names,
        config.annotation_format,
        source=config.source,
        pixel_range=config.pixel_range,
        progress=progress,
    )
    write_text_atomically(path.parent / REPORT, "".join(f"{line}\n" for line in lines))
    return [*lines, f"the repaired copy: {path}"]


def _single(annotation: Annotation, split: str, lines: list[str]) -> Annotation:
    """Return the annotation without boxes that are there twice."""
    again = [index for index, _ in same_boxes(annotation.boxes, annotation.labels, least=EQUAL_BOX)]
    if not again:
        return annotation
    lines.append(f"{split}: fixed: {annotation.image_path.name}: {len(again)} boxes that were there twice")
    kept = np.setdiff1d(np.arange(len(annotation.labels)), again)
    return replace(
        annotation,
        boxes=annotation.boxes[kept],
        labels=annotation.labels[kept],
        difficult=annotation.difficult[kept],
    )


def _without_copies(
    annotations: Mapping[str, Sequence[Annotation]], lines: list[str], progress: bool
) -> dict[str, list[Annotation]]:
    """Leave out further copies of an image whose boxes are equal; what two splits have stays with the later one."""
    kept: dict[str, list[Annotation]] = {split: [] for split in annotations}
    first: dict[bytes, tuple[str, Annotation]] = {}
    order = list(annotations)[::-1]  # test, val, train: what two have is not learned from
    total = sum(map(len, annotations.values()))
    with tqdm(
        total=total, desc="Comparing", unit="image", dynamic_ncols=True, disable=None if progress else True
    ) as bar:
        for split in order:
            for annotation in annotations[split]:
                digest = hashlib.blake2b(annotation.image_path.read_bytes()).digest()
                there = first.setdefault(digest, (split, annotation))
                bar.update()
                if there[1] is annotation or not equal_annotations(there[1], annotation):
                    kept[split].append(annotation)
                else:
                    name, other = annotation.image_path.name, there[1].image_path.name
                    lines.append(f"{split}: left out: {name} is the same file as {other} in the {there[0]} split")
    return {split: kept[split] for split in annotations}
