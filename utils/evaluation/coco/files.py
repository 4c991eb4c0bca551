"""COCO's files of ground truth and of results as packed arrays, each fault of a file in one error; their score."""

import json
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.errors import DatasetError, printable
from utils.evaluation.coco.metrics import coco_metrics
from utils.evaluation.packed import PackedDetections, PackedTruth

MAX_EXAMPLES = 3  # of a kind of fault


@dataclass(frozen=True, eq=False)
class CocoTruth:
    """A file's objects, and what its ids are: of images by index and of categories by label - 1, each ascending."""

    packed: PackedTruth
    image_ids: tuple
    file_names: tuple[str, ...]
    category_ids: tuple
    category_names: tuple[str, ...]


class _Faults:
    """Faults by kind: how many, and the first of each."""

    def __init__(self) -> None:
        self.kinds: dict[str, list[str]] = {}

    def add(self, kind: str, example: str) -> None:
        self.kinds.setdefault(kind, []).append(example)

    def raise_if_any(self, path: Path) -> None:
        if self.kinds:
            lines = [
                f"  {kind}: {len(examples)}, {'; '.join(examples[:MAX_EXAMPLES])}"
                + (f"; … and {len(examples) - MAX_EXAMPLES} more" if len(examples) > MAX_EXAMPLES else "")
                for kind, examples in self.kinds.items()
            ]
            raise DatasetError("\n".join([f"{path}: cannot be scored; nothing of it is left out in silence:", *lines]))


def score_files(predictions_json: Path, ground_truth_json: Path) -> dict[str, float]:
    """Compute COCO's numbers of a file of results: those of `coco_metrics`, with COCO's 100 detections.

    Crowds, areas and ids that are not contiguous count as in pycocotools. Categories of one name are distinguished by
    their id, `NAME (ID)`.

    Raises:
        DatasetError: what `load_truth` and `load_detections` refuse.
    """
    truth = load_truth(ground_truth_json)
    return coco_metrics(truth.packed, load_detections(predictions_json, truth))


def load_truth(path: Path) -> CocoTruth:
    """Read a COCO dataset. An object without `area` has that of its box, one without `iscrowd` is no crowd.

    Raises:
        DatasetError: a file that is no COCO dataset, or anything in it that cannot count: missing keys, ids that are
            there twice or nowhere, boxes that are missing, negative or not finite.
    """
    content = _read_json(path)
    for key in ("images", "annotations", "categories"):
        table = content.get(key) if isinstance(content, dict) else None
        if not isinstance(table, list) or not all(isinstance(item, dict) for item in table):
            raise DatasetError(f"{path}: expected a COCO dataset with a list of {key!r}, found {_kind(content, key)}")
    faults = _Faults()
    images = _by_id(content["images"], "image", faults)
    categories = _by_id(content["categories"], "category", faults)
    for category_id, category in categories.items():
        if not isinstance(category.get("name"), str):
            faults.add("category without a name", f"id {category_id!r:.60}")
    _by_id(content["annotations"], "annotation", faults)
    rows, without_area = [], 0
    for number, item in enumerate(content["annotations"], start=1):
        source = f"annotation {item.get('id', number)!r:.60}"
        row = _row(item, source, images, categories, faults)
        area = item.get("area")
        without_area += area is None
        if row and area is not None and not (_is_finite(area) and area >= 0):
            faults.add("area that is no number from 0", f"{source} has {area!r:.60}")
        elif row:
            rows.append((*row, row[4] * row[5] if area is None else area, bool(item.get("iscrowd") or 0)))
    faults.raise_if_any(path)
    if without_area:
        logging.getLogger("train").warning(
            f"note: {printable(str(path))}: {without_area} of {len(rows)} annotations have no area: that of the box is "
            "taken"
        )
    image_ids, category_ids = ordered(images), ordered(categories)
    names = [categories[key]["name"] for key in category_ids]
    shown = [
        name if names.count(name) == 1 else f"{name} ({key})" for name, key in zip(names, category_ids, strict=True)
    ]
    image_of, labels, boxes, (areas, crowd) = _columns(rows, image_ids, category_ids, 2)
    packed = PackedTruth(image_of, labels, boxes, areas, crowd.astype(bool), len(images), ("__background__", *shown))
    file_names = tuple(str(images[key].get("file_name", key)) for key in image_ids)
    return CocoTruth(packed, image_ids, file_names, category_ids, tuple(names))


