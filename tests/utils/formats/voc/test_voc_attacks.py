"""VOC XML made to do harm: each is an error that names the file, soon and in bounded memory, or is read as harmless."""

import json
import socket

import numpy as np
import pytest

from support.voc_attacks import MAX_MESSAGE, annotation_of, error_of, in_python, put
from support.voc_files import element, write_image, xml
from utils.config.config import load_config
from utils.dataset.scan import scan_split
from utils.errors import DatasetError

pytestmark = [pytest.mark.timeout(60), pytest.mark.filterwarnings("error")]


# --- entities, and what lies outside ---------------------------------------------------------------------------------

LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
LAUGHS_IN_PARAMETERS = "".join(f'<!ENTITY % p{n} "{f"&#37;p{n - 1};" * 10}">' for n in range(1, 10))
DOCTYPES = {
    "billion laughs": f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><annotation>&l9;</annotation>',
    "quadratic blow-up": f'<!DOCTYPE a [<!ENTITY q "{"ha" * 50_000}">]><annotation>{"&q;" * 50_000}</annotation>',
    "in an attribute": f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><annotation verified="&l9;"/>',
    "external entity": '<!DOCTYPE a [<!ENTITY e SYSTEM "{file}">]><annotation>&e;</annotation>',
    "external entity by http": '<!DOCTYPE a [<!ENTITY e SYSTEM "{http}">]><annotation>&e;</annotation>',
    "external DTD": '<!DOCTYPE annotation SYSTEM "{http}"><annotation/>',
    "public DTD": '<!DOCTYPE annotation PUBLIC "-//VOC//DTD" "{http}"><annotation/>',
    "parameter entity": '<!DOCTYPE a [<!ENTITY % p SYSTEM "{http}"> %p;]><annotation>&e;</annotation>',
    "parameter entity of a file": '<!DOCTYPE a [<!ENTITY % p SYSTEM "{file}"> %p;]><annotation/>',
    "parameter laughs": f'<!DOCTYPE a [<!ENTITY % p0 "ha">{LAUGHS_IN_PARAMETERS} %p9;]><annotation/>',
    "default attributes": '<!DOCTYPE a [<!ATTLIST annotation verified CDATA "yes">]><annotation/>',
    "itself": '<!DOCTYPE a [<!ENTITY e "&e;">]><annotation>&e;</annotation>',
    "nothing in it": "<!DOCTYPE annotation><annotation/>",
    "behind a declaration": '<?xml version="1.0" standalone="yes"?><!-- --><!DOCTYPE a [<!ENTITY e "e">]><annotation/>',
}


@pytest.fixture
def outside(tmp_path):
    """Places beyond the dataset: a file with a secret, and a port that must not be called."""
    (tmp_path / "secret.txt").write_text("Mask")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield {
            "file": (tmp_path / "secret.txt").as_uri(),
            "http": f"http://127.0.0.1:{server.getsockname()[1]}/annotation.dtd",
        }
        with pytest.raises(BlockingIOError):
            server.accept()


def filled(document, outside):
    return document.replace("{file}", outside["file"]).replace("{http}", outside["http"])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("document", DOCTYPES.values(), ids=DOCTYPES.keys())
def test_a_doctype_is_refused(path, outside, document, encoding):
    put(path, filled(document, outside).encode(encoding))
    assert "has a DOCTYPE" in error_of(path)


def test_an_entity_without_a_doctype_is_not_well_formed(path):
    put(path, xml(element("&secret;")))
    assert "not well-formed XML: undefined entity" in error_of(path)


def test_xinclude_includes_nothing(path, outside):
    include = '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{file}" parse="text"/>'
    put(path, filled(xml(element(include)), outside))
    assert "object 1: no <name>" in error_of(path)
    put(path, filled(xml(include.replace(' parse="text"', ""), element()), outside))
    assert annotation_of(path).boxes.tolist() == [[1, 2, 11, 12]]


def test_style_sheets_and_schemas_are_not_fetched(path, outside):
    text = xml(element()).replace(
        "<annotation>",
        '<?xml-stylesheet href="{http}"?><annotation xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xsi:noNamespaceSchemaLocation="{http}">',
    )
    put(path, filled(text, outside))
    assert annotation_of(path).labels.tolist() == [1]


# Reads a harmless dataset first, since modules are loaded on first use.
OPENED = """
import json, sys
from utils.dataset.scan import scan_split
from utils.config.config import load_config
harmless, config = load_config(sys.argv[1]), load_config(sys.argv[2])
scan_split(harmless, "val", progress=False)
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
(annotation,) = scan_split(config, "val", progress=False).annotations
print(json.dumps([opened, str(annotation.image_path), annotation.width, annotation.labels.tolist()]))
"""


