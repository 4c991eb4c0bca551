"""A dataset written anew, in any of the formats: copies of its images, its annotations, and a YAML to train with.

A further format is one function and its `WRITERS` row: it takes the dataset's folder, a split and the class names,
writes the annotations, and returns where they are, relative to the dataset's folder.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import yaml
from tqdm import tqdm

from utils.annotations.annotation import YAML_PREFIX, Annotation
from utils.errors import ToolkitError
from utils.files import write_text_atomically
from utils.formats.coco.ids import image_ids
from utils.formats.voc.xml_text import xml_text
from utils.images.pixel_range import PixelRange

YAML_NAME = "dataset.yaml"


@dataclass(frozen=True)
class Split:
    """`names[i]` is what the image of `annotations[i]` is called in the new dataset; no two share a stem."""

    name: str
    annotations: Sequence[Annotation]
    names: Sequence[str]


def write_dataset(
    out_dir: Path,
    annotations: Mapping[str, Sequence[Annotation]],
    class_names: Sequence[str],
    format_name: str,
    *,
    source: str | None = None,
    pixel_range: PixelRange | None = None,
    progress: bool = True,
) -> Path:
    """Write the splits, `{"train": ..., "val": ...}`, to `out_dir`, which is empty or not there; returns its YAML.

    The images are byte-for-byte copies. Boxes keep their values as float32; `difficult` is lost in YOLO's format. The
    YAML comes last, so a dataset that has one is whole. Raises ToolkitError where the folder holds anything or the
    disk has too little room.
    """
    out_dir = Path(out_dir)
    splits = [Split(name, list(part), _names(part)) for name, part in annotations.items()]
    files = [
        (a.image_path, split.name, name)
        for split in splits
        for a, name in zip(split.annotations, split.names, strict=True)
    ]
    _check_room(out_dir, [path for path, *_ in files])
    values: dict = {"CLASSES": list(class_names[1:]), "FORMAT": format_name}
    values |= {"SOURCE": source} if source else {}
    values |= {"PIXEL_RANGE": list(pixel_range)} if pixel_range else {}
    for split in splits:
        folder = out_dir / WRITERS[format_name].images.format(split=split.name)
        folder.mkdir(parents=True, exist_ok=True)
        pairs = zip(split.annotations, split.names, strict=True)
        for annotation, name in tqdm(
            pairs, total=len(split.names), desc=f"Copying {split.name}", unit="image", dynamic_ncols=True,
            disable=None if progress else True,
        ):  # fmt: skip
            shutil.copy2(annotation.image_path, folder / name)
        key = YAML_PREFIX[split.name]
        values[f"{key}_DIR_IMAGES"] = str(folder.relative_to(out_dir).as_posix())
        values[f"{key}_DIR_LABELS"] = WRITERS[format_name].write(out_dir, split, class_names)
    if format_name == "yolo":
        _write_data_yaml(out_dir, splits, class_names)
    path = out_dir / YAML_NAME
    write_text_atomically(path, yaml.safe_dump(values, allow_unicode=True, sort_keys=False))
    return path


def _check_room(out_dir: Path, paths: Sequence[Path]) -> None:
    if out_dir.exists() and (not out_dir.is_dir() or any(out_dir.iterdir())):
        raise ToolkitError(f"{out_dir} is not empty: nothing there is overwritten; name a new folder")
    needed = sum(path.stat().st_size for path in paths)
    nearest = next(folder for folder in (out_dir.absolute(), *out_dir.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(nearest).free
    if needed > free:
        raise ToolkitError(f"{out_dir}: the images take {needed / 2**20:.0f} MiB, the disk has {free / 2**20:.0f} MiB")


def _names(annotations: Sequence[Annotation]) -> list[str]:
    """File names with distinct stems: what several folders call alike takes its folder's name in front."""
    taken: set[str] = set()
    names = []
    for annotation in annotations:
        path = annotation.image_path
        name = path.name
        if path.stem.casefold() in taken:
            name = f"{path.parent.name}_{path.name}"
        number = 2
        while Path(name).stem.casefold() in taken:
            name = f"{path.parent.name}_{path.stem}_{number}{path.suffix}"
            number += 1
        taken.add(Path(name).stem.casefold())
        names.append(name)
    return names


