"""Boxes of images that EXIF turns: the reading that the set's files show, and a warning where none does."""

import json

import numpy as np
import pytest
from PIL import Image

from support.reading import read_coco, read_voc, read_yolo
from support.voc_files import CLASSES, element, xml
from utils.annotations.turning import enclosing_box, upright_box
from utils.checks.repair import repair
from utils.config.config import load_config
from utils.dataset.scan import scan_splits
from utils.images.io import ImageInfo, read_image

BOX = (3, 5, 21, 12)  # on the stored image
SIZE = (40, 30)


def write(folder, name, orientation, size=SIZE, red=BOX):
    """An image that is red where the box is, as stored."""
    folder.mkdir(exist_ok=True)
    stored = np.zeros((*size[::-1], 3), np.uint8)
    stored[red[1] : red[3], red[0] : red[2]] = (255, 0, 0)
    tags = Image.Exif()
    tags[0x0112] = orientation
    Image.fromarray(stored).save(folder / name, exif=tags)


def label(folder, name, box=BOX, size=None):
    (folder / name).write_text(xml(element(box=box), size=size))


def around_red(annotation):
    red = read_image(annotation.image_path)[..., 0] == 255
    x1, y1, x2, y2 = annotation.boxes[0].astype(int).tolist()
    return bool(red[y1:y2, x1:x2].all()) and int(red.sum()) == (y2 - y1) * (x2 - x1)


def names(findings):
    return sorted(finding.image.name for finding in findings)


@pytest.mark.parametrize("size", [SIZE, (40, 40)])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_files_that_show_nothing_follow_those_that_do(tmp_path, orientation, size):
    write(tmp_path, "a.png", 6)
    label(tmp_path, "a.xml", size=SIZE)  # a tool that did not heed EXIF
    write(tmp_path, "b.png", orientation, size)
    label(tmp_path, "b.xml")
    scan = read_voc(tmp_path, tmp_path, CLASSES, progress=False)
    assert all(map(around_red, scan.annotations)) and len(scan.annotations) == 2
    assert names(scan.of("rotated")) == ["a.png", "b.png"] and {f.check for f in scan.findings} == {"rotated"}
    assert "as 1 other files of the dataset show" in scan.of("rotated")[1].text


@pytest.mark.parametrize("orientation", range(2, 9))
def test_files_follow_those_that_were_labelled_upright(tmp_path, orientation):
    write(tmp_path, "a.png", 6)
    label(tmp_path, "a.xml", (1, 2, 9, 12), size=SIZE[::-1])
    write(tmp_path, "b.png", orientation)
    label(tmp_path, "b.xml", (1, 2, 9, 12))
    scan = read_voc(tmp_path, tmp_path, CLASSES, progress=False)
    assert [a.boxes.tolist() for a in scan.annotations] == [[[1, 2, 9, 12]]] * 2 and scan.findings == []


@pytest.mark.parametrize("orientation", range(2, 9))
def test_where_nothing_shows_it_the_upright_image_is_taken_and_all_files_are_listed(tmp_path, orientation):
    for name in "abcde":
        write(tmp_path, f"{name}.png", orientation if name != "e" else 1)
        label(tmp_path, f"{name}.xml")
    write(tmp_path, "empty.png", orientation)
    (tmp_path / "empty.xml").write_text(xml())
    scan = read_voc(tmp_path, tmp_path, CLASSES, progress=False)
    assert names(scan.of("exif-unclear")) == ["a.png", "b.png", "c.png", "d.png"]
    assert {f.check for f in scan.findings} == {"exif-unclear"}
    assert [a.boxes.tolist() for a in scan.annotations[:5]] == [[list(map(float, BOX))]] * 5
    lines = scan.summary(CLASSES)
    assert all(any(f"  {name}.xml: {name}.png is turned by its EXIF" in line for line in lines) for name in "abcd")


