"""Reading YOLO's text files and the data.yaml of its tools."""

import numpy as np
import pytest
import yaml
from PIL import Image

from support.reading import read_yolo
from support.voc_files import CLASSES, write_image
from utils.config.config import load_config
from utils.errors import ConfigError
from utils.formats.formats import detect_format


@pytest.fixture
def read(tmp_path):
    """Write a.jpg (40x30) and its text; return the Scan."""

    def scan(text, **options):
        write_image(tmp_path / "a.jpg")
        (tmp_path / "a.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_yolo(tmp_path, tmp_path, CLASSES, progress=False, **options)

    return scan


def texts(scan, check):
    return [finding.text for finding in scan.of(check)]


def test_shares_of_the_image_become_pixels(read):
    scan = read("\ufeff0 0.5 0.5 0.5 1\r\n\n1.0 0.25 0.5 0.125 0.25\n")
    (only,) = scan.annotations
    assert scan.findings == []
    np.testing.assert_allclose(only.boxes, [[10, 0, 30, 30], [7.5, 11.25, 12.5, 18.75]], atol=1e-5)
    assert only.labels.tolist() == [1, 2] and only.difficult.tolist() == [False, False]


def test_a_polygon_becomes_the_box_around_it(read):
    np.testing.assert_allclose(read("0 0.1 0.2 0.5 0.1 0.3 0.9").annotations[0].boxes, [[4, 3, 20, 27]], atol=1e-5)


def test_shares_are_of_the_upright_image(tmp_path):
    tags = Image.Exif()
    tags[0x0112] = 6
    write_image(tmp_path / "a.jpg", exif=tags)
    (tmp_path / "a.txt").write_text("0 0.5 0.25 1 0.5")
    (only,) = read_yolo(tmp_path, tmp_path, CLASSES, progress=False).annotations
    assert (only.width, only.height) == (30, 40) and only.boxes.tolist() == [[0, 0, 30, 20]]


def test_an_image_without_a_file_is_a_negative_and_said_so(read, tmp_path):
    write_image(tmp_path / "b.jpg")
    for name in ("lost", "classes", "README.dataset"):
        (tmp_path / f"{name}.txt").touch()
    scan = read("")
    assert [a.image_path.name for a in scan.annotations] == ["a.jpg", "b.jpg"]
    assert all(len(a.labels) == 0 for a in scan.annotations)
    assert texts(scan, "unlisted-negative") == ["b.jpg"] and texts(scan, "orphaned") == ["lost.txt"]


def test_only_what_a_list_names_counts(read, tmp_path):
    write_image(tmp_path / "b.jpg")
    scan = read("0 0.5 0.5 1 1", stems=["./images/train/a.jpg", "./images/train/c.jpg"])
    assert [a.image_path.name for a in scan.annotations] == ["a.jpg"]
    assert texts(scan, "listed-missing")[0].startswith("./images/train/c.jpg: listed, but")


def test_boxes_that_reach_out_or_hold_nothing(read):
    scan = read("0 0.5 0.5 1.2 1\n0 0.5 0.5 0 1\n0 0.5 0.5 -0.1 1")
    assert scan.annotations[0].boxes.tolist() == [[0, 0, 40, 30]]
    assert len(scan.of("box-clipped")) == 1 and len(scan.of("box-dropped")) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x 0.5 0.5 1 1", "line 1: expected a class number from 0 on, found 'x'"),
        ("0 0.5 0.5 1 1\n-1 0.5 0.5 1 1", "line 2: expected a class number from 0 on, found '-1'"),
        ("0.5 0.5 0.5 1 1", "expected a class number"),
        ("0 0.5 0.5 1", "line 1: expected four numbers, or the corners of a polygon, after the class, found 3"),
        ("0 0.5 0.5 1 1 -0.7", "expected a score from 0 to 1 or a track number as the fifth number, found -0.7"),
        ("0 0.5 nan 1 1", "line 1: expected finite numbers, found 'nan'"),
        ("0 0.5 1e999 1 1", "expected finite numbers, found '1e999'"),
        ("0 0.5 0_5 1 1", "expected finite numbers, found '0_5'"),
        ("0 20 15 10 10", "line 1: expected shares of the image from 0 to 1, found 20: are these pixels?"),
        (b"\x80\xff\x00", "not a text file"),
        ("x\n" * 50_000, "; … and 49995 more"),
    ],
)
def test_each_fault_names_file_and_line(read, tmp_path, text, message):
    scan = read(text)
    (error,) = scan.errors
    assert error.check == "annotation-unreadable" and scan.annotations == []
    assert error.text.startswith(f"{tmp_path / 'a.txt'}: ") and message in error.text and len(error.text) < 1000


