"""LabelMe's JSON: which shapes are boxes, each fault by file and shape, distinguished from COCO, and written again."""

import json

import numpy as np
import pytest

from convert_dataset import arguments
from convert_dataset import main as convert
from support.reading import read_labelme
from support.voc_files import CLASSES, write_image
from utils.config.config import load_config
from utils.dataset.scan import scan_splits
from utils.formats.formats import FORMATS, detect_format


def shape(points, kind="rectangle", label="Mask", **more):
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, "flags": {}, **more}


def write_pair(folder, stem, shapes, size=(40, 30), **more):
    write_image(folder / f"{stem}.jpg", size)
    content = {"version": "5.2.1", "flags": {}, "shapes": shapes, "imagePath": f"{stem}.jpg", "imageData": None}
    (folder / f"{stem}.json").write_text(json.dumps({**content, "imageWidth": size[0], "imageHeight": size[1], **more}))


def read(folder):
    return read_labelme(folder, folder, CLASSES, progress=False)


@pytest.mark.parametrize(
    ("given", "box"),
    [
        (shape([[1, 2], [11.5, 12]]), [1, 2, 11.5, 12]),
        (shape([[11, 12], [1, 2]]), [1, 2, 11, 12]),
        (shape([[1, 12], [11, 2]]), [1, 2, 11, 12]),
        (shape([[1, 2], [11, 2], [11, 12], [1, 12]]), [1, 2, 11, 12]),
        (shape([[1, 2], [20, 5], [7, 25]], "polygon"), [1, 2, 20, 25]),
        (shape([[20, 15], [23, 19]], "circle"), [15, 10, 25, 20]),
        (shape([[10, 5], [20, 10], [15, 20], [5, 15]], "rotation"), [5, 5, 20, 20]),
        ({"label": "Mask", "points": [[1, 2], [9, 2], [9, 8]]}, [1, 2, 9, 8]),
    ],
)
def test_shapes_become_the_box_around_them(tmp_path, given, box):
    write_pair(tmp_path, "a", [given])
    scan = read(tmp_path)
    assert scan.findings == [] and scan.annotations[0].boxes.tolist() == [box]


def test_no_shape_is_a_negative_and_flags_say_difficult(tmp_path):
    write_pair(tmp_path, "a", [])
    write_pair(tmp_path, "b", [shape([[1, 2], [5, 6]], label=" Gloves ", flags={"difficult": True})])
    first, second = read(tmp_path).annotations
    assert first.boxes.shape == (0, 4)
    assert (second.labels.tolist(), second.difficult.tolist()) == ([2], [True])


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([shape([[1, 2]], "point")], "shape 1: expected one of rectangle, polygon, circle"),
        ([shape([[1, 2], [3, 4]]), shape([[1, 2], [3, 4]], "line")], "shape 2: expected one of rectangle"),
        (
            [shape([[1, 2]])],
            "shape 1: expected at least 2 points of two finite numbers for a rectangle, found [[1, 2]]",
        ),
        ([shape([[1, 2], [3, "4"]])], "shape 1: expected at least 2 points of two finite numbers"),
        ([shape([[1, 2], [3, 4]], "polygon")], "shape 1: expected at least 3 points"),
        ([shape([[1, 2], [3, 4]], label=None)], "shape 1: expected a label, found None"),
        ([shape([[1, 2], [3, float("inf")]])], "shape 1: expected at least 2 points of two finite numbers"),
        ("x", "expected LabelMe's 'shapes', a list of objects, found 'x'"),
        ([shape([[1, 2], [3, 4]], label="Hat")], "unknown class 'Hat'"),
    ],
)
def test_each_fault_names_file_and_shape(tmp_path, shapes, message):
    write_pair(tmp_path, "a", shapes)
    (error,) = read(tmp_path).errors
    assert error.text.startswith(f"{tmp_path / 'a.json'}: ") and message in error.text


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[1]", b"null"])
def test_a_file_that_is_no_labelme_json_is_named(tmp_path, content):
    write_pair(tmp_path, "a", [])
    (tmp_path / "a.json").write_bytes(content)
    (error,) = read(tmp_path).errors
    assert error.check == "annotation-unreadable" and error.text.startswith(f"{tmp_path / 'a.json'}: ")


def test_the_format_is_distinguished_from_coco_and_converted_there_and_back(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for split, stems in (("t", "abc"), ("v", "de")):
        for stem in stems:
            corners = np.sort(rng.integers(0, 29, (2, 2, 2)), axis=1) + [[[0, 0], [1, 1]]]
            write_pair(
                tmp_path / split / "cam1",
                stem,
                [shape(corners[0].tolist()), shape(corners[1].tolist(), label="Gloves")],
            )
    path = tmp_path / "set.yaml"
    path.write_text("TRAIN_DIR_IMAGES: t\nVALID_DIR_IMAGES: v\nCLASSES: [Mask, Gloves]\n")

    def contents(config):
        scans = scan_splits(load_config(config), progress=False)
        assert [f.text for scan in scans.values() for f in scan.findings] == []
        return {
            name: [(a.image_path.name, a.boxes.tolist(), a.labels.tolist()) for a in scan.annotations]
            for name, scan in scans.items()
        }

    assert load_config(path).annotation_format == "labelme" and FORMATS["labelme"].title == "LabelMe JSON"
    before = contents(path)
    assert sorted(map(len, before.values())) == [2, 3]
    for number, kind in enumerate(("coco", "labelme", "voc", "labelme")):
        new = tmp_path / f"{number}_{kind}"
        assert convert(arguments(["--config", str(path), "--to", kind, "--output", str(new)])) == 0
        path = new / "dataset.yaml"
        assert contents(path) == before
    assert detect_format(tmp_path / "3_labelme/train", tmp_path / "3_labelme/train") == "labelme"


def test_labelme_among_another_format_is_reported(tmp_path):
    write_pair(tmp_path, "a", [shape([[1, 2], [9, 9]])])
    from support.reading import read_voc

    write_image(tmp_path / "b.jpg")
    (tmp_path / "b.xml").write_text("<annotation/>")
    scan = read_voc(tmp_path, tmp_path, CLASSES, progress=False)
    (error,) = scan.errors
    assert error.check == "mixed-formats" and error.text.startswith("a.jpg: has a.json: LabelMe JSON where")
