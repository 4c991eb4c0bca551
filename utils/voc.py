"""A split in Pascal VOC XML, the files beside their images or in a folder of their own."""

import difflib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from utils.errors import DatasetError
from utils.images import ImageInfo, is_image, probe_image
from utils.scan import BACKGROUND, Annotation, Scan, natural_key
from utils.voc_xml import Box, VocFile, VocObject, called, read_voc_file

__all__ = ["VocFile", "VocObject", "read_voc", "read_voc_file"]


def read_voc(
    images_dir: Path,
    labels_dir: Path,
    class_names: tuple[str, ...],
    *,
    stems: Iterable[str] | None = None,
    one_based: bool = False,
    skip_bad: bool = False,
    progress: bool = True,
) -> Scan:
    """Pair the images of one folder with the XML files of another (or the same) by stem, and read them all.

    `class_names[0]` is the background. `stems` are the lines of a split list: a stem, perhaps with the image's
    extension, perhaps with VOC's second column; only what is listed counts then. `one_based` is the original VOC
    devkit's convention, pixels counted from 1 and xmax, ymax inclusive. Boxes are clipped to the image, and dropped
    where nothing is left. Faults of single files go to `Scan.errors`, with `skip_bad` to `Scan.skipped`. Raises
    DatasetError only for a folder that cannot be listed.
    """
    if class_names[:1] != (BACKGROUND,):
        raise ValueError(f"expected class_names to begin with {BACKGROUND!r}, got {class_names!r}")
    images = _by_stem(images_dir, is_image)
    labels = _by_stem(labels_dir, lambda path: path.suffix.lower() == ".xml" and not path.name.startswith("."))
    scan, keys = Scan(), images.keys() | labels.keys()
    if stems is not None:
        wanted = {line: _listed_stem(line, keys) for line in stems}
        scan.errors += [
            f"{line}: listed, but {images_dir} has no such image and {labels_dir} no such XML"
            for line, key in wanted.items()
            if key is None
        ]
        keys = set(wanted.values()) - {None}

    pairs = []
    for key in sorted(keys, key=natural_key):
        found = images.get(key, []), labels.get(key, [])
        if not found[1]:
            scan.unlabelled += [path.name for path in found[0]]
        elif not found[0]:
            scan.orphaned += [path.name for path in found[1]]
        elif len(found[0]) > 1 or len(found[1]) > 1:
            names = [path.name for path in max(found, key=len)]
            scan.errors.append(f"{max(found, key=len)[0]}: expected one file of this stem, found {', '.join(names)}")
        else:
            pairs.append((found[0][0], found[1][0]))

    label_of = {name: label for label, name in enumerate(class_names) if label}
    # Threads, for Pillow and OpenCV let others run while they decode.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        read = pool.map(lambda pair: _read_pair(*pair, label_of, one_based=one_based), pairs)
        bar = {"desc": f"Reading {images_dir.name}", "unit": "image", "disable": None if progress else True}
        try:
            for part in tqdm(read, total=len(pairs), **bar):
                scan.extend(part)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)  # leaving the block would read all the rest first
            raise
    if skip_bad:
        scan.skipped, scan.errors = scan.errors, []
    return scan


