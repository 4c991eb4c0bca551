"""Folders as people have them: the YAML that is written for one is read, and every image of it is found."""

import itertools
import json
from dataclasses import replace

import pytest
import yaml

from support.paths import SHARED
from support.voc_files import element, write_image, xml
from utils.config.config import load_config
from utils.dataset.scan import raise_for_errors, scan_splits
from utils.discovery.dataset_yaml import summary_lines, write_dataset_yaml
from utils.discovery.discover import discover
from utils.errors import ConfigError, DatasetError, ToolkitError

NAMES = ["Gloves", "Mask"]


NUMBERS = itertools.count()


def image(path):
    """Write an image of a size of its own, so that none is a copy of another."""
    number = next(NUMBERS)
    write_image(path, size=(60 + number % 40, 50 + number % 31))


def voc(image_path, label_path, name="Mask"):
    image(image_path)
    label_path.parent.mkdir(parents=True, exist_ok=True)
    label_path.write_text(xml(element(name, (1, 2, 21, 32))))


def yolo(image_path, label_path, number=0):
    image(image_path)
    label_path.parent.mkdir(parents=True, exist_ok=True)
    label_path.write_text(f"{number} 0.5 0.5 0.4 0.4\n")


def coco(path, images_dir, names, prefix=""):
    for name in names:
        image(images_dir / name)
    boxes = [
        {"id": i, "image_id": i, "category_id": 1 + i % 2, "bbox": [2, 2, 20, 20], "iscrowd": 0}
        for i in range(len(names))
    ]
    categories = [{"id": 0, "name": "things", "supercategory": "none"}]
    categories += [{"id": 1 + i, "name": name, "supercategory": "things"} for i, name in enumerate(NAMES)]
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = [{"id": i, "file_name": f"{prefix}{name}"} for i, name in enumerate(names)]
    path.write_text(json.dumps({"images": listed, "annotations": boxes, "categories": categories}))


def stems(start, count):
    return [f"a{number}" for number in range(start, start + count)]


def together(root):
    for i, stem in enumerate(stems(0, 8)):
        voc(root / f"{stem}.jpg", root / f"{stem}.xml", NAMES[i % 2])


def apart(root):
    for i, stem in enumerate(stems(0, 8)):
        voc(root / f"images/{stem}.jpg", root / f"annotations/{stem}.xml", NAMES[i % 2])


def apart_under_any_names(root):
    for i, stem in enumerate(stems(0, 8)):
        voc(root / f"my photographs/{stem}.JPG", root / f"from labelImg/{stem}.xml", NAMES[i % 2])


def apart_with_splits(root):
    for split, start, count in (("train", 0, 6), ("validation", 6, 3), ("test", 9, 2)):
        for i, stem in enumerate(stems(start, count)):
            voc(root / f"images/{split}/{stem}.jpg", root / f"xml/{split}/{stem}.xml", NAMES[i % 2])


def split_folders_of_other_names(root):
    for split, start, count in (("train", 0, 6), ("val", 6, 3)):
        for i, stem in enumerate(stems(start, count)):
            voc(root / f"{split}_images/{stem}.jpg", root / f"{split}_labels/{stem}.xml", NAMES[i % 2])


def training_and_test_only(root):
    for split, start, count in (("Training", 0, 6), ("Test", 6, 3)):
        for i, stem in enumerate(stems(start, count)):
            voc(root / split / f"{stem}.jpg", root / split / f"{stem}.xml", NAMES[i % 2])


def devkit(root):
    base = root / "VOC2007"
    for i, stem in enumerate(stems(0, 9)):
        voc(base / f"JPEGImages/{stem}.jpg", base / f"Annotations/{stem}.xml", NAMES[i % 2])
    image(base / "SegmentationClass/a0.png")
    lists = base / "ImageSets/Main"
    lists.mkdir(parents=True)
    for name, start, count in (("train", 0, 5), ("val", 5, 3), ("trainval", 0, 8), ("test", 8, 1)):
        (lists / f"{name}.txt").write_text("".join(f"{stem}\n" for stem in stems(start, count)))
    (lists / "Mask_train.txt").write_text("".join(f"{stem}  1\n" for stem in stems(0, 5)))


