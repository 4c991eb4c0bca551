"""Exports read back by the tools they are for."""

import contextlib
import csv
import io
import json

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from utils.detections import Detections, class_filter
from utils.errors import ConfigError, DatasetError, ToolkitError
from utils.formats.voc.reader import read_voc
from utils.images.io import read_image, write_image
from utils.inference.exports import ImageResult, folder_name, write_coco, write_crops, write_csv, write_voc

NAMES = ("__background__", "Mask", 'Größe <&> "1"')


def detections(rows):
    rows = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64))


@pytest.fixture
def results(tmp_path):
    rng = np.random.default_rng(0)
    rows = [[[10.4, 20.6, 50.2, 60.9, 0.987654, 1], [0, 0, 120, 90, 0.5, 2]], [], [[3.25, 4.5, 9.75, 8.5, 0.3, 1]]]
    found = []
    (tmp_path / "pictures" / "sub").mkdir(parents=True)
    for name, objects in zip(("a.jpg", "empty.png", "sub/a.jpg"), rows, strict=True):
        path = tmp_path / "pictures" / name
        cv2.imwrite(str(path), rng.integers(0, 255, (90, 120, 3), np.uint8))
        found.append(ImageResult(path, path.relative_to(tmp_path / "pictures"), 120, 90, detections(objects)))
    return found


def test_pycocotools_reads_the_predictions_and_scores_them_against_themselves(results, tmp_path):
    path = tmp_path / "predictions.json"
    write_coco(path, results, NAMES)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        found = truth.loadRes(json.loads(path.read_text(encoding="utf-8"))["annotations"])
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1)
    assert [image["file_name"] for image in truth.dataset["images"]] == ["a.jpg", "empty.png", "sub/a.jpg"]
    assert truth.loadCats(2)[0]["name"] == NAMES[2] and sorted(truth.getCatIds()) == [1, 2]
    ids = {image["file_name"]: image["id"] for image in truth.dataset["images"]}
    assert min(ids.values()) >= 1
    (first,) = truth.loadAnns(truth.getAnnIds(imgIds=ids["a.jpg"], catIds=1))
    assert first["bbox"] == pytest.approx([10.4, 20.6, 39.8, 40.3], abs=1e-3)
    assert first["score"] == pytest.approx(0.987654, abs=1e-6)


def test_no_detections_are_a_data_set_too(results, tmp_path):
    write_coco(tmp_path / "p.json", results[1:2], NAMES)
    with contextlib.redirect_stdout(io.StringIO()):
        assert COCO(str(tmp_path / "p.json")).getAnnIds() == []


def test_csv_has_one_line_per_object(results, tmp_path):
    write_csv(tmp_path / "p.csv", results, NAMES)
    with (tmp_path / "p.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["image"], row["class"]) for row in rows] == [
        ("a.jpg", "Mask"),
        ("a.jpg", NAMES[2]),
        ("sub/a.jpg", "Mask"),
    ]
    assert [float(rows[0][key]) for key in ("score", "x1", "y1", "x2", "y2")] == [0.9877, 10.4, 20.6, 50.2, 60.9]


def test_voc_is_what_training_reads(results, tmp_path):
    for result in results:
        write_voc(tmp_path / "voc" / result.name.with_suffix(".xml"), result, NAMES)
    scan = read_voc(tmp_path / "pictures", tmp_path / "voc", NAMES, progress=False)
    assert not scan.findings
    first, empty, below = scan.annotations
    assert first.boxes.tolist() == [[10, 21, 50, 61], [0, 0, 120, 90]] and first.labels.tolist() == [1, 2]
    assert len(empty.boxes) == 0
    below = read_voc(tmp_path / "pictures" / "sub", tmp_path / "voc" / "sub", NAMES, progress=False)
    assert below.annotations[0].boxes.tolist() == [[3, 4, 10, 8]]


def test_voc_boxes_thinner_than_a_pixel_stay_boxes(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((9, 9, 3), np.uint8))
    found = detections([[8.9, 8.9, 9, 9, 0.5, 1], [3.1, 0, 3.2, 9, 0.5, 1], [0, 0, 0.1, 0.1, 0.5, 1]])
    write_voc(tmp_path / "a.xml", ImageResult(tmp_path / "a.png", tmp_path / "a.png", 9, 9, found), NAMES)
    scan = read_voc(tmp_path, tmp_path, NAMES, progress=False)
    assert scan.annotations[0].boxes.tolist() == [[8, 8, 9, 9], [3, 0, 4, 9], [0, 0, 1, 1]]


def test_crops_are_the_pixels_of_their_boxes(results, tmp_path):
    image = np.random.default_rng(1).integers(0, 255, (90, 120, 3), np.uint8)
    write_crops(tmp_path / "crops", image, results[0], NAMES, results[0].name.with_suffix(".png"))
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("crops/*/*")) == [
        "crops/Größe _&_ _1_/a.png_2.png",
        "crops/Mask/a.png_1.png",
    ]
    assert (read_image(tmp_path / "crops" / "Mask" / "a.png_1.png") == image[20:61, 10:51]).all()


def test_folder_names():
    assert [folder_name(name) for name in ("Mask", "a/b", "..", "x?", "Größe ")] == ["Mask", "a_b", "_", "x_", "Größe"]


def test_images_are_written_whole_or_refused(tmp_path):
    image = np.random.default_rng(2).integers(0, 255, (20, 30, 3), np.uint8)
    write_image(tmp_path / "ü" / "a.png", image)
    assert (read_image(tmp_path / "ü" / "a.png") == image).all()
    with pytest.raises(DatasetError, match="17000x1 cannot be written in this format"):
        write_image(tmp_path / "a.webp", np.zeros((1, 17000, 3), np.uint8))
    with pytest.raises(ToolkitError, match="cannot be written"):
        write_image(tmp_path / "ü" / "a.png" / "b.png", image)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.png", "ü"]


def test_class_filter():
    names = ("__background__", "Mask", "Face_Shield", "7")
    assert class_filter(None, names) is None
    assert class_filter(["mask", "2"], names) == {1, 2} and class_filter(["7"], names) == {3}
    with pytest.raises(ConfigError, match=r"unknown 'Hat', '0'; the classes are: 1 Mask, 2 Face_Shield, 3 7"):
        class_filter(["Hat", "Mask", "0"], names)
    found = detections([[0, 0, 1, 1, 0.9, 1], [0, 0, 1, 1, 0.8, 2], [0, 0, 1, 1, 0.7, 3]])
    assert found.of({1, 3}).labels.tolist() == [1, 3] and found.of(None) is found and len(found.of(set())) == 0
