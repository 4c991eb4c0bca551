"""Our metrics against pycocotools run on the written files, and against cases worked out by hand."""

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
from utils.evaluation.coco.metrics import COCO_KEYS

NAMES = ("__background__", "Mask", "Gloves")


def annotation(boxes, labels, size=(640, 480), name="a.jpg"):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    labels = np.array(labels, np.int64)
    return Annotation(Path(name), *size, boxes, labels, np.zeros(len(labels), bool))


def found(boxes, scores, labels):
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(labels, np.int64)
    )


def test_all_twelve_equal_pycocotools_on_the_written_files(tmp_path):
    rng = np.random.default_rng(0)
    annotations, detections = [], []
    for index in range(12):
        count = int(rng.integers(0, 9))
        corners = rng.uniform(0, 300, (count, 2))
        boxes = np.concatenate([corners, corners + rng.uniform(5, 170, (count, 2))], 1).astype(np.float32)
        labels = rng.integers(1, 3, count)
        annotations.append(annotation(boxes, labels, name=f"{index}.jpg"))
        moved = boxes + rng.normal(0, 6, boxes.shape).astype(np.float32)
        moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
        noise = np.tile(np.float32([[10, 10, 60, 60]]), (3, 1))
        wrong = np.where(rng.random(count) < 0.2, 3 - labels, labels)
        detections.append(
            found(np.concatenate([moved, noise]), rng.random(count + 3), np.concatenate([wrong, rng.integers(1, 3, 3)]))
        )
    evaluator = CocoEvaluator(annotations, NAMES)
    for index in rng.permutation(12).tolist():
        evaluator.add(index, detections[index])
    metrics = evaluator.compute()

    (tmp_path / "truth.json").write_text(json.dumps(evaluator.ground_truth()))
    (tmp_path / "found.json").write_text(json.dumps(evaluator.results()))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(tmp_path / "truth.json"))
        reference = COCOeval(truth, truth.loadRes(str(tmp_path / "found.json")), "bbox")
        reference.evaluate()
        reference.accumulate()
        reference.summarize()
    assert 0.05 < metrics["map_50_95"] < 0.95
    assert [metrics[key] for key in COCO_KEYS] == reference.stats.tolist()
    for label, name in ((1, "Mask"), (2, "Gloves")):
        with contextlib.redirect_stdout(io.StringIO()):
            one = COCOeval(truth, truth.loadRes(str(tmp_path / "found.json")), "bbox")
            one.params.catIds = [label]
            one.evaluate()
            one.accumulate()
            one.summarize()
        assert metrics[f"ap/{name}"] == pytest.approx(one.stats[0], abs=1e-12)
        assert metrics[f"ap_50/{name}"] == pytest.approx(one.stats[1], abs=1e-12)


def test_a_case_by_hand():
    """Two masks, one found exactly and one missed: precision 1 up to recall 0.5, so 51 of 101 recall points."""
    evaluator = CocoEvaluator([annotation([[10, 10, 110, 110], [200, 200, 300, 300]], [1, 1])], NAMES)
    evaluator.add(0, found([[10, 10, 110, 110]], [0.9], [1]))
    metrics = evaluator.compute()
    assert metrics["map_50_95"] == pytest.approx(51 / 101)
    assert metrics["mar_100"] == pytest.approx(0.5)
    assert metrics["ap/Mask"] == pytest.approx(51 / 101)
    assert metrics["ap/Gloves"] == -1  # none annotated: undefined
    assert metrics["map_small"] == -1


def test_a_box_with_iou_0_6_counts_at_three_of_ten_thresholds():
    evaluator = CocoEvaluator([annotation([[0, 0, 100, 100]], [1])], NAMES)
    evaluator.add(0, found([[0, 0, 100, 62]], [0.9], [1]))  # IoU 0.62: 0.50, 0.55, 0.60
    metrics = evaluator.compute()
    assert metrics["map_50"] == pytest.approx(1) and metrics["map_75"] == 0
    assert metrics["map_50_95"] == pytest.approx(0.3)


def test_nothing_found_nothing_there_and_both():
    nothing = found(np.zeros((0, 4)), [], [])
    for boxes, labels, expected in (([[0, 0, 9, 9]], [1], 0.0), ([], [], -1.0)):
        evaluator = CocoEvaluator([annotation(boxes, labels)], NAMES)
        evaluator.add(0, nothing)
        assert evaluator.compute()["map_50_95"] == expected
    evaluator = CocoEvaluator([annotation([], [])], NAMES)
    evaluator.add(0, found([[1, 1, 5, 5]], [0.9], [1]))
    assert evaluator.compute()["map_50_95"] == -1


def test_every_image_exactly_once():
    evaluator = CocoEvaluator([annotation([], []), annotation([], [])], NAMES)
    evaluator.add(0, found(np.zeros((0, 4)), [], []))
    with pytest.raises(ValueError, match="1 of 2 images were not evaluated"):
        evaluator.compute()
    with pytest.raises(ValueError, match="twice"):
        evaluator.add(0, found(np.zeros((0, 4)), [], []))


def crowded(count):
    """`count` objects of one class in one image, all found exactly, with a score each."""
    corners = np.stack(np.meshgrid(np.arange(20), np.arange(20)), -1).reshape(-1, 2)[:count] * 30.0
    boxes = np.concatenate([corners, corners + 20], 1)
    return annotation(boxes, [1] * count), found(boxes, np.linspace(0.9, 0.3, count), [1] * count)


def test_an_image_of_150_objects_all_found_scores_fully_and_coco_s_own_number_stands_beside_it():
    truth, detections = crowded(150)
    evaluator = CocoEvaluator([truth], NAMES, max_detections=300)
    evaluator.add(0, detections)
    metrics = evaluator.compute()
    assert metrics["map_50_95"] == metrics["map_50"] == metrics["ap/Mask"] == pytest.approx(1)
    assert metrics["map_50_95_at_100"] == metrics["map_50_at_100"] == pytest.approx(67 / 101)  # 100 of 150
    assert metrics["mar_100"] == pytest.approx(100 / 150)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = evaluator.ground_truth()
        coco.createIndex()
        reference = COCOeval(coco, coco.loadRes(evaluator.results()), "bbox")
        reference.evaluate()
        reference.accumulate()
        reference.summarize()
    assert metrics["map_50_95_at_100"] == reference.stats[0]


def test_up_to_100_objects_of_a_class_coco_s_own_limit_holds():
    truth, detections = crowded(100)
    evaluator = CocoEvaluator([truth], NAMES, max_detections=300)
    evaluator.add(0, detections)
    metrics = evaluator.compute()
    assert metrics["map_50_95"] == pytest.approx(1) and not any("at_100" in key for key in metrics)
