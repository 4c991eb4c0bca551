"""Pairing of annotations with images: trees as exporters write them, names that differ a little, lists."""

import json
import unicodedata

import pytest
import yaml

from support.reading import read_voc, read_yolo
from support.trees import write
from support.voc_files import CLASSES, element, write_image, xml
from utils.annotations.scan_result import Scan
from utils.checks.repair import repair
from utils.config.config import load_config
from utils.dataset.scan import raise_for_errors, scan_splits
from utils.errors import DatasetError
from utils.formats.formats import detect_format
from utils.pairing.file_tree import list_tree, names_below
from utils.pairing.split_lists import listed_names

READ = {".xml": read_voc, ".txt": read_yolo}


def read(root, images="", labels="", *, suffix=".xml", **more):
    """(names of the usable images with their number of objects, checks found) of a tree."""
    scan = READ[suffix](root / images, root / labels, CLASSES, progress=False, **more)
    return {a.image_path.relative_to(root).as_posix(): len(a.labels) for a in scan.annotations}, scan


def checks(scan):
    return sorted(f.check for f in scan.findings)


# --- trees -----------------------------------------------------------------------------------------------------------

TREES = {
    "one folder": ("", "", ["a.jpg", "a.@", "s/a.jpg", "s/a.@", "s/t/a.jpg", "s/t/a.@"]),
    "loose beside sub-folders": (
        "I", "A", ["I/a.jpg", "I/cam1/a.jpg", "I/cam2/a.jpg", "A/a.@", "A/cam1/a.@", "A/cam2/a.@"],
    ),
    "images and labels in each": (
        "", "", ["p/images/a.jpg", "p/labels/a.@", "q/images/a.jpg", "q/labels/a.@", "JPEGImages/b.jpg",
         "Annotations/b.@"],
    ),
    "split folders below the kind": (
        "images", "labels", ["images/n/a.jpg", "images/d/a.jpg", "labels/n/a.@", "labels/d/a.@"],
    ),
    "labels inside the images": ("x", "x/labels", ["x/a.jpg", "x/s/a.jpg", "x/labels/a.@", "x/labels/s/a.@"]),
    "labels inside, unnamed": ("x", "x", ["x/a.jpg", "x/b.jpg", "x/labels/a.@", "x/labels/b.@"]),
    "images inside the labels": ("x/images", "x", ["x/images/a.jpg", "x/images/b.jpg", "x/a.@", "x/b.@"]),
}  # fmt: skip


@pytest.mark.parametrize("suffix", [".xml", ".txt"])
@pytest.mark.parametrize("tree", TREES, ids=[name.replace(" ", "-") for name in TREES])
def test_every_image_of_a_tree_finds_its_own_annotation(tmp_path, tree, suffix):
    images, labels, names = TREES[tree]
    names = [name.replace(".@", suffix) for name in names]
    write(tmp_path, *names)
    found, scan = read(tmp_path, images, labels, suffix=suffix)
    assert found == {name: 1 for name in names if name.endswith(".jpg")}
    assert checks(scan) == []
    assert detect_format(tmp_path / images, tmp_path / labels) == {".xml": "voc", ".txt": "yolo"}[suffix]


@pytest.mark.parametrize("suffix", [".xml", ".txt"])
@pytest.mark.parametrize(
    "names", [("I/c1/a.jpg", "I/c2/b.jpg", "A/a.@", "A/b.@"), ("I/a.jpg", "I/b.jpg", "A/1/a.@", "A/2/b.@")]
)
def test_flat_annotations_of_a_tree_and_the_reverse(tmp_path, names, suffix):
    write(tmp_path, *(name.replace(".@", suffix) for name in names))
    found, scan = read(tmp_path, "I", "A", suffix=suffix)
    assert found == dict.fromkeys(names[:2], 1)
    assert checks(scan) == ["paired-by-name"] * 2


