"""Ids of images in COCO files: the same name, the same id, whatever else is in the file."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from utils.annotations.annotation import Annotation
from utils.coco_eval import CocoEvaluator
from utils.detections import Detections
from utils.formats.coco.format import COCO as COCO_FORMAT
from utils.formats.coco.ids import image_ids, image_names
from utils.formats.format import Split
from utils.inference.sinks import create_sink
from utils.inference.sinks.sink import ImageResult

NAMES = ("__background__", "Mask")
FILES = [f"{number}.jpg" for number in range(12)]


def boxes_of(number):
    return np.float32([[10 * number, 20, 10 * number + 40, 80 + number]])


def annotations(folder):
    one = np.ones(1, np.int64)
    return [Annotation(folder / n, 200, 150, boxes_of(i), one, np.zeros(1, bool)) for i, n in enumerate(FILES)]


def truth_and_found(folder, tmp_path, chosen):
    """The ground truth of all images, and predictions.json of the `chosen` ones in their order, exactly right."""
    (tmp_path / "truth.json").write_text(json.dumps(CocoEvaluator(annotations(folder), NAMES).ground_truth()))
    results = [
        ImageResult(
            folder / FILES[i], Path(FILES[i]), 200, 150, Detections(boxes_of(i), np.float32([0.9]), np.array([1]))
        )
        for i in chosen
    ]
    create_sink("json", {}).write_table(tmp_path, results, NAMES)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(tmp_path / "truth.json"))
        content = json.loads((tmp_path / "predictions.json").read_text())
        return truth, truth.loadRes(content["annotations"]), content


@pytest.mark.parametrize("chosen", [range(12), [7, 3, 11], [5], [i for i in range(12) if i != 4]])
def test_predictions_of_any_images_score_fully_against_the_ground_truth(tmp_path, chosen):
    """One image skipped, a few of them, another order: what was found stays with its image."""
    truth, found, content = truth_and_found(tmp_path, tmp_path, chosen)
    of_truth = {image["file_name"]: image["id"] for image in truth.dataset["images"]}
    assert all(image["id"] == of_truth[image["file_name"]] >= 1 for image in content["images"])
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.params.imgIds = [image["id"] for image in content["images"]]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1)


def test_what_belongs_to_no_image_of_the_ground_truth_is_refused(tmp_path):
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = CocoEvaluator(annotations(tmp_path), NAMES).ground_truth()
        truth.createIndex()
        (other,) = image_ids(["other.jpg"])
        with pytest.raises(AssertionError, match="do not correspond"):
            truth.loadRes([{"image_id": other, "category_id": 1, "bbox": [0, 0, 9, 9], "score": 0.5}])


def test_a_converted_dataset_has_the_same_ids(tmp_path):
    split = Split("val", annotations(tmp_path / "images"), FILES)
    path = tmp_path / COCO_FORMAT.write(tmp_path, split, NAMES)
    content = json.loads(path.read_text())
    assert [image["id"] for image in content["images"]] == image_ids(FILES)
    assert [a["image_id"] for a in content["annotations"]] == image_ids(FILES)


def test_names_decide_and_no_two_share_an_id():
    many = [f"cam{n % 7}/{n}.jpg" for n in range(20_000)]
    ids = image_ids(many)
    assert len(set(ids)) == len(many) and min(ids) >= 1 and max(ids) < 2**53
    assert image_ids(many[500:400:-1]) == ids[500:400:-1]
    decomposed, composed = "u\u0308.jpg", "\u00fc.jpg"
    assert image_ids([decomposed]) == image_ids([composed])  # as macOS and Linux write one name
    assert len(set(image_ids([decomposed, composed]))) == 2
    assert len(image_ids(["\udcff.jpg", "a.jpg"])) == 2  # a name that is no UTF-8


def test_names_count_from_the_images_folder():
    paths = [Path("data/test/a.jpg"), Path("data/test/cam1/a.jpg"), Path("data/b.jpg")]
    assert image_names(paths, Path("data/test")) == ["a.jpg", "cam1/a.jpg", "b.jpg"]
    assert image_names(paths, None) == ["data/test/a.jpg", "data/test/cam1/a.jpg", "data/b.jpg"]
