"""LabelMe's JSON as a format: a file for each image, with the corners of rectangles, polygons, circles or masks.

A shape becomes the box around it; points and lines have none and are faults.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from utils.annotations.labels import Box, LabelledObject, Labels
from utils.errors import DatasetError
from utils.files import write_text_atomically
from utils.formats.format import Format, Split
from utils.formats.json_values import finite, image_size, read_json, shown

MAX_JSON_BYTES = 2**28  # LabelMe keeps a copy of the image in it
MAX_FAULTS = 5  # of a file in its message
# Those of LabelMe, and of tools that write its format.
SHAPES = ("rectangle", "polygon", "circle", "mask", "rotation", "quadrilateral")


def read_labelme_file(path: Path) -> Labels:
    """Return the objects of one file, boxes xyxy in pixels. Raises DatasetError naming its faults by shape."""
    content = read_json(path, max_bytes=MAX_JSON_BYTES)
    shapes = content.get("shapes") if isinstance(content, dict) else None
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
        raise DatasetError(f"{path}: expected LabelMe's 'shapes', a list of objects, found {shown(shapes)}")
    objects, faults = [], []
    for index, shape in enumerate(shapes, 1):
        name = shape.get("label")
        try:
            if not isinstance(name, str) or not name.strip():
                raise ValueError(f"expected a label, found {shown(name)}")
            flags = shape.get("flags")
            difficult = isinstance(flags, dict) and flags.get("difficult") is True
            called = f"shape {index} ({name.strip()[:40]})"
            objects.append(LabelledObject(called, name.strip(), _box(shape), difficult))
        except ValueError as fault:
            faults.append(f"shape {index}: {fault}")
    if faults:
        more = f"; … and {len(faults) - MAX_FAULTS} more" if len(faults) > MAX_FAULTS else ""
        raise DatasetError(f"{path}: {'; '.join(faults[:MAX_FAULTS])}{more}")
    return Labels(tuple(objects), image_size(content.get("imageWidth"), content.get("imageHeight")))


def _box(shape: dict) -> Box:
    """Return the box around a shape. Raises ValueError."""
    kind, points = shape.get("shape_type", "polygon"), shape.get("points")
    if kind not in SHAPES:
        raise ValueError(f"expected one of {', '.join(SHAPES)}, found {shown(kind)}, which has no box")
    least = 3 if kind in ("polygon", "rotation", "quadrilateral") else 2
    if not isinstance(points, list) or len(points) < least or not all(map(_is_point, points)):
        raise ValueError(f"expected at least {least} points of two finite numbers for a {kind}, found {shown(points)}")
    xs, ys = zip(*points, strict=True)
    if kind == "circle":  # its centre and a point on it
        radius = math.dist(points[0], points[1])
        return xs[0] - radius, ys[0] - radius, xs[0] + radius, ys[0] + radius
    return min(xs), min(ys), max(xs), max(ys)


def _is_point(value) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(finite, value))


def _write(folder: Path, split: Split, class_names: Sequence[str]) -> str:
    for annotation, name in zip(split.annotations, split.names, strict=True):
        shapes = []
        rows = zip(annotation.boxes.tolist(), annotation.labels.tolist(), annotation.difficult.tolist(), strict=True)
        for (x1, y1, x2, y2), label, difficult in rows:
            shape = {"label": class_names[label], "points": [[x1, y1], [x2, y2]], "group_id": None}
            shapes.append({**shape, "shape_type": "rectangle", "flags": {"difficult": True} if difficult else {}})
        content = {"version": "5.0.0", "flags": {}, "shapes": shapes, "imagePath": PurePosixPath(name).name}
        image = {"imageData": None, "imageHeight": annotation.height, "imageWidth": annotation.width}
        path = (folder / split.name / name).with_suffix(".json")
        write_text_atomically(path, json.dumps({**content, **image}, ensure_ascii=False, indent=2) + "\n")
    return split.name


LABELME = Format(
    name="labelme",
    title="LabelMe JSON",
    kind="JSON",
    suffix=".json",
    detect=lambda head: b'"shapes"' in head,
    read_file=lambda path, options: read_labelme_file(path),
    write=_write,
    sure_by_name=False,  # any tool may have left JSON files beside the images
)
