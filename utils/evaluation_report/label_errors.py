"""Turns the list of labels that are probably wrong into what the report shows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from utils.evaluation.packed import PackedTruth, xyxy_to_xywh
from utils.evaluation_report.data import LabelError

TEXTS = {
    "missing": ("no box", "{suggested_class} is not annotated"),
    "wrong-class": ("wrong class", "annotated as {class}, probably {suggested_class}"),
    "badly-placed": ("badly placed", "the box of {class} is beside it"),
    "doubled": ("doubled", "{class} is annotated twice"),
}


def label_errors_to_show(
    rows: Sequence[Mapping[str, Any]], paths: Sequence[Path], truth: PackedTruth
) -> list[LabelError]:
    """Return each row with a text and its boxes, the annotated and the suggested one.

    Args:
        rows: plain dicts with "file", "object" (from 1 within its image, or None), "class", "kind", "score",
            "suggested_class" and "suggested_box" (xyxy in pixels, or None), as the list of label errors has them.
        paths: of the images of `truth`, whose names are "file".
    """
    image_of = {str(path): image for image, path in enumerate(paths)}
    shown: list[LabelError] = []
    for row in rows:
        box, better = None, row["suggested_box"]
        if row["object"] is not None:
            boxes = truth.boxes_xywh[truth.image_of == image_of[row["file"]]]
            box = boxes[row["object"] - 1].round(1).tolist()
        kind, text = TEXTS.get(row["kind"], (row["kind"], ""))
        shown.append(
            {
                "path": row["file"],
                "name": Path(row["file"]).name,
                "kind": kind,
                "text": text.format_map(row),
                "score": row["score"],
                "box": box,
                "better_box": None if better is None else xyxy_to_xywh(np.array(better))[0].tolist(),
            }
        )
    return shown
