"""Pairs of the formats that have an annotation file for each image."""

from collections.abc import Callable
from pathlib import Path

from utils.annotations.annotation import Scan
from utils.annotations.labels import Labels, Pair
from utils.formats.format import Format, ReadOptions
from utils.pairing.file_tree import list_tree
from utils.pairing.pairing import Pairing, pair_files, pair_names


def find_label_pairs(
    own: Format,
    scan: Scan,
    images_dir: Path,
    labels_dir: Path,
    options: ReadOptions,
    read_file: Callable[[Path], Labels],
) -> list[Pair]:
    """Return the pairs of a format whose images all have a file; those without, and files without image, are findings.

    `read_file` returns the objects of one file; it raises DatasetError naming the file and its faults.
    """
    paired = pair_labels(own, scan, images_dir, labels_dir, options)
    for path in paired.unlabelled:
        scan.add("unlabelled", paired.name(path), image=path)
    for path in paired.orphaned:
        scan.add("orphaned", paired.name(path))
    return [label_pair(image, path, paired.name(path), read_file) for image, path in paired.pairs]


def label_pair(image: Path, path: Path, name: str, read_file: Callable[[Path], Labels]) -> Pair:
    """Return the pair of an image and its own file."""
    return Pair(image, path, name, lambda: read_file(path))


def pair_labels(own: Format, scan: Scan, images_dir: Path, labels_dir: Path, options: ReadOptions) -> Pairing:
    """Pair by `pair_files`. Images that only have a file of another format are findings, and none of `unlabelled`."""
    paired = pair_files(
        scan,
        images_dir,
        labels_dir,
        own.is_label,
        kind=own.kind,
        stems=options.stems,
        skip=options.skip,
        is_other=own.is_other,
    )
    files = list_tree(labels_dir, skip=options.skip).files if paired.unlabelled else []
    reported = set()
    for other in options.others:
        if other is own or not other.one_file_per_image:
            continue
        labels = [(name, path) for name, path in files if other.is_label(path)]
        images = [(paired.name(path), path) for path in paired.unlabelled]
        for image, label in pair_names(images, labels, other.is_other) if labels else ():
            if other.holds(label):
                subject = f"{other.title} where the others have {own.title}"
                text = f"{paired.name(image)}: has {label.name}: {subject}"
                scan.add("mixed-formats", text, subject=subject, image=image)
                reported.add(image)
    paired.unlabelled = [image for image in paired.unlabelled if image not in reported]
    return paired
