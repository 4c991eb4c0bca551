"""The dataset's YAML: what it may hold, and every fault of it, in one error."""

from pathlib import Path

import pytest
import yaml
from PIL import Image

from support.paths import ROOT
from utils.config.config import load_config
from utils.config.dataset_config import DatasetConfig
from utils.errors import ConfigError

GOOD = {"TRAIN_DIR_IMAGES": "set/train", "VALID_DIR_IMAGES": "set/test", "CLASSES": ["Mask", "Gloves"]}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A working folder with set/train and set/test."""
    monkeypatch.chdir(tmp_path)
    for split in ("train", "test"):
        (tmp_path / "set" / split).mkdir(parents=True)
    return tmp_path


def load(folder, changes=None, *, without=()):
    values = {key: value for key, value in {**GOOD, **(changes or {})}.items() if key not in without}
    (folder / "set.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    return load_config(folder / "set.yaml")


def fault(folder, changes=None, *, without=()) -> str:
    with pytest.raises(ConfigError) as error:
        load(folder, changes, without=without)
    text = str(error.value)
    assert text.startswith(f"{folder / 'set.yaml'}:\n")
    return text


def test_the_least_there_can_be(root):
    config = load(root)
    train, test = Path("set/train"), Path("set/test")
    assert config == DatasetConfig(
        root / "set.yaml", train, train, test, test, ("__background__", "Mask", "Gloves"),
        train_list=None, val_list=None, annotation_format="voc", one_based=False, save_val_predictions=True,
    )  # fmt: skip
    assert config.num_classes == 3


def test_everything_there_can_be(root):
    (root / "labels").mkdir()
    (root / "train.txt").touch()
    config = load(
        root,
        {"TRAIN_DIR_LABELS": "labels", "VALID_DIR_LABELS": str(root / "labels"), "TRAIN_LIST": "train.txt", "NC": 3,
         "FORMAT": "voc", "VOC_ONE_BASED": True, "SAVE_VALID_PREDICTION_IMAGES": False, "SOURCE": "a shelf",
         "TEST_DIR_IMAGES": "for another tool"},
    )  # fmt: skip
    assert config.train_labels_dir == Path("labels") and config.val_labels_dir == root / "labels"
    assert config.train_list == Path("train.txt") and config.val_list is None
    assert (config.one_based, config.save_val_predictions, config.source) == (True, False, "a shelf")


def test_as_dict_is_plain_and_loads_again(root):
    (root / "train.txt").touch()
    config = load(root, {"TRAIN_LIST": "train.txt", "SOURCE": "a shelf", "VOC_ONE_BASED": True})
    values = config.as_dict()
    assert values["CLASSES"] == ["__background__", "Mask", "Gloves"] and values["NC"] == 3
    assert {type(value) for value in values.values()} == {str, list, int, bool}
    (root / "again.yaml").write_text(yaml.safe_dump(values))
    assert load_config(root / "again.yaml").as_dict() == values


def test_paths_count_from_the_yaml_first_then_from_the_working_folder(root, monkeypatch):
    (root / "set.yaml").write_text(yaml.safe_dump({**GOOD, "VALID_DIR_IMAGES": "set/held_out"}))
    for split in ("train", "held_out"):
        (root / "elsewhere" / "set" / split).mkdir(parents=True)
    monkeypatch.chdir(root / "elsewhere")
    config = load_config(root / "set.yaml")
    assert config.train_images_dir == root / "set" / "train"
    assert config.val_images_dir == Path("set/held_out")


def test_the_home_folder(root, monkeypatch):
    monkeypatch.setenv("HOME", str(root))
    monkeypatch.setenv("USERPROFILE", str(root))
    assert load(root, {"TRAIN_DIR_IMAGES": "~/set/train"}).train_images_dir == root / "set" / "train"
    assert "TRAIN_DIR_IMAGES: ~nobody-of-this-name/x: " in fault(root, {"TRAIN_DIR_IMAGES": "~nobody-of-this-name/x"})


@pytest.mark.parametrize("classes", [["Mask", "Gloves"], ["__background__", "Mask", "Gloves"], [" Mask", "Gloves "]])
@pytest.mark.parametrize("nc", [None, 2, 3])
def test_background_and_count_may_be_given_or_not(root, classes, nc):
    assert load(root, {"CLASSES": classes, "NC": nc}).class_names == ("__background__", "Mask", "Gloves")


@pytest.mark.parametrize("nc", [1, 4, "3", True, 2.5, [3]])
def test_a_wrong_count_names_both_numbers(root, nc):
    assert f"NC: {nc!r}, but CLASSES has 2 classes, 3 with the background" in fault(root, {"NC": nc})


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([], "CLASSES: expected at least one class"),
        (["__background__"], "CLASSES: expected at least one class"),
        ("Mask", "CLASSES: expected a list such as [Mask, Gloves], found 'Mask'"),
        ({0: "Mask"}, "CLASSES: expected a list"),
        (["Mask", True], "CLASSES: item 2 is the bool True, not text: quote it"),
        ([3], "CLASSES: item 1 is the int 3, not text: quote it"),
        (["Mask", None], "CLASSES: item 2 is the NoneType None"),
        (["Mask", " "], "CLASSES: item 2 is empty"),
        (["Mask", "Gloves", "Mask "], "CLASSES: 'Mask' is listed 2 times"),
        (["Mask", "__background__"], "CLASSES: __background__ comes first or not at all, found as item 2"),
    ],
)
def test_faults_of_the_classes(root, classes, message):
    assert message in fault(root, {"CLASSES": classes})


@pytest.mark.parametrize("key", GOOD)
def test_a_missing_key_is_named_with_the_keys_found(root, key):
    others = ", ".join(sorted(name for name in GOOD if name != key))
    assert f"{key}: missing or empty; keys found: {others}" in fault(root, without=[key])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"TRAIN_DIR_LABEL": "x"}, "TRAIN_DIR_LABEL: unknown key (did you mean TRAIN_DIR_LABELS?)"),
        ({"Classes": ["Mask"]}, "Classes: unknown key (did you mean CLASSES?)"),
        ({"FORMAT": "voc2"}, "FORMAT: expected one of voc, coco, yolo, labelme, found 'voc2'"),
        ({"FORMAT": ["voc"]}, "FORMAT: expected one of voc, coco, yolo, labelme, found ['voc']"),
        ({"RENAME": ["mask"]}, "RENAME: expected names and classes, such as {mask: Mask}, found ['mask']"),
        ({"RENAME": {"mask": "Hat"}}, "RENAME: 'Hat' is none of CLASSES"),
        ({"RENAME": {"Mask": "Gloves"}}, "RENAME: 'Mask' is itself one of CLASSES"),
        ({"SOURCE": 7}, "SOURCE: expected text, found 7"),
        ({"VOC_ONE_BASED": "no"}, "VOC_ONE_BASED: expected True or False, found 'no'"),
        ({"SAVE_VALID_PREDICTION_IMAGES": 1}, "SAVE_VALID_PREDICTION_IMAGES: expected True or False, found 1"),
        ({"TRAIN_DIR_IMAGES": 3}, "TRAIN_DIR_IMAGES: expected a path, found 3"),
        ({"TRAIN_DIR_IMAGES": " "}, "TRAIN_DIR_IMAGES: expected a path, found ' '"),
        ({"TRAIN_DIR_LABELS": "set.yaml"}, "TRAIN_DIR_LABELS: expected a folder, but set.yaml is a file"),
        ({"VALID_LIST": "set"}, "VALID_LIST: expected a file, but set is a folder"),
        ({"VALID_LIST": "set/none.txt"}, "VALID_LIST: no such file: set/none.txt; tried "),
    ],
)
def test_each_other_fault(root, changes, message):
    assert message in fault(root, changes)


def test_all_faults_come_at_once(root):
    changes = {"NC": 9, "TRAIN_DIR_IMAGES": "gone", "TRAIN_LIST": "gone.txt", "SOURCE": 1, "CLASSES": ["a", "a"]}
    text = fault(root, changes)
    for start in ("NC: ", "TRAIN_DIR_IMAGES: ", "TRAIN_LIST: ", "SOURCE: ", "CLASSES: "):
        assert f"\n  {start}" in text


def test_a_missing_folder_tells_what_there_is_and_where_the_set_comes_from(root):
    unzipped = root / "data" / "ppe" / "PPE"
    for split in ("test", "train"):
        (unzipped / split).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(unzipped / split / "a.jpg")
    (root / "yaml").mkdir()
    changes = {"TRAIN_DIR_IMAGES": "data/ppe/train", "VALID_DIR_IMAGES": "data/ppe/test", "SOURCE": "the shop"}
    text = fault(root / "yaml", changes)
    tried = f"tried {root / 'data/ppe/train'} and {root / 'yaml/data/ppe/train'}"
    assert f"TRAIN_DIR_IMAGES: no such folder: data/ppe/train; {tried}" in text
    assert text.count(f"{root / 'data' / 'ppe'} holds PPE/\n") == 1
    assert f"folders with images or XML files: {unzipped / 'train'}, {unzipped / 'test'}\n" in text
    assert f"folders with images or XML files: {unzipped / 'test'}, {unzipped / 'train'}\n" in text
    assert "Expected: folders of images, with a Pascal VOC XML" in text
    assert text.endswith("The dataset comes from: the shop")


def test_one_folder_for_both_splits_needs_both_lists(root):
    both = {"VALID_DIR_IMAGES": str(root / "set" / "train")}
    text = fault(root, both)
    assert "are the same folder" in text and "TRAIN_LIST and VALID_LIST" in text
    (root / "valid.txt").touch()
    assert "are the same folder" in fault(root, {**both, "VALID_LIST": "valid.txt"})
    (root / "train.txt").touch()
    lists = {"VALID_LIST": "valid.txt", "TRAIN_LIST": "train.txt"}
    assert load(root, {**both, **lists}).val_list == Path("valid.txt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"A: [1,\nB: 2\n", r"set\.yaml, line 3, column 1: not valid YAML: expected ',' or ']'"),
        (b"A: 1\n\tB: 2\n", r"set\.yaml, line 2, column 1: not valid YAML: "),
        (b"A: \xff\xfe\n", r"set\.yaml: not valid YAML: "),
        (b"A: 2024-13-45\n", r"set\.yaml: not valid YAML: month must be"),
        (b"[" * 5000, r"set\.yaml: not valid YAML: "),
        (b"!!python/object/apply:os.getcwd []", "line 1, column 1: not valid YAML: could not determine a constructor"),
        (b"", "expected KEY: value lines .*, found an empty file"),
        (b"- a\n", "expected KEY: value lines .*, found a list"),
    ],
)
def test_a_file_that_is_no_yaml_of_keys(root, content, message):
    (root / "set.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        load_config(root / "set.yaml")


def test_a_yaml_that_is_not_there_lists_those_that_are(root):
    (root / "data_configs").mkdir()
    names = [str(Path(name)) for name in ("data_configs/other.yml", "data_configs/ppe.yaml", "set/mine.yaml")]
    for name in names:
        (root / name).touch()
    with pytest.raises(ConfigError) as error:
        load_config("set/typo.yaml")
    assert str(error.value).endswith(f"file not found; there are: {', '.join(names)}")
    with pytest.raises(ConfigError, match="set: is a folder, not a YAML file"):
        load_config("set")


def test_a_config_without_classes_is_refused_when_made():
    here = Path()
    with pytest.raises(ValueError, match="__background__"):
        DatasetConfig(here, here, here, here, here, ("Mask",))


def test_the_ppe_file_of_this_repository(root):
    text = (ROOT / "data_configs" / "ppe.yaml").read_text(encoding="utf-8")
    (root / "ppe.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="ialimustufa/object-detection-for-ppe-covid19-dataset"):
        load_config(root / "ppe.yaml")
    for split in ("train", "test"):
        (root / "data" / "ppe" / split).mkdir(parents=True)
    config = load_config(root / "ppe.yaml")
    assert config.class_names == ("__background__", "Mask", "Face_Shield", "Coverall", "Gloves", "Goggles")
    assert config.val_labels_dir == Path("data/ppe/test") and config.save_val_predictions
