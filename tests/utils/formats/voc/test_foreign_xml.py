"""XML of other tools beside or in place of Pascal VOC's: an error that says so, never an image without objects."""

import pytest

from support.reading import read_voc
from support.voc_files import CLASSES, element, write_image, xml
from utils.errors import DatasetError
from utils.formats.voc.xml_file import read_voc_file

CVAT = (
    '<annotations><version>1.1</version><image id="0" name="a.png" width="40" height="30">'
    '<box label="Mask" occluded="0" xtl="1" ytl="2" xbr="11" ybr="12"/></image></annotations>'
)
CORNERS = 'xtl="1" ytl="2" xbr="11" ybr="12"'
REMEDY = "export Pascal VOC XML instead"


@pytest.fixture
def read(tmp_path):
    def scan(text, name="a.xml"):
        write_image(tmp_path / "a.png")
        (tmp_path / name).write_text(text)
        return read_voc(tmp_path, tmp_path, CLASSES, progress=False)

    return scan


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (f'<track id="0" label="Mask"><box frame="0" {CORNERS}/></track>', "<box> in <track>; it looks like CVAT's"),
        (f'<shapes><box label="Mask" {CORNERS}/></shapes>', "<box> in <shapes>; it looks like CVAT's own XML"),
        ('<polygon label="Mask" points="1,2;11,2;5,12"/>', "<polygon> in <annotation>"),
        ('<item x1="1" y1="2" x2="11" y2="12"/>', "<item> in <annotation>"),
        ("<items><bbox><left>1</left></bbox></items>", "<bbox> in <items>"),
        ("<items><bbox>1, 2, 11, 12</bbox></items>", "<bbox> in <items>"),
        ("<c:items xmlns:c='u'><c:Box w='3'/></c:items>", "<c:Box> in <c:items>"),
    ],
)
def test_boxes_of_another_tool_are_no_negative(read, tmp_path, body, found):
    scan = read(xml(body, size=(40, 30)))
    assert not scan.annotations
    (error,) = scan.errors
    assert error.text.startswith(f"{tmp_path / 'a.xml'}: expected <object> with <bndbox>, found {found}")
    assert error.text.endswith(REMEDY)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<tracks/><shapes></shapes><polygon/><bbox/>",
        '<source version="2"/><gps x="1" y="2"/><region name="Oslo"/><track id="7"/><game points="3"/>',
        "<note>1 2 3 4</note><date>2024-01-02 03:04</date><segmented>0</segmented>",
    ],
)
def test_what_holds_no_box_leaves_a_negative(read, body):
    scan = read(xml(body))
    assert scan.findings == [] and [len(a.labels) for a in scan.annotations] == [0]


def test_what_stands_beside_objects_does_no_harm(read):
    scan = read(xml(f"<image {CORNERS}/>", element(), f"<box {CORNERS}/>"))
    assert scan.findings == [] and scan.annotations[0].labels.tolist() == [1]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (CVAT, "found <annotations>; it looks like CVAT's own XML"),
        ("<p:PcGts xmlns:p='u'><p:Page/></p:PcGts>", "found <p:PcGts>; it looks like PAGE XML"),
        ("<html><body/></html>", "found <html>; it looks like a web page"),
        ("<dataset><image file='a.png'/></dataset>", "found <dataset>"),
    ],
)
def test_another_root_is_named_with_the_remedy(tmp_path, text, found):
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(DatasetError) as error:
        read_voc_file(tmp_path / "a.xml")
    assert (
        str(error.value) == f"{tmp_path / 'a.xml'}: expected the root element <annotation>, {found}"
        f"{': ' if 'like' in found else '; '}{REMEDY}"
    )


def test_one_file_for_all_images_is_named(read, tmp_path):
    scan = read(CVAT, "annotations.xml")
    assert not scan.annotations
    (error,) = scan.of("annotation-unreadable")
    assert error.text.startswith(f"{tmp_path / 'annotations.xml'}: ") and "CVAT's own XML" in error.text


def test_polygons_of_labelme_are_no_boxes(read):
    points = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in ((1, 2), (11, 2), (5, 12)))
    polygon = f"<object><name>Mask</name><deleted>0</deleted><polygon><username/>{points}</polygon></object>"
    scan = read(xml(polygon, element()))
    (error,) = scan.errors
    assert "object 1 (Mask): no <bndbox>, but a <polygon>, as in LabelMe's XML: export Pascal VOC XML" in error.text
