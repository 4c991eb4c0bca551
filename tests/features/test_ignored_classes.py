"""Classes that are left out: IGNORE in every format, in the log, in the copies; and what is never suggested."""

import json

import numpy as np
import pytest

from convert_dataset import arguments
from convert_dataset import main as convert
from support.clean_sets import SIZE, boxes_of, write_clean_set, write_labels, write_yaml
from torch_utils.runs.resume import check_data
from utils.checks.repair import repair
from utils.config.config import load_config
from utils.dataset.fingerprint import fingerprint
from utils.dataset.scan import raise_for_errors, scan_splits
from utils.errors import ConfigError
from utils.runs.data import TrainingData
from utils.suggestions import suggestion

ONLY_HATS = [("Hat", (50, 60, 120, 150))]


@pytest.fixture
def folder(tmp_path):
    """The clean set with hats on two training images, the only objects of one, and a hat that has no area."""
    write_clean_set(tmp_path)
    write_labels(tmp_path / "train", "a1", [*boxes_of(1), ("Hat", (20, 200, 90, 280)), ("Hat", (200, 200, 290, 280))])
    write_labels(tmp_path / "train", "a2", [*ONLY_HATS, ("Hat", (10, 10, 10, 10))])
    return tmp_path


def scanned(yaml):
    config = load_config(yaml)
    return config, scan_splits(config, progress=False)


def found(scans):
    return [(split, f.check, f.text) for split, scan in scans.items() for f in scan.findings]


def test_the_objects_go_and_the_images_stay(folder):
    config, scans = scanned(write_yaml(folder, extra="IGNORE: [Hat, Cap]\n"))
    raise_for_errors(scans)
    assert config.class_names == ("__background__", "Mask", "Gloves") and config.ignored == ("Hat", "Cap")
    assert found(scans) == [("train", "ignored", "Hat: 4 objects on 2 images, which stay")]
    assert [len(a.labels) for a in scans["train"].annotations] == [2, 2, 0, 2, 2, 2]
    report = TrainingData(config, scans).report(max_listed=5)
    assert "    Hat: 4 objects on 2 images, which stay" in report


def test_a_class_of_classes_may_be_left_out(folder):
    config, scans = scanned(write_yaml(folder, classes="[Hat, Mask, Gloves]", extra="IGNORE: [Hat, Mask]\nNC: 3\n"))
    raise_for_errors(scans)
    assert config.class_names == ("__background__", "Gloves")
    assert {int(n) for a in scans["train"].annotations for n in a.labels} == {1}


def test_renamed_names_may_mean_an_ignored_class(folder):
    _, scans = scanned(write_yaml(folder, classes="[Mask]", extra="IGNORE: [Gloves]\nRENAME: {Hat: Gloves}\n"))
    raise_for_errors(scans)
    texts = [text for split, _, text in found(scans) if split == "train"]
    assert texts == ["Gloves: 2 objects on 2 images, which stay", "Hat: 4 objects on 2 images, which stay"]


def test_a_split_counts_what_each_side_has(folder):
    yaml = folder / "one.yaml"
    yaml.write_text("TRAIN_DIR_IMAGES: train\nCLASSES: [Mask]\nIGNORE: [Gloves, Hat]\nSPLIT: 0.5\n")
    _, scans = scanned(yaml)
    counts = dict.fromkeys(("Gloves", "Hat"), 0)
    for _, check, text in found(scans):
        assert check == "ignored"
        counts[text.partition(":")[0]] += int(text.split()[1])
    assert counts == {"Gloves": 2, "Hat": 4}


def test_an_image_that_is_left_out_is_not_counted(folder):
    (folder / "train/a2.jpg").write_bytes(b"no image")
    config = load_config(write_yaml(folder, extra="IGNORE: [Hat]\n"))
    scans = scan_splits(config, skip_bad=True, progress=False)
    assert [text for _, check, text in found(scans) if check == "ignored"] == ["Hat: 2 objects on 1 image, which stays"]


def test_a_changed_list_is_a_changed_dataset(folder):
    class Resumed:
        path = folder / "last_model.pth"

    config, scans = scanned(write_yaml(folder, classes="[Mask]", extra="IGNORE: [Gloves, Hat]\n"))
    data = {split: fingerprint(scan.annotations, config.class_names) for split, scan in scans.items()}
    Resumed.content = {"training": {"data": data}}
    check_data(Resumed, data)
    Resumed.content = {"training": {"data": {"train": data["train"], "valid": data["val"]}}}  # of an older run
    check_data(Resumed, data)
    config, scans = scanned(write_yaml(folder, classes="[Mask]", extra="IGNORE: [Gloves]\nRENAME: {Hat: Mask}\n"))
    now = {split: fingerprint(scan.annotations, config.class_names) for split, scan in scans.items()}
    with pytest.raises(ConfigError, match=r"2 changed \(a1.jpg, a2.jpg\)"):
        check_data(Resumed, now)


def test_copies_have_the_images_without_the_objects(folder):
    yaml = write_yaml(folder, extra="IGNORE: [Hat]\n")
    config, scans = scanned(yaml)
    lines = repair(config, scans, folder / "repaired", progress=False)
    assert "train: left out: Hat: 4 objects on 2 images, which stay" in lines
    for name in ("voc", "coco", "yolo"):
        assert convert(arguments(["-c", str(yaml), "--to", name, "-o", str(folder / name)])) == 0
    for name in ("repaired", "voc", "coco", "yolo"):
        copy, again = scanned(folder / name / "dataset.yaml")
        assert copy.class_names == config.class_names and copy.ignored == ()
        assert [len(a.labels) for a in again["train"].annotations] == [2, 2, 0, 2, 2, 2]


