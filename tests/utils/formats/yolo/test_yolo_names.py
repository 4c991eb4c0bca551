"""Names of YOLO's class numbers, where lists of names lie beside the labels."""

import json

import pytest
import yaml

from support.reading import read_yolo
from support.voc_files import write_image
from utils.checks.repair import repair
from utils.config.config import load_config
from utils.dataset.scan import raise_for_errors, scan_splits
from utils.errors import DatasetError

NAMES = ["Mask", "Hat", "Gloves"]
FOUR = "0 0.2 0.2 0.1 0.1\n1 0.4 0.4 0.1 0.1\n2 0.6 0.6 0.1 0.1\n"


@pytest.fixture
def folder(tmp_path):
    """images/train, images/val and their labels, three objects in each, one of each number."""
    for split in ("train", "val"):
        write_image(tmp_path / "images" / split / f"{split}.jpg")
        (tmp_path / "labels" / split).mkdir(parents=True)
        (tmp_path / "labels" / split / f"{split}.txt").write_text(FOUR)
    return tmp_path


def write(folder, classes, **more):
    values = {"TRAIN_DIR_IMAGES": "images/train", "TRAIN_DIR_LABELS": "labels/train", "CLASSES": classes, **more}
    values |= {"VALID_DIR_IMAGES": "images/val", "VALID_DIR_LABELS": "labels/val"}
    (folder / "helmets.yml").write_text(yaml.safe_dump(values))
    return load_config(folder / "helmets.yml")


def scanned(folder, classes, **more):
    return scan_splits(write(folder, classes, **more), progress=False)


def labels(scans):
    raise_for_errors(scans)
    return scans["train"].annotations[0].labels.tolist()


def note(names):
    return json.dumps({"categories": [{"id": number, "name": name} for number, name in enumerate(names)]})


LISTS = {
    "labels/train/classes.txt": "\n".join,
    "labels/classes.txt": "\r\n".join,
    "classes.txt": "\n".join,
    "obj.names": "\n".join,
    "images/train/_darknet.labels": "\n".join,
    "notes.json": note,
    "labels/notes.json": note,
    "data.yaml": lambda names: yaml.safe_dump({"train": "images/train", "val": "images/val", "names": names}),
    "data.yml": lambda names: yaml.safe_dump({"train": "/nowhere/images", "names": dict(enumerate(names))}),
    "images/helmets_v2.yaml": lambda names: yaml.safe_dump({"train": "train", "val": "val", "names": names}),
    "dataset.yaml": lambda names: yaml.safe_dump({"CLASSES": names, "FORMAT": "yolo"}),
}


@pytest.mark.parametrize("place", LISTS)
def test_another_order_beside_the_labels_is_an_error(folder, place):
    (folder / place).write_text(LISTS[place](NAMES))
    scans = scanned(folder, ["Gloves", "Mask", "Hat"])
    (error,) = [f for scan in scans.values() for f in scan.errors]  # the same list for both splits is reported once
    assert error.check == "class-numbers"
    assert error.text == (
        f"{folder / place} has the classes [Mask, Hat, Gloves], CLASSES is [Gloves, Mask, Hat]: number 0 is 'Mask' "
        "there and 'Gloves' here. If the file is right, write CLASSES: [Mask, Hat, Gloves]"
    )
    with pytest.raises(DatasetError, match="number 0 is 'Mask' there and 'Gloves' here"):
        raise_for_errors(scan_splits(load_config(folder / "helmets.yml"), skip_bad=True, progress=False))
    with pytest.raises(DatasetError, match="no copy is written"):
        repair(load_config(folder / "helmets.yml"), scans, folder / "repaired", progress=False)
    assert not (folder / "repaired").exists()


@pytest.mark.parametrize("place", LISTS)
@pytest.mark.parametrize("names", [NAMES, ["mask", "hat", "GLOVES"], [*NAMES, "Goggles"], NAMES[:2]])
def test_the_same_order_is_none(folder, place, names):
    (folder / place).write_text(LISTS[place](names))
    assert labels(scanned(folder, NAMES)) == [1, 2, 3]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("classes.txt", ""),
        ("classes.txt", "\n \n"),
        ("data.yaml", "names: [Gloves"),
        ("data.yaml", "path: ."),
        ("notes.json", "{}"),
        ("notes.json", '{"categories": [{"id": 4, "name": "Gloves"}]}'),
        ("other.yaml", "train: elsewhere/images\nnames: [Gloves, Mask, Hat]"),
        ("../classes.txt", "Gloves\nMask\nHat"),  # of the folder that holds all datasets
        ("own.yaml", "TRAIN_DIR_IMAGES: images/train\nCLASSES: [Gloves, Mask, Hat]\nFORMAT: yolo"),  # another try
        ("../data.yaml", "train: other/train\nnames: [Gloves, Mask, Hat]"),
    ],
)
def test_what_is_no_list_of_this_set_counts_for_nothing(tmp_path, path, text):
    root = tmp_path / "sets"
    (root / "other" / "train").mkdir(parents=True)
    folder = root / "mine"
    for split in ("train", "val"):
        write_image(folder / "images" / split / "a.jpg")
        (folder / "labels" / split).mkdir(parents=True)
        (folder / "labels" / split / "a.txt").write_text(FOUR)
    (folder / path).write_text(text)
    assert labels(scanned(folder, NAMES)) == [1, 2, 3]