def devkit_of_two_years(root):
    for year, start in (("VOC2007", 0), ("VOC2012", 20)):
        for i, stem in enumerate(stems(start, 6)):
            voc(root / year / f"JPEGImages/{stem}.jpg", root / year / f"Annotations/{stem}.xml", NAMES[i % 2])
        (root / year / "ImageSets/Main").mkdir(parents=True)
        for name, first, count in (("train", start, 4), ("val", start + 4, 2)):
            path = root / year / f"ImageSets/Main/{name}.txt"
            path.write_text("".join(f"{stem}\n" for stem in stems(first, count)))


def devkit_with_one_list(root):
    devkit(root)
    for name in ("train", "val", "test"):
        (root / f"VOC2007/ImageSets/Main/{name}.txt").unlink()


ROBOFLOW = (("train", 0, 6), ("valid", 6, 3), ("test", 9, 2))


def roboflow_voc(root):
    for split, start, count in ROBOFLOW:
        for i, stem in enumerate(stems(start, count)):
            voc(root / split / f"{stem}_jpg.rf.0a{i}.jpg", root / split / f"{stem}_jpg.rf.0a{i}.xml", NAMES[i % 2])
    (root / "README.roboflow.txt").write_text("exported\n")


def roboflow_coco(root):
    for split, start, count in ROBOFLOW:
        coco(root / split / "_annotations.coco.json", root / split, [f"{stem}.jpg" for stem in stems(start, count)])


def roboflow_yolo(root):
    for split, start, count in ROBOFLOW:
        for i, stem in enumerate(stems(start, count)):
            yolo(root / split / f"images/{stem}.jpg", root / split / f"labels/{stem}.txt", i % 2)
    places = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n"
    (root / "data.yaml").write_text(f"{places}nc: 2\nnames: [Gloves, Mask]\n")


def yolo_with_data_yaml(root):
    for split, start, count in (("first", 0, 6), ("second", 6, 3)):
        for i, stem in enumerate(stems(start, count)):
            yolo(root / f"images/{split}/{stem}.jpg", root / f"labels/{split}/{stem}.txt", i % 2)
    (root / "data.yaml").write_text("path: .\ntrain: images/first\nval: images/second\nnames: {0: Gloves, 1: Mask}\n")


def yolo_with_classes_txt(root):
    for i, stem in enumerate(stems(0, 8)):
        yolo(root / f"images/{stem}.jpg", root / f"labels/{stem}.txt", i % 2)
    image(root / "images/without.jpg")  # no label file: no objects
    (root / "classes.txt").write_text("Gloves\nMask\n")


def darknet(root):
    for i, stem in enumerate(stems(0, 9)):
        yolo(root / f"obj_train_data/{stem}.jpg", root / f"obj_train_data/{stem}.txt", i % 2)
    (root / "obj.names").write_text("Gloves\nMask\n")
    for name, start, count in (("train", 0, 6), ("valid", 6, 3)):
        lines = "".join(f"data/obj_train_data/{stem}.jpg\n" for stem in stems(start, count))
        (root / f"{name}.txt").write_text(lines)


def coco_with_image_folders(root):
    for split, start, count in (("train", 0, 6), ("val", 6, 3)):
        names = [f"{stem}.jpg" for stem in stems(start, count)]
        coco(root / f"annotations/instances_{split}2017.json", root / f"{split}2017", names)
        captions = {
            "images": [{"id": 0, "file_name": names[0]}],
            "annotations": [{"id": 0, "image_id": 0, "caption": ""}],
        }
        (root / f"annotations/captions_{split}2017.json").write_text(json.dumps(captions | {"categories": []}))


def coco_with_one_folder(root):
    for split, start, count in (("train", 0, 6), ("val", 6, 3)):
        coco(root / f"{split}.json", root / "images", [f"{stem}.jpg" for stem in stems(start, count)], "images/")


def coco_with_one_file(root):
    coco(root / "annotations.json", root / "images", [f"{stem}.jpg" for stem in stems(0, 8)])