def as_coco(folder):
    """The training and validation split as COCO files, hats with a crowd region among them."""
    for split, first in (("train", 0), ("test", 99)):
        images, objects = [], []
        for path in sorted((folder / split).glob("*.jpg")):
            number = len(images) + 1
            images.append({"id": number, "file_name": path.name, "width": SIZE[0], "height": SIZE[1]})
            for name, (x1, y1, x2, y2) in boxes_of(first + number - 1):
                category = {"Mask": 4, "Gloves": 2}[name]
                objects.append({"image_id": number, "category_id": category, "bbox": [x1, y1, x2 - x1, y2 - y1]})
        content = {"images": images, "annotations": objects}
        content["categories"] = [{"id": 2, "name": "Gloves"}, {"id": 4, "name": "Mask"}]
        (folder / f"{split}.json").write_text(json.dumps(content))
    return "TRAIN_DIR_LABELS: train.json\nVALID_DIR_LABELS: test.json\n"


def test_in_coco(tmp_path):
    write_clean_set(tmp_path)
    yaml = write_yaml(tmp_path, classes="[Gloves]", extra=as_coco(tmp_path) + "IGNORE: [Mask]\n")
    _, scans = scanned(yaml)
    raise_for_errors(scans)
    assert found(scans)[0] == ("train", "ignored", "Mask: 10 objects on 6 images, which stay")
    assert np.concatenate([a.labels for a in scans["train"].annotations]).tolist() == [1, 1]


def test_a_crowd_of_an_ignored_class_goes_too(tmp_path):
    write_clean_set(tmp_path)
    extra = as_coco(tmp_path)
    content = json.loads((tmp_path / "train.json").read_text())
    of_first = [item for item in content["annotations"] if item["image_id"] == 2]
    content["annotations"] = [item for item in content["annotations"] if item not in of_first]
    content["annotations"].append({**of_first[0], "iscrowd": 1})
    (tmp_path / "train.json").write_text(json.dumps(content))
    yaml = write_yaml(tmp_path, classes="[Gloves]", extra=extra)
    (tmp_path / "ignored.yaml").write_text(yaml.read_text() + "IGNORE: [Mask]\n")
    _, scans = scanned(tmp_path / "ignored.yaml")
    assert scans["train"].of("crowd") == [] and len(scans["train"].annotations) == 6
    (tmp_path / "renamed.yaml").write_text(yaml.read_text() + "IGNORE: [Hat]\nRENAME: {Mask: Hat}\n")
    _, scans = scanned(tmp_path / "renamed.yaml")
    assert scans["train"].of("crowd") == [] and len(scans["train"].annotations) == 6


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("IGNORE: Hat", "IGNORE: expected a list of class names such as [Mask, Gloves], found 'Hat'"),
        ("IGNORE: [No]", "IGNORE: item 1: expected a class name, in quotes where it is a number, found False"),
        ("IGNORE: [Hat, Hat]", "IGNORE: 'Hat' is listed 2 times"),
        ("IGNORE: [Mask, Gloves]", "IGNORE: every one of CLASSES is in it, and nothing is left to train"),
        ("IGNORE: [Hat]\nRENAME: {Hat: Mask}", "RENAME: 'Hat' is in IGNORE, too: leave out either"),
        ("IGNORE: [__background__]", "IGNORE: __background__ is no class of objects"),
        ("IGNORES: [Hat]", "IGNORES: unknown key (did you mean IGNORE?)"),
    ],
)
def test_faults_of_the_list(folder, extra, message):
    with pytest.raises(ConfigError) as error:
        load_config(write_yaml(folder, extra=f"{extra}\n"))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("NO-Hardhat", "Hardhat"), ("Hardhat", "NO-Hardhat"), ("no_helmet", "helmet"), ("NoHelmet", "Helmet"),
        ("nohelmt", "helmet"), ("without_mask", "with_mask"), ("WithoutMask", "WithMask"), ("w/o mask", "mask"),
        ("Non-violence", "Violence"), ("not ripe", "ripe"), ("unripe", "ripe"), ("unmasked", "masked"),
        ("maskless", "mask"), ("mask_off", "mask_on"), ("incorrect", "correct"), ("Type 1", "Type 2"),
        ("left hand", "right hand"), ("mask (none)", "mask"), ("isn't ripe", "is ripe"),
    ],
)  # fmt: skip
def test_an_opposite_is_never_suggested(name, known):
    assert suggestion(name, [known]) is None and suggestion(known, [name]) is None


@pytest.mark.parametrize(
    ("name", "known"),
    [("hardhat", "Hardhat"), ("NO-hardhat", "NO-Hardhat"), ("no hardht", "No-Hardhat"), ("helmt", "helmet"),
     ("Face shield", "Face_Shield"), ("gloves", "Glove"), ("noes", "nose")],
)  # fmt: skip
def test_a_slip_of_spelling_is(name, known):
    assert suggestion(name, ["quite another", known]) == known


def test_an_error_names_no_opposite(folder):
    write_labels(folder / "train", "a0", [("NO-Mask", (20, 20, 90, 80)), ("No Mask", (120, 20, 190, 80))])
    _, scans = scanned(write_yaml(folder, extra="IGNORE: [Hat]\n"))
    errors = scans["train"].errors
    assert len(errors) == 2 and all(f.meant is None and "did you mean" not in f.text for f in errors)
