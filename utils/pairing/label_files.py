"""Formats with an annotation file for each image: how their files are known, and which images have which."""

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from utils.annotations.annotation import Scan
from utils.pairing.file_tree import list_tree
from utils.pairing.pairing import Pairing, pair_files, pair_names

HEAD_BYTES = 2**16  # of a file that is looked into to tell its format

# Beside YOLO's labels, but no labels: what Label Studio, labelImg and others export with them.
OTHER_TEXTS = frozenset("classes predefined_classes labels notes readme obj train val valid test".split())

_YOLO_LINE = re.compile(rb"\s*\d+(\.0*)?(\s+[-+]?[0-9.]+(e[-+]?\d+)?){4,}\s*", re.IGNORECASE)


@dataclass(frozen=True)
class LabelFormat:
    """How the files of a format are called and known.

    title: of the format. kind: a file of it in messages. suffix: with the dot. looks_like: whether the head of a file
    is of the format. is_other: whether a file of this stem is none of the labels, unless an image has the very name.
    """

    title: str
    kind: str
    suffix: str
    looks_like: Callable[[bytes], bool]
    is_other: Callable[[str], bool] = lambda stem: False

    def is_label(self, path: Path) -> bool:
        return path.suffix.lower() == self.suffix and not path.name.startswith(".")


def _is_other_text(stem: str) -> bool:
    return stem.lower() in OTHER_TEXTS or stem.lower().startswith("readme.")


def _looks_like_yolo(head: bytes) -> bool:
    lines = [line for line in head.removeprefix(b"\xef\xbb\xbf").splitlines()[:20] if line.strip()]
    return bool(lines) and all(_YOLO_LINE.fullmatch(line) for line in lines[:-1] or lines)


LABEL_FORMATS = {
    "voc": LabelFormat(
        "Pascal VOC XML", "XML", ".xml", lambda head: b"<annotation" in head.replace(b"\0", b"") or b"<object" in head
    ),
    "yolo": LabelFormat("YOLO text", "text file", ".txt", _looks_like_yolo, _is_other_text),
    "labelme": LabelFormat("LabelMe JSON", "JSON", ".json", lambda head: b'"shapes"' in head),
}


def pair_labels(
    scan: Scan,
    images_dir: Path,
    labels_dir: Path,
    format_name: str,
    *,
    stems: Iterable[str] | None = None,
    skip: Collection[str] = (),
) -> Pairing:
    """`pair_files` for a format of LABEL_FORMATS.

    Images that have an annotation of another format only are findings, and none of `unlabelled`.
    """
    own = LABEL_FORMATS[format_name]
    paired = pair_files(
        scan, images_dir, labels_dir, own.is_label, kind=own.kind, stems=stems, skip=skip, is_other=own.is_other
    )
    files = list_tree(labels_dir, skip=skip).files if paired.unlabelled else []
    told = set()
    for other in LABEL_FORMATS.values():
        labels = [(name, path) for name, path in files if other is not own and other.is_label(path)]
        images = [(paired.name(path), path) for path in paired.unlabelled]
        for image, label in pair_names(images, labels, other.is_other) if labels else ():
            if looks_like(label, other):
                subject = f"{other.title} where the others have {own.title}"
                text = f"{paired.name(image)}: has {label.name}: {subject}"
                scan.add("mixed-formats", text, subject=subject, image=image)
                told.add(image)
    paired.unlabelled = [image for image in paired.unlabelled if image not in told]
    return paired


def looks_like(path: Path, label_format: LabelFormat) -> bool:
    """Whether the head of a file is of a format."""
    try:
        with path.open("rb") as file:
            return label_format.looks_like(file.read(HEAD_BYTES))
    except OSError:  # told by whoever reads it
        return False