@pytest.mark.parametrize("suffix", [".xml", ".txt"])
def test_a_flat_annotation_of_a_name_that_is_there_twice_is_no_ones(tmp_path, suffix):
    write(tmp_path, "I/c1/a.jpg", "I/c2/a.jpg", "I/c2/b.jpg", f"A/a{suffix}", f"A/b{suffix}")
    found, scan = read(tmp_path, "I", "A", suffix=suffix)
    assert found == {"I/c2/b.jpg": 1}
    (error,) = scan.errors
    assert error.check == "ambiguous-name" and "c1/a.jpg, c2/a.jpg" in error.text


def test_the_annotations_are_those_of_the_very_sub_folder(tmp_path):
    write(tmp_path, "I/n/a.jpg", "I/d/a.jpg", "A/n/a.xml")
    (tmp_path / "A/d").mkdir()
    (tmp_path / "A/d/a.xml").write_text(xml(element("Gloves"), element("Gloves")))
    _, scan = read(tmp_path, "I", "A")
    assert [(a.image_path.parent.name, a.labels.tolist()) for a in scan.annotations] == [("d", [2, 2]), ("n", [1])]


def test_what_another_sub_folder_has_is_not_taken(tmp_path):
    write(tmp_path, "I/n/a.jpg", "I/d/b.jpg", "A/d/a.xml", "A/d/b.xml")
    found, scan = read(tmp_path, "I", "A")
    assert found == {"I/d/b.jpg": 1}
    assert [(f.check, f.text) for f in scan.findings] == [("unlabelled", "n/a.jpg"), ("orphaned", "d/a.xml")]


def test_a_yolo_image_without_a_label_in_a_labelled_folder_is_a_negative(tmp_path):
    write(tmp_path, "I/n/a.jpg", "I/n/b.jpg", "I/d/c.jpg", "A/n/a.txt")
    (tmp_path / "A/d").mkdir()
    found, scan = read(tmp_path, "I", "A", suffix=".txt")
    assert found == {"I/d/c.jpg": 0, "I/n/a.jpg": 1, "I/n/b.jpg": 0}
    assert checks(scan) == ["unlisted-negative"] * 2


def test_a_folder_that_yolos_labels_do_not_know_is_left_out(tmp_path):
    write(tmp_path, "I/n/a.jpg", "I/previews/a.jpg", "I/previews/b.jpg", "A/n/a.txt")
    found, scan = read(tmp_path, "I", "A", suffix=".txt")
    assert found == {"I/n/a.jpg": 1}
    assert [f.text for f in scan.of("unlabelled")] == [
        f"previews/{name}.jpg: no label in a whole folder" for name in ("a", "b")
    ]


@pytest.mark.parametrize("suffix", [".xml", ".txt"])
def test_masks_that_lie_with_the_labels_are_no_images(tmp_path, suffix):
    write(tmp_path, "images/a.jpg", f"labels/a{suffix}", "labels/a.png", "images/b.jpg", f"labels/b{suffix}")
    found, scan = read(tmp_path, suffix=suffix)
    assert found == {"images/a.jpg": 1, "images/b.jpg": 1}
    assert [f.text for f in scan.findings] == ["labels/a.png: lies with the labels of an image of this name"]


def test_links_in_a_circle_hidden_folders_and_results(tmp_path):
    write(tmp_path, "a.jpg", "a.xml", "s/b.jpg", "s/b.xml", ".old/c.jpg", ".old/c.xml", "out/d.jpg", "out/d.xml")
    (tmp_path / "out/predictions.json").write_text("{}")
    (tmp_path / "s/up").symlink_to(tmp_path)
    (tmp_path / "0").symlink_to(tmp_path / "s")
    found, scan = read(tmp_path)
    assert found == {"a.jpg": 1, "s/b.jpg": 1}
    assert [(f.check, f.text) for f in scan.findings] == [
        ("folder-left-out", f"{tmp_path / 'out'}: holds results of an earlier run")
    ]


