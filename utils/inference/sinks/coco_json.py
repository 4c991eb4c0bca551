"""`--save json`: all detections as one COCO dataset."""

import json
from collections.abc import Sequence
from pathlib import Path

from utils.files import write_text_atomically
from utils.formats.coco.writer import CocoObjects, coco_dataset
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
        images = [
            CocoObjects(
                result.name.as_posix(),
                result.width,
                result.height,
                result.detections.boxes,
                result.detections.labels,
                [{"score": round(score, 6)} for score in result.detections.scores.tolist()],
            )
            for result in results
        ]
        content = coco_dataset(images, class_names, info={"description": "detections"}, digits=3)
        write_text_atomically(folder / self.place, json.dumps(content, ensure_ascii=False))
