"""Elements that VOC XML has a place for: elsewhere or twice is a fault; what tools add does no harm."""

import numpy as np
import pytest

from support.reading import read_voc
from support.voc_files import CLASSES, element, write_image, xml


def corners(box, tag="bndbox"):
    names = ("cx", "cy", "w", "h", "angle") if tag == "robndbox" else ("xmin", "ymin", "xmax", "ymax")
    return f"<{tag}>{''.join(f'<{n}>{v}</{n}>' for n, v in zip(names, box, strict=True))}</{tag}>"


BOX = corners((1, 2, 11, 12))
DIRECTLY = "expected <object> directly in <annotation>"
SIZE = "<size><width>40</width><height>30</height></size>"


@pytest.fixture
def read(tmp_path):
    def scan(text):
        write_image(tmp_path / "a.png")
        (tmp_path / "a.xml").write_text(text)
        return read_voc(tmp_path, tmp_path, CLASSES, progress=False)

    return scan


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (xml(f"<object><name>Mask</name>{BOX}{BOX}</object>"), "object 1 (Mask): expected one <bndbox>, found two"),
        (xml(f"<objects>{element()}</objects>"), f"{DIRECTLY}, found <object> in <objects>"),
        (xml(f"<annotation>{element()}</annotation>"), "found <object> in <annotation>"),
        (xml(element(extra=element("Gloves"))), f"object 1 (Mask): {DIRECTLY}, found <object> in <obj"),
        (xml(element().replace("object>", "Object>")), "found <Object> in <annotation>"),
        (xml(element().replace("object>", "v:object>")).replace("<annotation>", "<annotation xmlns:v='u'>"), "v:obj"),
        (xml(element(extra="<name>Gloves</name>")), "object 1 (Mask): expected one <name>, found two"),
        (xml(element().replace("name>", "Name>")), "expected <name> directly in an <object>, found <Name> in <object>"),
        (xml("<name>Mask</name>", element()), "expected <name> directly in an <object>, found <name> in <annotation>"),
        (xml(BOX, element()), "expected <bndbox> directly in an <object>, found <bndbox> in <annotation>"),
        (xml(f"<object><name>Mask</name>{BOX}<boxes>{BOX}</boxes></object>"), "found <bndbox> in <boxes>"),
        (xml(f"<object><name>Mask</name><boxes>{BOX}</boxes></object>"), "found <bndbox> in <boxes>"),
        (xml(f"<objects><name>Mask</name>{BOX}</objects>"), "found <bndbox> in <objects>"),
        (xml("<item><box><xmin>3</xmin></box></item>"), "expected <xmin> in a <bndbox>, found <xmin> in <box>"),
        (xml(element().replace("<ymax>", "<xmin>5</xmin><ymax>")), "object 1 (Mask): expected one <xmin>, found two"),
        (xml(SIZE, SIZE, element()), "expected one <size>, found two"),
        (xml("<size><width>40</width><width>41</width><height>30</height></size>"), "expected one <width>, found two"),
        (xml(f"<image>{SIZE}</image>", element()), "expected <size> directly in <annotation>, found <width> in <size>"),
        (xml(element(extra=SIZE)), "object 1 (Mask): expected <size> directly in <annotation>"),
        (xml(element(extra=corners((9, 9, 4, 4, 0.1), "robndbox"))), "expected one box, found <bndbox> and <robndbox>"),
        (xml(f"<object><name>Mask</name>{corners((9, 9, 4, 4, 45), 'robndbox')}</object>"), "<angle> in radians"),
        (xml(element(extra="<attributes><attribute><name>rotation</name><value>nan</value></attribute></attributes>")),
         "expected a finite number in <rotation>, found 'nan'"),
    ],
)  # fmt: skip
def test_what_stands_twice_or_elsewhere_is_a_fault(read, tmp_path, text, message):
    scan = read(text)
    assert not scan.annotations
    (error,) = scan.errors
    assert error.text.startswith(f"{tmp_path / 'a.xml'}: ") and message in error.text, error.text


def test_each_object_in_a_wrong_place_is_reported_once(read):
    (error,) = read(xml(f"<objects>{element() * 3}</objects>")).errors
    assert error.text.count("found <object> in <objects>") == 3 and "bndbox" not in error.text