def _read_pair(image_path: Path, xml_path: Path, label_of: dict[str, int], *, one_based: bool) -> Scan:
    """A Scan of one image: its annotation, or its error."""
    scan = Scan()
    try:
        voc = read_voc_file(xml_path)
        _check_classes(xml_path, voc, label_of)
        image = probe_image(image_path)
    except DatasetError as error:
        scan.errors.append(str(error))
        return scan

    turned = False
    if voc.size and voc.size != (image.width, image.height):
        written = f"{xml_path.name}: <size> is {voc.size[0]:g}x{voc.size[1]:g}"
        shown = f"{image_path.name} is {image.width}x{image.height}"
        turned = voc.size == (image.stored_width, image.stored_height)
        if turned:  # the tool that wrote it did not heed EXIF
            scan.rotated.append(f"{written}, {shown} by its EXIF orientation {image.orientation}")
        else:
            scan.size_mismatches.append(f"{written}, {shown}; the boxes are used as they stand")

    boxes, kept = [], []
    for index, item in enumerate(voc.objects, 1):
        x1, y1, x2, y2 = item.box
        box = (x1 - 1, y1 - 1, x2, y2) if one_based else item.box
        box = _turn(box, image) if turned else box
        clipped = np.clip(box, 0, [image.width, image.height] * 2).astype(np.float32)
        where = f"{xml_path.name}: {called(index, item.name)}: box ({', '.join(f'{v:g}' for v in item.box)})"
        if clipped[0] >= clipped[2] or clipped[1] >= clipped[3]:
            scan.dropped.append(f"{where} {_why_nothing_left(box, image)}")
            continue
        if np.abs(clipped - np.asarray(box)).max() > 0.5:  # less is rounding
            scan.clipped.append(f"{where} reaches out of the {image.width}x{image.height} image")
        boxes.append(clipped)
        kept.append(item)
    scan.annotations.append(
        Annotation(
            image_path,
            image.width,
            image.height,
            np.asarray(boxes, np.float32).reshape(-1, 4),
            np.array([label_of[item.name] for item in kept], np.int64),
            np.array([item.difficult for item in kept], np.bool_),
        )
    )
    return scan


def _turn(box: Box, image: ImageInfo) -> Box:
    """A box of the stored picture in the upright one, for the EXIF orientations that swap the axes."""
    x1, y1, x2, y2 = box
    if image.orientation in (7, 8):
        x1, x2 = image.stored_width - x2, image.stored_width - x1
    if image.orientation in (6, 7):
        y1, y2 = image.stored_height - y2, image.stored_height - y1
    return y1, x1, y2, x2


def _why_nothing_left(box: Box, image: ImageInfo) -> str:
    if box[0] > box[2] or box[1] > box[3]:
        return "is inverted"
    if box[0] == box[2] or box[1] == box[3]:
        return "is empty"
    return f"has nothing inside the {image.width}x{image.height} image"


def _check_classes(path: Path, voc: VocFile, label_of: dict[str, int]) -> None:
    unknown = Counter(item.name for item in voc.objects if item.name not in label_of)
    if not unknown:
        return
    spelled = {name.casefold(): name for name in label_of}
    faults = []
    for name, count in unknown.items():
        close = difflib.get_close_matches(name.casefold(), spelled, 1)
        hint = f"did you mean {spelled[close[0]]!r}?" if close else f"CLASSES has {', '.join(label_of)}"
        first = next(index for index, item in enumerate(voc.objects, 1) if item.name == name)
        also = f" and {count - 1} more" if count > 1 else ""
        faults.append(f"object {first}{also}: unknown class {name!r} ({hint})")
    raise DatasetError(f"{path}: {'; '.join(faults)}")


def _by_stem(folder: Path, accept: Callable[[Path], bool]) -> dict[str, list[Path]]:
    """Files by stem, in NFC: macOS may decompose the accents of one name and not of the other."""
    found: dict[str, list[Path]] = {}
    try:
        for path in sorted(folder.iterdir()):
            if accept(path) and path.is_file():
                found.setdefault(unicodedata.normalize("NFC", path.stem), []).append(path)
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be listed: {error.strerror or error}") from error
    return found


def _listed_stem(line: str, keys: Iterable[str]) -> str | None:
    """The stem that a line of a split list means; the whole line comes first, since stems may hold spaces and dots."""
    line = unicodedata.normalize("NFC", line.strip().lstrip("\ufeff"))
    for text in (line, re.sub(r"\s+(-1|0|1)$", "", line)):
        if text in keys:
            return text
        if is_image(text) and (stem := Path(text).stem) in keys:
            return stem
    return None