def test_a_linked_folder_is_read(tmp_path):
    write(tmp_path, "elsewhere/a.jpg", "elsewhere/a.xml", "set/b.jpg", "set/b.xml")
    (tmp_path / "set/more").symlink_to(tmp_path / "elsewhere")
    assert read(tmp_path, "set", "set")[0] == {"set/more/a.jpg": 1, "set/b.jpg": 1}


def test_many_files_are_each_seen_once(tmp_path):
    for folder in range(20):
        (tmp_path / f"c{folder}").mkdir()
        for number in range(100):
            (tmp_path / f"c{folder}" / f"{number}.jpg").touch()
    names = [name for name, _ in list_tree(tmp_path).files]
    assert len(names) == len(set(names)) == 2000


def test_names_below_what_paths_have_in_common(tmp_path):
    paths = [tmp_path / "s/n/a.jpg", tmp_path / "s/d/x/a.jpg"]
    assert names_below(paths) == ["n/a.jpg", "d/x/a.jpg"]
    assert names_below(paths[:1]) == ["a.jpg"] and names_below([]) == []


# --- other splits inside ---------------------------------------------------------------------------------------------


def config(root, **values):
    (root / "set.yaml").write_text(yaml.safe_dump({"CLASSES": ["Mask", "Gloves"], **values}))
    return load_config(root / "set.yaml")


def used(scans, root):
    return {
        name: sorted(a.image_path.relative_to(root).as_posix() for a in scan.annotations)
        for name, scan in scans.items()
    }


@pytest.mark.parametrize("suffix", [".xml", ".txt"])
def test_the_other_splits_folder_inside_is_not_trained_on(tmp_path, suffix):
    write(tmp_path, *(f"d/{name}{end}" for name in ("a", "s/b", "check/c", "test/d") for end in (".jpg", suffix)))
    scans = scan_splits(config(tmp_path, TRAIN_DIR_IMAGES="d", VALID_DIR_IMAGES="d/check"), progress=False)
    assert used(scans, tmp_path) == {"train": ["d/a.jpg", "d/s/b.jpg"], "val": ["d/check/c.jpg"]}
    assert [(name, f.check) for name, scan in scans.items() for f in scan.findings] == [("train", "folder-left-out")]
    assert "test: 1 images; by its name it is the test split" in scans["train"].findings[0].text


def test_a_root_of_images_and_labels_by_split(tmp_path):
    names = [f"{kind}/{split}/{split}{end}" for split in ("train", "val", "test")
             for kind, end in (("images", ".jpg"), ("labels", ".txt"))]  # fmt: skip
    write(tmp_path, *names)
    scans = scan_splits(
        config(tmp_path, TRAIN_DIR_IMAGES="images", TRAIN_DIR_LABELS="labels", VALID_DIR_IMAGES="images/val",
               VALID_DIR_LABELS="labels/val"),
        progress=False,
    )  # fmt: skip
    assert used(scans, tmp_path) == {"train": ["images/train/train.jpg"], "val": ["images/val/val.jpg"]}
    assert [f.check for f in scans["train"].findings] == ["folder-left-out"] and not scans["val"].findings


def test_split_divides_a_whole_export_but_for_its_test_split(tmp_path):
    names = [f"{split}/{kind}/{n}{end}" for split in ("train", "val", "test") for n in range(4)
             for kind, end in (("images", ".jpg"), ("labels", ".txt"))]  # fmt: skip
    write(tmp_path, *names)
    scans = scan_splits(config(tmp_path, TRAIN_DIR_IMAGES=".", SPLIT=0.25), progress=False)
    every = sorted(sum(used(scans, tmp_path).values(), []))
    assert every == sorted(name for name in names if name.endswith(".jpg") and not name.startswith("test"))


# --- names that differ a little --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("IMG_0.JPG", "img_0.@"), ("cam0.jpg", "cam0.jpg.@"), ("Cam0.JPG", "cam0.jpg.@"), ("train0.jpg", "Train0.@"),
        ("sub/a.jpg", "Sub/A.@"), ("images/a.jpg", "labels/A.jpg.@"), ("Straße.jpg", "STRASSE.@"),
        (unicodedata.normalize("NFD", "É.jpg"), unicodedata.normalize("NFC", "é.@")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".xml", ".txt"])
