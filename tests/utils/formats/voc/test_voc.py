"""Reading VOC XML: each fault, and each oddity that is no fault."""

import unicodedata

import numpy as np
import pytest
from PIL import Image

from support.reading import read_voc
from support.voc_files import CLASSES, element, write_image, xml
from utils.errors import DatasetError
from utils.formats.voc.xml_file import read_voc_file
from utils.images.io import read_image


@pytest.fixture
def pair(tmp_path):
    """Write a.jpg (40x30) and its XML; return the Scan."""

    def scan(text, *, one_based=False, skip_bad=False, **image):
        write_image(tmp_path / "a.jpg", **image)
        (tmp_path / "a.xml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_voc(tmp_path, tmp_path, CLASSES, one_based=one_based, skip_bad=skip_bad, progress=False)

    return scan


def only(scan):
    assert not scan.errors
    (annotation,) = scan.annotations
    return annotation


def error_of(scan):
    assert not scan.annotations
    (error,) = scan.errors
    return error.text


def texts(scan, check):
    return [finding.text for finding in scan.of(check)]


def test_a_plain_pair(pair, tmp_path):
    gloves = element("Gloves", (0, 0, 40, 30), "<difficult>1</difficult>")
    annotation = only(pair(xml(element(), gloves, size=(40, 30))))
    assert (annotation.image_path, annotation.width, annotation.height) == (tmp_path / "a.jpg", 40, 30)
    np.testing.assert_array_equal(annotation.boxes, np.float32([[1, 2, 11, 12], [0, 0, 40, 30]]))
    assert annotation.boxes.dtype == np.float32 and annotation.labels.dtype == np.int64
    assert annotation.labels.tolist() == [1, 2] and annotation.difficult.tolist() == [False, True]


def test_no_objects_is_a_negative_sample(pair):
    annotation = only(pair(xml()))
    assert annotation.boxes.shape == (0, 4) and annotation.labels.shape == annotation.difficult.shape == (0,)


def test_float_coordinates_and_spaces(pair):
    annotation = only(pair(xml(element(" Mask\n", ("1.5", " 2e0 ", "1.25e1", "20")))))
    assert annotation.boxes.tolist() == [[1.5, 2, 12.5, 20]]


def test_one_based_inclusive_pixels(pair):
    assert only(pair(xml(element(box=(1, 1, 40, 30))), one_based=True)).boxes.tolist() == [[0, 0, 40, 30]]


def test_only_direct_children_of_the_object_count(pair):
    part = "<part><name>head</name><bndbox><xmin>5</xmin></bndbox></part>"
    assert only(pair(xml(element(extra=part)))).boxes.tolist() == [[1, 2, 11, 12]]


@pytest.mark.parametrize(
    ("encode", "name"),
    [
        (lambda t: b"\xef\xbb\xbf" + t.encode(), "Маска"),
        (lambda t: b"\xef\xbb\xbf" + ('<?xml version="1.0" encoding="utf-8"?>' + t).encode(), "Маска"),
        (lambda t: t.encode("utf-16"), "Маска"),
        (lambda t: t.encode("utf-16-be"), "Маска"),
        (lambda t: ('<?xml version="1.0" encoding="utf-16"?>' + t).encode("utf-16-le"), "Маска"),
        (lambda t: ('<?xml version="1.0" encoding="UTF-16"?>' + t).encode(), "Маска"),
        (lambda t: t.encode("utf-32"), "Маска"),
        (lambda t: ("<?xml version='1.0' encoding='latin-1'?>" + t).encode("latin-1"), "Maßke"),
        (lambda t: ('<?xml version="1.0" encoding="windows-1251"?>' + t).encode("cp1251"), "Маска"),
        (lambda t: ('<?xml version="1.0" encoding="gbk"?>' + t).encode("gbk"), "口罩"),
    ],
)
def test_encodings(tmp_path, encode, name):
    (tmp_path / "a.xml").write_bytes(encode(xml(element(name))))
    assert [item.name for item in read_voc_file(tmp_path / "a.xml").objects] == [name]


@pytest.mark.parametrize(
    "names", [("a.jpg", "a.xml"), ("A b.JPEG", "A b.xml"), ("a.b.c.Png", "a.b.c.XML"), ("öü 训练.tif", "öü 训练.xml")]
)
def test_names_and_a_folder_of_labels(tmp_path, names):
    write_image(tmp_path / "images" / names[0])
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / names[1]).write_text(xml(element()))
    scan = read_voc(tmp_path / "images", tmp_path / "labels", CLASSES, progress=False)
    assert only(scan).image_path.name == names[0]