def load_detections(path: Path, truth: CocoTruth) -> PackedDetections:
    """Read COCO results, a list of `image_id`, `category_id`, `bbox` and `score`, with `truth`'s indices and labels.

    Rows that say exactly the same count each, as in pycocotools, and are logged.

    Raises:
        DatasetError: a file that holds no results, or rows that cannot count: missing keys, ids that the ground truth
            has not, boxes and scores that are missing or not finite.
    """
    content = _read_json(path)
    if not isinstance(content, list) or not all(isinstance(item, dict) for item in content):
        raise DatasetError(f"{path}: expected COCO results, a list of detections, found {_kind(content)}")
    faults, rows = _Faults(), []
    images, categories = dict.fromkeys(truth.image_ids), dict.fromkeys(truth.category_ids)
    for number, item in enumerate(content, start=1):
        source = f"detection {number}"
        row = _row(item, source, images, categories, faults)
        score = item.get("score")
        if not _is_finite(score):
            found = "none" if "score" not in item else f"{score!r:.60}"
            faults.add("score missing or no finite number", f"{source} has {found}")
        elif row:
            rows.append((*row, score))
    faults.raise_if_any(path)
    if repeated := len(rows) - len(set(rows)):
        logging.getLogger("train").warning(
            f"note: {printable(str(path))}: {repeated} of {len(rows)} detections are exact copies of others; each "
            "counts, as in pycocotools, so that at most one of a kind can be right"
        )
    image_of, labels, boxes, (scores,) = _columns(rows, truth.image_ids, truth.category_ids, 1)
    return PackedDetections(image_of, labels, boxes, scores)


def _read_json(path: Path):
    try:
        return json.loads(Path(path).read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: not valid JSON: {error}") from error


def _kind(content, key: str = "annotations") -> str:
    """Describe what a file holds instead of what was expected."""
    if isinstance(content, dict):
        if {"images", "categories"} <= content.keys() and isinstance(content.get(key), list):
            return "a COCO dataset; results are a list of image_id, category_id, bbox and score"
        return f"an object with {', '.join(map(repr, list(content)[:5])) or 'no keys'}"
    if isinstance(content, list):
        is_results = bool(content) and isinstance(content[0], dict) and "image_id" in content[0]
        return f"a list of {len(content)}" + (", COCO results: they are the predictions" if is_results else "")
    return f"{content!r:.60}"


def _by_id(items: Iterable[dict], name: str, faults: _Faults) -> dict:
    """Map ids to entries; an id is a whole number or a text, and stands once."""
    there: dict = {}
    for number, item in enumerate(items, start=1):
        key = item.get("id")
        if not _is_id(key):
            faults.add(f"{name} without an id", f"entry {number} has {key!r:.60}")
        elif key in there:
            faults.add(f"id of more than one {name}", f"{key!r:.60}")
        else:
            there[key] = item
    return there


def _row(item: dict, source: str, images: Mapping, categories: Mapping, faults: _Faults) -> tuple | None:
    """Return (image id, category id, x, y, width, height); None where something is wrong, and say it."""
    good = True
    for key, known in (("image_id", images), ("category_id", categories)):
        value = item.get(key)
        if not _is_id(value) or value not in known:
            good = False
            found = "none" if key not in item else f"{value!r:.60}"
            known_ids = ", ".join(f"{key!r:.40}" for key in list(known)[:3]) or "none"
            kind = f"{key} missing, or not in the ground truth (whose ids are {known_ids}{' …' * (len(known) > 3)})"
            faults.add(kind, f"{source} has {found}")
    box = item.get("bbox")
    if box in (None, []) and item.get("segmentation") not in (None, []):
        faults.add("segmentation without a bbox (export it with boxes)", source)
    elif not isinstance(box, list) or len(box) != 4 or not all(map(_is_finite, box)):
        faults.add("bbox missing, or not four finite numbers x, y, width, height", f"{source} has {box!r:.60}")
    elif box[2] < 0 or box[3] < 0:
        faults.add("bbox of negative width or height (COCO's are x, y, width, height)", f"{source} has {box!r:.60}")
    elif good:
        return (item["image_id"], item["category_id"], *box)
    return None


def _columns(
    rows: Sequence[tuple], image_ids: Sequence, category_ids: Sequence, more: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Turn rows (image id, category id, x, y, width, height, more …) into indices, labels, boxes and `more` others."""
    index_of = {key: index for index, key in enumerate(image_ids)}
    label_of = {key: label for label, key in enumerate(category_ids, start=1)}
    numbers = np.array([row[2:] for row in rows], np.float64).reshape(len(rows), 4 + more)
    return (
        np.fromiter((index_of[row[0]] for row in rows), np.int64, len(rows)),
        np.fromiter((label_of[row[1]] for row in rows), np.int64, len(rows)),
        numbers[:, :4],
        numbers[:, 4:].T,
    )


def ordered(ids: Iterable) -> tuple:
    """Sort ids as COCO does; numbers before texts where a file has both."""
    return tuple(sorted(ids, key=lambda key: (isinstance(key, str), key)))


def _is_id(value) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _is_finite(value) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond float's range
        return False