def test_what_can_only_be_meant_so_is_paired(tmp_path, image, label, suffix):
    label = label.replace("@", suffix[1:])
    write(tmp_path, "other.jpg", f"other{suffix}", image, label)
    found, scan = read(tmp_path, suffix=suffix)
    assert sorted(found.values()) == [1, 1]
    differ = label.rpartition("/")[2] != f"{image.rpartition('/')[2]}{suffix}"
    assert checks(scan) == ["paired-by-name"] * differ


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["IMG_0.jpg", "img_0.jpg", "IMG_0.@", "img_0.@"], 2),
        (["a.jpg", "a.png", "a.jpg.@", "a.png.@"], 2),
        (["a.jpg", "a.png", "a.jpg.@", "a.@"], 2),
        (["a.jpg", "a.jpg.png", "a.@", "a.jpg.@"], 2),
        (["images/a.jpg", "images/a.png", "labels/a.jpg.@", "labels/a.png.@"], 2),
    ],
)
@pytest.mark.parametrize("suffix", [".xml", ".txt"])
def test_each_to_its_own(tmp_path, names, pairs, suffix):
    write(tmp_path, *(name.replace("@", suffix[1:]) for name in names))
    found, scan = read(tmp_path, suffix=suffix)
    assert list(found.values()) == [1] * pairs and checks(scan) == []


@pytest.mark.parametrize(
    "names",
    [
        ["a.jpg", "a.jpg.@", "a.@"],
        ["a.jpg", "a.png", "a.@"],
        ["Img.jpg", "IMG.jpg", "img.@"],
        ["img.jpg", "Img.@", "IMG.@"],
        ["images/a.jpg", "imgs/a.jpg", "labels/a.@"],
        ["a.jpg", "s/x/a.@", "s/y/a.@"],
    ],
)
@pytest.mark.parametrize("suffix", [".xml", ".txt"])
def test_what_may_be_meant_twice_is_an_error_and_no_negative(tmp_path, names, suffix):
    write(tmp_path, "other.jpg", f"other{suffix}", *(name.replace("@", suffix[1:]) for name in names))
    found, scan = read(tmp_path, suffix=suffix)
    assert found == {"other.jpg": 1} and {f.check for f in scan.findings} == {"ambiguous-name"}


@pytest.mark.parametrize(
    ("image", "label", "message"),
    [
        ("photo 1.jpg", "photo\u00a01.@", "has U+00A0 (NO-BREAK SPACE) for U+0020 (SPACE)"),
        ("photo.jpg", "phоto.@", "has U+043E (CYRILLIC SMALL LETTER O) for 'o'"),
        ("a1.jpg", "a１.@", "has U+FF11 (FULLWIDTH DIGIT ONE) for '1'"),
        ("a1.jpg", "a1\u200b.@", "has U+200B (ZERO WIDTH SPACE) more"),
        ("a-1.jpg", "a–1.@", "has U+2013 (EN DASH) for '-'"),
        ("a 1.jpg", "a 1 .@", "has U+0020 (SPACE) more"),
        ("a (1).jpg", "a_1.@", "has '_' for U+0020 (SPACE)"),
        ("a_1.jpg", "0a1b2c3d-a_1.@", "has '0a1b2c3d-' more"),
    ],
)
@pytest.mark.parametrize("suffix", [".xml", ".txt"])
def test_look_alike_names_are_an_error_that_says_where(tmp_path, image, label, message, suffix):
    write(tmp_path, "other.jpg", f"other{suffix}", image, label.replace("@", suffix[1:]))
    found, scan = read(tmp_path, suffix=suffix)
    assert found == {"other.jpg": 1}
    (error,) = scan.errors
    assert error.check == "near-name" and message in error.text and image in error.text


