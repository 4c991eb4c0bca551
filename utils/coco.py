"""A split in COCO's JSON for object detection."""

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from utils.errors import DatasetError
from utils.file_tree import FileTree, folder_of, list_tree, stem_of
from utils.images import is_image
from utils.reading import Box, LabelledObject, Labels, Pair, read_pairs
from utils.scan import BACKGROUND, Scan, natural_key
from utils.split_lists import listed_names

MAX_JSON_BYTES = 4 * 2**30


@dataclass(frozen=True)
class CocoImage:
    """An entry of "images" with its annotations, faults among them as texts."""

    file_name: str
    size: tuple[float, float] | None
    objects: tuple[LabelledObject, ...]
    crowds: int
    faults: tuple[str, ...]


def read_coco(
    images_dir: Path,
    json_path: Path,
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
    """The images that a COCO file lists, from `images_dir` or folders below it.

    A category is a class by its name. An image without annotations is a negative; one that the file does not list is
    unlabelled. Crowd regions are left out, and counted. `json_path` may be a folder that holds one JSON file.
    Arguments and faults are those of `utils.voc.read_voc`; raises DatasetError where the file cannot be read at all.
    """
    if class_names[:1] != (BACKGROUND,):
        raise ValueError(f"expected class_names to begin with {BACKGROUND!r}, got {class_names!r}")
    json_path = json_file(json_path)
    scan, pairs = Scan(), []
    entries = sorted(read_coco_file(json_path), key=lambda entry: natural_key(entry.file_name))
    if stems is not None:
        names = {name for entry in entries for name in (entry.file_name, stem_of(entry.file_name))}
        wanted = listed_names(scan, stems, names, f"{json_path} has no such image")
        entries = [e for e in entries if e.file_name in wanted or stem_of(e.file_name) in wanted]
    seen: set[str] = set()
    for entry in entries:
        where = f"{json_path}: image {entry.file_name!r:.200}"
        path = _inside(images_dir, entry.file_name)
        if path is None:
            scan.add("annotation-unreadable", f"{where}: expected a path inside {images_dir}")
        elif entry.file_name in seen:
            scan.add("ambiguous-name", f"{where}: listed twice")
        elif not path.is_file():
            scan.add("orphaned", f"{json_path.name}: image {entry.file_name}")
        else:
            pairs.append(Pair(path, where, f"{json_path.name}: image {entry.file_name}", _reader(entry, where)))
        seen.add(entry.file_name)
    if stems is None:
        _tell_unlisted(scan, list_tree(images_dir, skip=skip), {pair.image_path for pair in pairs}, json_path)
    how = {"renamed": renamed or {}, "ignored": ignored, "progress": progress}
    scan.extend(read_pairs(pairs, class_names, title=f"Reading {images_dir.name}", **how))
    scan.skip_bad = skip_bad
    return scan


def _tell_unlisted(scan: Scan, tree: FileTree, listed: set[Path], json_path: Path) -> None:
    """Images that the file does not list; a folder of which it lists none is told as one."""
    folders: dict[str, list[tuple[str, Path]]] = {}
    for name, path in tree.files:
        if is_image(path):
            folders.setdefault(folder_of(name), []).append((name, path))
    for folder, images in folders.items():
        if folder and not any(path in listed for _, path in images):
            text = f"{tree.root / folder}: {len(images)} images, none of them in {json_path.name}"
            scan.add("folder-left-out", text)
            continue
        for name, path in images:
            if path not in listed:
                scan.add("unlabelled", name, image=path)


def json_file(path: Path) -> Path:
    """The file itself, or the only JSON file of a folder."""
    if not path.is_dir():
        return path
    found = sorted(file for file in path.iterdir() if file.suffix.lower() == ".json" and not file.name.startswith("."))
    if len(found) != 1:
        names = ", ".join(file.name for file in found[:5]) or "none"
        raise DatasetError(f"{path}: expected one COCO JSON file, found {names}; name the file itself")
    return found[0]


def read_coco_file(path: Path) -> list[CocoImage]:
    """The entries of a COCO file in its order. Raises DatasetError naming the file where it is none."""
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise DatasetError(f"{path}: {path.stat().st_size} bytes, more than the {MAX_JSON_BYTES} that are read")
        content = json.loads(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: not valid JSON: {error}") from error
    tables = {}
    for key in ("images", "annotations", "categories"):
        table = content.get(key) if isinstance(content, dict) else None
        if not isinstance(table, list) or not all(isinstance(item, dict) for item in table):
            raise DatasetError(f"{path}: expected COCO's {key!r}, a list of objects, found {_shown(table)}")
        tables[key] = table

    names = {item.get("id"): item.get("name") for item in tables["categories"] if _plain(item.get("id"))}
    by_image: dict = {}
    for item in tables["images"]:
        key, name = item.get("id"), item.get("file_name")
        if not _plain(key) or not isinstance(name, str) or not name:
            raise DatasetError(f"{path}: expected images with 'id' and 'file_name', found {_shown(item)}")
        if key in by_image:
            raise DatasetError(f"{path}: two images have the id {_shown(key)}")
        by_image[key] = (item, [])
    for index, item in enumerate(tables["annotations"], 1):
        key = item.get("image_id")
        if not _plain(key) or key not in by_image:
            raise DatasetError(f"{path}: annotation {index}: image_id {_shown(key)} is none of the images'")
        by_image[key][1].append((index, item))
    return [_entry(item, annotations, names) for item, annotations in by_image.values()]


def _entry(image: dict, annotations: list[tuple[int, dict]], names: dict) -> CocoImage:
    objects, faults, crowds = [], [], 0
    for index, item in annotations:
        if item.get("iscrowd") in (1, True):
            crowds += 1
            continue
        label = item["id"] if _plain(item.get("id")) else index
        try:
            if not _plain(key := item.get("category_id")) or not isinstance(name := names.get(key), str):
                raise ValueError(f"category_id {_shown(key)} is none of the categories'")
            where = f"annotation {label} ({name.strip()[:40]})"
            difficult, rotation = item.get("difficult") in (1, True), _rotation(item)
            objects.append(LabelledObject(where, name.strip(), _numbers(item), difficult, rotation=rotation))
        except ValueError as fault:
            faults.append(f"annotation {label}: {fault}")
    size = tuple(image.get(key) for key in ("width", "height"))
    size = size if all(_finite(value) and value > 0 for value in size) else None
    return CocoImage(image["file_name"].replace("\\", "/"), size, tuple(objects), crowds, tuple(faults))


def _reader(entry: CocoImage, where: str):
    def read() -> Labels:
        if entry.faults:
            more = f"; … and {len(entry.faults) - 5} more" if len(entry.faults) > 5 else ""
            raise DatasetError(f"{where}: {'; '.join(entry.faults[:5])}{more}")
        crowds = f"{entry.file_name}: {entry.crowds} crowd regions"
        notes = (("crowd", crowds),) if entry.crowds else ()
        return Labels(entry.objects, entry.size, _from_xywh, notes, entry.crowds, ("xywh", "pixels"))

    return read


def _from_xywh(box: Box, size: tuple[int, int]) -> Box:
    x, y, width, height = box
    return x, y, x + width, y + height


def _numbers(item: dict) -> Box:
    box = item.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(_finite(value) for value in box):
        raise ValueError(f"expected a bbox of four finite numbers, x, y, width, height, found {_shown(box)}")
    return tuple(float(value) for value in box)


def _rotation(item: dict) -> float:
    """What CVAT writes beside the bbox of a rectangle that it has turned around its centre, in degrees."""
    attributes = item.get("attributes")
    value = attributes.get("rotation") if isinstance(attributes, dict) else None
    try:
        value = float(value) if isinstance(value, str) else value
    except ValueError:  # an attribute of the user's own
        return 0.0
    if value is None:
        return 0.0
    if not _finite(value):
        raise ValueError(f"expected a finite number of degrees as attributes.rotation, found {_shown(value)}")
    return float(value)


def _finite(value) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond float's range
        return False


def _plain(value) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _shown(value) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _inside(folder: Path, name: str) -> Path | None:
    """The file that a COCO file names, None where the name leads out of the folder."""
    relative = PurePosixPath(name)
    drive = re.match("[A-Za-z]:", name)
    if not relative.parts or relative.is_absolute() or ".." in relative.parts or drive or len(relative.name) > 255:
        return None
    return folder / relative
