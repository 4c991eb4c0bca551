"""The one writer of COCO's JSON: plain types, for annotations and for detections."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from utils.evaluation.packed import xyxy_to_xywh
from utils.formats.coco.ids import image_ids


@dataclass(frozen=True, eq=False)
class CocoObjects:
    """One image and its objects; boxes (N, 4) xyxy in pixels, labels (N,) from 1, `more` keys of each object."""

    file_name: str
    width: int
    height: int
    boxes: np.ndarray
    labels: np.ndarray
    more: Sequence[Mapping] = field(default_factory=list)


def coco_dataset(
    images: Sequence[CocoObjects],
    class_names: Sequence[str],
    *,
    info: Mapping | None = None,
    digits: int | None = None,
) -> dict:
    """Return a COCO dataset: boxes xywh in pixels, ids of images by `ids`, category ids those of `class_names`.

    `digits` are the decimals that numbers are rounded to; None keeps their values.
    """
    ids = image_ids([image.file_name for image in images])
    annotations: list[dict] = []
    for image_id, image in zip(ids, images, strict=True):
        more = image.more or [{}] * len(image.labels)
        rows = zip(xyxy_to_xywh(image.boxes).tolist(), image.labels.tolist(), more, strict=True)
        for box, label, keys in rows:
            box = box if digits is None else [round(value, digits) for value in box]
            area = box[2] * box[3] if digits is None else round(box[2] * box[3], digits)
            entry = {"id": len(annotations) + 1, "image_id": image_id, "category_id": label, "bbox": box, "area": area}
            annotations.append({**entry, "iscrowd": 0, **keys})
    return {
        "info": dict(info or {}),
        "images": [
            {"id": image_id, "file_name": image.file_name, "width": image.width, "height": image.height}
            for image_id, image in zip(ids, images, strict=True)
        ],
        "categories": [{"id": label, "name": name} for label, name in enumerate(class_names) if label],
        "annotations": annotations,
    }
