"""A split in YOLO's text files: a line per object, `class x_centre y_centre width height` in shares of the image."""

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from utils.errors import DatasetError
from utils.file_tree import stem_of
from utils.label_files import pair_labels
from utils.pairing import knows_folder
from utils.reading import Box, LabelledObject, Labels, Pair, read_pairs
from utils.scan import BACKGROUND, Scan, natural_key

MAX_TEXT_BYTES = 16 * 2**20
MAX_FAULTS = 5  # of a file in its message


def read_yolo(
    images_dir: Path,
    labels_dir: Path,
    class_names: tuple[str, ...],
    *,
    stems: Iterable[str] | None = None,
    skip: Collection[str] = (),
    renamed: Mapping[str, str] | None = None,
    ignored: Collection[str] = (),
    one_based: bool = False,
    skip_bad: bool = False,
    progress: bool = True,
) -> Scan:
    """Pair images with text files by stem. Class numbers count from 0 in the order of CLASSES, without background.

    An image without a text file is a negative, as YOLO's own tools have it; it is counted. But a sub-folder of images
    that the labels know nothing of is left out: it may hold previews, or what is to be labelled. A polygon becomes the
    box around it. Arguments and faults are those of `utils.voc.read_voc`.
    """
    if class_names[:1] != (BACKGROUND,):
        raise ValueError(f"expected class_names to begin with {BACKGROUND!r}, got {class_names!r}")
    scan = Scan()
    paired = pair_labels(scan, images_dir, labels_dir, "yolo", stems=stems, skip=skip)
    for path in paired.orphaned:
        scan.add("orphaned", paired.name(path))
    labelled = dict(paired.pairs)
    pairs = []
    for image in sorted([*labelled, *paired.unlabelled], key=lambda path: natural_key(paired.name(path))):
        name = paired.name(image)
        if path := labelled.get(image):
            pairs.append(_pair(image, path, paired.name(path), class_names))
        elif stems is None and not knows_folder(paired, image):
            scan.add("unlabelled", f"{name}: no label in a whole folder", image=image)
        else:
            called = f"{stem_of(name)}.txt"
            pairs.append(Pair(image, labels_dir / called, called, _negative(name)))
    hint = f"CLASSES has 0 to {len(class_names) - 2}"
    how = {"renamed": renamed or {}, "ignored": ignored, "progress": progress}
    scan.extend(read_pairs(pairs, class_names, title=f"Reading {images_dir.name}", hint=hint, **how))
    scan.skip_bad = skip_bad
    return scan


def read_yolo_file(path: Path, class_names: Sequence[str]) -> tuple[LabelledObject, ...]:
    """The objects of one file, boxes as (x_centre, y_centre, width, height) in shares of the image.

    Raises DatasetError naming the file and its faults by line.
    """
    try:
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise DatasetError(f"{path}: {path.stat().st_size} bytes, more than the {MAX_TEXT_BYTES} of any labels")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeError as error:
        raise DatasetError(f"{path}: not a text file: {error}") from error
    objects, faults, count = [], [], 0
    for number, line in enumerate(text.splitlines(), 1):
        if not (words := line.split()):
            continue
        try:
            label, values = _label(words[0]), _values(words[1:])
        except ValueError as fault:
            count += 1
            faults += [f"line {number}: {fault}"] if count <= MAX_FAULTS else []
            continue
        known = label + 1 < len(class_names)
        name = class_names[label + 1] if known else str(label)
        objects.append(LabelledObject(f"line {number} ({name[:40]})", name if known else f"number {label}", values))
    if count:
        more = f"; … and {count - MAX_FAULTS} more" if count > MAX_FAULTS else ""
        raise DatasetError(f"{path}: {'; '.join(faults)}{more}")
    return tuple(objects)


def _label(word: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}(\.0*)?", word):  # some tools write 0.0
        raise ValueError(f"expected a class number from 0 on, found {word[:40]!r}")
    return int(word.partition(".")[0])


def _values(words: list[str]) -> Box:
    if len(words) != 4 and (len(words) < 6 or len(words) % 2):
        raise ValueError(f"expected four numbers, or the corners of a polygon, after the class, found {len(words)}")
    values = []
    for word in words:
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or "_" in word:
            raise ValueError(f"expected finite numbers, found {word[:40]!r}")
        values.append(value)
    if len(values) == 4:
        if max(values) > 2:  # slightly out of the image is clipped; this is another unit
            raise ValueError(f"expected shares of the image from 0 to 1, found {max(values):g}: are these pixels?")
        return tuple(values)
    xs, ys = values[::2], values[1::2]
    return (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2, max(xs) - min(xs), max(ys) - min(ys)


def _pair(image_path: Path, path: Path, name: str, class_names: Sequence[str]) -> Pair:
    def read() -> Labels:
        return Labels(read_yolo_file(path, class_names), to_pixels=_from_shares, layout=("centre", "shares"))

    return Pair(image_path, path, name, read)


def _negative(image_name: str):
    return lambda: Labels((), notes=(("unlisted-negative", image_name),))


def _from_shares(box: Box, size: tuple[int, int]) -> Box:
    x, y, width, height = box
    return (
        (x - width / 2) * size[0],
        (y - height / 2) * size[1],
        (x + width / 2) * size[0],
        (y + height / 2) * size[1],
    )
