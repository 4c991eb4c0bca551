"""Names as people read them: composed or decomposed, look-alike letters, marks that nobody sees."""

import json
import unicodedata

import pytest
import yaml

from support.reading import read_voc
from support.trees import write
from support.voc_files import element, write_image, xml
from utils.checks.repair import repair
from utils.config.config import load_class_names, load_config
from utils.dataset.scan import scan_splits
from utils.errors import ConfigError
from utils.names import how_they_differ, outline

NFC, NFD = (lambda text: unicodedata.normalize("NFC", text)), (lambda text: unicodedata.normalize("NFD", text))


@pytest.mark.parametrize(
    ("name", "other", "message"),
    [
        ("Mаsk", "Mask", "has U+0430 (CYRILLIC SMALL LETTER A) for 'a'"),
        ("МASK", "Mask", "has U+041C (CYRILLIC CAPITAL LETTER EM) for 'M'"),
        ("Ｍask", "Mask", "has U+FF2D (FULLWIDTH LATIN CAPITAL LETTER M) for 'M'"),
        ("Mask\u200b", "Mask", "has U+200B (ZERO WIDTH SPACE) more"),
        ("Hard\u00a0hat", "Hard hat", "has U+00A0 (NO-BREAK SPACE) for U+0020 (SPACE)"),
        ("Hardhat\u00ad", "Hardhat", "has U+00AD (SOFT HYPHEN) more"),
        (
            "Μaѕk",
            "Mask",
            "has U+039C (GREEK CAPITAL LETTER MU) for 'M' and has U+0455 (CYRILLIC SMALL LETTER DZE) for 's'",
        ),
        ("no–mask", "no-mask", "has U+2013 (EN DASH) for '-'"),
    ],
)
def test_a_look_alike_class_says_which_characters_differ(tmp_path, name, other, message):
    assert outline(name) == outline(other) and how_they_differ(name, other) == message
    write_image(tmp_path / "a.jpg")
    (tmp_path / "a.xml").write_text(xml(element(name)))
    scan = read_voc(tmp_path, tmp_path, ("__background__", other, "Gloves"), progress=False)
    (error,) = scan.errors
    assert f"did you mean {other!r}? It {message}" in error.text and error.meant == (name, other)


@pytest.mark.parametrize(("name", "other"), [("Mask", "Task"), ("mask1", "mask2"), ("é", "e"), ("0", "O"), ("й", "и")])
def test_other_names_do_not_look_alike(name, other):
    assert outline(name) != outline(other)


@pytest.mark.parametrize(("in_yaml", "in_files"), [(NFC, NFD), (NFD, NFC), (NFD, NFD)])
@pytest.mark.parametrize("kind", ["voc", "coco", "rename", "ignore"])
def test_composed_and_decomposed_classes_are_one(tmp_path, in_yaml, in_files, kind):
    write(tmp_path, "t/a.jpg", "v/a.jpg")
    for split in ("t", "v"):
        objects = [element(in_files("Hélmet"), (1, 2, 9, 9)), element("Mask")]
        (tmp_path / split / "a.xml").write_text(xml(*objects))
        image = {"id": 1, "file_name": "a.jpg"}
        boxes = [{"id": i, "image_id": 1, "category_id": i, "bbox": [1, 2, 8, 7]} for i in (1, 2)]
        names = [{"id": 1, "name": in_files("Hélmet")}, {"id": 2, "name": "Mask"}]
        (tmp_path / f"{split}.json").write_text(
            json.dumps({"images": [image], "annotations": boxes, "categories": names})
        )
    name = in_yaml("Hélmet")
    values = {
        "voc": {"CLASSES": [name, "Mask"]},
        "coco": {"CLASSES": [name, "Mask"], "TRAIN_DIR_LABELS": "t.json", "VALID_DIR_LABELS": "v.json"},
        "rename": {"CLASSES": ["Helmet", "Mask"], "RENAME": {name: "Helmet"}},
        "ignore": {"CLASSES": ["Mask"], "IGNORE": [name]},
    }[kind]
    path = tmp_path / "set.yaml"
    path.write_text(yaml.safe_dump({"TRAIN_DIR_IMAGES": "t", "VALID_DIR_IMAGES": "v", **values}, allow_unicode=True))
    scans = scan_splits(load_config(path), progress=False)
    assert [error.text for scan in scans.values() for error in scan.errors] == []
    expected = [1] if kind == "ignore" else [1, 2]
    assert all(scan.annotations[0].labels.tolist() == expected for scan in scans.values())
    assert load_class_names(path) == load_config(path).class_names


def test_classes_that_look_alike_are_a_fault_of_the_yaml(tmp_path):
    write(tmp_path, "t/a.jpg", "v/a.jpg")
    path = tmp_path / "set.yaml"
    path.write_text("TRAIN_DIR_IMAGES: t\nVALID_DIR_IMAGES: v\nCLASSES: [Mask, Маsk]\n")
    with pytest.raises(ConfigError, match=r"look alike, but the second has U\+041C .* for 'M' and has U\+0430"):
        load_config(path)


def test_the_copy_has_the_name_that_was_meant(tmp_path):
    write(tmp_path, "v/a.jpg", "v/a.xml", "t/b.jpg")
    write_image(tmp_path / "t/b.jpg", (50, 40))
    (tmp_path / "t/b.xml").write_text(xml(element("Маsk")))
    (tmp_path / "set.yaml").write_text("TRAIN_DIR_IMAGES: t\nVALID_DIR_IMAGES: v\nCLASSES: [Mask]\n")
    config = load_config(tmp_path / "set.yaml")
    repair(config, scan_splits(config, progress=False), tmp_path / "new", progress=False)
    assert "<name>Mask</name>" in (tmp_path / "new/train/b.xml").read_text()
