"""One cause of a whole split's trouble is one error; the same trouble in a few boxes is reported box by box."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from support.reading import read_coco, read_voc, read_yolo
from support.voc_files import CLASSES, element, write_image, xml
from utils.annotations.box_layout import Written, one_cause
from utils.annotations.scan_result import format_findings
from utils.checks.repair import repair
from utils.config.config import load_config
from utils.dataset.scan import raise_for_errors, scan_splits
from utils.errors import DatasetError

SIZE = (400, 300)


def truth(files=6, per_file=2, size=SIZE, seed=0):
    """(files, per_file, 4) boxes, xyxy, all over the image."""
    rng = np.random.default_rng(seed)
    wh = rng.uniform(0.1, 0.35, (files, per_file, 2))
    xy = rng.uniform(0, 1, wh.shape) * (0.98 - wh) + 0.01
    return np.concatenate([xy, xy + wh], axis=-1) * np.tile(size, 2)


def write_images(folder, count, size=SIZE):
    for number in range(count):
        write_image(folder / f"{number}.jpg", size)


def voc(folder, boxes, size=SIZE, labelled=SIZE):
    write_images(folder, len(boxes), size)
    for number, of_file in enumerate(boxes):
        text = xml(*[element(box=box.tolist()) for box in of_file], size=labelled)
        (folder / f"{number}.xml").write_text(text)
    return read_voc(folder, folder, CLASSES, progress=False)


def coco(folder, boxes):
    write_images(folder, len(boxes))
    content = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "Mask"}]}
    for number, of_file in enumerate(boxes):
        content["images"].append({"id": number, "file_name": f"{number}.jpg"})
        content["annotations"] += [{"image_id": number, "category_id": 1, "bbox": box.tolist()} for box in of_file]
    (folder / "all.json").write_text(json.dumps(content))
    return read_coco(folder, folder / "all.json", CLASSES, progress=False)


def yolo(folder, boxes):
    write_images(folder, len(boxes))
    for number, of_file in enumerate(boxes):
        lines = ["0 " + " ".join(f"{value:.6f}" for value in box) for box in of_file]
        (folder / f"{number}.txt").write_text("\n".join(lines))
    return read_yolo(folder, folder, CLASSES, progress=False)


def xywh(boxes):
    return np.concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=-1)


def centred(boxes):
    return np.concatenate([(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], axis=-1)


def polygons(boxes):
    """Five corners in each box, on all its sides."""
    x1, y1, x2, y2 = np.moveaxis(boxes, -1, 0)
    middle = (x1 + x2) / 2
    return np.stack([x1, y1, middle, (y1 * 0.9 + y2 * 0.1), x2, y1, x2, y2, x1, y2], axis=-1)


WHOLE = np.tile(SIZE, 2)
PIXELS, SHARES, PERCENT = "in pixels", "as shares of the image (0 to 1)", "in percent of the image"
CORNERS, XYWH, CENTRE = "xmin, ymin, xmax, ymax", "x, y, width, height", "x and y of the centre, width, height"
CAUSES = {
    "VOC in shares": (voc, lambda b: b / WHOLE, f"{CORNERS} {PIXELS}", f"{CORNERS} {SHARES}"),
    "VOC as xywh": (voc, xywh, f"{CORNERS} {PIXELS}", f"{XYWH} {PIXELS}"),
    "VOC as centres": (voc, centred, f"{CORNERS} {PIXELS}", CENTRE),
    "VOC y first": (voc, lambda b: b[..., [1, 0, 3, 2]], f"{CORNERS} {PIXELS}", "ymin, xmin, ymax, xmax in pixels"),
    "VOC x, then y": (voc, lambda b: b[..., [0, 2, 1, 3]], f"{CORNERS} {PIXELS}", "xmin, xmax, ymin, ymax in pixels"),
    "VOC as YOLO": (voc, lambda b: centred(b) / WHOLE, f"{CORNERS} {PIXELS}", f"{CENTRE} {SHARES}"),
    "COCO in shares": (coco, lambda b: xywh(b) / WHOLE, f"{XYWH} {PIXELS}", f"{XYWH} {SHARES}"),
    "COCO as corners": (coco, lambda b: b, f"{XYWH} {PIXELS}", f"{CORNERS} {PIXELS}"),
    "YOLO in pixels": (yolo, centred, f"{CENTRE} {SHARES}", f"{CENTRE} {PIXELS}"),
    "YOLO in percent": (yolo, lambda b: centred(b) / WHOLE * 100, f"{CENTRE} {SHARES}", f"{CENTRE} {PERCENT}"),
    "YOLO as corners in pixels": (yolo, lambda b: b, f"{CENTRE} {SHARES}", f"{CORNERS} {PIXELS}"),
    "YOLO polygons in pixels": (yolo, lambda b: polygons(b), f"{CENTRE} {SHARES}", f"{CENTRE} {PIXELS}"),
    "YOLO as corners": (yolo, lambda b: b / WHOLE, f"{CENTRE} {SHARES}", f"{CORNERS} {SHARES}"),
}


@pytest.mark.parametrize(("write", "change", "expected", "found"), CAUSES.values(), ids=CAUSES)
@pytest.mark.parametrize("seed", range(3))
def test_one_cause_is_one_error(tmp_path, write, change, expected, found, seed):
    scan = write(tmp_path, change(truth(8, 3, seed=seed)))
    assert not scan.annotations
    (error,) = scan.findings
    assert error.check == "box-layout" and scan.errors == [error]
    assert error.text.startswith(f"expected {expected}; ") and found in error.text.partition(" all fit as ")[2], error
    assert "24 boxes in 8 files (0." in error.text or "(0.jpg" in error.text
    assert (
        ": object 1 (Mask): box (" in error.text
        or "annotation" in error.text
        or re.search(r"txt: line 1( \(Mask\))?: box \(", error.text)
    )


@pytest.mark.parametrize("write", [voc, coco])
def test_percent_of_much_larger_images(tmp_path, write):
    boxes = truth(10, 3) / WHOLE * 100
    (error,) = write(tmp_path, boxes if write is voc else xywh(boxes)).findings
    assert error.check == "box-layout" and PERCENT in error.text.partition(" all fit as ")[2]


def test_what_was_drawn_on_images_of_another_size(tmp_path):
    (error,) = voc(tmp_path, truth(4, 2) * 2, labelled=(800, 600)).findings
    assert error.check == "box-layout" and "0.xml: object 1 (Mask): box (" in error.text
    assert "on 800x600, but the image is 400x300: the images were resized" in error.text
    (error,) = voc(tmp_path, truth(4, 2) / 2, labelled=(200, 150)).findings
    assert "on 200x150, but the image is 400x300: the images were resized" in error.text
    (error,) = voc(tmp_path, truth(4, 3)[..., [1, 0, 3, 2]], labelled=(300, 400)).findings
    assert "on 300x400, but the image is 400x300: the images were turned, or x and y are exchanged" in error.text


SOUND = {
    "as it should be": lambda b: b,
    "one box of one": lambda b: np.concatenate([b[:1] / WHOLE, b[1:]]),
    "in the first quarter": lambda b: b / 2,
    "in a corner": lambda b: b / WHOLE * 40 + 8,
    "around everything": lambda b: np.zeros_like(b) + np.array([0, 0, *SIZE]),
    "of images that were shrunk": lambda b: b * 1.25,
}


@pytest.mark.parametrize("change", SOUND.values(), ids=SOUND)
@pytest.mark.parametrize("write", [voc, coco, yolo])
def test_boxes_that_are_meant_so_are_left_alone(tmp_path, write, change):
    boxes = change(truth(8, 3))
    as_format = {voc: boxes, coco: xywh(boxes), yolo: centred(boxes) / WHOLE}[write]
    scan = write(tmp_path, as_format)
    assert not scan.of("box-layout") and len(scan.annotations) == 8


def test_shares_that_reach_out_are_no_percent_of_a_large_image():
    size = (1920, 1080)
    files = []
    for boxes in truth(6, 2, size) * 1.3:
        shares = centred(boxes) / np.tile(size, 2)
        files.append(Written("0.txt: line 1", "0.txt", ("centre", "shares"), shares, boxes, size, None))
    assert one_cause(files) is None


def test_sizes_that_differ_alone_are_reported_file_by_file(tmp_path):
    scan = voc(tmp_path, truth(4, 2), labelled=(800, 600))
    assert [f.check for f in scan.findings] == ["size-mismatch"] * 4 and len(scan.annotations) == 4


def test_some_files_in_pixels_are_reported_as_such(tmp_path):
    boxes = centred(truth(8, 2))
    boxes[4:] /= WHOLE
    scan = yolo(tmp_path, boxes)
    assert len(scan.annotations) == 4 and [f.check for f in scan.findings] == ["annotation-unreadable"] * 4
    (line,) = format_findings(scan.findings)
    assert line.startswith("numbers that are no shares of the image from 0 to 1: are these pixels? in 4 files: 0.jpg")


def test_class_numbers_that_count_from_one_are_one_error(tmp_path):
    for number, label in enumerate((1, 2, 1, 2)):
        write_image(tmp_path / f"{number}.jpg")
        (tmp_path / f"{number}.txt").write_text(f"{label} 0.5 0.5 0.2 0.2\n")
    (error,) = read_yolo(tmp_path, tmp_path, CLASSES, progress=False).errors
    assert error.check == "class-numbers" and "from 0 to 1, as CLASSES has 2 names, found 2 and no 0" in error.text
    (tmp_path / "0.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    assert {f.check for f in read_yolo(tmp_path, tmp_path, CLASSES, progress=False).errors} == {"unknown-class"}


@pytest.fixture
def config(tmp_path):
    voc(tmp_path / "train", truth(6, 2) / WHOLE)
    voc(tmp_path / "test", truth(3, 2, seed=5))
    (tmp_path / "train" / "0.jpg").write_bytes(b"none")
    (tmp_path / "set.yaml").write_text("TRAIN_DIR_IMAGES: train\nVALID_DIR_IMAGES: test\nCLASSES: [Mask, Gloves]\n")
    return load_config(tmp_path / "set.yaml")


@pytest.mark.parametrize("skip_bad", [False, True])
def test_the_cause_stops_a_training_and_a_repair(config, tmp_path, skip_bad):
    scans = scan_splits(config, skip_bad=skip_bad, progress=False)
    assert [f.check for f in scans["train"].findings] == ["box-layout", "image-unreadable"]
    assert not scans["val"].findings
    with pytest.raises(DatasetError, match="all fit as xmin, ymin, xmax, ymax as shares"):
        raise_for_errors(scans)
    with pytest.raises(DatasetError, match="cannot be fixed: no copy is written"):
        repair(config, scans, tmp_path / "copy", progress=False)
    assert not (tmp_path / "copy").exists()


def test_images_that_exif_turns_show_nothing(tmp_path):
    tags = Image.Exif()
    tags[0x0112] = 6
    for number, box in enumerate(truth(4, 1)[:, 0]):
        write_image(tmp_path / f"{number}.jpg", SIZE, exif=tags)
        (tmp_path / f"{number}.xml").write_text(xml(element(box=box.tolist()), size=SIZE))
    scan = read_voc(tmp_path, tmp_path, CLASSES, progress=False)
    assert {f.check for f in scan.findings} == {"rotated"} and len(scan.annotations) == 4
