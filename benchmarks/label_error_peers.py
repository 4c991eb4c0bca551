"""Label errors as cleanlab 2.9 and hotcoco list them, from the same labels and detections."""

import json
import subprocess
from pathlib import Path

import numpy as np

from utils.evaluation.packed import PackedDetections, PackedTruth
from utils.label_errors.evidence import corners

CLEANLAB = """
import json, sys
import numpy as np
from cleanlab.object_detection import rank
labels, predictions = [], []
for image in json.load(open(sys.argv[1])):
    labels.append({"bboxes": np.array(image["boxes"], float).reshape(-1, 4), "labels": np.array(image["labels"], int)})
    rows = np.empty(len(image["found"]), dtype=object)
    for label, found in enumerate(image["found"]):
        rows[label] = np.array(found, float).reshape(-1, 5)
    predictions.append(rows)
kinds = {
    "overlooked": rank.compute_overlooked_box_scores(labels=labels, predictions=predictions),
    "badloc": rank.compute_badloc_box_scores(labels=labels, predictions=predictions),
    "swap": rank.compute_swap_box_scores(labels=labels, predictions=predictions),
}
print(json.dumps({kind: [np.nan_to_num(s, nan=1.0).tolist() for s in scores] for kind, scores in kinds.items()}))
"""


def cleanlab_candidates(truth: PackedTruth, found: PackedDetections, python: str, work: Path) -> list[tuple] | None:
    """Return (image, object or None, box) by cleanlab's box scores of its three kinds, the lowest quality first.

    None where `python` has no cleanlab.
    """
    label_boxes, found_boxes = corners(truth.boxes_xywh), corners(found.boxes_xywh)
    images, tables = [], []
    for image in range(truth.num_images):
        own, seen = truth.image_of == image, found.image_of == image
        rows = np.column_stack([found_boxes[seen], found.scores[seen]])
        of_class = [rows[found.labels[seen] == label] for label in range(1, len(truth.class_names))]
        tables.append(np.concatenate(of_class))
        images.append(
            {
                "boxes": label_boxes[own].tolist(),
                "labels": (truth.labels[own] - 1).tolist(),
                "found": [part.tolist() for part in of_class],
            }
        )
    path = work / "cleanlab.json"
    path.write_text(json.dumps(images))
    done = subprocess.run([python, "-c", CLEANLAB, str(path)], capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr.strip().splitlines()[-1])
        return None
    listed: dict[tuple, tuple] = {}
    for kind, scores in json.loads(done.stdout).items():
        for image, of_image in enumerate(scores):
            for index, score in enumerate(of_image):
                if score >= 1:
                    continue
                label, box = (None, tables[image][index, :4]) if kind == "overlooked" else (index, None)
                key = (image, kind == "overlooked", index)
                if key not in listed or score < listed[key][0]:  # a label counts once, by its worst score
                    listed[key] = (score, image, label, box)
    return [row[1:] for row in sorted(listed.values(), key=lambda row: row[0])]


def hotcoco_candidates(truth: PackedTruth, found: PackedDetections) -> list[tuple] | None:
    """Return (image, object or None, box) of hotcoco's label error candidates, the most confident detection first.

    None where hotcoco is not installed.
    """
    try:
        from hotcoco import COCO, COCOeval
    except ImportError:
        return None
    labels = zip(truth.image_of.tolist(), truth.labels.tolist(), truth.boxes_xywh.tolist(), strict=True)
    annotations = [
        {"id": n, "image_id": i + 1, "category_id": c, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for n, (i, c, box) in enumerate(labels, start=1)
    ]
    dataset = {
        "images": [
            {"id": n + 1, "file_name": str(n), "width": 10000, "height": 10000} for n in range(truth.num_images)
        ],
        "categories": [{"id": n, "name": name} for n, name in enumerate(truth.class_names) if n],
        "annotations": annotations,
    }
    seen = zip(
        found.image_of.tolist(), found.labels.tolist(), found.boxes_xywh.tolist(), found.scores.tolist(), strict=True
    )
    results = [{"image_id": i + 1, "category_id": c, "bbox": box, "score": score} for i, c, box, score in seen]
    coco = COCO(dataset)
    evaluation = COCOeval(coco, coco.load_res(results), "bbox")
    evaluation.evaluate()
    first = {image: int(np.flatnonzero(truth.image_of == image)[0]) for image in np.unique(truth.image_of).tolist()}
    boxes = corners(found.boxes_xywh)
    rows = evaluation.image_diagnostics(iou_thr=0.5, score_thr=0.05)["label_errors"]
    listed, labels_there = [], set()
    for row in sorted(rows, key=lambda row: -row["dt_score"]):
        image = row["image_id"] - 1
        if row["type"] == "missing_annotation":
            listed.append((image, None, boxes[row["dt_id"] - 1]))
        elif row["gt_id"] not in labels_there:
            labels_there.add(row["gt_id"])
            listed.append((image, row["gt_id"] - 1 - first[image], None))
    return listed