LAYOUTS = [  # layout, format, images to train on, images to validate on: None where they are divided
    (together, "voc", 8, None),
    (apart, "voc", 8, None),
    (apart_under_any_names, "voc", 8, None),
    (apart_with_splits, "voc", 6, 3),
    (split_folders_of_other_names, "voc", 6, 3),
    (training_and_test_only, "voc", 6, 3),
    (devkit, "voc", 5, 3),
    (devkit_of_two_years, "voc", 8, 4),
    (devkit_with_one_list, "voc", 8, None),
    (roboflow_voc, "voc", 6, 3),
    (roboflow_coco, "coco", 6, 3),
    (roboflow_yolo, "yolo", 6, 3),
    (yolo_with_data_yaml, "yolo", 6, 3),
    (yolo_with_classes_txt, "yolo", 9, None),
    (darknet, "yolo", 6, 3),
    (coco_with_image_folders, "coco", 6, 3),
    (coco_with_one_folder, "coco", 6, 3),
    (coco_with_one_file, "coco", 8, None),
]


def scanned(path):
    """Load a YAML and read its dataset, without an error; returns the configuration and the images of each split."""
    config = load_config(path)
    scans = scan_splits(config, progress=False)
    raise_for_errors(scans)
    return config, {name: len(scan.annotations) for name, scan in scans.items()}


@pytest.mark.parametrize(
    ("lay_out", "annotation_format", "train", "val"), LAYOUTS, ids=lambda value: getattr(value, "__name__", None)
)
@pytest.mark.parametrize("beside", [False, True], ids=["elsewhere", "beside"])
def test_the_yaml_of_a_folder_is_ready_to_train(tmp_path, lay_out, annotation_format, train, val, beside):
    root = tmp_path / "set"
    lay_out(root)
    path = root / "new.yaml" if beside else tmp_path / "configs/new.yaml"
    found = discover(root)
    write_dataset_yaml(found, path)
    config, images = scanned(path)
    assert config.annotation_format == found.annotation_format == annotation_format
    assert list(config.class_names[1:]) == NAMES
    assert (found.layout.train.images, found.layout.val and found.layout.val.images) == (train, val)
    if val is None:
        assert config.split == 0.15 and sum(images.values()) == train and min(images.values()) > 0
    else:
        test = {"test": found.layout.test.images} if found.layout.test else {}
        assert config.split is None and images == {"train": train, "val": val} | test
    assert any(f"{train} images" in line for line in summary_lines(found))


@pytest.mark.parametrize(
    ("lay_out", "count", "keys"),
    [
        (apart_with_splits, 2, {"TEST_DIR_IMAGES", "TEST_DIR_LABELS"}),
        (roboflow_voc, 2, {"TEST_DIR_IMAGES", "TEST_DIR_LABELS"}),
        (roboflow_coco, 2, {"TEST_DIR_IMAGES", "TEST_DIR_LABELS"}),
        (roboflow_yolo, 2, {"TEST_DIR_IMAGES", "TEST_DIR_LABELS"}),
        (devkit, 1, {"TEST_DIR_IMAGES", "TEST_DIR_LABELS", "TEST_LIST"}),
        (training_and_test_only, None, set()),
        (yolo_with_data_yaml, None, set()),
    ],
)
def test_a_test_split_is_written_with_its_own_keys(tmp_path, lay_out, count, keys):
    root, path = tmp_path / "set", tmp_path / "new.yaml"
    lay_out(root)
    found = discover(root)
    write_dataset_yaml(found, path)
    assert {key for key in yaml.safe_load(path.read_text()) if key.startswith("TEST")} == keys
    assert any(line.startswith(f"  test: {count} images in ") for line in summary_lines(found)) == bool(keys)
    assert scanned(path)[1].get("test") == count


def test_a_test_folder_beside_images_that_are_to_be_divided(tmp_path):
    for split, start, count in (("train", 0, 9), ("test", 9, 2)):
        for i, stem in enumerate(stems(start, count)):
            voc(tmp_path / split / f"{stem}.jpg", tmp_path / split / f"{stem}.xml", NAMES[i % 2])
    found = discover(tmp_path)
    divided = replace(found, layout=replace(found.layout, val=None, test=found.layout.val))
    write_dataset_yaml(divided, tmp_path / "new.yaml", share=(0.2, 0.2))
    values = yaml.safe_load((tmp_path / "new.yaml").read_text())
    assert values["SPLIT"] == 0.2 and "TEST_DIR_IMAGES" in values
    assert scanned(tmp_path / "new.yaml")[1]["test"] == 2


