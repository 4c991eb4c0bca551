"""The parts of a report that say which data it is about: counts of each split, and its fingerprint."""

import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from utils.annotations.annotation import Annotation
from utils.dataset.fingerprint import fingerprint
from utils.evaluation_report.data import ReportData
from utils.html.markup import counted


def dataset_parts(splits: Mapping[str, Sequence[Annotation]], class_names: Sequence[str]) -> ReportData:
    """Return "dataset" and "fingerprint" of a report.

    A split's fingerprint is a checksum over names, sizes, boxes and classes of its images, in any order: the same data
    elsewhere has the same one, and the pixels are not in it.

    Args:
        splits: annotations by name of the split.
        class_names: background first.
    """
    labels = {split: np.concatenate([np.zeros(0, np.int64), *(a.labels for a in of)]) for split, of in splits.items()}
    of_class = {split: np.bincount(all_of, minlength=len(class_names)).tolist() for split, all_of in labels.items()}
    counts: list[list[str | int | float | None]] = [
        ["images", *(len(of) for of in splits.values())],
        ["images without objects", *(sum(not len(a.labels) for a in of) for of in splits.values())],
        ["objects", *(len(all_of) for all_of in labels.values())],
    ]
    classes: list[list[str | int | float | None]] = [
        [name, *(of_class[split][label] for split in splits)] for label, name in enumerate(class_names) if label
    ]
    return {
        "dataset": [
            {"title": "Images and objects", "heads": ["", *splits], "rows": counts},
            {"title": "Objects of each class", "heads": ["class", *splits], "rows": classes},
        ],
        "fingerprint": {split: _fingerprint_text(of, class_names) for split, of in splits.items()},
    }


def _fingerprint_text(annotations: Sequence[Annotation], class_names: Sequence[str]) -> str:
    checksum = 0
    for name, of_image in sorted(fingerprint(annotations, class_names).items()):
        checksum = zlib.crc32(f"{name}\0{of_image}\n".encode(errors="surrogateescape"), checksum)
    return f"{counted(len(annotations), 'image')}, {checksum:08x}"