EXTRAS = {
    "devkit": "<pose>Frontal</pose><truncated>0</truncated><occluded>0</occluded><part><name>head</name>"
    f"{corners((3, 3, 6, 6))}</part><part><name>hand</name>{corners((7, 3, 9, 6))}</part>"
    "<point><x>3</x><y>4</y></point><actions><jumping>0</jumping><other>1</other></actions>",
    "polygon": "<polygon><x1>1</x1><y1>2</y1><x2>11</x2><y2>2</y2><x3>5</x3><y3>12</y3></polygon>",
    "labelme": "<deleted>0</deleted><verified>0</verified><occluded>no</occluded><attributes/>"
    "<parts><hasparts/><ispartof/></parts><date/><id>0</id><polygon><username>me</username><pt><x>1</x><y>2</y></pt></polygon>",
    "attributes": "<attributes><attribute><name>size</name><value>big</value></attribute>"
    "<attribute><name>rotation</name><value>0.0</value></attribute></attributes><size>small</size>",
    "own rotation": "<attributes><attribute><name>rotation</name><value>left</value></attribute></attributes>",
    "imagenet": "<trackid>0</trackid><generated>0</generated><subcategory/>",
    "roLabelImg": "<type>bndbox</type>",
    "confidence": "<confidence>0.93</confidence><score/><label><name>x</name></label>",
}


@pytest.mark.parametrize("extra", EXTRAS.values(), ids=EXTRAS)
def test_what_exporters_add_does_no_harm(read, extra):
    head = (
        '<folder>VOC2012</folder><path>/home/x/a.png</path><source><database>x</database><annotation>y</annotation>'
        "<image>flickr</image></source><owner><flickrid>1</flickrid><name>A. Person</name></owner>"
        f"<segmented>1</segmented><object_count>1</object_count>{SIZE}"
    )  # fmt: skip
    scan = read(xml(head, element(extra=extra)))
    assert scan.findings == []
    assert scan.annotations[0].boxes.tolist() == [[1, 2, 11, 12]] and scan.annotations[0].labels.tolist() == [1]


def rotation(value):
    return (
        f"<attributes><attribute><name>rotation</name><value>{value}</value></attribute><attribute><name>x</name>"
        "<value>3</value></attribute></attributes>"
    )


@pytest.mark.parametrize(
    ("item", "box"),
    [
        (element(box=(10, 12, 30, 18), extra=rotation("90.0")), (17, 5, 23, 25)),
        (element(box=(10, 12, 30, 18), extra=rotation("-90")), (17, 5, 23, 25)),
        (element(box=(10, 12, 30, 18), extra="<rotation>270</rotation>"), (17, 5, 23, 25)),
        (element(box=(10, 12, 30, 18), extra=rotation(180)), (10, 12, 30, 18)),
        (element(box=(15, 10, 25, 20), extra=rotation(45)), (20 - 50**0.5, 15 - 50**0.5, 20 + 50**0.5, 15 + 50**0.5)),
        (f"<object><type>robndbox</type><name>Mask</name>{corners((20, 15, 20, 6, np.pi / 2), 'robndbox')}</object>",
         (17, 5, 23, 25)),
    ],
)  # fmt: skip
def test_a_rotated_box_becomes_the_box_around_it(read, item, box):
    scan = read(xml(item, element("Gloves")))
    np.testing.assert_allclose(scan.annotations[0].boxes, [box, (1, 2, 11, 12)], atol=1e-4)
    (finding,) = scan.findings
    assert finding.check == "box-rotated" and finding.text.startswith("a.xml: object 1 (Mask): box (")


def test_what_a_rotation_moves_out_of_the_image_is_cut_and_reported(read):
    scan = read(xml(element(box=(2, 2, 38, 8), extra=rotation(90))))
    np.testing.assert_allclose(scan.annotations[0].boxes, [(17, 0, 23, 23)], atol=1e-4)
    (finding,) = scan.findings
    assert finding.text.endswith("is turned by 90 degrees: the box around it, cut at the image's border")


def test_a_box_without_area_gets_none_by_a_rotation(read):
    scan = read(xml(element(box=(5, 5, 25, 5), extra=rotation(45)), element()))
    assert len(scan.annotations[0].labels) == 1 and len(scan.of("box-dropped")) == 1


@pytest.mark.parametrize("rest", [BOX, ""])
def test_deleted_objects_are_left_out_and_counted(read, rest):
    scan = read(xml(f"<object><name>Mask</name><deleted>1</deleted>{rest}</object>", element("Gloves")))
    assert scan.annotations[0].labels.tolist() == [2]
    assert [(f.check, f.text) for f in scan.findings] == [("deleted", "a.xml: 1 objects marked as deleted")]
