"""`--save json`: all detections as one COCO dataset."""

import json
from collections.abc import Sequence
from pathlib import Path

from utils.files import write_text_atomically
from utils.formats.coco.ids import image_ids
from utils.inference.sinks.sink import ImageResult, Sink


class ImageSink(Sink):
    """`predictions.json`: a COCO dataset whose annotations are the detections, each with its score.

    `images` and `categories` say what the ids mean: `file_name` is the image's name in the source, its id that of the
    name by `image_ids`, the category id the class's number in the checkpoint; boxes are xywh in pixels.
    pycocotools reads it as it is, and against the ground truth of a training's validation images:

        truth = COCO("val_ground_truth.json")
        found = truth.loadRes(json.load(open("predictions.json"))["annotations"])
    """

    place = "predictions.json"

    def write_table(self, folder: Path, results: Sequence[ImageResult], class_names: Sequence[str]) -> None:
        ids = image_ids([result.name.as_posix() for result in results])
        annotations: list[dict] = []
        for image_id, result in zip(ids, results, strict=True):
            found = result.detections
            for box, score, label in zip(
                found.boxes.astype(float), found.scores.tolist(), found.labels.tolist(), strict=True
            ):
                x, y, w, h = (round(value, 3) for value in (*box[:2].tolist(), *(box[2:] - box[:2]).tolist()))
                annotations.append({"id": len(annotations) + 1, "image_id": image_id, "category_id": label})
                annotations[-1] |= {"bbox": [x, y, w, h], "area": round(w * h, 3), "iscrowd": 0}
                annotations[-1] |= {"score": round(score, 6)}
        content = {
            "info": {"description": "detections"},
            "images": [
                {"id": image_id, "file_name": result.name.as_posix(), "width": result.width, "height": result.height}
                for image_id, result in zip(ids, results, strict=True)
            ],
            "categories": [{"id": label, "name": name} for label, name in enumerate(class_names) if label],
            "annotations": annotations,
        }
        write_text_atomically(folder / self.place, json.dumps(content, ensure_ascii=False))