def test_composed_and_decomposed_names_are_the_same(tmp_path):
    write_image(tmp_path / unicodedata.normalize("NFD", "é.jpg"))
    (tmp_path / unicodedata.normalize("NFC", "é.xml")).write_text(xml(element()))
    assert len(only(read_voc(tmp_path, tmp_path, CLASSES, progress=False)).labels) == 1


def test_natural_order_and_what_has_no_partner(tmp_path):
    for number in (10, 2, 1):
        write_image(tmp_path / f"p{number}.jpg")
        (tmp_path / f"p{number}.xml").write_text(xml(element()))
    write_image(tmp_path / "alone.jpg")
    write_image(tmp_path / "sub" / "p3.jpg")
    (tmp_path / "lost.xml").write_text(xml())
    (tmp_path / "._p1.jpg").write_bytes(b"macOS")
    (tmp_path / "._p1.xml").write_bytes(b"macOS")
    scan = read_voc(tmp_path, tmp_path, CLASSES, progress=False)
    assert [a.image_path.name for a in scan.annotations] == ["p1.jpg", "p2.jpg", "p10.jpg"]
    assert (texts(scan, "unlabelled"), texts(scan, "orphaned")) == (["alone.jpg", "sub/p3.jpg"], ["lost.xml"])
    assert scan.errors == []


# --- boxes that need a word ------------------------------------------------------------------------------------------


def test_boxes_are_clipped_and_reported(pair):
    scan = pair(xml(element(box=(-3, 2, 50, 31)), element(box=(0, 0, 40.4, 30))))
    assert only(scan).boxes.tolist() == [[0, 2, 40, 30], [0, 0, 40, 30]]
    assert texts(scan, "box-clipped") == ["a.xml: object 1 (Mask): box (-3, 2, 50, 31) reaches out of the 40x30 image"]


@pytest.mark.parametrize(
    ("box", "why"),
    [
        ((5, 5, 5, 5), "is empty"),
        ((5, 5, 9, 5), "is empty"),
        ((9, 5, 5, 9), "is inverted"),
        ((50, 5, 60, 9), "has nothing inside the 40x30 image"),
        ((1e300, 5, 1.5e300, 9), "has nothing inside the 40x30 image"),
        ((1.00000000001, 5, 1.00000000002, 9), "has nothing inside the 40x30 image"),
    ],
)
def test_boxes_of_nothing_are_dropped_and_reported(pair, box, why):
    scan = pair(xml(element("Gloves"), element(box=box)))
    assert only(scan).labels.tolist() == [2] and not scan.of("box-clipped")
    (dropped,) = texts(scan, "box-dropped")
    assert dropped.startswith("a.xml: object 2 (Mask): box (") and dropped.endswith(why)


def test_another_size_is_reported_and_the_boxes_stand(pair):
    scan = pair(xml(element(), size=(80, 60)))
    assert only(scan).boxes.tolist() == [[1, 2, 11, 12]]
    assert texts(scan, "size-mismatch") == ["a.xml: <size> is 80x60, a.jpg is 40x30; the boxes are used as they stand"]


@pytest.mark.parametrize("size", [None, (0, 0), (40, 30), ("40.0", "30"), ("", "")])
def test_sizes_that_say_nothing_else(pair, size):
    scan = pair(xml(element(), size=size))
    assert only(scan).boxes.tolist() == [[1, 2, 11, 12]] and not scan.of("size-mismatch") and not scan.of("rotated")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_turn_with_a_image_that_was_labelled_unrotated(tmp_path, orientation):
    """A red rectangle on black, boxed as stored: after reading, the box still holds just the red."""
    stored = np.zeros((30, 40, 3), np.uint8)
    stored[5:12, 3:21] = (255, 0, 0)
    tags = Image.Exif()
    tags[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "a.png", exif=tags)
    (tmp_path / "a.xml").write_text(xml(element(box=(3, 5, 21, 12)), size=(40, 30)))
    scan = read_voc(tmp_path, tmp_path, CLASSES, progress=False)
    if orientation in (2, 3, 4):  # the size does not show whether the tool saw it upright: used as in the file
        assert only(scan).boxes.tolist() == [[3, 5, 21, 12]] and not scan.of("rotated")
        return
    x1, y1, x2, y2 = only(scan).boxes[0].astype(int)
    red = read_image(tmp_path / "a.png")[..., 0] == 255
    assert red[y1:y2, x1:x2].all() and red.sum() == 7 * 18 == (y2 - y1) * (x2 - x1)
    assert len(scan.of("rotated")) == (orientation >= 5) and not scan.of("size-mismatch")


