"""Annotations in a folder that the configuration does not name: the check says where, and which line to write."""

import json

import pytest
import yaml

from support.trees import write
from utils.annotations.annotation import YAML_PREFIX
from utils.checks.repair import repair
from utils.config.config import load_config
from utils.dataset.scan import raise_for_errors, scan_splits
from utils.errors import DatasetError

KIND = {".xml": "XML files", ".txt": "text files"}


def scans_of(root, **values):
    (root / "set.yaml").write_text(yaml.safe_dump({"CLASSES": ["Mask", "Gloves"], **values}))
    return scan_splits(load_config(root / "set.yaml"), progress=False)


def errors(scan):
    return [(error.check, error.text) for error in scan.errors]


LAYOUTS = {  # images and labels of the training split, images and labels of validation
    "sibling": ("JPEGImages/t", "Annotations/t", "JPEGImages/v", "Annotations/v"),
    "beside": ("t/img", "t/boxes", "v/img", "v/boxes"),
    "kinds above": ("images/train", "labels/train", "images/val", "labels/val"),
    "kinds below": ("train/images", "train/labels", "valid/images", "valid/labels"),
    "one folder of labels": ("train/images", "Annotations", "test/images", "Annotations"),
    "deeper": ("images/train", "ann/batch1", "images/val", "ann/batch2"),
}


@pytest.mark.parametrize("suffix", [".xml", ".txt"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=[name.replace(" ", "-") for name in LAYOUTS])
def test_labels_that_nobody_named_are_found(tmp_path, layout, suffix):
    places = LAYOUTS[layout]
    for images, labels, names in ((*places[:2], "abc"), (*places[2:], "de")):
        write(tmp_path, *(f"{images}/{name}.jpg" for name in names), *(f"{labels}/{name}{suffix}" for name in names))
    scans = scans_of(tmp_path, TRAIN_DIR_IMAGES=places[0], VALID_DIR_IMAGES=places[2])
    for name, count, labels in (("train", 3, places[1]), ("val", 2, places[3])):
        ((check, text),) = errors(scans[name])
        labels = labels.partition("/")[0] if layout == "deeper" else labels
        assert check == "labels-elsewhere" and f"{count} images have no annotation in" in text
        assert f"/{labels} has {count} {KIND[suffix]} of these names" in text
        assert text.endswith(f"add `{YAML_PREFIX[name]}_DIR_LABELS: {labels}`")
        assert not scans[name].of("unlabelled") and not scans[name].annotations
    # What it says is true.
    keys = {
        f"{YAML_PREFIX[name]}_DIR_LABELS": scan.errors[0].text.split(": ")[-1].rstrip("`")
        for name, scan in scans.items()
    }
    repaired = scans_of(tmp_path, TRAIN_DIR_IMAGES=places[0], VALID_DIR_IMAGES=places[2], **keys)
    assert [len(scan.annotations) for scan in repaired.values()] == [3, 2]
    assert [errors(scan) for scan in repaired.values()] == [[], []]


@pytest.mark.parametrize("suffix", [".xml", ".txt"])
def test_the_training_labels_are_named_and_those_of_validation_forgotten(tmp_path, suffix):
    names = [f"{kind}/{split}/{n}{end}" for split in ("train", "val") for n in range(3)
             for kind, end in (("images", ".jpg"), ("labels", suffix))]  # fmt: skip
    write(tmp_path, *names)  # the same names in both splits
    scans = scans_of(
        tmp_path, TRAIN_DIR_IMAGES="images/train", TRAIN_DIR_LABELS="labels/train", VALID_DIR_IMAGES="images/val"
    )
    assert errors(scans["train"]) == [] and len(scans["train"].annotations) == 3
    ((check, text),) = errors(scans["val"])
    assert check == "labels-elsewhere" and text.endswith("add `VALID_DIR_LABELS: labels/val`")


@pytest.mark.parametrize("suffix", [".xml", ".txt"])
def test_another_splits_labels_are_named(tmp_path, suffix):
    write(tmp_path, "i/t/a.jpg", "i/v/b.jpg", f"labels/t/a{suffix}", f"labels/v/b{suffix}")
    values = {"TRAIN_DIR_IMAGES": "i/t", "VALID_DIR_IMAGES": "i/v", "TRAIN_DIR_LABELS": "labels/v"}
    scans = scans_of(tmp_path, **values, VALID_DIR_LABELS="labels/v", FORMAT={".xml": "voc", ".txt": "yolo"}[suffix])
    ((check, text),) = errors(scans["train"])
    assert check == "labels-elsewhere"
    assert text.endswith(f"write `TRAIN_DIR_LABELS: labels/t` in place of {tmp_path / 'labels/v'}")
    assert errors(scans["val"]) == []


@pytest.mark.parametrize("suffix", [".xml", ".txt"])
def test_images_and_labels_the_wrong_way_round(tmp_path, suffix):
    write(tmp_path, "i/a.jpg", f"l/a{suffix}", "v/b.jpg", f"v/b{suffix}")
    scans = scans_of(tmp_path, TRAIN_DIR_IMAGES="l", TRAIN_DIR_LABELS="i", VALID_DIR_IMAGES="v")
    ((check, text),) = errors(scans["train"])
    assert check == "labels-elsewhere" and "TRAIN_DIR_IMAGES and TRAIN_DIR_LABELS are the wrong way round" in text


def test_a_coco_file_is_found(tmp_path):
    write(tmp_path, "images/train/a.jpg", "images/train/b.jpg", "images/val/c.jpg")
    (tmp_path / "annotations").mkdir()
    for split, names in (("train", "ab"), ("val", "c")):
        images = [{"id": i, "file_name": f"{name}.jpg"} for i, name in enumerate(names)]
        content = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "Mask"}]}
        (tmp_path / f"annotations/{split}.json").write_text(json.dumps(content))
    scans = scans_of(tmp_path, TRAIN_DIR_IMAGES="images/train", VALID_DIR_IMAGES="images/val")
    assert errors(scans["train"])[0][1].endswith("add `TRAIN_DIR_LABELS: annotations/train.json`")
    assert errors(scans["val"])[0][1].endswith("add `VALID_DIR_LABELS: annotations/val.json`")


