"""Detections in files that other tools read: COCO JSON, CSV, Pascal VOC XML, and images of the objects."""

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from utils.detections import Detections
from utils.errors import ToolkitError
from utils.files import atomic_path, write_text_atomically
from utils.formats.coco.ids import image_ids
from utils.formats.voc.xml_text import xml_text
from utils.images.io import write_image

CSV_HEADER = ("image", "class", "score", "x1", "y1", "x2", "y2")


@dataclass(frozen=True, eq=False)
class ImageResult:
    """What was found in one image.

    path: the file. name: what results call it. width, height: pixels, upright. detections: boxes in those pixels.
    """

    path: Path
    name: Path
    width: int
    height: int
    detections: Detections


def write_coco(path: Path, results: Sequence[ImageResult], class_names: Sequence[str]) -> None:
    """`predictions.json`: a COCO dataset whose annotations are the detections, each with its score.

    `images` and `categories` say what the ids mean: `file_name` is the image's name in the source, its id that of the
    name by `ids`, the category id the class's number in the checkpoint; boxes are xywh in pixels.
    pycocotools reads it as it is, and against the ground truth of a training's validation images:

        truth = COCO("val_ground_truth.json")
        found = truth.loadRes(json.load(open("predictions.json"))["annotations"])
    """
    ids = image_ids([result.name.as_posix() for result in results])
    annotations = []
    for image_id, result in zip(ids, results, strict=True):
        found = result.detections
        for box, score, label in zip(
            found.boxes.astype(float), found.scores.tolist(), found.labels.tolist(), strict=True
        ):
            x, y, w, h = (round(value, 3) for value in (*box[:2].tolist(), *(box[2:] - box[:2]).tolist()))
            annotations.append({"id": len(annotations) + 1, "image_id": image_id, "category_id": label})
            annotations[-1] |= {"bbox": [x, y, w, h], "area": round(w * h, 3), "iscrowd": 0, "score": round(score, 6)}
    content = {
        "info": {"description": "detections"},
        "images": [
            {"id": image_id, "file_name": result.name.as_posix(), "width": result.width, "height": result.height}
            for image_id, result in zip(ids, results, strict=True)
        ],
        "categories": [{"id": label, "name": name} for label, name in enumerate(class_names) if label],
        "annotations": annotations,
    }
    write_text_atomically(path, json.dumps(content, ensure_ascii=False))


def write_csv(path: Path, results: Sequence[ImageResult], class_names: Sequence[str]) -> None:
    """`predictions.csv`: one line per object, boxes xyxy in pixels, best first within an image."""
    with atomic_path(path) as beside, beside.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file)
        writer.writerow(CSV_HEADER)
        for result in results:
            found = result.detections
            for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True):
                numbers = (f"{score:.4f}", *(f"{value:.2f}" for value in box))
                writer.writerow((result.name.as_posix(), class_names[label], *numbers))


def write_voc(path: Path, result: ImageResult, class_names: Sequence[str]) -> None:
    """One image's objects as labelImg writes them, whole pixels, to be corrected there and trained on again."""
    root = ElementTree.Element("annotation")
    size = {"width": result.width, "height": result.height, "depth": 3}
    head = {
        "folder": result.path.absolute().parent.name,
        "filename": result.path.name,
        "path": str(result.path.absolute()),
        "source": {"database": "Unknown"},
        "size": size,
        "segmented": 0,
    }
    _add(root, head)
    limit = np.array([result.width, result.height] * 2)
    for box, label in zip(result.detections.boxes, result.detections.labels.tolist(), strict=True):
        x1, y1, x2, y2 = np.clip(np.rint(box), 0, limit).astype(int).tolist()
        # Less than half a pixel wide or high: the least that annotation tools take.
        x1, y1 = min(x1, result.width - 1), min(y1, result.height - 1)
        x2, y2 = max(x2, x1 + 1), max(y2, y1 + 1)
        entry = {"name": class_names[label], "pose": "Unspecified", "truncated": 0, "difficult": 0}
        entry["bndbox"] = {"xmin": x1, "ymin": y1, "xmax": x2, "ymax": y2}
        _add(root, {"object": entry})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(path, xml_text(root))


def _add(parent: ElementTree.Element, content: dict) -> None:
    for tag, value in content.items():
        child = ElementTree.SubElement(parent, tag)
        if isinstance(value, dict):
            _add(child, value)
        else:
            child.text = str(value)


def write_crops(folder: Path, image: np.ndarray, result: ImageResult, class_names: Sequence[str], name: Path) -> None:
    """Each object cut out of the RGB image: `folder/CLASS/a.jpg_1.jpg`, numbered best first.

    `name` is the image's name among the results, such as `a.jpg`; an object is written in its format. One that
    cannot be written does not keep the others from it: the first such error is raised at the end.
    """
    failures: list[ToolkitError] = []
    corners = np.concatenate(
        [np.floor(result.detections.boxes[:, :2]), np.ceil(result.detections.boxes[:, 2:])], axis=1
    )
    for number, (box, label) in enumerate(zip(corners, result.detections.labels.tolist(), strict=True), 1):
        x1, y1, x2, y2 = np.clip(box, 0, [result.width, result.height] * 2).astype(int).tolist()
        if x1 >= x2 or y1 >= y2:
            continue
        # The whole name, because a.jpg and a.png both have a first object.
        path = folder / folder_name(class_names[label]) / name.parent / f"{name.name}_{number}{name.suffix}"
        try:
            write_image(path, image[y1:y2, x1:x2])
        except ToolkitError as error:
            failures.append(error)
    if failures:
        raise failures[0]


def folder_name(class_name: str) -> str:
    """A class's name as a folder's: without what some system refuses in one."""
    return re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", class_name).strip(". ") or "_"