def _write_voc(out_dir: Path, split: Split, class_names: Sequence[str]) -> str:
    for annotation, name in zip(split.annotations, split.names, strict=True):
        root = ElementTree.Element("annotation")
        ElementTree.SubElement(root, "filename").text = name
        size = ElementTree.SubElement(root, "size")
        for tag, value in (("width", annotation.width), ("height", annotation.height), ("depth", 3)):
            ElementTree.SubElement(size, tag).text = str(value)
        rows = zip(annotation.boxes, annotation.labels.tolist(), annotation.difficult.tolist(), strict=True)
        for box, label, difficult in rows:
            item = ElementTree.SubElement(root, "object")
            ElementTree.SubElement(item, "name").text = class_names[label]
            ElementTree.SubElement(item, "difficult").text = str(int(difficult))
            bndbox = ElementTree.SubElement(item, "bndbox")
            for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True):
                # The shortest text that reads back as the same float32; 12 for 12.0.
                ElementTree.SubElement(bndbox, tag).text = np.format_float_positional(value, trim="-")
        (out_dir / split.name / f"{Path(name).stem}.xml").write_text(xml_text(root), encoding="utf-8")
    return split.name


def _write_yolo(out_dir: Path, split: Split, class_names: Sequence[str]) -> str:
    folder = out_dir / "labels" / split.name
    folder.mkdir(parents=True, exist_ok=True)
    for annotation, name in zip(split.annotations, split.names, strict=True):
        x1, y1, x2, y2 = annotation.boxes.astype(np.float64).T
        width, height = annotation.width, annotation.height
        rows = np.stack([(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height], axis=1)
        lines = [
            f"{label - 1} {' '.join(map(repr, row))}\n"
            for label, row in zip(annotation.labels.tolist(), rows.tolist(), strict=True)
        ]
        (folder / f"{Path(name).stem}.txt").write_text("".join(lines), encoding="utf-8")
    return f"labels/{split.name}"


def _write_coco(out_dir: Path, split: Split, class_names: Sequence[str]) -> str:
    path = out_dir / "annotations" / f"instances_{split.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    objects = []
    ids = image_ids(split.names)
    for image_id, annotation in zip(ids, split.annotations, strict=True):
        rows = zip(annotation.boxes.tolist(), annotation.labels.tolist(), annotation.difficult.tolist(), strict=True)
        for (x1, y1, x2, y2), label, difficult in rows:
            width, height = x2 - x1, y2 - y1
            objects.append({"id": len(objects) + 1, "image_id": image_id, "category_id": label})
            objects[-1] |= {"bbox": [x1, y1, width, height], "area": width * height, "iscrowd": 0}
            objects[-1] |= {"difficult": 1} if difficult else {}
    content = {
        "images": [
            {"id": image_id, "file_name": name, "width": a.width, "height": a.height}
            for image_id, a, name in zip(ids, split.annotations, split.names, strict=True)
        ],
        "annotations": objects,
        "categories": [{"id": label, "name": name} for label, name in enumerate(class_names) if label],
    }
    write_text_atomically(path, json.dumps(content, ensure_ascii=False))
    return path.relative_to(out_dir).as_posix()


def _write_labelme(out_dir: Path, split: Split, class_names: Sequence[str]) -> str:
    for annotation, name in zip(split.annotations, split.names, strict=True):
        shapes = []
        rows = zip(annotation.boxes.tolist(), annotation.labels.tolist(), annotation.difficult.tolist(), strict=True)
        for (x1, y1, x2, y2), label, difficult in rows:
            shape = {"label": class_names[label], "points": [[x1, y1], [x2, y2]], "group_id": None}
            shapes.append(shape | {"shape_type": "rectangle", "flags": {"difficult": True} if difficult else {}})
        content = {"version": "5.0.0", "flags": {}, "shapes": shapes, "imagePath": name, "imageData": None}
        content |= {"imageHeight": annotation.height, "imageWidth": annotation.width}
        path = out_dir / split.name / f"{Path(name).stem}.json"
        write_text_atomically(path, json.dumps(content, ensure_ascii=False, indent=2) + "\n")
    return split.name


def _write_data_yaml(out_dir: Path, splits: Sequence[Split], class_names: Sequence[str]) -> None:
    """For YOLO's own tools."""
    values = {split.name: f"images/{split.name}" for split in splits}
    names = dict(enumerate(class_names[1:]))
    text = yaml.safe_dump({"path": ".", **values, "names": names}, allow_unicode=True, sort_keys=False)
    write_text_atomically(out_dir / "data.yaml", text)


@dataclass(frozen=True)
class Writer:
    """`images` is the folder of a split's images; `write` returns where its labels are."""

    images: str
    write: Callable[[Path, Split, Sequence[str]], str]


WRITERS = {
    "voc": Writer("{split}", _write_voc),
    "coco": Writer("{split}", _write_coco),
    "yolo": Writer("images/{split}", _write_yolo),
    "labelme": Writer("{split}", _write_labelme),
}