def test_a_number_beyond_the_classes_is_unknown(read, tmp_path):
    (error,) = read("2 0.5 0.5 1 1\n2 0.5 0.5 1 1").errors
    assert error.text == f"{tmp_path / 'a.txt'}: line 1 and 1 more: unknown class 'number 2' (CLASSES has 0 to 1)"


# --- data.yaml -------------------------------------------------------------------------------------------------------


@pytest.fixture
def export(tmp_path, monkeypatch):
    """A dataset as YOLO's tools export it, and a working folder elsewhere."""
    for split in ("train", "val"):
        write_image(tmp_path / "set" / "images" / split / "a.jpg")
        (tmp_path / "set" / "labels" / split).mkdir(parents=True)
        (tmp_path / "set" / "labels" / split / "a.txt").write_text("0 0.5 0.5 1 1")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "set"


@pytest.mark.parametrize(
    "values",
    [
        {"path": ".", "train": "images/train", "val": "images/val", "names": {0: "Mask", 1: "Gloves"}},
        {"train": "images/train", "val": "images/val", "nc": 2, "names": ["Mask", "Gloves"]},
        {"train": "../images/train", "val": "../images/val", "nc": 2, "names": ["Mask", "Gloves"]},
    ],
)
def test_the_yaml_of_yolos_tools_is_read_as_it_is(export, values):
    (export / "data.yaml").write_text(yaml.safe_dump(values))
    config = load_config(export / "data.yaml")
    assert config.class_names == CLASSES and config.annotation_format == "yolo"
    assert config.train_images_dir.resolve() == export / "images" / "train"
    assert config.val_labels_dir.resolve() == export / "labels" / "val"


def test_twelve_classes_by_number_keep_their_order(export):
    names = {number: f"class {number}" for number in range(12)}
    (export / "data.yaml").write_text(yaml.safe_dump({"train": "images/train", "val": "images/val", "names": names}))
    assert load_config(export / "data.yaml").class_names[1:] == tuple(names.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": {1: "Mask"}}, "names: expected the numbers 0 to 0, found 1"),
        ({"train": [7]}, "train: expected a folder, a text file of images, or a list of these, found 7"),
        ({"train": "none.txt"}, "train: no such file: "),
        ({"names": {0: "Mask", "0": "Gloves"}}, "names: expected the numbers 0 to 1, found 0, 0"),
        ({"CLASSES": ["Gloves"]}, "CLASSES and names: expected one of them"),
        ({"IGNORES": ["Gloves"]}, "IGNORES: unknown key (did you mean IGNORE?)"),
        ({"val": "nowhere"}, "VALID_DIR_IMAGES: no such folder"),
        ({"nc": 5}, "nc: 5, but names has 1 classes"),
    ],
)
def test_faults_of_the_yaml_of_yolos_tools(export, changes, message):
    values = {"train": "images/train", "val": "images/val", "names": ["Mask"], **changes}
    (export / "data.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(ConfigError) as error:
        load_config(export / "data.yaml")
    assert message in str(error.value)


# --- which format is it ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["a.xml", "classes.txt"], "voc"),
        (["a.xml", "a.txt", "all.json"], "voc"),
        (["a.txt", "classes.txt", "notes.json"], "yolo"),
        (["all.json", "README.txt", "classes.txt"], "coco"),
        (["README.txt"], "voc"),
        ([], "voc"),
    ],
)
def test_the_format_is_seen_from_the_files(tmp_path, files, expected):
    for name in ("a.jpg", *files):
        (tmp_path / name).touch()
    assert detect_format(tmp_path, tmp_path) == expected


def test_a_json_file_is_coco(tmp_path):
    assert detect_format(tmp_path, tmp_path / "x.JSON") == "coco"
