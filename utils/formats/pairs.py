"""Finds the pairs of images and annotations of a format."""

from functools import partial
from pathlib import Path

from utils.annotations.annotation import Findings
from utils.annotations.labels import Pair
from utils.errors import DatasetError
from utils.formats.format import Format, Found, ReadOptions
from utils.pairing.file_tree import list_tree
from utils.pairing.paired import Pairing
from utils.pairing.pairing import pair_files, pair_names

MAX_ORPHANS = 3  # files of no image that are read to say why, where no image has any


def find_pairs(own: Format, scan: Findings, images_dir: Path, labels_path: Path, options: ReadOptions) -> Found:
    """Return the pairs of a folder's images and their annotations; faults are findings of `scan`.

    Raises DatasetError where a folder cannot be listed, or the file of a whole split not be read.
    """
    if own.find_pairs:
        return own.find_pairs(scan, images_dir, labels_path, options)
    paired = pair_labels(own, scan, images_dir, labels_path, options)
    if own.read_pairs:
        return own.read_pairs(scan, paired, images_dir, labels_path, options)
    for path in paired.unlabelled:
        scan.add("unlabelled", paired.name(path), image=path)
    for path in paired.orphaned:
        scan.add("orphaned", paired.name(path))
    read = own.read_file
    if read is None:
        raise TypeError(f"{own.name}: expected a format with read_file, read_pairs or find_pairs")
    for path in paired.orphaned[:MAX_ORPHANS] if not paired.pairs else ():  # such as CVAT's one XML for all images
        try:
            read(path, options)
        except DatasetError as error:
            scan.add("annotation-unreadable", str(error))
    return Found([Pair(image, path, paired.name(path), partial(read, path, options)) for image, path in paired.pairs])


def pair_labels(own: Format, scan: Findings, images_dir: Path, labels_dir: Path, options: ReadOptions) -> Pairing:
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