def test_files_that_differ_decide_nothing_for_the_others(tmp_path):
    for name, size in (("a", SIZE), ("b", SIZE[::-1]), ("c", None)):
        write(tmp_path, f"{name}.png", 6)
        label(tmp_path, f"{name}.xml", size=size)
    scan = read_voc(tmp_path, tmp_path, CLASSES, progress=False)
    assert names(scan.of("exif-unclear")) == ["c.png"] and names(scan.of("rotated")) == ["a.png"]
    assert "other files differ in this" in scan.of("exif-unclear")[0].text


def test_boxes_that_fit_one_image_alone_decide(tmp_path):
    write(tmp_path, "a.png", 6, red=(30, 5, 39, 12))  # beyond the upright image's 30 pixels
    label(tmp_path, "a.xml", (30, 5, 39, 12))
    write(tmp_path, "b.png", 3)
    label(tmp_path, "b.xml")
    scan = read_voc(tmp_path, tmp_path, CLASSES, progress=False)
    assert all(map(around_red, scan.annotations)) and names(scan.of("rotated")) == ["a.png", "b.png"]
    assert "which alone they fit" in scan.of("rotated")[0].text and len(scan.findings) == 2


def test_a_size_from_a_header_does_not_turn_boxes_that_fit_the_upright_image_alone(tmp_path):
    for name, box in (("a", (5, 30, 12, 39)), ("b", (3, 5, 21, 12))):
        write(tmp_path, f"{name}.png", 6)
        label(tmp_path, f"{name}.xml", box, size=SIZE)
    scan = read_voc(tmp_path, tmp_path, CLASSES, progress=False)
    assert [a.boxes.tolist()[0] for a in scan.annotations] == [[5, 30, 12, 39], [3, 5, 21, 12]]
    assert names(scan.of("size-mismatch")) == ["a.png", "b.png"] and len(scan.findings) == 2


@pytest.fixture
def splits(tmp_path):
    for folder, name, orientation, size in (("train", "a", 8, SIZE), ("train", "c", 1, None), ("test", "b", 3, None)):
        write(tmp_path / folder, f"{name}.png", orientation)
        label(tmp_path / folder, f"{name}.xml", size=size)
    (tmp_path / "set.yaml").write_text("TRAIN_DIR_IMAGES: train\nVALID_DIR_IMAGES: test\nCLASSES: [Mask, Gloves]\n")
    return load_config(tmp_path / "set.yaml")


def test_one_split_shows_what_the_other_leaves_open(splits):
    scans = scan_splits(splits, progress=False)
    assert around_red(scans["val"].annotations[0]) and [f.check for f in scans["val"].findings] == ["rotated"]


def test_a_repaired_copy_has_the_boxes_that_a_training_has(splits, tmp_path):
    scans = scan_splits(splits, progress=False)
    lines = repair(splits, scans, tmp_path / "copy", progress=False)
    assert sum("fixed: " in line and "EXIF orientation" in line for line in lines) == 2
    again = scan_splits(load_config(tmp_path / "copy" / "dataset.yaml"), progress=False)
    for split, scan in scans.items():
        assert [a.boxes.tolist() for a in again[split].annotations] == [a.boxes.tolist() for a in scan.annotations]
        assert not again[split].findings


def test_an_image_that_one_reading_loses_comes_back_in_its_place(tmp_path):
    for name in "abc":
        write(tmp_path, f"{name}.png", 3 if name == "b" else 1)
        label(tmp_path, f"{name}.xml")
    label(tmp_path, "b.xml", (-5, 2, -1, 9))
    write(tmp_path, "d.png", 6)
    label(tmp_path, "d.xml", size=SIZE)
    scan = read_voc(tmp_path, tmp_path, CLASSES, progress=False)
    assert [a.image_path.name for a in scan.annotations] == ["a.png", "c.png", "d.png"] and len(scan.thumbnails) == 3
    assert names(scan.of("no-box-left")) == names(scan.of("box-dropped")) == ["b.png"]


