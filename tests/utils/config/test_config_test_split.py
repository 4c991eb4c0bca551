"""The test split: TEST_DIR_IMAGES, TEST_DIR_LABELS, TEST_LIST, a share of SPLIT, and `test` of YOLO's data.yaml."""

import pytest
import yaml

from models.registry import DEFAULT_MODEL, anchors_of
from support.clean_sets import copy_pair, valid_boxes_of, write_clean_set, write_pair, write_yaml
from utils.checks.diagnosis import diagnose
from utils.checks.repair import repair
from utils.config.config import load_config
from utils.dataset.scan import scan_splits
from utils.errors import ConfigError


@pytest.fixture
def folder(tmp_path):
    """The clean set with two more images, c0 and c1, in `kept`."""
    write_clean_set(tmp_path)
    for number in range(2):
        write_pair(tmp_path / "kept", f"c{number}", 200 + number, valid_boxes_of(number))
    return tmp_path


def stems(scan) -> list[str]:
    return [annotation.image_path.stem for annotation in scan.annotations]


def test_a_test_split_is_read_like_the_others(folder):
    config = load_config(write_yaml(folder, extra="TEST_DIR_IMAGES: kept\n"))
    assert config.splits == ("train", "val", "test") and config.test_labels_dir == folder / "kept"
    scans = scan_splits(config, progress=False)
    assert list(scans) == ["train", "val", "test"] and stems(scans["test"]) == ["c0", "c1"]
    assert list(scan_splits(config, ("test",), progress=False)) == ["test"]
    assert list(scan_splits(config, ("train", "val"), progress=False)) == ["train", "val"]
    (folder / "again.yaml").write_text(yaml.safe_dump(config.as_dict()))
    assert load_config(folder / "again.yaml").as_dict() == config.as_dict()


def test_a_list_and_labels_apart(folder):
    (folder / "xml").mkdir()
    for file in (folder / "kept").glob("*.xml"):
        file.rename(folder / "xml" / file.name)
    (folder / "list.txt").write_text("c1\n")
    extra = "TEST_DIR_IMAGES: kept\nTEST_DIR_LABELS: xml\nTEST_LIST: list.txt\n"
    assert stems(scan_splits(load_config(write_yaml(folder, extra=extra)), ("test",), progress=False)["test"]) == ["c1"]


def test_several_folders(folder):
    write_pair(folder / "more", "d0", 300)
    config = load_config(write_yaml(folder, extra="TEST_DIR_IMAGES: [kept, more]\n"))
    assert stems(scan_splits(config, ("test",), progress=False)["test"]) == ["c0", "c1", "d0"]
    assert load_config(
        write_yaml(folder, extra=yaml.safe_dump({"TEST_DIR_IMAGES": config.as_dict()["TEST_DIR_IMAGES"]}))
    )


def test_a_test_folder_inside_the_training_folder_is_not_trained_on(folder):
    (folder / "kept").rename(folder / "train" / "held")
    config = load_config(write_yaml(folder, extra="TEST_DIR_IMAGES: train/held\n"))
    scans = scan_splits(config, progress=False)
    assert stems(scans["train"]) == [f"a{n}" for n in range(6)] and stems(scans["test"]) == ["c0", "c1"]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("", "names no test split: add TEST_DIR_IMAGES"),
        ("TEST_DIR_IMAGES: nowhere\n", "TEST_DIR_IMAGES: no such folder: nowhere"),
        ("TEST_DIR_IMAGES: 7\n", "TEST_DIR_IMAGES: expected a path, found 7"),
        ("TEST_DIR_LABELS: kept\n", "TEST_DIR_IMAGES: missing or empty, but there is TEST_DIR_LABELS"),
        ("TEST_DIR_IMAGES: train\n", "train is of both splits: test images would be trained on"),
        ("TEST_DIR_IMAGES: test\n", "test is of both splits: test images would be chosen by"),
        ("TEST_DIR_IMAGES: [kept, kept2]\nTEST_DIR_LABELS: [kept]\n", "expected one path each or lists of one length"),
    ],
)
def test_a_test_split_that_is_not_there_stops_only_those_who_ask_for_it(folder, extra, message):
    config = load_config(write_yaml(folder, extra=extra))
    assert config.splits == ("train", "val") and config.folders("test") == ()
    assert list(scan_splits(config, ("train", "val"), progress=False)) == ["train", "val"]
    with pytest.raises(ConfigError, match=message):
        config.require_test()