def test_names_of_yolo_classes_are_not_made_up(tmp_path):
    yolo_with_classes_txt(tmp_path / "set")
    (tmp_path / "set/classes.txt").unlink()
    found = discover(tmp_path / "set")
    write_dataset_yaml(found, tmp_path / "new.yaml")
    assert found.classes.names == () and "  class numbers (objects): 0 (4), 1 (4)" in summary_lines(found)
    text = (tmp_path / "new.yaml").read_text()
    assert "# Fill in the names of the numbers 0 to 1, in this order:\nCLASSES:\n" in text
    with pytest.raises(ConfigError, match="CLASSES: missing or empty"):
        load_config(tmp_path / "new.yaml")
    (tmp_path / "filled.yaml").write_text(text.replace("#  - name_of_0", "  - Gloves\n  - Mask"))
    assert sum(scanned(tmp_path / "filled.yaml")[1].values()) == 9


def test_class_names_that_differ_in_case_alone_are_one_and_said(tmp_path):
    apart(tmp_path / "set")
    voc(tmp_path / "set/images/b.jpg", tmp_path / "set/annotations/b.xml", "mask")
    found = discover(tmp_path / "set")
    write_dataset_yaml(found, tmp_path / "new.yaml")
    assert "  note: mask (1 objects) is taken for Mask (4): see RENAME" in summary_lines(found)
    config, images = scanned(tmp_path / "new.yaml")
    assert config.renamed == {"mask": "Mask"} and sum(images.values()) == 9


def test_class_names_that_yaml_would_take_for_something_else(tmp_path):
    for i, name in enumerate(["yes", "7", "a: b", "größe"]):
        voc(tmp_path / f"set/{i}.jpg", tmp_path / f"set/{i}.xml", name)
    write_dataset_yaml(discover(tmp_path / "set"), tmp_path / "new.yaml")
    assert scanned(tmp_path / "new.yaml")[0].class_names[1:] == ("7", "a: b", "größe", "yes")


def test_images_without_annotation_are_counted(tmp_path):
    apart(tmp_path)
    image(tmp_path / "images/more.jpg")
    assert "  note: 1 image has no annotation file: left out" in summary_lines(discover(tmp_path))


def test_a_file_is_never_overwritten(tmp_path):
    together(tmp_path / "set")
    (tmp_path / "mine.yaml").write_text("mine")
    with pytest.raises(ToolkitError, match="mine.yaml is there already and is never overwritten"):
        write_dataset_yaml(discover(tmp_path / "set"), tmp_path / "mine.yaml")
    assert (tmp_path / "mine.yaml").read_text() == "mine"


def test_folders_that_are_no_dataset(tmp_path):
    with pytest.raises(DatasetError, match="no such folder"):
        discover(tmp_path / "none")
    with pytest.raises(DatasetError, match="expected images in it or in folders below, found nothing"):
        discover(tmp_path)
    image(tmp_path / "a.jpg")
    (tmp_path / "a.txt").write_text("a caption\n")
    with pytest.raises(DatasetError, match="found 1 images, but no annotations for them"):
        discover(tmp_path)
    (tmp_path / "annotations.xml").write_text("<annotations/>")
    with pytest.raises(DatasetError, match=r"annotations\.xml: expected .* it looks like CVAT's own XML: export"):
        discover(tmp_path)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared datasets are not there")
def test_real_datasets(tmp_path):
    bccd, capybara = discover(SHARED / "bccd"), discover(SHARED / "capybara")
    write_dataset_yaml(bccd, tmp_path / "bccd.yaml")
    values = yaml.safe_load((tmp_path / "bccd.yaml").read_text())
    assert sorted(values["CLASSES"]) == ["Platelets", "RBC", "WBC"]
    assert values["TRAIN_LIST"].endswith("Main/train.txt") and values["VALID_LIST"].endswith("Main/val.txt")
    assert bccd.layout.val and (bccd.layout.train.images, bccd.layout.val.images, bccd.layout.test.images) == (
        205,
        87,
        72,
    )
    assert scanned(tmp_path / "bccd.yaml")[1] == {"train": 205, "val": 87, "test": 72}
    write_dataset_yaml(capybara, tmp_path / "capybara.yaml")
    config, images = scanned(tmp_path / "capybara.yaml")
    assert capybara.layout.val and config.class_names[1:] == ("capivara",)
    assert (
        images
        == {"train": capybara.layout.train.images, "val": capybara.layout.val.images}
        == {"train": 180, "val": 20}
    )