@pytest.mark.parametrize(
    ("listed", "classes", "more"),
    [
        (["Mask", "Cap", "Gloves"], ["Mask", "Gloves"], "write CLASSES in its order, with [Cap]"),
        (["Mask", "Hat"], ["Hat", "Mask", "Gloves"], "write CLASSES in its order"),
        (["helmet", "vest"], ["Helm", "Weste"], "write CLASSES in its order, with [helmet, vest]"),
    ],
)
def test_other_names_are_an_error_that_shows_both(folder, listed, classes, more):
    (folder / "classes.txt").write_text("\n".join(listed))
    (error,) = scanned(folder, classes)["train"].of("class-numbers")
    assert f"has the classes [{', '.join(listed)}], CLASSES is [{', '.join(classes)}]" in error.text
    assert error.text.endswith(more) or f"{more}, and" in error.text


def test_renamed_and_ignored_names_are_found_by_the_list(folder):
    (folder / "classes.txt").write_text("\n".join(NAMES))
    scans = scanned(folder, ["Mask", "Gloves"], IGNORE=["Hat"])
    assert labels(scans) == [1, 2]
    assert [f.text for f in scans["train"].findings] == ["Hat: 1 object on 1 image, which stays"]
    assert labels(scanned(folder, ["Mask", "Gloves"], RENAME={"Hat": "Mask"})) == [1, 1, 2]
    assert labels(scanned(folder, ["Maske", "Hut", "Gloves"], RENAME={"Mask": "Maske", "Hat": "Hut"})) == [1, 2, 3]
    (error,) = scanned(folder, ["Gloves", "Mask"], IGNORE=["Hat"])["train"].of("class-numbers")
    assert "number 0 is 'Mask' there and 'Gloves' here" in error.text


def test_an_ignored_class_keeps_its_number(folder):
    config = write(folder, NAMES, IGNORE=["Mask", "Hat"])
    assert config.class_names == ("__background__", "Gloves")
    assert labels(scan_splits(config, progress=False)) == [1]
    (folder / "again.yaml").write_text(yaml.safe_dump(config.as_dict()))
    again = load_config(folder / "again.yaml")
    assert again.as_dict() == config.as_dict() and labels(scan_splits(again, progress=False)) == [1]


def test_an_ignored_name_without_a_number_is_an_error(folder):
    (error,) = scanned(folder, ["Mask", "Gloves"], IGNORE=["Hat"])["train"].of("class-numbers")
    assert error.text.startswith("IGNORE: Hat: YOLO's labels have numbers, and nothing beside ")
    assert error.text.endswith("which one is Hat: write it in CLASSES, too, at its place")


def test_a_data_yaml_with_ignore_rename_and_split(folder):
    values = {"train": "images/train", "val": "images/val", "names": NAMES, "IGNORE": ["Mask"], "SOURCE": "a shelf"}
    (folder / "data.yaml").write_text(yaml.safe_dump(values))
    config = load_config(folder / "data.yaml")
    assert config.class_names[1:] == ("Hat", "Gloves") and config.source == "a shelf"
    assert labels(scan_splits(config, progress=False)) == [1, 2]
    del values["IGNORE"], values["val"]
    values |= {"RENAME": {"Hat": "Mask"}, "SPLIT": 0.5}
    (folder / "data.yaml").write_text(yaml.safe_dump(values))
    config = load_config(folder / "data.yaml")
    assert config.split == 0.5 and config.class_names[1:] == ("Mask", "Gloves")
    (folder / "images" / "train" / "b.jpg").write_bytes((folder / "images" / "train" / "train.jpg").read_bytes())
    (folder / "labels" / "train" / "b.txt").write_text(FOUR)
    scans = scan_splits(config, progress=False)
    assert [a.labels.tolist() for scan in scans.values() for a in scan.annotations] == [[1, 1, 2]] * 2


def test_a_number_beyond_the_classes_has_the_name_that_the_list_knows(folder):
    (folder / "classes.txt").write_text("\n".join(NAMES))
    (error,) = scanned(folder, ["Mask", "Hat"])["train"].of("unknown-class")
    assert error.subject == "unknown class 'Gloves' (CLASSES has Mask, Hat)"


@pytest.mark.parametrize("name", ["number 2", "Number-2", "class number 2"])
def test_a_class_whose_name_is_that_of_an_unknown_number(tmp_path, name):
    write_image(tmp_path / "a.jpg")
    (tmp_path / "a.txt").write_text("2 0.5 0.5 1 1")
    scan = read_yolo(tmp_path, tmp_path, ("__background__", "number 1", name), progress=False)
    (error,) = scan.errors
    assert error.check == "unknown-class" and error.meant is None and "did you mean" not in error.text
    assert "number 2' (CLASSES has 0 to 1)" in error.text and f"'{name}'" not in error.text
