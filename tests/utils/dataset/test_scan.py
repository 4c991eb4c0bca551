"""Splits as a whole: lists, summaries, errors, the type itself, anything at all for XML, and the real datasets."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from support.paths import SHARED
from support.reading import read_voc
from support.voc_files import CLASSES, element, write_image, xml
from utils.annotations.annotation import Annotation
from utils.annotations.findings import Finding
from utils.annotations.scan_result import Scan
from utils.config.dataset_config import DatasetConfig
from utils.dataset.scan import raise_for_errors, scan_split, scan_splits
from utils.errors import DatasetError
from utils.formats.voc.xml_file import read_voc_file
from utils.pairing.text_lists import read_split_list

DATA = SHARED

# --- split lists -----------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "all"
    for name in ("a", "b 1", "b", "c.d"):
        write_image(folder / f"{name}.jpg")
        (folder / f"{name}.xml").write_text(xml(element()))
    write_image(folder / "bare.jpg")
    return folder


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a\n", ["a"]),
        (b"a.jpg\r\n\r\nc.d\r\n", ["a", "c.d"]),
        (b"\xef\xbb\xbfa  1\nb -1\n", ["a", "b"]),
        (b"b 1\n", ["b 1"]),
        (b"b 1 1\nc.d.jpg  0\n", ["b 1", "c.d"]),
        ("a\nb\n".encode("utf-16"), ["a", "b"]),
        (b"a\na\na.jpg\n", ["a"]),
    ],
)
def test_lines_of_a_split_list(folder, tmp_path, content, expected):
    (tmp_path / "train.txt").write_bytes(content)
    scan = read_voc(folder, folder, CLASSES, stems=read_split_list(tmp_path / "train.txt"), progress=False)
    assert [a.image_path.stem for a in scan.annotations] == expected
    assert scan.findings == []


def test_a_listed_name_without_a_file_is_an_error(folder):
    scan = read_voc(folder, folder, CLASSES, stems=["a", "gone", "bare"], progress=False)
    assert len(scan.annotations) == 1 and [f.text for f in scan.of("unlabelled")] == ["bare.jpg"]
    assert [f.text for f in scan.errors] == [f"gone: listed, but {folder} has no such image and {folder} no such XML"]
    assert read_voc(folder, folder, CLASSES, stems=["a", "gone"], skip_bad=True, progress=False).skipped == scan.errors


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\x80abc", None])
def test_a_list_that_is_no_text_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(DatasetError, match=r"list\.txt: expected a text file"):
        read_split_list(tmp_path / "list.txt")


# --- splits ----------------------------------------------------------------------------------------------------------


def config_of(folder, **changes):
    both = {f"{split}_{kind}_dir": folder for split in ("train", "val") for kind in ("images", "labels")}
    return DatasetConfig(**{"path": folder / "set.yaml", "class_names": CLASSES, **both, **changes})


def test_scan_split_reads_by_list(folder, tmp_path):
    (tmp_path / "train.txt").write_text("a\n")
    config = config_of(folder, train_list=tmp_path / "train.txt")
    assert len(scan_split(config, "train", progress=False).annotations) == 1
    assert len(scan_split(config, "val", progress=False).annotations) == 4
    with pytest.raises(ValueError, match="'test'"):
        scan_split(config, "test")


@pytest.mark.parametrize("skip_bad", [False, True])
def test_a_split_without_a_usable_image_is_an_error(tmp_path, skip_bad):
    write_image(tmp_path / "a.jpg")
    (tmp_path / "b.xml").write_text(xml())
    write_image(tmp_path / "c.jpg")
    (tmp_path / "c.xml").write_text("<")
    scan = scan_splits(config_of(tmp_path), skip_bad=skip_bad, progress=False)["val"]
    message = scan.errors[-1].text
    assert message.startswith(f"{tmp_path}: no usable image for the val split: 1 images without annotation file, 1 ann")
    assert "1 bad files" in message and "holds a.jpg, b.xml, c.jpg, c.xml" in message
    assert len(scan.errors) == (1 if skip_bad else 2)


def test_an_empty_folder_is_an_error_that_says_so(tmp_path):
    assert "holds nothing" in scan_splits(config_of(tmp_path), progress=False)["train"].errors[0].text


@pytest.mark.parametrize("skip_bad", [False, True])
def test_a_training_split_without_objects_is_an_error(tmp_path, skip_bad):
    write_image(tmp_path / "a.jpg")
    (tmp_path / "a.xml").write_text(xml(element(box=(3, 3, 3, 3))))
    write_image(tmp_path / "b.jpg")
    (tmp_path / "b.xml").write_text(xml())
    scans = scan_splits(config_of(tmp_path), skip_bad=skip_bad, progress=False)
    message = scans["train"].errors[0].text
    assert "not one object to train on: 1 images" in message and "1 boxes dropped" in message
    assert scans["val"].errors == []


def test_errors_of_all_splits_come_in_one(tmp_path):
    bad = [Finding("annotation-unreadable", f"{name}.xml: x") for name in "abc"]
    scans = {"train": Scan(findings=bad[:2]), "val": Scan(findings=bad[2:])}
    with pytest.raises(DatasetError) as error:
        raise_for_errors(scans)
    lines = str(error.value).splitlines()
    assert lines[:4] == ["the dataset has 3 errors:", "  train: a.xml: x", "  train: b.xml: x", "  val: c.xml: x"]
    assert "--skip-bad" in lines[-1]
    assert raise_for_errors({"train": Scan(findings=bad, skip_bad=True), "val": Scan()}) is None


def test_one_line_tells_of_a_class_that_is_spelled_otherwise_in_many_files(tmp_path):
    for number in range(5):
        write_image(tmp_path / f"{number}.jpg")
        (tmp_path / f"{number}.xml").write_text(xml(element("mask"), element("mask")))
    with pytest.raises(DatasetError) as error:
        raise_for_errors({"train": read_voc(tmp_path, tmp_path, CLASSES, progress=False)})
    assert str(error.value).splitlines()[1] == (
        "  train: unknown class 'mask' (did you mean 'Mask'?) in 5 files: 0.jpg, 1.jpg, 2.jpg, …"
    )


def test_summary_counts_and_lists(tmp_path):
    write_image(tmp_path / "a.jpg")
    difficult = element(extra="<difficult>1</difficult>")
    (tmp_path / "a.xml").write_text(xml(element(), difficult, element(box=(-9, 0, 5, 5))))
    scan = read_voc(tmp_path, tmp_path, CLASSES, progress=False)
    scan.extend(Scan(findings=[Finding("unlabelled", f"{n}.jpg") for n in range(17)]))
    assert scan.summary(CLASSES) == [
        "1 images, 0 of them without objects",
        "3 objects, 1 of them difficult",
        "  Mask: 3",
        "  Gloves: 0",
        "boxes clipped to the image: 1",
        "  a.xml: object 3 (Mask): box (-9, 0, 5, 5) reaches out of the 40x30 image",
        "images left out, because they have no annotation file: 17",
        *(f"  {n}.jpg" for n in range(5)),
        "  … and 12 more",
    ]
    assert Scan().summary(CLASSES)[0] == "0 images, 0 of them without objects"


# --- the type --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes": np.float32([[0, 0, 1]])}, r"expected boxes \(1, 4\) float32, got \(1, 3\) float32"),
        ({"boxes": np.float64([[0, 0, 1, 1]])}, "got .* float64"),
        ({"labels": np.int32([1])}, r"expected labels \(1,\) int64, got \(1,\) int32"),
        ({"difficult": np.zeros(2, bool)}, r"expected difficult \(1,\) bool, got \(2,\) bool"),
        ({"boxes": np.float32([[0, 0, np.nan, 1]])}, "object 1: expected 0 <= x1 < x2 <= 10 .*nan"),
        ({"boxes": np.float32([[0, 0, 11, 1]])}, "object 1: expected 0 <= x1 < x2 <= 10"),
        ({"boxes": np.float32([[0, 2, 5, 2]])}, r"object 1: .* got \[0.0, 2.0, 5.0, 2.0\]"),
        ({"labels": np.int64([0])}, "object 1: expected a label >= 1, got 0"),
        ({"width": 0}, "expected a size of at least 1x1, got 0x10"),
    ],
)
def test_an_annotation_is_checked_when_made(changes, message):
    fields = {
        "image_path": Path("x.jpg"), "width": 10, "height": 10, "boxes": np.float32([[0, 0, 10, 10]]),
        "labels": np.int64([1]), "difficult": np.zeros(1, bool),
    }  # fmt: skip
    assert Annotation(**fields).labels.tolist() == [1]
    with pytest.raises(ValueError, match=f"x.jpg: .*{message}" if "object" not in message else f"x.jpg: {message}"):
        Annotation(**{**fields, **changes})


# --- anything at all -------------------------------------------------------------------------------------------------

numbers = st.one_of(
    st.integers(-50, 90).map(str), st.floats().map(repr), st.sampled_from(["", "1e400", "-0", "٣", "0x1", "1 2", " 7 "])
)
objects = st.builds(
    element, st.sampled_from(["Mask", "Gloves", " Mask ", "mask", "", "&amp;"]), st.tuples(*[numbers] * 4),
    st.sampled_from(["", "<difficult>1</difficult>", "<difficult>?</difficult>", "<part/>", "<bndbox/>", "<name/>"]),
)  # fmt: skip
documents = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=40).map(lambda t: f"<annotation><object>{t}</object></annotation>".encode(errors="replace")),
    st.builds(
        lambda items, size: xml(*items, size=size).encode(),
        st.lists(objects, max_size=4),
        st.none() | st.tuples(numbers, numbers),
    ),
    st.sampled_from(["utf-7", "idna", "punycode", "unicode_escape", "raw_unicode_escape", "rot13", "utf-16"]).map(
        lambda e: f'<?xml version="1.0" encoding="{e}"?><annotation>\\ud800 +2AA-</annotation>'.encode()
    ),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=documents, one_based=st.booleans(), orientation=st.integers(1, 8))
def test_any_xml_gives_an_annotation_or_an_error_that_names_it(tmp_path, document, one_based, orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    write_image(tmp_path / "a.jpg", exif=tags)
    (tmp_path / "a.xml").write_bytes(document)
    try:
        parsed = len(read_voc_file(tmp_path / "a.xml").objects)
    except DatasetError as error:
        parsed = None
        assert str(tmp_path / "a.xml") in str(error)
    scan = read_voc(tmp_path, tmp_path, CLASSES, one_based=one_based, progress=False)
    assert len(scan.annotations) + bool(scan.errors) + len(scan.of("no-box-left")) == 1
    if scan.annotations:
        assert len(scan.annotations[0].labels) + len(scan.of("box-dropped")) == parsed
    elif scan.of("no-box-left"):
        assert len(scan.of("box-dropped")) == parsed > 0
    else:
        assert all(str(tmp_path / "a.xml") in e.text or e.check == "box-layout" for e in scan.errors)


# --- real data -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not (DATA / "bccd").is_dir(), reason="the BCCD dataset is not here")
def test_bccd():
    root, counts = DATA / "bccd", {"train": 205, "val": 87, "test": 72}
    scans = {
        split: read_voc(
            root / "JPEGImages",
            root / "Annotations",
            ("__background__", "RBC", "WBC", "Platelets"),
            stems=read_split_list(root / "ImageSets" / "Main" / f"{split}.txt"),
            progress=False,
        )
        for split in counts
    }
    assert {split: len(scan.annotations) for split, scan in scans.items()} == counts
    assert sum(len(a.labels) for scan in scans.values() for a in scan.annotations) == 4888 - 2
    found = sorted((f.check, f.text) for scan in scans.values() for f in scan.findings)
    assert {check for check, _ in found} == {"box-dropped"} and [text for _, text in found] == [
        "BloodImage_00338.xml: object 13 (RBC): box (504, 337, 504, 337) is empty",
        "BloodImage_00343.xml: object 4 (RBC): box (181, 329, 181, 329) is empty",
    ]


@pytest.mark.skipif(not (DATA / "capybara").is_dir(), reason="the capybara dataset is not here")
def test_capybara():
    folder = DATA / "capybara" / "train"
    scan = read_voc(folder, folder, ("__background__", "capivara"), progress=False)
    assert len(scan.annotations) == 180 and sum(len(a.labels) for a in scan.annotations) == 309
    assert not scan.findings
