"""COCO's files scored as pycocotools scores them, and each fault of a file in one error."""

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from support.coco_reference import coco_dicts, random_split
from utils.errors import DatasetError
from utils.evaluation.coco.files import load_detections, load_truth, score_files
from utils.evaluation.coco.metrics import COCO_KEYS

CATEGORIES = {1: 1, 2: 13, 3: 90}  # as in COCO, not contiguous


@pytest.fixture
def files(tmp_path):
    """Ground truth with crowds and areas of masks, and results, ids of images and categories with gaps."""
    dataset, results = coco_dicts(*random_split(4, images=10, crowds=0.2))
    for item in [*dataset["annotations"], *results]:
        item["image_id"] = item["image_id"] * 1000 + 7
        item["category_id"] = CATEGORIES[item["category_id"]]
    dataset["images"] = [image | {"id": image["id"] * 1000 + 7} for image in dataset["images"]][::-1]
    dataset["categories"] = [{"id": CATEGORIES[c["id"]], "name": f"<'{c['name']}'> ü"} for c in dataset["categories"]]
    return write(tmp_path, "predictions.json", results), write(tmp_path, "truth.json", dataset)


def write(folder, name, content):
    (folder / name).write_text(json.dumps(content))
    return folder / name


def test_the_twelve_numbers_are_pycocotools_own(files):
    predictions, truth = files
    scores = score_files(predictions, truth)
    with contextlib.redirect_stdout(io.StringIO()):
        there = COCO(str(truth))
        reference = COCOeval(there, there.loadRes(str(predictions)), "bbox")
        reference.evaluate()
        reference.accumulate()
        reference.summarize()
    np.testing.assert_allclose([scores[key] for key in COCO_KEYS], reference.stats, rtol=0, atol=1e-12)
    for k, name in enumerate(["<'0'> ü", "<'1'> ü", "<'2'> ü"]):
        assert scores[f"ap/{name}"] == pytest.approx(reference.eval["precision"][:, :, k, 0, -1].mean(), abs=1e-12)


def test_ids_and_names_are_kept(files):
    predictions, path = files
    truth = load_truth(path)
    assert truth.image_ids == tuple(range(1007, 10008, 1000)) and truth.category_ids == (1, 13, 90)
    assert truth.file_names[0] == "0.jpg" and truth.packed.crowd.any() and len(truth.packed.class_names) == 4
    assert len(load_detections(predictions, truth)) == len(json.loads(predictions.read_text()))


def test_ids_of_text_and_categories_of_one_name(tmp_path):
    box = {"image_id": "a", "category_id": 5, "bbox": [0, 0, 10, 10]}
    dataset = {
        "images": [{"id": "a"}],
        "categories": [{"id": 9, "name": "x"}, {"id": 5, "name": "x"}],
        "annotations": [{"id": 0, **box}],  # an id of 0, which pycocotools takes for "no match"
    }
    scores = score_files(write(tmp_path, "p.json", [{**box, "score": 1}]), write(tmp_path, "t.json", dataset))
    assert scores["map_50_95"] == pytest.approx(1) and scores["ap/x (5)"] == pytest.approx(1)
    assert scores["ap/x (9)"] == -1
    none = write(tmp_path, "none.json", [])
    assert score_files(none, tmp_path / "t.json")["map_50_95"] == 0
    nothing = write(tmp_path, "nothing.json", {"images": [], "categories": [], "annotations": []})
    assert score_files(none, nothing)["map_50_95"] == -1


def test_all_faults_of_results_are_in_one_error(files, tmp_path):
    _, truth = files
    good = {"image_id": 1007, "category_id": 13, "bbox": [0, 0, 5, 5], "score": 0.5}
    rows = [
        good,
        good | {"image_id": 5},
        good | {"image_id": 6, "category_id": 2},
        {key: value for key, value in good.items() if key != "score"},
        good | {"score": float("nan")},
        {key: value for key, value in good.items() if key != "bbox"} | {"segmentation": [[0, 0, 5, 0, 5, 5]]},
        good | {"bbox": [0, 0, 5]},
        good | {"bbox": [0, 0, float("inf"), 5]},
        good | {"bbox": [9, 9, -5, 5]},
        *[good | {"image_id": "1007"}] * 5,
    ]
    with pytest.raises(DatasetError) as error:
        score_files(write(tmp_path, "bad.json", rows), truth)
    text = str(error.value)
    assert "bad.json" in text and len(text.splitlines()) == 7
    for part in (
        "image_id missing, or not in the ground truth (whose ids are 1007, 2007, 3007 …): 7, detection 2 has 5",
        "detection 3 has 6; detection 10 has '1007'; … and 4 more",
        "category_id missing, or not in the ground truth (whose ids are 1, 13, 90): 1, detection 3 has 2",
        "score missing or no finite number: 2, detection 4 has none; detection 5 has nan",
        "segmentation without a bbox (export it with boxes): 1, detection 6",
        "not four finite numbers x, y, width, height: 2, detection 7 has [0, 0, 5]; detection 8 has [0, 0, inf, 5]",
        "negative width or height (COCO's are x, y, width, height): 1, detection 9 has [9, 9, -5, 5]",
    ):
        assert part in text


def test_all_faults_of_the_ground_truth_are_in_one_error(files, tmp_path):
    _, path = files
    dataset = json.loads(path.read_text())
    dataset["images"].append(dict(dataset["images"][0]))
    dataset["images"].append({"file_name": "x.jpg"})
    dataset["categories"].append({"id": 91})
    first = dataset["annotations"][0]
    dataset["annotations"] += [first, first | {"id": 5000, "area": -1}, first | {"id": 5001, "image_id": True}]
    with pytest.raises(DatasetError) as error:
        load_truth(write(tmp_path, "bad.json", dataset))
    text = str(error.value)
    for part in (
        "id of more than one image: 1, 10007",
        "image without an id: 1, entry 12 has None",
        "category without a name: 1, id 91",
        f"id of more than one annotation: 1, {first['id']}",
        "area that is no number from 0: 1, annotation 5000 has -1",
        "annotation 5001 has True",
    ):
        assert part in text


def test_missing_area_and_exact_copies_are_logged(files, tmp_path, caplog):
    predictions, path = files
    dataset = json.loads(path.read_text())
    for item in dataset["annotations"][:2]:
        del item["area"], item["iscrowd"]
    truth = load_truth(write(tmp_path, "t.json", dataset))
    assert f"2 of {len(truth.packed)} annotations have no area" in caplog.text
    assert truth.packed.areas[0] == np.prod(dataset["annotations"][0]["bbox"][2:]) and not truth.packed.crowd[0]
    rows = json.loads(predictions.read_text())
    assert len(load_detections(write(tmp_path, "p.json", [*rows, rows[0]]), truth)) == len(rows) + 1
    assert "detections are exact copies of others" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("p.json", b"", "p.json: not valid JSON"),
        ("p.json", b'{"images": [], "categories": [], "annotations": []}', "a COCO dataset; results are a list"),
        ("p.json", b'"x"', "expected COCO results, a list of detections, found 'x'"),
        ("t.json", b'[{"image_id": 1}]', "COCO results: they are the predictions"),
        ("t.json", b'{"images": []}', "a list of 'annotations', found an object with 'images'"),
        ("t.json", None, "t.json: cannot be read: No such file"),
    ],
)
def test_files_of_another_kind(files, tmp_path, name, content, expected):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    predictions, truth = files
    with pytest.raises(DatasetError, match=expected):
        score_files(*((tmp_path / name, truth) if name == "p.json" else (predictions, tmp_path / name)))
