"""Splits of several folders and lists of images, as YOLO's data.yaml and this toolkit's own keys have them."""

from pathlib import Path

import pytest
import yaml

from support.voc_files import element, write_image, xml
from utils.config.config import load_config
from utils.dataset.fingerprint import fingerprint
from utils.dataset.scan import raise_for_errors, scan_splits
from utils.errors import ConfigError


def write(folder, **values):
    (folder / "data.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    return folder / "data.yaml"


@pytest.fixture
def export(tmp_path, monkeypatch):
    """Images a and b in cam1 and cam2, b and c in val, each with labels of its own number; the cwd is elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for number, (part, names) in enumerate((("cam1", "ab"), ("cam2", "ab"), ("val", "bc"))):
        for name in names:
            write_image(tmp_path / "set" / part / "images" / f"{name}.jpg", (40 + number, 30))
            (tmp_path / "set" / part / "labels").mkdir(parents=True, exist_ok=True)
            (tmp_path / "set" / part / "labels" / f"{name}.txt").write_text(f"{number} 0.5 0.5 0.5 0.5")
    return tmp_path / "set"


def found(path):
    """(folder, image, labels) of the training split; loading what the checkpoint keeps gives the same."""
    config = load_config(path)
    scans = scan_splits(config, progress=False)
    raise_for_errors(scans)
    again = path.with_name("again.yaml")
    again.write_text(yaml.safe_dump(config.as_dict()))
    assert load_config(again).as_dict() == config.as_dict()
    other = scan_splits(load_config(again), progress=False)
    for split, scan in scans.items():
        names = fingerprint(scan.annotations, config.class_names)
        assert fingerprint(other[split].annotations, config.class_names) == names
    again.unlink()
    annotations = scans["train"].annotations
    return [(a.image_path.parent.parent.name, a.image_path.name, a.labels.tolist()) for a in annotations]


NAMES = {"names": ["x", "y", "z"]}
ALL = [("cam1", "a.jpg", [1]), ("cam1", "b.jpg", [1]), ("cam2", "a.jpg", [2]), ("cam2", "b.jpg", [2])]


def test_a_list_of_folders(export):
    train = ["cam1/images", "cam2/images"]
    assert found(write(export, train=train, val="val/images", **NAMES)) == ALL
    assert found(write(export, path=str(export), train=train, val=["val/images"], **NAMES)) == ALL
    assert found(write(export, train=["cam1/images"], val="val/images", **NAMES)) == ALL[:2]


def test_a_folder_named_twice_counts_once(export):
    train = ["cam1", "cam1/images", "cam2/images", "cam2/images"]
    assert found(write(export, train=train, val="val/images", **NAMES)) == ALL


@pytest.mark.parametrize("prefix", ["./", "", "absolute"])
def test_a_text_file_of_images(export, prefix):
    prefix = f"{export}/" if prefix == "absolute" else prefix
    lines = [f"{prefix}{part}/images/{name}.jpg\n" for part, name in (("cam1", "a"), ("cam2", "b"), ("cam2", "a"))]
    (export / "train.txt").write_text("".join(lines))
    (export / "val.txt").write_text(f"{prefix}val/images/c.jpg\n")
    path = write(export, train="train.txt", val="val.txt", **NAMES)
    assert found(path) == [ALL[0], ALL[2], ALL[3]]
    assert [a.image_path.name for a in scan_splits(load_config(path), progress=False)["val"].annotations] == ["c.jpg"]


def test_folders_and_text_files_together(export):
    (export / "more.txt").write_text("./cam2/images/b.jpg\n")
    assert found(write(export, train=["cam1/images", "more.txt"], val="val/images", **NAMES)) == [*ALL[:2], ALL[3]]


def test_a_listed_image_that_is_not_there_is_reported_once(export):
    (export / "train.txt").write_text("./cam1/images/a.jpg\n./cam2/images/gone.jpg\n./cam2/images/a.jpg\n")
    scans = scan_splits(load_config(write(export, train="train.txt", val="val/images", **NAMES)), progress=False)
    (error,) = scans["train"].errors
    assert error.check == "listed-missing" and error.text.startswith("./cam2/images/gone.jpg: listed, but")


@pytest.mark.parametrize(
    "names", [{"0": "x", "1": "y", "2": "z"}, {0: "x", "1": "y", "2": "z"}, {"2": "z", 0: "x", 1: "y"}]
)
def test_quoted_numbers(export, names):
    path = write(export, train="cam1/images", val="val/images", names=names)
    assert load_config(path).class_names[1:] == ("x", "y", "z")


def test_names_in_a_file_and_names_that_are_digits(export):
    (export / "set.names").write_text("x\ny\nz\n")
    path = write(export, train="cam1/images", val="val/images", names="set.names")
    assert load_config(path).class_names[1:] == ("x", "y", "z")
    path = write(export, train="cam1/images", val="val/images", names=[0, 1, 2])
    assert load_config(path).class_names[1:] == ("0", "1", "2")
    with pytest.raises(ConfigError, match="item 1 is the bool False"):
        load_config(write(export, train="cam1/images", val="val/images", names=[False, "x"]))


def test_twelve_quoted_numbers_keep_their_order(export):
    names = {str(number): f"class {number}" for number in range(12)}
    path = write(export, train="cam1/images", val="val/images", names=names)
    assert load_config(path).class_names[1:] == tuple(names.values())


def test_own_keys_take_lists_too(tmp_path):
    for part in ("one", "two", "val"):
        write_image(tmp_path / part / "images" / f"{part}.jpg")
        (tmp_path / part / "xml").mkdir()
        (tmp_path / part / "xml" / f"{part}.xml").write_text(xml(element("x")))
    values = {"TRAIN_DIR_IMAGES": ["one/images", "two/images"], "TRAIN_DIR_LABELS": ["one/xml", "two/xml"]}
    values |= {"VALID_DIR_IMAGES": "val/images", "VALID_DIR_LABELS": "val/xml", "CLASSES": ["x"]}
    assert found(write(tmp_path, **values)) == [("one", "one.jpg", [1]), ("two", "two.jpg", [1])]
    del values["VALID_DIR_IMAGES"], values["VALID_DIR_LABELS"]
    config = load_config(write(tmp_path, **values, SPLIT=0.5))
    scans = scan_splits(config, progress=False)
    assert [len(scan.annotations) for scan in scans.values()] == [1, 1]
    with pytest.raises(ConfigError, match="expected one path each or lists of one length, found 2, 1 paths"):
        load_config(write(tmp_path, **{**values, "TRAIN_DIR_LABELS": ["one/xml"]}, SPLIT=0.5))
    with pytest.raises(ConfigError, match="TRAIN_DIR_IMAGES: no such folder: none"):
        load_config(write(tmp_path, **{**values, "TRAIN_DIR_IMAGES": ["one/images", "none"]}, SPLIT=0.5))


def test_a_folder_of_both_splits_is_refused(export):
    with pytest.raises(ConfigError, match="cam2/images is of both splits"):
        load_config(write(export, train=["cam1/images", "cam2/images"], val=["val/images", "cam2/images"], **NAMES))


@pytest.mark.parametrize(
    "text",
    ["IGNORE: [a]\nCLASSES: [x]\nIGNORE: [b]\n", "CLASSES: [x]\nRENAME: {a: x, b: x, a: x}\n", "names: {0: x, 0: y}\n",
     "CLASSES: [{a: 1, a: 2}]"],
)  # fmt: skip
def test_a_key_that_stands_twice_is_reported(tmp_path, text):
    (tmp_path / "set.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"set\.yaml, line \d, column \d+: not valid YAML: the key \w+ stands twice"):
        load_config(tmp_path / "set.yaml")


def test_aliases_are_read_in_no_time_and_merged_keys_are_no_second_ones(export):
    layers = "".join(f"k{n}: &k{n} [{', '.join([f'*k{n - 1}'] * 9)}]\n" for n in range(1, 12))
    base = "base: &base {SOURCE: a}\nTRAIN_DIR_IMAGES: cam1\nVALID_DIR_IMAGES: val\nCLASSES: [x]\nFORMAT: yolo\n"
    (export / "own.yaml").write_text(f"k0: &k0 [1]\n{layers}{base}other: {{<<: *base, SOURCE: b}}\n")
    assert load_config(export / "own.yaml").class_names[1:] == ("x",)


@pytest.mark.parametrize("yolo", [True, False])
def test_a_path_that_is_there_twice_says_which_is_used(export, yolo):
    (Path("cam1") / "images").mkdir(parents=True)
    ours = {"TRAIN_DIR_IMAGES": "cam1/images", "TRAIN_DIR_LABELS": "cam1/labels", "CLASSES": NAMES["names"]}
    ours |= {"VALID_DIR_IMAGES": "val/images", "VALID_DIR_LABELS": "val/labels"}
    yolos = {"train": "cam1/images", "val": "val/images", **NAMES}
    config = load_config(write(export, **(yolos if yolo else ours)))
    used, other = export / "cam1" / "images", Path("cam1/images").absolute()
    key = "train" if yolo else "TRAIN_DIR_IMAGES"
    assert config.notes == (f"{key}: {used}, beside the YAML, is used; not {other}, in the working folder",)
    assert [f.text for f in scan_splits(config, progress=False)["train"].of("two-places")] == list(config.notes)
