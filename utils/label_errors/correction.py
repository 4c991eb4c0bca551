"""A copy of a dataset in which labels are as a model suggests, to be looked through in labelImg or CVAT."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from utils.annotations.annotation import Annotation
from utils.annotations.boxes import clip_boxes
from utils.dataset.writer import write_dataset
from utils.label_errors.label_error import LabelError

LEAST_SCORE = 0.5  # of errors that are corrected: rather wrong than right


def corrected(
    annotations: Sequence[Annotation], errors: Iterable[LabelError], *, least: float = LEAST_SCORE
) -> list[Annotation]:
    """Return the annotations with the suggestions of all errors with a score of at least `least`.

    A missing box is added, one of the wrong class renamed, one badly placed moved, one too many left out.
    """
    of_image: dict[int, list[LabelError]] = {}
    for error in errors:
        if error.score >= least:
            of_image.setdefault(error.image, []).append(error)
    return [_corrected(annotation, of_image.get(image, [])) for image, annotation in enumerate(annotations)]


def _corrected(annotation: Annotation, errors: Sequence[LabelError]) -> Annotation:
    if not errors:
        return annotation
    zone = np.array([0, 0, annotation.width, annotation.height], np.float32)
    boxes, labels, difficult = list(annotation.boxes), annotation.labels.tolist(), annotation.difficult.tolist()
    gone = {error.object for error in errors if error.suggested_box is None}
    for error in errors:
        if error.suggested_box is None or error.suggested_label is None:
            continue
        box = clip_boxes(np.array(error.suggested_box, np.float32), zone)
        if (box[2:] <= box[:2]).any():
            continue
        if error.object is None:
            boxes.append(box)
            labels.append(error.suggested_label)
            difficult.append(False)
        elif error.kind == "wrong-class":
            labels[error.object] = (
                error.suggested_label
            )  # the box was drawn by a person, and may well be the better one
        else:
            boxes[error.object] = box
    kept = [index for index in range(len(labels)) if index not in gone]
    return replace(
        annotation,
        boxes=np.array([boxes[i] for i in kept], np.float32).reshape(-1, 4),
        labels=np.array([labels[i] for i in kept], np.int64),
        difficult=np.array([difficult[i] for i in kept], bool),
    )


def write_corrected(
    folder: Path,
    splits: Mapping[str, Sequence[Annotation]],
    errors: Sequence[LabelError],
    class_names: Sequence[str],
    *,
    progress: bool = True,
) -> Path:
    """Write copies of all images with Pascal VOC XML, corrected as by `corrected`; return the YAML beside them.

    Args:
        folder: not there yet, or empty. splits: "train" and so on; `image` of the errors counts through all of them.

    Raises ToolkitError where the folder holds anything or the disk has too little room.
    """
    fixed = corrected([a for part in splits.values() for a in part], errors)
    parts, start = {}, 0
    for name, part in splits.items():
        parts[name] = fixed[start : start + len(part)]
        start += len(part)
    return write_dataset(folder, parts, class_names, "voc", progress=progress)