def test_boxes_of_a_rotated_image_labelled_upright_stand(pair):
    tags = Image.Exif()
    tags[0x0112] = 6
    scan = pair(xml(element(), size=(30, 40)), exif=tags)
    annotation = only(scan)
    assert (annotation.width, annotation.height) == (30, 40) and not scan.of("rotated")
    assert annotation.boxes.tolist() == [[1, 2, 11, 12]]


# --- faults ----------------------------------------------------------------------------------------------------------

BOMB = '<!DOCTYPE b [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><annotation>&b;</annotation>'
OUTSIDE = '<!DOCTYPE b [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation>&a;</annotation>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (xml(element(box=("nan", 1, 2, 3))), "object 1 (Mask): expected a finite number in <xmin>, found 'nan'"),
        (xml(element(), element(box=(1, 2, "inf", 3))), "object 2 (Mask): expected a finite number in <xmax>"),
        (xml(element(box=(1, 2, 3, "12,5"))), "in <ymax>, found '12,5'"),
        (xml(element(box=("1_0", 2, 30, 5))), "in <xmin>, found '1_0'"),
        (xml(element(box=("", 2, 30, 5))), "in <xmin>, found ''"),
        (xml(element().replace("<ymin>2</ymin>", "")), "in <ymin>, found ''"),
        (xml("<object><name>Mask</name></object>"), "object 1 (Mask): no <bndbox>"),
        (xml(element("")), "object 1: no <name>"),
        (xml(element(extra="<difficult>maybe</difficult>")), "expected 0 or 1 in <difficult>, found 'maybe'"),
        (xml(element(), size=("wide", 3)), "<size>: expected a finite number in <width>, found 'wide'"),
        (xml(element("mask")), "object 1: unknown class 'mask' (did you mean 'Mask'?)"),
        (xml(element(), element("Hat"), element("Hat")), "object 2 and 1 more: unknown class 'Hat' (CLASSES has Mask"),
        (xml(element("__background__")), "unknown class '__background__'"),
        (xml(element())[:-5], "not well-formed XML"),
        ("", "not well-formed XML"),
        ("<annotations/>", "expected the root element <annotation>, found <annotations>"),
        (BOMB, "has a DOCTYPE"),
        (OUTSIDE, "has a DOCTYPE"),
        (xml(element("Maßke")).encode("latin-1"), "cannot be decoded"),
        (b'<?xml version="1.0" encoding="klingon"?><annotation/>', "unknown encoding: klingon"),
        (b'<?xml version="1.0" encoding="zlib"?><annotation/>', "cannot be decoded"),
    ],
)
def test_each_fault_of_an_xml_file(pair, tmp_path, text, message):
    error = error_of(pair(text))
    assert error.startswith(f"{tmp_path / 'a.xml'}: ") and message in error
    skipped = pair(text, skip_bad=True)
    assert (skipped.errors, [f.text for f in skipped.skipped], skipped.annotations) == ([], [error], [])


def test_all_faults_of_a_file_at_once(pair):
    error = error_of(pair(xml(element(box=("x", 1, 2, 3)), element(), element(""))))
    assert "object 1 (Mask): " in error and "object 3: no <name>" in error


def test_an_oversized_file_is_refused_unread(tmp_path):
    with (tmp_path / "a.xml").open("wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(DatasetError, match=r"a\.xml: 68157440 bytes, more than"):
        read_voc_file(tmp_path / "a.xml")


def test_a_missing_xml_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"a\.xml: cannot be read"):
        read_voc_file(tmp_path / "a.xml")


@pytest.mark.parametrize("content", [b"", b"no image", "truncated"])
def test_an_image_that_cannot_be_read(pair, tmp_path, content):
    pair(xml(element()))
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:-30] if content == "truncated" else content)
    assert error_of(read_voc(tmp_path, tmp_path, CLASSES, progress=False)).startswith(f"{tmp_path / 'a.jpg'}: ")


def test_two_images_for_one_xml(pair, tmp_path):
    write_image(tmp_path / "a.png")
    assert "expected one file of this stem, found a.jpg, a.png" in error_of(pair(xml(element())))


def test_two_xml_files_for_one_image(pair, tmp_path):
    (tmp_path / "a.XML").write_text(xml())
    if (tmp_path / "a.xml").exists():
        pytest.skip("the file system ignores case")
    assert "found a.XML, a.xml" in error_of(pair(xml(element())))


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DatasetError, match="nowhere: cannot be listed"):
        read_voc(tmp_path / "nowhere", tmp_path, CLASSES, progress=False)


def test_class_names_without_the_background_are_refused(tmp_path):
    with pytest.raises(ValueError, match="__background__"):
        read_voc(tmp_path, tmp_path, CLASSES[1:], progress=False)
