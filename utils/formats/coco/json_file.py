"""The content of a COCO JSON file: images with their annotations, and everything in it that does not hold together."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from utils.annotations.labels import Box, LabelledObject
from utils.errors import DatasetError
from utils.formats.json_values import finite, image_size, read_json, shown
from utils.names import nfc, plain_name

MAX_JSON_BYTES = 4 * 2**30
MAX_SEARCHED_BYTES = 2**28  # of a file that nobody named
MAX_LISTED = 5  # faults of a kind in a message


@dataclass(frozen=True)
class CocoImage:
    """An entry of "images" with its annotations, the classes of crowd regions, and faults as texts."""

    file_name: str
    size: tuple[float, float] | None
    objects: tuple[LabelledObject, ...]
    crowds: tuple[str, ...]
    faults: tuple[str, ...]


@dataclass(frozen=True)
class CocoFile:
    """The images of a COCO file in its order, and the faults that belong to none of them."""

    images: tuple[CocoImage, ...]
    faults: tuple[str, ...]


def listed_names_of(path: Path) -> set[str]:
    """Return the names, without folders, of the images that a COCO file lists; none for any other file."""
    try:
        if path.stat().st_size > MAX_SEARCHED_BYTES:
            return set()
        images = json.loads(path.read_bytes())["images"]
        return {nfc(PurePosixPath(str(item["file_name"]).replace("\\", "/")).name) for item in images}
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return set()


def read_coco_file(path: Path) -> CocoFile:
    """Parse a COCO file. Raises DatasetError naming the file where it is none, or where its categories clash."""
    content = read_json(path, max_bytes=MAX_JSON_BYTES)
    tables = {}
    for key in ("images", "annotations", "categories"):
        table = content.get(key) if isinstance(content, dict) else None
        if not isinstance(table, list) or not all(isinstance(item, dict) for item in table):
            raise DatasetError(
                f"{path}: expected COCO's {key!r}, a list of objects, found {shown(table)}{_kind(content)}"
            )
        tables[key] = table
    name_of = _category_names(tables["categories"], path)
    faults: list[str] = []
    entries = _images(tables["images"], path, faults)
    key_of = _keys(item.get("id") for item, *_ in entries.values())
    lost = []
    for index, item in enumerate(tables["annotations"], 1):
        entry = entries.get(key_of(item.get("image_id")))
        if entry is None:
            lost.append(f"annotation {_label(item, index)} has image_id {shown(item.get('image_id'))}")
        else:
            entry[1].append((index, item))
    if lost:
        more = f"; … and {len(lost) - MAX_LISTED} more" if len(lost) > MAX_LISTED else ""
        faults.append(
            f"{path}: {len(lost)} of {len(tables['annotations'])} annotations are of none of the images: "
            f"{'; '.join(lost[:MAX_LISTED])}{more}"
        )
    found = (_entry(image, rows, own_faults, name_of) for image, rows, own_faults in entries.values())
    return CocoFile(tuple(found), tuple(faults))


def _keys(ids: Iterable):
    """Return a function from an id to the one of `ids` that it means, or None: 1, 1.0 and "1" are the same."""
    there = {key: key for key in ids if _is_id(key)}
    alike: dict = {}
    for key in there:
        alike.setdefault(_number(key), []).append(key)

    def key_of(value):
        if not _is_id(value):
            return None
        if value in there:
            return there[value]
        like = alike.get(_number(value), ())
        return like[0] if len(like) == 1 else None

    return key_of


def _is_id(value) -> bool:
    return isinstance(value, int | str | float) and not isinstance(value, bool) and value == value


def _number(value):
    """Return 1 for 1.0, "1" and " 1 "; what is not a whole number stays."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    text = value.strip() if isinstance(value, str) else ""
    digits = text.removesuffix(".0").removeprefix("-")
    return int(text.removesuffix(".0")) if digits.isascii() and digits.isdigit() and len(digits) < 100 else value


def _category_names(categories: Sequence[dict], path: Path):
    """Return a function from an id to the name of its category, None where there is none."""
    key_of = _keys(item.get("id") for item in categories)
    names: dict = {}
    for item in categories:
        key, name = key_of(item.get("id")), item.get("name")
        name = str(name) if isinstance(name, int) and not isinstance(name, bool) else name
        if key is None or not isinstance(name, str):
            continue
        if names.setdefault(key, name.strip()) != name.strip():
            raise DatasetError(
                f"{path}: two categories have the id {shown(item['id'])}, {names[key]!r:.80} and "
                f"{name.strip()!r:.80}: nothing shows which one an annotation means; give each its own id, and its "
                "annotations with it"
            )
    return lambda value: names.get(key_of(value))


