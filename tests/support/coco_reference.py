"""pycocotools on packed objects and detections: the reference that evaluation is compared with, and random sets."""

import contextlib
import io
from collections.abc import Sequence

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from utils.evaluation.packed import PackedDetections, PackedTruth


def coco_dicts(truth: PackedTruth, detections: PackedDetections) -> tuple[dict, list[dict]]:
    """Return a COCO dataset and COCO results; images have the ids 1, 2 … in their order."""
    annotations = [
        {"id": i + 1, "image_id": int(image) + 1, "category_id": int(label), "bbox": box.tolist(), "area": float(area)}
        | {"iscrowd": int(crowd)}
        for i, (image, label, box, area, crowd) in enumerate(
            zip(truth.image_of, truth.labels, truth.boxes_xywh, truth.areas, truth.crowd, strict=True)
        )
    ]
    results = [
        {"image_id": int(image) + 1, "category_id": int(label), "bbox": box.tolist(), "score": float(score)}
        for image, label, box, score in zip(
            detections.image_of, detections.labels, detections.boxes_xywh, detections.scores, strict=True
        )
    ]
    images = [{"id": i + 1, "file_name": f"{i}.jpg", "width": 640, "height": 480} for i in range(truth.num_images)]
    categories = [{"id": label, "name": name} for label, name in enumerate(truth.class_names) if label]
    return {"info": {}, "images": images, "annotations": annotations, "categories": categories}, results


def run_pycocotools(dataset: dict, results: Sequence[dict], max_detections: Sequence[int] = (1, 10, 100)) -> COCOeval:
    """Evaluate and accumulate; also without a detection, which `COCO.loadRes` refuses."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth, found = COCO(), COCO()
        truth.dataset = dataset
        truth.createIndex()
        found.dataset = dataset | {
            "annotations": [
                result | {"id": i, "area": result["bbox"][2] * result["bbox"][3], "iscrowd": 0}
                for i, result in enumerate(results, start=1)
            ]
        }
        found.createIndex()
        reference = COCOeval(truth, found, "bbox")
        reference.params.maxDets = list(max_detections)
        reference.evaluate()
        reference.accumulate()
    return reference


def random_split(
    seed: int,
    *,
    images: int = 8,
    classes: int = 3,
    objects: int = 6,
    crowds: float = 0.1,
    grid: int = 10,
    levels: int = 20,
    distinct: bool = False,
) -> tuple[PackedTruth, PackedDetections]:
    """Draw objects, and detections near them and elsewhere; corners lie on a grid, so that IoUs tie, and so do scores.

    Args:
        objects: the most of an image.
        levels: different scores.
        distinct: no two detections of an image have the same score.
    """
    rng = np.random.default_rng(seed)
    of_truth = np.sort(rng.integers(0, images, rng.integers(0, images * objects + 1)))
    n = len(of_truth)
    boxes = grid * np.concatenate([rng.integers(0, 20, (n, 2)), rng.integers(1, 12, (n, 2))], 1).astype(np.float64)
    labels = rng.integers(1, classes + 1, n)
    areas = boxes[:, 2] * boxes[:, 3] * rng.choice([1.0, 0.7], n)
    areas = np.where(rng.random(n) < 0.1, rng.choice([32.0**2, 96.0**2], n), areas)
    truth = PackedTruth(
        of_truth, labels, boxes, areas, rng.random(n) < crowds, images, ("-", *map(str, range(classes)))
    )

    copies = np.repeat(np.arange(n), rng.integers(0, 4, n))
    moved = boxes[copies] + grid * rng.integers(-1, 2, (len(copies), 4)) * (rng.random((len(copies), 1)) < 0.6)
    moved[:, 2:] = np.maximum(moved[:, 2:], 1)
    noise = int(rng.integers(0, images * 3))
    found = np.concatenate([moved, grid * rng.integers(1, 12, (noise, 4))])
    image_of = np.concatenate([of_truth[copies], rng.integers(0, images, noise)])
    found_labels = np.concatenate([labels[copies], rng.integers(1, classes + 1, noise)])
    wrong = rng.random(len(found)) < 0.1
    found_labels[wrong] = rng.integers(1, classes + 1, wrong.sum())
    scores = rng.integers(0, levels + 1, len(found)) / levels
    if distinct:
        scores = rng.permutation(len(found)) / max(len(found), 1)
    order = rng.permutation(len(found))
    return truth, PackedDetections(
        image_of[order].astype(np.int64), found_labels[order].astype(np.int64), found[order], scores[order]
    )