def test_shares_show_nothing_and_are_turned_with_the_others(tmp_path):
    write(tmp_path, "a.png", 6)
    x1, y1, x2, y2 = BOX
    (tmp_path / "a.txt").write_text(f"0 {(x1 + x2) / 80} {(y1 + y2) / 60} {(x2 - x1) / 40} {(y2 - y1) / 30}\n")
    scan = read_yolo(tmp_path, tmp_path, CLASSES, progress=False)
    assert names(scan.of("exif-unclear")) == ["a.png"] and len(scan.findings) == 1
    (turned,) = scan.turned
    (annotation,) = turned.read("stored", "").annotations
    assert np.allclose(annotation.boxes, np.rint(annotation.boxes), atol=1e-4)
    assert annotation.boxes.round().tolist() == [list(upright_box(BOX, ImageInfo(30, 40, 40, 30, 6)))]


def coco(folder, *images, **attributes):
    content = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "Mask"}]}
    for number, (name, box, size) in enumerate(images):
        content["images"].append(
            {"id": number, "file_name": name, **dict(zip(("width", "height"), size, strict=False))}
        )
        bbox = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
        content["annotations"].append({"id": number, "image_id": number, "category_id": 1, "bbox": bbox, **attributes})
    (folder / "all.json").write_text(json.dumps(content))
    return read_coco(folder, folder / "all.json", CLASSES, progress=False)


def test_coco_files_follow_those_that_show_it(tmp_path):
    write(tmp_path, "a.png", 8)
    write(tmp_path, "b.png", 3)
    scan = coco(tmp_path, ("a.png", BOX, SIZE), ("b.png", BOX, ()))
    assert all(map(around_red, scan.annotations)) and names(scan.of("rotated")) == ["a.png", "b.png"]
    assert names(coco(tmp_path, ("b.png", BOX, SIZE)).of("exif-unclear")) == ["b.png"]


# --- turned around their centres -------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [90.0, "90.0", -270, 450])
def test_a_rotation_in_coco_gives_the_box_around_it(tmp_path, value):
    write(tmp_path, "a.png", 1)
    scan = coco(tmp_path, ("a.png", (10, 12, 30, 18), SIZE), attributes={"rotation": value, "occluded": False})
    np.testing.assert_allclose(scan.annotations[0].boxes, [(17, 5, 23, 25)], atol=1e-4)
    assert [f.check for f in scan.findings] == ["box-rotated"]


@pytest.mark.parametrize("attributes", [{"rotation": 0.0}, {"rotation": 360}, {"rotation": "left"}, {}, [], None])
def test_what_is_no_rotation_changes_nothing(tmp_path, attributes):
    write(tmp_path, "a.png", 1)
    scan = coco(tmp_path, ("a.png", BOX, SIZE), attributes=attributes)
    assert scan.findings == [] and scan.annotations[0].boxes.tolist() == [list(map(float, BOX))]


@pytest.mark.parametrize("value", [float("nan"), [90], True])
def test_a_rotation_that_is_no_number_is_a_fault(tmp_path, value):
    write(tmp_path, "a.png", 1)
    (error,) = coco(tmp_path, ("a.png", BOX, SIZE), attributes={"rotation": value}).errors
    assert "annotation 0: expected a finite number of degrees as attributes.rotation, found" in error.text


@pytest.mark.parametrize("degrees", [0, 30, 90, 135, 180, 300])
def test_the_enclosing_box_touches_all_four_corners(degrees):
    turn = np.radians(degrees)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    corners = np.array([(-10, -3), (10, -3), (10, 3), (-10, 3)]) @ matrix.T + (50, 40)
    expected = [*corners.min(axis=0), *corners.max(axis=0)]
    np.testing.assert_allclose(enclosing_box((40, 37, 60, 43), degrees), expected)