def _images(items: Sequence[dict], path: Path, faults: list[str]) -> dict:
    """Map the key of each id -> (entry, its annotations, its faults). Entries that say the same are one."""
    key_of = _keys(item.get("id") for item in items)
    entries: dict = {}
    nameless = []
    for item in items:
        key, name = key_of(item.get("id")), item.get("file_name")
        if key is None or not isinstance(name, str) or not name.strip():
            nameless.append(item)
            continue
        there = entries.setdefault(key, (item, [], []))[0]
        if there is not item and plain_name(there["file_name"]) != plain_name(name):
            text = f"two images have the id {shown(item['id'])}, {there['file_name']!r:.80} and {name!r:.80}"
            entries[key][2].append(text)
            entries[key, len(entries)] = (item, [], [text])
    if nameless and not entries:
        raise DatasetError(f"{path}: expected images with 'id' and 'file_name', found {shown(nameless[0])}")
    if nameless:
        faults.append(
            f"{path}: {len(nameless)} of {len(items)} images have no 'id' or 'file_name', such as {shown(nameless[0])}"
        )
    return entries


def _label(item: dict, index: int):
    return item["id"] if _is_id(item.get("id")) else index


def _entry(image: dict, annotations: list[tuple[int, dict]], faults: list[str], name_of) -> CocoImage:
    objects, faults, crowds = [], list(faults), []
    for index, item in annotations:
        if item.get("iscrowd") in (1, True):
            crowds.append(name_of(item.get("category_id")) or "")
            continue
        label = _label(item, index)
        try:
            name = name_of(item.get("category_id"))
            if name is None:
                raise ValueError(f"category_id {shown(item.get('category_id'))} is none of the categories'")
            source = f"annotation {label} ({name[:40]})"
            difficult, rotation = item.get("difficult") in (1, True), _rotation(item)
            objects.append(LabelledObject(source, name, _box(item), difficult, rotation=rotation))
        except ValueError as fault:
            faults.append(f"annotation {label}: {fault}")
    size = image_size(image.get("width"), image.get("height"))
    return CocoImage(plain_name(image["file_name"]), size, tuple(objects), tuple(crowds), tuple(faults))


def _box(item: dict) -> Box:
    """Return x, y, width, height: the bbox, or where there is none, the box around the polygons."""
    box, outline = item.get("bbox"), item.get("segmentation")
    if box in (None, []) and outline not in (None, []):
        if isinstance(outline, dict):
            raise ValueError("has a mask in run lengths and no bbox: expected a bbox; export it with boxes")
        return _around(outline)
    if not isinstance(box, list) or len(box) != 4 or not all(finite(value) for value in box):
        raise ValueError(f"expected a bbox of four finite numbers, x, y, width, height, found {shown(box)}")
    x, y, width, height = map(float, box)
    return x, y, width, height


def _rotation(item: dict) -> float:
    """Return what CVAT writes beside the bbox of a rectangle that it has turned around its centre, in degrees."""
    attributes = item.get("attributes")
    value = attributes.get("rotation") if isinstance(attributes, dict) else None
    try:
        value = float(value) if isinstance(value, str) else value
    except ValueError:  # an attribute of the user's own
        return 0.0
    if value is None:
        return 0.0
    if not finite(value):
        raise ValueError(f"expected a finite number of degrees as attributes.rotation, found {shown(value)}")
    return float(value)


def _around(outline) -> Box:
    polygons = [outline] if isinstance(outline, list) and all(finite(value) for value in outline) else outline
    if not isinstance(polygons, list) or not all(
        isinstance(p, list) and len(p) >= 4 and len(p) % 2 == 0 and all(map(finite, p)) for p in polygons
    ):
        raise ValueError(f"expected a bbox, or a segmentation of polygons, found {shown(outline)}")
    xs = [x for polygon in polygons for x in polygon[::2]]
    ys = [y for polygon in polygons for y in polygon[1::2]]
    return float(min(xs)), float(min(ys)), float(max(xs) - min(xs)), float(max(ys) - min(ys))


def _kind(content) -> str:
    """Describe a JSON file that is no COCO file, to end a message with."""
    first = content[0] if isinstance(content, list) and content else None
    of_first = first.keys() if isinstance(first, dict) else set()
    keys = content.keys() if isinstance(content, dict) else set()
    items = [item for item in content.values() if isinstance(item, dict)] if isinstance(content, dict) else []
    kind = next(
        (
            text
            for there, text in (
                ({"image_id", "category_id"} <= of_first, "COCO's results, the detections of a model, without images"),
                ({"image", "annotations"} <= of_first, "CreateML's"),
                ("data" in of_first and {"annotations", "completions"} & of_first, "Label Studio's own"),
                ({"name", "labels"} <= of_first, "BDD100K's or Scalabel's"),
                ("shapes" in keys, "LabelMe's, one file for each image"),
                (keys & {"_via_img_metadata", "_via_settings"}, "the VGG Image Annotator's"),
                (any("regions" in item and "filename" in item for item in items), "the VGG Image Annotator's"),
                ({"size", "objects"} <= keys, "Supervisely's"),
                ({"items", "categories"} <= keys, "Datumaro's"),
                (keys >= {"type", "features"}, "GeoJSON"),
                (keys >= {"images", "categories"}, "COCO's list of images that are to be labelled"),
            )
            if there
        ),
        None,
    )
    return f"; it looks like {kind}: export COCO's annotations for object detection instead" if kind else ""