@pytest.mark.parametrize(
    ("image", "label"), [("a11.jpg", "a1_1.txt"), ("\u0915\u093f.jpg", "\u0915\u093e.txt"), ("-.jpg", "_.txt")]
)
def test_names_that_differ_in_more_than_marks_between_words_are_not_near(tmp_path, image, label):
    write(tmp_path, "other.jpg", "other.txt", image, label)
    assert read(tmp_path, suffix=".txt")[1].errors == []


def test_a_copy_has_no_empty_label_for_the_image_of_an_orphan(tmp_path):
    for split in ("t", "v"):
        write(
            tmp_path / split, "a.jpg", "a.txt", "photo\u00a01.jpg", "photo 1.txt", "Train0.txt", "train0.jpg", "c.jpg"
        )
        write_image(tmp_path / split / "a.jpg", (60 if split == "t" else 50, 30))
        for number, name in enumerate(("photo\u00a01.jpg", "train0.jpg", "c.jpg")):
            write_image(tmp_path / split / name, (61 + number, 31 if split == "t" else 32))
    conf = config(tmp_path, TRAIN_DIR_IMAGES="t", VALID_DIR_IMAGES="v", FORMAT="yolo")
    scans = scan_splits(conf, progress=False)
    with pytest.raises(DatasetError, match=r"NO-BREAK SPACE"):
        raise_for_errors(scans)
    repair(conf, scans, tmp_path / "new", progress=False)
    labels = {path.name: path.read_text() for path in (tmp_path / "new/labels/train").iterdir()}
    assert {name for name, text in labels.items() if not text} == {"c.txt"}  # which no label is near to
    assert set(labels) == {"a.txt", "train0.txt", "c.txt"}


# --- lists -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["night/n0"], ["night/n0.jpg"]),
        (["night/n0.jpg", "n0"], ["n0.jpg", "night/n0.jpg"]),
        (["./I/night/n0.jpg", "/data/I/day/d0.JPG"], ["day/d0.jpg", "night/n0.jpg"]),
        (["day\\d0.jpg  1", "Night/N0"], ["day/d0.jpg", "night/n0.jpg"]),
        (["d0"], ["day/d0.jpg"]),
        (["data/obj_train_data/d0.jpg"], []),
        (["night/d0"], []),
        (["m0"], []),
    ],
)
@pytest.mark.parametrize("suffix", [".xml", ".txt"])
def test_lines_of_a_list_with_folders(tmp_path, lines, expected, suffix):
    names = ("n0", "night/n0", "day/d0", "day/m0", "night/m0")
    write(tmp_path, *(f"I/{name}.jpg" for name in names), *(f"A/{name}{suffix}" for name in names))
    found, scan = read(tmp_path, "I", "A", suffix=suffix, stems=lines)
    assert sorted(found) == [f"I/{name}" for name in expected] and set(found.values()) <= {1}
    assert checks(scan) == ["listed-missing"] * (not expected)
    if lines == ["m0"]:
        assert "it may be any of day/m0, night/m0" in scan.errors[0].text


def test_lines_are_compared_with_composed_accents():
    scan = Scan()
    line = unicodedata.normalize("NFD", "nuit/é.jpg")
    assert listed_names(scan, [line], ["nuit/é", "b"], "x") == {"nuit/é"} and not scan.findings


def test_a_coco_file_and_a_list_with_folders(tmp_path):
    write(tmp_path, "I/n/a.jpg", "I/d/a.jpg", "I/d/b.jpg", "I/rest/c.jpg", "I/rest/e.jpg")
    images = [{"id": i, "file_name": name} for i, name in enumerate(("n/a.jpg", "d/a.jpg"))]
    (tmp_path / "c.json").write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    conf = config(tmp_path, TRAIN_DIR_IMAGES="I", TRAIN_DIR_LABELS="c.json", SPLIT=0.5)
    scans = scan_splits(conf, progress=False)
    found = [(f.check, f.text) for scan in scans.values() for f in scan.findings]
    assert ("unlabelled", "d/b.jpg") in found
    assert ("folder-left-out", f"{tmp_path / 'I/rest'}: 2 images, none of them in c.json") in found


