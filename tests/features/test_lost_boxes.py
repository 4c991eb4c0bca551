"""An image that shows objects, none of which can be used, is no negative: not in training, check, repair or convert."""

import json

import pytest

import convert_dataset as convert
from support.clean_sets import boxes_of, write_clean_set, write_labels, write_pair
from support.reading import read_coco, read_yolo
from support.voc_files import CLASSES, write_image
from utils.checks.repair import repair
from utils.config.config import load_config
from utils.dataset.scan import scan_splits

UNUSABLE = {
    "inverted": [(200, 40, 150, 90)],
    "empty": [(40, 50, 40, 80)],
    "outside": [(500, 20, 600, 90)],
    "several": [(200, 40, 150, 90), (40, 50, 40, 80), (-50, -50, -3, -4)],
}


@pytest.fixture(params=UNUSABLE.values(), ids=UNUSABLE)
def config(request, tmp_path):
    """A clean set with a lost image in each split, and a true negative."""
    yaml = write_clean_set(tmp_path)
    write_pair(tmp_path / "train", "lost", 50, [("Mask", box) for box in request.param])
    write_pair(tmp_path / "test", "gone", 51, [("Mask", box) for box in request.param])
    write_pair(tmp_path / "train", "empty", 52, [])
    write_labels(tmp_path / "train", "a1", [*boxes_of(1), ("Mask", (9, 9, 9, 30))])
    return load_config(yaml)


def names(scan):
    return [annotation.image_path.stem for annotation in scan.annotations]


def check_names(scans):
    assert names(scans["train"]) == [*(f"a{n}" for n in range(6)), "empty"]
    assert names(scans["val"]) == ["b0", "b1", "b2", "b3"]
    assert len(scans["train"].annotations[1].labels) == 2 and len(scans["train"].annotations[-1].labels) == 0


def test_training_check_repair_and_convert_agree(config, tmp_path, capsys):
    scans = scan_splits(config, progress=False)
    check_names(scans)
    assert all(not scan.errors and len(scan.thumbnails) == len(scan.annotations) for scan in scans.values())
    for split, name in (("train", "lost"), ("val", "gone")):
        (finding,) = scans[split].of("no-box-left")
        assert finding.image.stem == name and finding.text.startswith(f"{name}.jpg: none of its ")
        assert len([f for f in scans[split].of("box-dropped") if f.image == finding.image]) > 0

    lines = repair(config, scans, tmp_path / "copy", progress=False)
    check_names(scan_splits(load_config(tmp_path / "copy" / "dataset.yaml"), progress=False))
    assert any(line.startswith("train: left out: lost.jpg: none of its ") for line in lines)
    assert "train: left out: a1.xml: object 3 (Mask): box (9, 9, 9, 30) is empty" in lines
    assert not any(line.split(": ")[1] == "fixed" for line in lines if ": " in line)

    argv = ["--config", str(config.path), "--to", "yolo", "--output", str(tmp_path / "yolo")]
    assert convert.main(convert.arguments(argv)) == 0
    check_names(scan_splits(load_config(tmp_path / "yolo" / "dataset.yaml"), progress=False))
    assert "lost.jpg: none of its " in capsys.readouterr().err


def test_an_image_of_crowds_alone_is_left_out(tmp_path):
    categories, images, items = [{"id": 1, "name": "Mask"}], [], []
    for number, name in enumerate(("crowds", "both", "none")):
        write_image(tmp_path / f"{name}.jpg")
        images.append({"id": number, "file_name": f"{name}.jpg", "width": 40, "height": 30})
    for image, crowd in ((0, 1), (0, 1), (1, 1), (1, 0)):
        items.append({"id": len(items), "image_id": image, "category_id": 1, "bbox": [1, 2, 9, 9], "iscrowd": crowd})
    (tmp_path / "all.json").write_text(json.dumps({"images": images, "annotations": items, "categories": categories}))
    scan = read_coco(tmp_path, tmp_path / "all.json", CLASSES, progress=False)
    assert names(scan) == ["both", "none"] and [len(a.labels) for a in scan.annotations] == [1, 0]
    assert [(f.check, f.text) for f in scan.findings] == [
        ("crowd", "both.jpg: 1 crowd regions"),
        ("no-box-left", "crowds.jpg: 2 crowd regions and no box"),
    ]


def test_a_yolo_image_whose_boxes_lie_outside_is_left_out(tmp_path):
    for name, row in (
        ("a", "0 0.5 0.5 0 0.2\n"),
        ("b", "0 1.5 0.5 0.2 0.2\n"),
        ("c", ""),
        ("d", "0 0.5 0.5 0.2 0.2\n"),
    ):
        write_image(tmp_path / f"{name}.jpg")
        (tmp_path / f"{name}.txt").write_text(row)
    scan = read_yolo(tmp_path, tmp_path, CLASSES, progress=False)
    assert names(scan) == ["c", "d"] and [f.image.stem for f in scan.of("no-box-left")] == ["a", "b"]
