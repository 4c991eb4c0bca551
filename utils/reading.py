"""What every annotation format has in common: pairs of image and annotation to `Annotation`s, with every fault told."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from utils.box_layout import Written, one_cause
from utils.errors import DatasetError
from utils.findings import CHECKS, Finding
from utils.geometry import MOST_ASPECT
from utils.images import ImageInfo, probe_image
from utils.names import how_they_differ, look_alike, nfc
from utils.scan import Annotation, Scan
from utils.suggestions import plain, suggestion
from utils.turning import (
    STORED,
    UPRIGHT,
    TurnedImage,
    boxes_reading,
    enclosing_box,
    settle_turned,
    size_reading,
    upright_box,
)

Box = tuple[float, float, float, float]

MAX_UNKNOWN = 5  # classes of a file that are told by name
IGNORED = 0  # the label of a class whose objects are left out


@dataclass(frozen=True)
class LabelledObject:
    """`where` names the object in messages, such as "object 3 (Mask)"; `name` is its class, known or not.

    `named` is False where the file has a number that no name is known of, and `name` only tells of it.
    `rotation` is what the box is turned by around its centre, in degrees.
    """

    where: str
    name: str
    box: Box
    difficult: bool = False
    named: bool = True
    rotation: float = 0.0

    def __post_init__(self):
        if not self.name.isascii():  # composed and decomposed accents are one name
            object.__setattr__(self, "name", nfc(self.name))


@dataclass(frozen=True)
class Labels:
    """What an annotation says of one image.

    | field | meaning |
    |---|---|
    | objects | boxes as they stand in the file |
    | size | (width, height) of the image as the file has it, None where it does not say |
    | to_pixels | from the box as it stands to xyxy in pixels, given the image's (width, height) |
    | notes | findings about the file, (check, text) |
    | crowds | regions of several objects that have no box of their own here |
    | layout | how the format writes a box: a key of `utils.box_layout.LAYOUTS` and one of `UNITS` |
    """

    objects: tuple[LabelledObject, ...]
    size: tuple[float, float] | None = None
    to_pixels: Callable[[Box, tuple[int, int]], Box] = lambda box, size: box
    notes: tuple[tuple[str, str], ...] = ()
    crowds: int = 0
    layout: tuple[str, str] = ("corners", "pixels")


@dataclass(frozen=True)
class Pair:
    """An image and what reads its annotation, which messages name by `called`, and in errors by `path`."""

    image_path: Path
    path: Path | str
    called: str
    read: Callable[[], Labels]


def read_pairs(
    pairs: Sequence[Pair],
    class_names: Sequence[str],
    *,
    renamed: Mapping[str, str],
    ignored: Iterable[str] = (),
    title: str,
    progress: bool = True,
    hint: str = "",
) -> Scan:
    """Read all pairs, in parallel; the Scan has them in their order.

    `renamed` are names in the files that mean one of `class_names` or of `ignored`, the classes whose objects are left
    out; `hint` ends the message on an unknown class.
    """
    label_of = {nfc(name): label for label, name in enumerate(class_names) if label}
    label_of |= {nfc(name): IGNORED for name in ignored}
    label_of |= {nfc(name): label_of[nfc(known)] for name, known in renamed.items()}
    known = [*class_names[1:], *ignored]
    scan, written = Scan(), []
    # Threads, for Pillow and OpenCV let others run while they decode.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        read = pool.map(lambda pair: _read_pair(pair, label_of, known, hint), pairs)
        try:
            for part, boxes in tqdm(
                read, total=len(pairs), desc=title, unit="image", dynamic_ncols=True, disable=None if progress else True
            ):
                scan.extend(part)
                written += [boxes] if boxes else []
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)  # leaving the block would read all the rest first
            raise
    settle_turned([scan])
    if cause := one_cause(written):
        return _unusable(scan, cause)
    return scan


def _unusable(scan: Scan, cause: str) -> Scan:
    """A split of which no box means what it says: its one cause, and what has nothing to do with boxes."""
    kept = [finding for finding in scan.findings if CHECKS[finding.check].of_a_file]
    return Scan([], [Finding("box-layout", cause), *kept], [])


def _read_pair(pair: Pair, label_of: dict[str, int], known: Sequence[str], hint: str) -> tuple[Scan, Written | None]:
    """A Scan of one image, its annotation or its errors, and its boxes as they stand in the file.

    `known` are the names to suggest for one that is not.
    """
    scan, labels, image = Scan(), None, None
    try:
        labels = pair.read()
    except DatasetError as error:
        scan.add("annotation-unreadable", str(error), image=pair.image_path)
    try:
        image = probe_image(pair.image_path)
    except DatasetError as error:
        scan.add("image-unreadable", str(error), image=pair.image_path)
    else:
        if max(image.width, image.height) > MOST_ASPECT * min(image.width, image.height):
            text = f"{pair.image_path}: {image.width}x{image.height}, more than {MOST_ASPECT} times as long as wide"
            scan.add("image-too-thin", text, image=pair.image_path)
    if labels:
        labels, gone = _without_ignored(labels, label_of)
        unknown = [item for item in labels.objects if item.name not in label_of]
        _tell_unknown(scan, pair, unknown, labels, image, known, hint)
    if scan.findings:
        return scan, None
    if image.orientation == 1:
        scan.extend(_annotated(pair, labels, image, label_of, UPRIGHT))
    else:
        scan.extend(_turned(pair, labels, image, label_of))
    if gone and scan.annotations:
        scan.ignored[pair.image_path] = gone
    return scan, _written(pair, labels, image) if labels.objects and image.orientation == 1 else None


def _written(pair: Pair, labels: Labels, image: ImageInfo) -> Written:
    size, first = (image.width, image.height), labels.objects[0]
    straight = [item for item in labels.objects if not item.rotation % 360]
    return Written(
        f"{pair.called}: {first.where}: box ({', '.join(f'{v:g}' for v in first.box)})",
        pair.called.rpartition(": image ")[2],
        labels.layout,
        np.array([item.box for item in straight], np.float64).reshape(-1, 4),
        np.array([labels.to_pixels(item.box, size) for item in straight], np.float64).reshape(-1, 4),
        size,
        labels.size,
    )


def _turned(pair: Pair, labels: Labels, image: ImageInfo, label_of: Mapping[str, int]) -> Scan:
    """A Scan of an image that EXIF turns, with what is needed to read it again once all files are known."""
    by_size = size_reading(labels.size, image)
    by_boxes = None
    if by_size or not labels.size or labels.size == (image.width, image.height):
        sizes = (image.width, image.height), (image.stored_width, image.stored_height)
        drawn = [[_drawn(labels, item, size) for item in labels.objects] for size in sizes]
        by_boxes = boxes_reading(*drawn, image)

    def read(reading: str, why: str) -> Scan:
        return _annotated(pair, labels, image, label_of, reading, why)

    turned = TurnedImage(pair.image_path, pair.called, image.orientation, by_size, by_boxes, bool(labels.objects), read)
    turned.reading = turned.shown() or UPRIGHT
    turned.part = read(turned.reading, "which alone they fit")
    return Scan(list(turned.part.annotations), list(turned.part.findings), list(turned.part.looks), turned=[turned])


def _annotated(
    pair: Pair, labels: Labels, image: ImageInfo, label_of: Mapping[str, int], reading: str, why: str = ""
) -> Scan:
    """A Scan of one image whose files are sound; `reading` is the picture that its boxes were drawn on, see `why`."""
    scan, size = Scan(), (image.width, image.height)
    stored_size = (image.stored_width, image.stored_height)
    written = f"{pair.called}: <size> is {labels.size[0]:g}x{labels.size[1]:g}" if labels.size else ""
    by_exif = f"{pair.image_path.name} is {image.width}x{image.height} by its EXIF orientation {image.orientation}"
    if reading == STORED and labels.objects:
        told = f"{written}, {by_exif}"
        if labels.size != stored_size or stored_size == size:
            told = f"{pair.called}: the boxes were drawn on the picture as stored, {why}; {by_exif}"
        scan.add("rotated", told, image=pair.image_path)
    if labels.size and labels.size != (stored_size if reading == STORED else size):
        told = f"{pair.image_path.name} is {image.width}x{image.height}; the boxes are used as they stand"
        if labels.size == stored_size:
            told = f"{by_exif}; the boxes are used as drawn on the upright picture, {why}"
        scan.add("size-mismatch", f"{written}, {told}", image=pair.image_path)

    boxes, kept = [], []
    for item in labels.objects:
        box = _drawn(labels, item, stored_size if reading == STORED else size)
        box = upright_box(box, image) if reading == STORED else box
        clipped = np.clip(box, 0, [image.width, image.height] * 2).astype(np.float32)
        where = f"{pair.called}: {item.where}: box ({', '.join(f'{v:g}' for v in item.box)})"
        about = {"image": pair.image_path, "boxes": (tuple(map(float, box)),)}
        if clipped[0] >= clipped[2] or clipped[1] >= clipped[3]:
            scan.add("box-dropped", f"{where} {_why_nothing_left(box, image)}", **about)
            continue
        out = np.abs(clipped - np.asarray(box)).max() > 0.5  # less is rounding
        if item.rotation % 360:
            cut = ", cut at the image's border" * bool(out)
            scan.add("box-rotated", f"{where} is turned by {item.rotation:g} degrees: the box around it{cut}", **about)
        elif out:
            scan.add("box-clipped", f"{where} reaches out of the {image.width}x{image.height} image", **about)
        boxes.append(clipped)
        kept.append(item)
    if not kept and (labels.objects or labels.crowds):  # it shows objects, and would be trained on as if it did not
        shows = f"none of its {len(labels.objects)} boxes can be used"
        shows = shows if labels.objects else f"{labels.crowds} crowd regions and no box"
        scan.add("no-box-left", f"{pair.image_path.name}: {shows}", image=pair.image_path)
        return scan
    if image.frames > 1:
        scan.add("first-frame", f"{pair.image_path.name}: the first of {image.frames} frames", image=pair.image_path)
    for check, text in labels.notes:
        scan.add(check, text, image=pair.image_path)
    scan.looks.append(image.look)
    scan.annotations.append(
        Annotation(
            pair.image_path,
            image.width,
            image.height,
            np.asarray(boxes, np.float32).reshape(-1, 4),
            np.array([label_of[item.name] for item in kept], np.int64),
            np.array([item.difficult for item in kept], np.bool_),
        )
    )
    return scan


def _without_ignored(labels: Labels, label_of: Mapping[str, int]) -> tuple[Labels, Counter]:
    """The labels without objects of ignored classes, and how many of each class these are."""
    kept = tuple(item for item in labels.objects if label_of.get(item.name) != IGNORED)
    gone = Counter(item.name for item in labels.objects if label_of.get(item.name) == IGNORED)
    return (replace(labels, objects=kept), gone) if gone else (labels, gone)


def _drawn(labels: Labels, item: LabelledObject, size: tuple[int, int]) -> Box:
    """The box of an object, xyxy in pixels of the picture of `size` that it was drawn on."""
    box = labels.to_pixels(item.box, size)
    return enclosing_box(box, item.rotation) if item.rotation % 360 else box


def _why_nothing_left(box: Box, image: ImageInfo) -> str:
    if box[0] > box[2] or box[1] > box[3]:
        return "is inverted"
    if box[0] == box[2] or box[1] == box[3]:
        return "is empty"
    return f"has nothing inside the {image.width}x{image.height} image"


def _tell_unknown(
    scan: Scan,
    pair: Pair,
    objects: Sequence[LabelledObject],
    labels: Labels,
    image: ImageInfo | None,
    known: Sequence[str],
    hint: str,
) -> None:
    unknown: dict[str, list[LabelledObject]] = {}
    for item in objects:
        unknown.setdefault(item.name, []).append(item)
    there_are = f"CLASSES has {', '.join(known[:20])}" + ", …" * (len(known) > 20)
    for name, items in list(unknown.items())[:MAX_UNKNOWN]:
        close = suggestion(name, known) if items[0].named else None
        why = f"did you mean {close!r}?" if close else there_are if items[0].named else hint
        if alike := look_alike(name, known) if items[0].named else None:
            why = f"did you mean {alike!r}? It {how_they_differ(name, alike)}"
        also = f" and {len(items) - 1} more" if len(items) > 1 else ""
        subject = f"unknown class {name!r:.80} ({why})"
        meant = [n for n in known if items[0].named and plain(n) == plain(name)]
        scan.add(
            "unknown-class",
            f"{pair.path}: {items[0].where.split(' (')[0]}{also}: {subject}",
            subject=subject,
            image=pair.image_path,
            boxes=tuple(labels.to_pixels(i.box, (image.width, image.height)) for i in items[:20]) if image else (),
            meant=(name, meant[0]) if len(meant) == 1 else None,
        )
    if len(unknown) > MAX_UNKNOWN:
        text = f"{pair.path}: {len(unknown) - MAX_UNKNOWN} further unknown classes"
        scan.add("unknown-class", text, image=pair.image_path)