# --- what is there, but of no use ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".xml", ".txt"])
@pytest.mark.parametrize("name", ["b.heic", "B.HEIF", "b.dng", "b.psd", "b.svg", "b.pdf", "s/b.cr2"])
def test_an_annotated_image_of_an_unread_format_is_an_error_that_says_what_to_do(tmp_path, name, suffix):
    write(tmp_path, "a.jpg", f"a{suffix}", f"{name.rpartition('.')[0]}{suffix}")
    (tmp_path / name).write_bytes(b"something")
    found, scan = read(tmp_path, suffix=suffix)
    assert found == {"a.jpg": 1}
    (error,) = scan.errors
    assert error.check == "image-format" and error.text.startswith(str(tmp_path / name)) and "convert it" in error.text


def test_an_original_beside_its_copy_is_no_matter(tmp_path):
    write(tmp_path, "a.jpg", "a.xml")
    (tmp_path / "a.heic").write_bytes(b"x")
    assert not read(tmp_path)[1].findings


@pytest.mark.parametrize("suffix", [".xml", ".txt"])
@pytest.mark.parametrize(("gone", "check"), [("b.jpg", "image-unreadable"), ("b.@", "annotation-unreadable")])
def test_links_to_nothing_are_called_so(tmp_path, gone, check, suffix):
    gone = gone.replace(".@", suffix)
    write(tmp_path, "a.jpg", f"a{suffix}", "b.jpg", f"b{suffix}")
    (tmp_path / gone).unlink()
    (tmp_path / gone).symlink_to(tmp_path / "lost" / gone)
    found, scan = read(tmp_path, suffix=suffix)
    assert found == {"a.jpg": 1}
    (error,) = scan.errors
    assert (error.check, error.text) == (
        check, f"{tmp_path / gone}: is a link to {tmp_path / 'lost' / gone}, which is not there"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("most", "few", "title", "other"),
    [(".xml", ".txt", "Pascal VOC XML", "YOLO text"), (".txt", ".xml", "YOLO text", "Pascal VOC XML")],
)
def test_two_formats_in_one_folder(tmp_path, most, few, title, other):
    write(tmp_path, "a.jpg", "b.jpg", "c.jpg", "d.jpg", f"a{most}", f"b{most}", f"c{few}", f"d{few}", f"a{few}")
    write(tmp_path, "e.jpg", f"e{most}", "f.jpg", f"f{most}")
    assert detect_format(tmp_path, tmp_path) == ("voc" if most == ".xml" else "yolo")
    found, scan = read(tmp_path, suffix=most)
    assert found == {f"{name}.jpg": 1 for name in "abef"} and checks(scan) == ["mixed-formats"] * 2
    assert scan.errors[0].text == f"c.jpg: has c{few}: {other} where the others have {title}"


def test_captions_are_no_annotations(tmp_path):
    write(tmp_path, "a.jpg", "a.xml", "b.jpg")
    (tmp_path / "a.txt").write_text("one without\n")
    (tmp_path / "b.txt").write_text("two people with masks\n")
    assert detect_format(tmp_path, tmp_path) == "voc"
    assert checks(read(tmp_path)[1]) == ["unlabelled"]


def test_the_other_splits_further_folders_inside_are_not_trained_on_either(tmp_path):
    write(
        tmp_path, *(f"{name}{end}" for name in ("d/a", "d/s/b", "d/check/c", "v/e", "w/f") for end in (".jpg", ".xml"))
    )
    values = {"TRAIN_DIR_IMAGES": ["d", "w"], "VALID_DIR_IMAGES": ["v", "d/check"]}
    scans = scan_splits(config(tmp_path, **values), progress=False)
    assert used(scans, tmp_path) == {
        "train": ["d/a.jpg", "d/s/b.jpg", "w/f.jpg"],
        "val": ["d/check/c.jpg", "v/e.jpg"],
    }
    assert not any(scan.findings for scan in scans.values())