@pytest.mark.parametrize("split", ["t", "v"])
def test_a_yolo_split_without_any_label_file_is_an_error(tmp_path, split):
    write(tmp_path, "t/a.jpg", "t/a.txt", "v/b.jpg", "v/b.txt")
    (next((tmp_path / split).glob("*.txt"))).unlink()
    scans = scans_of(tmp_path, TRAIN_DIR_IMAGES="t", VALID_DIR_IMAGES="v", FORMAT="yolo")
    name = {"t": "train", "v": "val"}[split]
    assert [check for check, _ in errors(scans[name])] == ["no-labels"]
    with pytest.raises(
        DatasetError, match=f"{name}: {tmp_path / split}: expected YOLO's text files of the names of 1 im"
    ):
        raise_for_errors(scans)
    with pytest.raises(DatasetError, match="nothing is left"):
        repair(load_config(tmp_path / "set.yaml"), scans, tmp_path / "new", progress=False)
    assert not (tmp_path / "new").exists()


def test_a_divided_folder_reports_it_once(tmp_path):
    write(tmp_path, *(f"d/images/{n}.jpg" for n in range(6)), *(f"d/labels/{n}.txt" for n in range(6)))
    scans = scans_of(tmp_path, TRAIN_DIR_IMAGES="d/images", SPLIT=0.5)
    ((check, text),) = [error for scan in scans.values() for error in errors(scan)]
    assert check == "labels-elsewhere" and text.endswith("add `TRAIN_DIR_LABELS: d/labels`")


def test_other_datasets_are_not_taken_for_the_labels(tmp_path):
    write(tmp_path, "sets/one/a.jpg", "sets/two/a.jpg", "sets/two/a.xml", "sets/three/JPEGImages/a.jpg",
          "sets/three/Annotations/a.xml", "sets/v/b.jpg", "sets/v/b.xml")  # fmt: skip
    scans = scans_of(tmp_path, TRAIN_DIR_IMAGES="sets/one", VALID_DIR_IMAGES="sets/v")
    assert [check for check, _ in errors(scans["train"])] == ["no-images"]
    assert [f.text for f in scans["train"].of("unlabelled")] == ["a.jpg"]


def test_a_few_images_without_annotation_start_no_search(tmp_path):
    write(tmp_path, "i/a.jpg", "i/b.jpg", "i/c.jpg", "i/a.xml", "i/b.xml", "labels/c.xml", "v/d.jpg", "v/d.xml")
    scans = scans_of(tmp_path, TRAIN_DIR_IMAGES="i", VALID_DIR_IMAGES="v")
    assert errors(scans["train"]) == [] and [f.text for f in scans["train"].of("unlabelled")] == ["c.jpg"]


@pytest.mark.parametrize("suffix", [".xml", ".txt"])
def test_files_that_have_the_name_of_no_image_show_no_format(tmp_path, suffix):
    write(tmp_path, "t/a.jpg", f"t/x{suffix}", "v/b.jpg", f"v/y{suffix}")
    scans = scans_of(tmp_path, TRAIN_DIR_IMAGES="t", VALID_DIR_IMAGES="v")
    ((check, text),) = errors(scans["train"])
    formats = "Pascal VOC XML, YOLO text, LabelMe JSON"
    assert check == "no-images"
    assert f"no annotation of any format ({formats}) has the name of an image in {tmp_path / 't'}; 1 images" in text
    assert text.endswith(f"holds a.jpg, x{suffix}")
