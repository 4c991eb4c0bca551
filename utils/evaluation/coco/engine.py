"""COCO's precision and recall through hotcoco, which gives pycocotools' numbers in a fraction of its time."""

import contextlib
import io
import logging
import os
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from utils.evaluation.packed import PackedDetections, PackedTruth, check_packed

COCO_DETECTIONS = (1, 10, 100)  # per image and class, best first; AP is for the last
AREAS = ("all", "small", "medium", "large")  # COCOeval's, in its order

_used_in: int | None = None  # the process that has used hotcoco, or whose fork this one is


class CocoArrays(NamedTuple):
    """COCOeval's results; -1 is undefined.

    | field | shape |
    |---|---|
    | precision | (IoU from 0.5 by 0.05, 101 points of recall, class, area, limit) float64 |
    | recall | (IoU, class, area, limit) float64, the highest that is reached |
    """

    precision: np.ndarray
    recall: np.ndarray


def coco_arrays(
    truth: PackedTruth,
    detections: PackedDetections,
    *,
    image_ids: Sequence[int] | None = None,
    limits: Sequence[int] = COCO_DETECTIONS,
) -> CocoArrays:
    """Evaluate detections as pycocotools' COCOeval does for boxes.

    Where hotcoco is not installed, pycocotools does it, with the same numbers.

    Args:
        image_ids: ids by whose order equal scores of different images are ordered, as in COCO files; None for the order
            of the images' indices.
        limits: of detections that count of each image and class, ascending.

    Raises:
        ValueError: what `check_packed` refuses; no limits, or limits that do not ascend from 1.
        RuntimeError: the process was forked from one that had evaluated: hotcoco's threads are not in it, and it would
            wait for them for ever.
    """
    check_packed(truth, detections)
    if not limits or list(limits) != sorted(set(limits)) or limits[0] < 1:
        raise ValueError(f"limits: expected ascending numbers of detections from 1, found {list(limits)}")
    # Positions in the order of the ids, from 1: pycocotools takes an id of 0 for "no match".
    ids = np.argsort(np.argsort(np.arange(truth.num_images) if image_ids is None else np.asarray(image_ids))) + 1
    images = [{"id": number, "file_name": "", "width": 0, "height": 0} for number in range(1, truth.num_images + 1)]
    categories = [{"id": label, "name": str(label)} for label in range(1, len(truth.class_names))]
    evaluate = _with_pycocotools if hotcoco_module() is None else _with_hotcoco
    return evaluate(truth, detections, ids, images, categories, list(limits))


@cache
def hotcoco_module() -> Any:
    """Import hotcoco; where it cannot be imported return None and log it, once."""
    try:
        import hotcoco
    except ImportError as error:
        logging.getLogger("train").warning(
            f"note: hotcoco is not available ({error}): COCO's metrics are computed by pycocotools, with the same "
            "numbers, many times as slowly"
        )
        return None
    return hotcoco


def _with_hotcoco(
    truth: PackedTruth,
    detections: PackedDetections,
    ids: np.ndarray,
    images: list[dict],
    categories: list[dict],
    limits: list[int],
) -> CocoArrays:
    global _used_in
    if _used_in not in (None, os.getpid()):
        raise RuntimeError(
            f"COCO's metrics cannot be computed in process {os.getpid()}, forked from process {_used_in} after that "
            'had computed some: compute them there, or start the process with "spawn"'
        )
    _used_in = os.getpid()
    hotcoco = hotcoco_module()
    try:
        there = hotcoco.COCO.from_arrays(
            images,
            categories,
            ids[truth.image_of],
            truth.labels,
            truth.boxes_xywh,
            area=truth.areas,
            iscrowd=truth.crowd,
        )
        columns = (ids[detections.image_of], detections.boxes_xywh, detections.scores, detections.labels)
        coco_eval = hotcoco.COCOeval(there, there.load_res(np.column_stack(columns).astype(np.float64)), "bbox")
        params = coco_eval.params  # reads of its attributes are copies: whole lists are assigned
        params.imgIds = [image["id"] for image in images]
        params.catIds = [category["id"] for category in categories]
        params.maxDets = limits
        coco_eval.evaluate()
        coco_eval.accumulate()
        result = coco_eval.eval
        return CocoArrays(result["precision"], result["recall"])
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of Rust code; no Exception, so that nothing would handle it
            raise
        raise RuntimeError(f"hotcoco {hotcoco.__version__} failed: {error}") from error


def _with_pycocotools(
    truth: PackedTruth,
    detections: PackedDetections,
    ids: np.ndarray,
    images: list[dict],
    categories: list[dict],
    limits: list[int],
) -> CocoArrays:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    boxes = detections.boxes_xywh
    areas, crowd = boxes[:, 2] * boxes[:, 3], np.zeros(len(detections), bool)
    objects = (ids[truth.image_of], truth.labels, truth.boxes_xywh, truth.areas, truth.crowd)
    found = (ids[detections.image_of], detections.labels, boxes, areas, crowd, detections.scores)
    datasets = []
    for columns in (objects, found):
        keys = ("image_id", "category_id", "bbox", "area", "iscrowd", "score")[: len(columns)]
        rows = zip(*(column.tolist() for column in columns), strict=True)
        annotations = [{"id": i, **dict(zip(keys, row, strict=True))} for i, row in enumerate(rows, start=1)]
        datasets.append(COCO())
        datasets[-1].dataset = {"images": images, "categories": categories, "annotations": annotations}
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        for dataset in datasets:
            dataset.createIndex()
        coco_eval = COCOeval(*datasets, "bbox")
        coco_eval.params.maxDets = limits
        coco_eval.evaluate()
        coco_eval.accumulate()
    return CocoArrays(coco_eval.eval["precision"], coco_eval.eval["recall"])
