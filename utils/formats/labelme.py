"""A split in LabelMe's JSON files: one for each image, with the corners of rectangles, polygons, circles or masks."""

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from utils.annotations.annotation import BACKGROUND, Scan
from utils.annotations.labels import Box, LabelledObject, Labels, Pair
from utils.annotations.reading import read_pairs
from utils.errors import DatasetError
from utils.pairing.label_files import pair_labels

MAX_JSON_BYTES = 2**28  # LabelMe keeps a copy of the image in it
MAX_FAULTS = 5  # of a file in its message
# Those of LabelMe, and of tools that write its format.
SHAPES = ("rectangle", "polygon", "circle", "mask", "rotation", "quadrilateral")


def read_labelme(
    images_dir: Path,
    labels_dir: Path,
    class_names: tuple[str, ...],
    *,
    stems: Iterable[str] | None = None,
    skip: Collection[str] = (),
    renamed: Mapping[str, str] | None = None,
    ignored: Collection[str] = (),
    numbered: Sequence[str] = (),
    kpt_shape: tuple[int, int] | None = None,
    one_based: bool = False,
    skip_bad: bool = False,
    progress: bool = True,
) -> Scan:
    """Pair the images of one folder with the JSON files of another (or the same), and read them all.

    A shape becomes the box around it; points and lines have none and are faults. Arguments and faults are those of
    `read_voc`.
    """
    if class_names[:1] != (BACKGROUND,):
        raise ValueError(f"expected class_names to begin with {BACKGROUND!r}, got {class_names!r}")
    scan = Scan()
    paired = pair_labels(scan, images_dir, labels_dir, "labelme", stems=stems, skip=skip)
    for path in paired.unlabelled:
        scan.add("unlabelled", paired.name(path), image=path)
    for path in paired.orphaned:
        scan.add("orphaned", paired.name(path))
    pairs = [_pair(image, path, paired.name(path)) for image, path in paired.pairs]
    how = {"renamed": renamed or {}, "ignored": ignored, "progress": progress}
    scan.extend(read_pairs(pairs, class_names, title=f"Reading {images_dir.name}", **how))
    scan.skip_bad = skip_bad
    return scan


def _pair(image_path: Path, path: Path, name: str) -> Pair:
    return Pair(image_path, path, name, lambda: read_labelme_file(path))


def read_labelme_file(path: Path) -> Labels:
    """The objects of one file, boxes xyxy in pixels. Raises DatasetError naming the file and its faults by shape."""
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise DatasetError(f"{path}: {path.stat().st_size} bytes, more than the {MAX_JSON_BYTES} that are read")
        content = json.loads(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: not valid JSON: {error}") from error
    shapes = content.get("shapes") if isinstance(content, dict) else None
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
        raise DatasetError(f"{path}: expected LabelMe's 'shapes', a list of objects, found {_shown(shapes)}")
    objects, faults = [], []
    for index, shape in enumerate(shapes, 1):
        name = shape.get("label")
        try:
            if not isinstance(name, str) or not name.strip():
                raise ValueError(f"expected a label, found {_shown(name)}")
            flags = shape.get("flags")
            difficult = isinstance(flags, dict) and flags.get("difficult") is True
            where = f"shape {index} ({name.strip()[:40]})"
            objects.append(LabelledObject(where, name.strip(), _box(shape), difficult))
        except ValueError as fault:
            faults.append(f"shape {index}: {fault}")
    if faults:
        more = f"; … and {len(faults) - MAX_FAULTS} more" if len(faults) > MAX_FAULTS else ""
        raise DatasetError(f"{path}: {'; '.join(faults[:MAX_FAULTS])}{more}")
    size = tuple(content.get(key) for key in ("imageWidth", "imageHeight"))
    return Labels(tuple(objects), size if all(_finite(value) and value > 0 for value in size) else None)


def _box(shape: dict) -> Box:
    """The box around a shape. Raises ValueError."""
    kind, points = shape.get("shape_type", "polygon"), shape.get("points")
    if kind not in SHAPES:
        raise ValueError(f"expected one of {', '.join(SHAPES)}, found {_shown(kind)}, which has no box")
    least = 3 if kind in ("polygon", "rotation", "quadrilateral") else 2
    if not isinstance(points, list) or len(points) < least or not all(map(_is_point, points)):
        raise ValueError(f"expected at least {least} points of two finite numbers for a {kind}, found {_shown(points)}")
    xs, ys = zip(*points, strict=True)
    if kind == "circle":  # its centre and a point on it
        radius = math.dist(points[0], points[1])
        return xs[0] - radius, ys[0] - radius, xs[0] + radius, ys[0] + radius
    return min(xs), min(ys), max(xs), max(ys)


def _is_point(value) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_finite, value))


def _finite(value) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond float's range
        return False


def _shown(value) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
