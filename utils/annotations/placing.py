"""The labels of one image to its `Annotation`, or to the findings that say why there is none."""

from collections.abc import Mapping

import numpy as np

from utils.annotations.annotation import Annotation
from utils.annotations.box_layout import Written
from utils.annotations.labels import Box, LabelledObject, Labels, Pair
from utils.annotations.scan_result import Scan
from utils.annotations.turning import (
    STORED,
    UPRIGHT,
    TurnedImage,
    boxes_reading,
    enclosing_box,
    size_reading,
    upright_box,
)
from utils.images.io import ImageInfo


def written_boxes(pair: Pair, labels: Labels, image: ImageInfo) -> Written | None:
    """Give the boxes as they stand in the file, None where EXIF leaves open on which image they were drawn."""
    if image.orientation != 1 or not labels.objects:
        return None
    size, first = (image.width, image.height), labels.objects[0]
    straight = [item for item in labels.objects if not item.rotation % 360]
    return Written(
        f"{pair.called}: {first.source}: box ({', '.join(f'{v:g}' for v in first.box)})",
        pair.called.rpartition(": image ")[2],
        labels.layout,
        np.array([item.box for item in straight], np.float64).reshape(-1, 4),
        np.array([labels.to_pixels(item.box, size) for item in straight], np.float64).reshape(-1, 4),
        size,
        labels.size,
    )


def place_turned(pair: Pair, labels: Labels, image: ImageInfo, label_of: Mapping[str, int]) -> Scan:
    """Give the Scan of an image that EXIF turns, with what is needed to read it again once all files are known."""
    by_size = size_reading(labels.size, image)
    by_boxes = None
    if by_size or not labels.size or labels.size == (image.width, image.height):
        upright, stored = (
            [_drawn(labels, item, size) for item in labels.objects]
            for size in ((image.width, image.height), (image.stored_width, image.stored_height))
        )
        by_boxes = boxes_reading(upright, stored, image)

    def read(reading: str, why: str) -> Scan:
        return place(pair, labels, image, label_of, reading, why)

    turned = TurnedImage(pair.image_path, pair.called, image.orientation, by_size, by_boxes, bool(labels.objects), read)
    turned.reading = turned.shown() or UPRIGHT
    turned.part = read(turned.reading, "which alone they fit")
    return Scan(
        list(turned.part.annotations), list(turned.part.findings), list(turned.part.thumbnails), turned=[turned]
    )


def place(
    pair: Pair, labels: Labels, image: ImageInfo, label_of: Mapping[str, int], reading: str, why: str = ""
) -> Scan:
    """Give the Scan of one image whose files are sound.

    `reading` is the image that its boxes were drawn on, which `why` gives the reason of.
    """
    scan, size = Scan(), (image.width, image.height)
    stored_size = (image.stored_width, image.stored_height)
    written = f"{pair.called}: <size> is {labels.size[0]:g}x{labels.size[1]:g}" if labels.size else ""
    by_exif = f"{pair.image_path.name} is {image.width}x{image.height} by its EXIF orientation {image.orientation}"
    if reading == STORED and labels.objects:
        text = f"{written}, {by_exif}"
        if labels.size != stored_size or stored_size == size:
            text = f"{pair.called}: the boxes were drawn on the image as stored, {why}; {by_exif}"
        scan.add("rotated", text, image=pair.image_path)
    if labels.size and labels.size != (stored_size if reading == STORED else size):
        text = f"{pair.image_path.name} is {image.width}x{image.height}; the boxes are used as they stand"
        if labels.size == stored_size:
            text = f"{by_exif}; the boxes are used as drawn on the upright image, {why}"
        scan.add("size-mismatch", f"{written}, {text}", image=pair.image_path)

    boxes, kept = [], []
    for item in labels.objects:
        box = _drawn(labels, item, stored_size if reading == STORED else size)
        box = upright_box(box, image) if reading == STORED else box
        clipped = np.clip(box, 0, [image.width, image.height] * 2).astype(np.float32)
        source = f"{pair.called}: {item.source}: box ({', '.join(f'{v:g}' for v in item.box)})"
        about = {"image": pair.image_path, "boxes": (tuple(map(float, box)),)}
        if clipped[0] >= clipped[2] or clipped[1] >= clipped[3]:
            scan.add("box-dropped", f"{source} {_why_nothing_left(box, image)}", **about)
            continue
        out = np.abs(clipped - np.asarray(box)).max() > 0.5  # less is rounding
        if item.rotation % 360:
            cut = ", cut at the image's border" * bool(out)
            scan.add("box-rotated", f"{source} is turned by {item.rotation:g} degrees: the box around it{cut}", **about)
        elif out:
            scan.add("box-clipped", f"{source} reaches out of the {image.width}x{image.height} image", **about)
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
    scan.thumbnails.append(image.thumbnail)
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


def _drawn(labels: Labels, item: LabelledObject, size: tuple[int, int]) -> Box:
    """Return the box of an object, xyxy in pixels of the image of `size` that it was drawn on."""
    box = labels.to_pixels(item.box, size)
    return enclosing_box(box, item.rotation) if item.rotation % 360 else box


def _why_nothing_left(box: Box, image: ImageInfo) -> str:
    if box[0] > box[2] or box[1] > box[3]:
        return "is inverted"
    if box[0] == box[2] or box[1] == box[3]:
        return "is empty"
    return f"has nothing inside the {image.width}x{image.height} image"