def test_yolos_data_yaml(folder):
    for split in ("train", "val", "test"):
        write_pair(folder / "yolo" / split, f"{split}0", len(split))
        (folder / "yolo" / split / f"{split}0.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    path = folder / "yolo" / "data.yaml"
    path.write_text("train: train\nval: val\ntest: test\nnames: [Mask]\n")
    assert stems(scan_splits(load_config(path), ("test",), progress=False)["test"]) == ["test0"]
    path.write_text("train: train\nval: val\ntest: test_of_another_day\nnames: [Mask]\n")
    config = load_config(path)
    assert config.splits == ("train", "val") and "test_of_another_day" in config.test_faults[0]


@pytest.mark.parametrize("share", ["[0.3, 0.2]", "0.3"])
def test_three_parts_of_one_folder(tmp_path, share):
    for number in range(40):
        write_pair(tmp_path / "train", f"a{number:02}", number)
    copy_pair(tmp_path / "train/a07.jpg", tmp_path / "train/z07.jpg")
    path = tmp_path / "x.yaml"
    path.write_text(f"TRAIN_DIR_IMAGES: train\nCLASSES: [Mask, Gloves]\nSPLIT: {share}\n")
    config = load_config(path)
    scans = scan_splits(config, progress=False)
    three = share.startswith("[")
    assert {name: len(scan.annotations) for name, scan in scans.items()} == (
        {"train": 21, "val": 12, "test": 8} if three else {"train": 29, "val": 12}
    )
    every = [stem for scan in scans.values() for stem in stems(scan)]
    assert sorted(every) == sorted([*(f"a{number:02}" for number in range(40)), "z07"])
    (together,) = [name for name, scan in scans.items() if "a07" in stems(scan)]
    assert "z07" in stems(scans[together])
    assert load_config(path, split=(0.3, 0.2)).as_dict()["SPLIT"] == [0.3, 0.2]
    if three:  # the part that is asked for alone is the same
        assert stems(scan_splits(config, ("test",), progress=False)["test"]) == stems(scans["test"])
        for scan in scans.values():  # 14 of 40 show gloves
            gloves = sum(2 in annotation.labels for annotation in scan.annotations)
            assert abs(gloves / len(scan.annotations) - 14 / 40) < 0.1


@pytest.mark.parametrize("share", ["[0.3, 0.2, 0.1]", "[0.6, 0.5]", "[0.1, 0]", "[]", "[a, b]", "{a: 1}"])
def test_shares_that_make_no_parts(tmp_path, share):
    (tmp_path / "train").mkdir()
    (tmp_path / "x.yaml").write_text(f"TRAIN_DIR_IMAGES: train\nCLASSES: [Mask]\nSPLIT: {share}\n")
    with pytest.raises(ConfigError, match="SPLIT: expected the share of images to validate on"):
        load_config(tmp_path / "x.yaml")


def test_a_share_to_test_on_beside_a_test_folder_is_an_error(folder):
    path = folder / "x.yaml"
    path.write_text("TRAIN_DIR_IMAGES: train\nCLASSES: [Mask]\nTEST_DIR_IMAGES: kept\nSPLIT: [0.3, 0.2]\n")
    with pytest.raises(ConfigError, match="SPLIT has a share to test on, but there is TEST_DIR_IMAGES, too"):
        load_config(path)
    path.write_text("TRAIN_DIR_IMAGES: train\nCLASSES: [Mask, Gloves]\nTEST_DIR_IMAGES: kept\nSPLIT: 0.3\n")
    scans = scan_splits(load_config(path), progress=False)
    assert [len(scan.annotations) for scan in scans.values()] == [4, 2, 2]


def test_the_check_finds_test_images_that_are_trained_on_or_chosen_by(folder):
    copy_pair(folder / "train/a4.jpg", folder / "kept/c8.jpg")
    copy_pair(folder / "test/b2.jpg", folder / "kept/c9.jpg")
    config = load_config(write_yaml(folder, extra="TEST_DIR_IMAGES: kept\n"))
    scans = scan_splits(config, progress=False)
    model = {"model": DEFAULT_MODEL, "anchors": anchors_of(DEFAULT_MODEL), "img_size": 640}
    diagnosis = diagnose(config, scans, **model)
    duplicates = [(split, finding.text) for split, finding in diagnosis.by_check()["same-in-both"]]
    assert duplicates == [
        ("test", "c8.jpg is the same file as a4.jpg in the training split"),
        ("test", "c9.jpg is the same file as b2.jpg in the validation split"),
    ]
    assert diagnosis.statistics["test"].images == 4
    repair(config, scans, folder / "fixed", progress=False)
    fixed = scan_splits(load_config(folder / "fixed" / "dataset.yaml"), progress=False)
    assert {name: len(scan.annotations) for name, scan in fixed.items()} == {"train": 5, "val": 3, "test": 4}