@pytest.mark.parametrize(
    "elsewhere", ["../../../../../../etc/passwd", "/etc/passwd", "{bait}", "../../bait.png", "a\n"]
)
def test_paths_in_the_file_lead_nowhere(path, tmp_path, elsewhere):
    """The image is the one of the same stem, and nothing but the two files is opened."""
    write_image(tmp_path / "bait.png", (50, 60))
    elsewhere = elsewhere.replace("{bait}", str(tmp_path / "bait.png"))
    tags = "".join(f"<{tag}>{elsewhere}</{tag}>" for tag in ("filename", "path", "folder", "source"))
    put(path, xml(tags, element(extra=f"<path>{elsewhere}</path>")))
    again = tmp_path / "again"
    write_image(again / "valid" / "b.png")
    put(again / "valid" / "b.xml", xml(element()))
    (again / "set.yaml").write_text((tmp_path / "set.yaml").read_text().replace(str(path.parent), str(again / "valid")))
    yamls = str(again / "set.yaml"), str(tmp_path / "set.yaml")
    opened, image_path, width, labels = json.loads(in_python(OPENED, *yamls)[-1])
    assert (image_path, width, labels) == (str(path.with_suffix(".png")), 40, [1])
    assert set(opened) == {str(path), image_path}


# --- numbers and names -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((-1e308, -1e308, 1e308, 1e308), [[0, 0, 40, 30]]),
        ((5, 6, 1e38, 1e38), [[5, 6, 40, 30]]),
        ((-1.7976931348623157e308, 1, 9, 2), [[0, 1, 9, 2]]),
        ((1e38, 1e38, 1e38, 1e38), []),
        ((1e308, 1e308, -1e308, -1e308), []),
        ((1e38, 1, 1e308, 2), []),
        ((5e-324, 0, 1e-300, 30), []),
        (("0." + "0" * 200 + "1", "1" + "." + "0" * 200, 3, 4), [[0, 1, 3, 4]]),
    ],
)
@pytest.mark.parametrize("size", [None, (40, 30), (-40, -30), (0.5, 0.5), (1e308, 1e308), (0, 1e308), ("9" * 250, 1)])
def test_gigantic_coordinates_and_sizes(path, box, expected, size):
    put(path, xml(element(box=box), size=size))
    if not expected:  # it shows an object, and is no negative
        scan = scan_split(load_config(path.parent.parent / "set.yaml"), "val", progress=False)
        assert not scan.annotations and len(scan.of("no-box-left")) == len(scan.of("box-dropped")) == 1
        return
    annotation = annotation_of(path)
    np.testing.assert_array_equal(annotation.boxes, np.float32(expected).reshape(-1, 4))
    assert (annotation.width, annotation.height) == (40, 30)


@pytest.mark.parametrize(
    "number",
    ["nan", "NaN", "-nan", "inf", "-Infinity", "1e400", "-1e309", f"1{'0' * 250}e99", "0x10", "1_0", "１２", "١٢", "½",
     "1e", ".", "1 2", "1,5", "--1", "1e5.5", "0b1", "1j", "None", "5\u200b", "²"],
)  # fmt: skip
@pytest.mark.parametrize("tag", ["xmin", "height"])
def test_what_is_no_plain_finite_number(path, number, tag):
    put(path, xml(element(box=(number if tag == "xmin" else 1, 2, 3, 4)), size=(40, number if tag == "height" else 30)))
    assert f"expected a finite number in <{tag}>, found " in error_of(path)


@pytest.mark.parametrize("text", ["9" * 400_000, "0." + "0" * 400_000, "1" + " " * 400_000 + "2", "1e" + "9" * 400_000])
def test_endless_numbers_are_reported_in_short(path, text):
    put(path, xml(element(box=(1, 2, text, 4))))
    message = error_of(path)
    assert "expected at most 256 characters in <xmax>, found " in message and len(message) < len(str(path)) + 200


def test_a_coordinate_of_five_thousand_digits_in_pieces(path):
    put(path, xml(element(box=("".join(f"<!-- -->{n % 10}&#50;" for n in range(2_500)), 2, 3, 4))))
    assert "expected at most 256 characters in <xmin>, found '0212223242" in error_of(path)


@pytest.mark.parametrize(
    "name", ["\x9b31mMask", "\x85", "Ma\nsk", "Mask\u202egnp", "\x7f\x7f", "M\tk", "\ue000", "x" * 256]
)
def test_names_cannot_steer_the_terminal(path, name):
    for box in ((1, 2, 3, "x"), (1, 2, 3, 4)):  # reported by the reader, and as an unknown class
        put(path, xml(element(f"[{name}]", box)))
        with pytest.raises(DatasetError) as error:
            annotation_of(path)
        assert all(line.isprintable() for line in str(error.value).split("\n")) and len(str(error.value)) < MAX_MESSAGE


def test_a_root_or_an_object_of_a_long_name_is_reported_in_short(path):
    put(path, f"<{'r' * 500_000}/>")
    assert error_of(path).endswith(f"found <{'r' * 40}>; export Pascal VOC XML instead")
    put(path, xml(element("n" * 500_000)))
    assert "expected at most 256 characters in <name>, found 'nnnn" in error_of(path)


def test_many_faults_are_counted(path):
    put(path, xml(*["<object/>"] * 50_000, size=("wide", 3)))
    message = error_of(path)
    assert "object 1: no <name>; object 2: no <name>; " in message and message.endswith("; … and 49996 more")
