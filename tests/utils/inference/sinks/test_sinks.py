"""Results read back by the tools they are for."""

import contextlib
import csv
import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from support.reading import read_voc
from utils.detections import Detections
from utils.images.io import read_image
from utils.inference.sinks import SINKS, create_sink
from utils.inference.sinks.crops import folder_name
from utils.inference.sinks.sink import ImageResult, Sink

NAMES = ("__background__", "Mask", 'Größe <&> "1"')


IMAGE = np.random.default_rng(1).integers(0, 255, (90, 120, 3), np.uint8)


def sink_of(kind, results):
    return create_sink(kind, {result.name: result.name for result in results})


def detections(rows):
    rows = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64))


@pytest.fixture
def results(tmp_path):
    rng = np.random.default_rng(0)
    rows = [[[10.4, 20.6, 50.2, 60.9, 0.987654, 1], [0, 0, 120, 90, 0.5, 2]], [], [[3.25, 4.5, 9.75, 8.5, 0.3, 1]]]
    found = []
    (tmp_path / "images" / "sub").mkdir(parents=True)
    for name, objects in zip(("a.jpg", "empty.png", "sub/a.jpg"), rows, strict=True):
        path = tmp_path / "images" / name
        cv2.imwrite(str(path), rng.integers(0, 255, (90, 120, 3), np.uint8))
        found.append(ImageResult(path, path.relative_to(tmp_path / "images"), 120, 90, detections(objects)))
    return found


@pytest.mark.parametrize("kind", SINKS)
def test_each_kind_writes_what_it_plans_and_nothing_else(results, tmp_path, kind):
    sink = sink_of(kind, results)
    assert isinstance(sink, Sink) and sink.place
    out = tmp_path / "out"
    out.mkdir()
    for result in results:
        sink.write_image(out, IMAGE, result, NAMES)
    sink.write_table(out, results, NAMES)
    planned = {out / path for path in sink.planned()}
    written = {path for path in out.rglob("*") if path.is_file()}
    assert all(path.exists() for path in planned)
    assert all(path in planned or planned & set(path.parents) for path in written) and written


def test_crops_of_a_folder_of_crops_have_a_folder_of_their_own():
    sink = create_sink("crops", {Path("crops/Mask/a.png"): Path("crops/Mask/a.png"), Path("b.png"): Path("b.png")})
    assert sink.planned() == [Path("crops_")]


def test_pycocotools_reads_the_predictions_and_scores_them_against_themselves(results, tmp_path):
    sink_of("json", results).write_table(tmp_path, results, NAMES)
    path = tmp_path / "predictions.json"
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


def test_no_detections_are_a_dataset_too(results, tmp_path):
    sink_of("json", results).write_table(tmp_path, results[1:2], NAMES)
    with contextlib.redirect_stdout(io.StringIO()):
        assert COCO(str(tmp_path / "predictions.json")).getAnnIds() == []


def test_csv_has_one_line_per_object(results, tmp_path):
    sink_of("csv", results).write_table(tmp_path, results, NAMES)
    with (tmp_path / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["image"], row["class"]) for row in rows] == [
        ("a.jpg", "Mask"),
        ("a.jpg", NAMES[2]),
        ("sub/a.jpg", "Mask"),
    ]
    assert [float(rows[0][key]) for key in ("score", "x1", "y1", "x2", "y2")] == [0.9877, 10.4, 20.6, 50.2, 60.9]


def test_voc_is_what_training_reads(results, tmp_path):
    for result in results:
        sink_of("voc", results).write_image(tmp_path, IMAGE, result, NAMES)
    scan = read_voc(tmp_path / "images", tmp_path / "voc", NAMES, progress=False)
    assert not scan.findings
    first, empty, below = scan.annotations
    assert first.boxes.tolist() == [[10, 21, 50, 61], [0, 0, 120, 90]] and first.labels.tolist() == [1, 2]
    assert len(empty.boxes) == 0
    below = read_voc(tmp_path / "images" / "sub", tmp_path / "voc" / "sub", NAMES, progress=False)
    assert below.annotations[0].boxes.tolist() == [[3, 4, 10, 8]]


def test_voc_boxes_thinner_than_a_pixel_stay_boxes(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((9, 9, 3), np.uint8))
    found = detections([[8.9, 8.9, 9, 9, 0.5, 1], [3.1, 0, 3.2, 9, 0.5, 1], [0, 0, 0.1, 0.1, 0.5, 1]])
    result = ImageResult(tmp_path / "a.png", Path("a.png"), 9, 9, found)
    sink_of("voc", [result]).write_image(tmp_path, IMAGE, result, NAMES)
    scan = read_voc(tmp_path, tmp_path / "voc", NAMES, progress=False)
    assert scan.annotations[0].boxes.tolist() == [[8, 8, 9, 9], [3, 0, 4, 9], [0, 0, 1, 1]]


def test_crops_are_the_pixels_of_their_boxes(results, tmp_path):
    sink = create_sink("crops", {results[0].name: Path("a.png")})
    sink.write_image(tmp_path, IMAGE, results[0], NAMES)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("crops/*/*")) == [
        "crops/Größe _&_ _1_/a.png_2.png",
        "crops/Mask/a.png_1.png",
    ]
    assert (read_image(tmp_path / "crops" / "Mask" / "a.png_1.png") == IMAGE[20:61, 10:51]).all()


def test_folder_names():
    assert [folder_name(name) for name in ("Mask", "a/b", "..", "x?", "Größe ")] == ["Mask", "a_b", "_", "x_", "Größe"]
