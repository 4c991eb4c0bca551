"""VOC XML made to do harm: each is an error that names the file, soon and in bounded memory, or is read as harmless."""

import bz2
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from support.paths import ROOT
from support.voc_files import CLASSES, element, write_image, xml
from utils.config.config import load_config
from utils.dataset.scan import raise_for_errors, scan_split
from utils.errors import DatasetError
from utils.formats.voc.reader import read_voc
from utils.formats.voc.xml_file import MAX_OBJECTS, read_voc_file
from utils.formats.voc.xml_source import MAX_XML_BYTES

MAX_GROWTH = 96  # MiB; a file of MAX_XML_BYTES would make a tree of thirty times as much
MAX_MESSAGE = 4_000

pytestmark = [pytest.mark.timeout(60), pytest.mark.filterwarnings("error")]


@pytest.fixture
def path(tmp_path):
    """Where the XML of a.png goes, which is 40x30 and in a dataset's folder for validation."""
    write_image(tmp_path / "valid" / "a.png")
    (tmp_path / "train").mkdir()
    (tmp_path / "set.yaml").write_text(
        f"TRAIN_DIR_IMAGES: {tmp_path / 'train'}\nVALID_DIR_IMAGES: {tmp_path / 'valid'}\nFORMAT: voc\n"
        f"CLASSES: [{', '.join(CLASSES[1:])}]\n"
    )
    return tmp_path / "valid" / "a.xml"


def put(path, document):
    path.write_bytes(document if isinstance(document, bytes) else document.encode())


def annotation_of(path):
    scan = scan_split(load_config(path.parent.parent / "set.yaml"), "val", progress=False)
    raise_for_errors({"val": scan})
    (annotation,) = scan.annotations
    return annotation


def error_of(path):
    """The message about a file, alone and as part of its dataset."""
    with pytest.raises(DatasetError) as error:
        read_voc_file(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ") and len(message) <= MAX_MESSAGE and message.isprintable(), message
    with pytest.raises(DatasetError, match=re.escape(message)):
        annotation_of(path)
    return message


def in_python(program, *arguments):
    """The lines that a program prints, which runs in a process of its own."""
    result = subprocess.run([sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2_000:]
    return result.stdout.splitlines()


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
def test_endless_numbers_are_told_in_short(path, text):
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
    for box in ((1, 2, 3, "x"), (1, 2, 3, 4)):  # told by the reader, and as an unknown class
        put(path, xml(element(f"[{name}]", box)))
        with pytest.raises(DatasetError) as error:
            annotation_of(path)
        assert all(line.isprintable() for line in str(error.value).split("\n")) and len(str(error.value)) < MAX_MESSAGE


def test_a_root_or_an_object_of_a_long_name_is_told_in_short(path):
    put(path, f"<{'r' * 500_000}/>")
    assert error_of(path).endswith(f"found <{'r' * 40}>")
    put(path, xml(element("n" * 500_000)))
    assert "expected at most 256 characters in <name>, found 'nnnn" in error_of(path)


def test_many_faults_are_counted(path):
    put(path, xml(*["<object/>"] * 50_000, size=("wide", 3)))
    message = error_of(path)
    assert "object 1: no <name>; object 2: no <name>; " in message and message.endswith("; … and 49996 more")


# --- too much of anything --------------------------------------------------------------------------------------------

MEASURED = """
import resource, sys
from pathlib import Path
from utils.errors import DatasetError
from utils.formats.voc.reader import read_voc
from utils.formats.voc.xml_file import read_voc_file

def peak():  # of this program alone: ru_maxrss begins with its parent's
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024

resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
read_voc_file(Path(sys.argv[1]))
before = peak()
try:
    print(len(read_voc_file(Path(sys.argv[2])).objects))
except DatasetError as error:
    print(error)
print(peak() - before)
"""


def measured(path):
    """The number of objects of a file, or its error, read where memory may grow by MAX_GROWTH."""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs Linux's /proc")
    put(path.with_name("small.xml"), xml(element()))
    answer, growth = in_python(MEASURED, path.with_name("small.xml"), path)
    assert float(growth) < MAX_GROWTH
    if not answer.isdigit():
        assert answer.startswith(f"{path}: ") and len(answer) <= MAX_MESSAGE
    return answer


def put_long(path, start, piece, count, end):
    """A long file, without holding it."""
    with path.open("wb") as file:
        file.write(start)
        for done in range(0, count, 10_000):
            file.write(b"".join(piece % {b"n": n} for n in range(done, min(done + 10_000, count))))
        file.write(end)
    return path


MIB = b"x" * 2**20
OBJECT = element(box=(1, 2, 30, 20)).encode()  # about 100 bytes
MANY = {  # start, a piece and how often it comes, end; what is told
    "a million objects": (
        b"",
        b"<object><name>Mask</name><bndbox/></object>",
        10**6,
        b"",
        f"most {MAX_OBJECTS} objects",
    ),
    "a million boxes": (b"", OBJECT, 600_000, b"", f"found object {MAX_OBJECTS + 1}"),
    "objects of nothing": (b"", b"<object/>", 10**6, b"", f"at most {MAX_OBJECTS} objects"),
    "a deep element": (b"", b"<object>", 10**6, b"", "at most 100 deep, found <object> below that"),
    "a deep object": (b"<object>", b"<part>", 10**6, b"", "at most 100 deep, found <part> below that"),
    "a million attributes": (b"<size ", b"a%(n)d='' ", 10**6, b"/>", "has a tag or comment of over 1048576 bytes"),
    "a million elements' attributes": (b"", b"<a a%(n)d=''/>", 10**6, b"", "at most 1000 names of elements and attr"),
    "a million kinds of elements": (b"", b"<a%(n)d/>", 10**6, b"", "at most 1000 names of elements and attributes"),
    "a long attribute": (b"<size a='", MIB, 50, b"'/>", "has a tag or comment of over 1048576 bytes"),
    "a long comment": (b"<!--", MIB, 50, b"-->", "line 1 has a tag or comment of over 1048576 bytes"),
    "a long instruction": (b"<?a ", MIB, 50, b"?>", "line 1 has a tag or comment of over 1048576 bytes"),
    "a long element name": (b"<", MIB, 50, b"/>", "line 1 has a tag or comment of over 1048576 bytes"),
    "a long CDATA": (b"<object><name><![CDATA[", MIB, 50, b"]]></name></object>", "at most 256 characters in <name>"),
    "a long name": (b"<object><name>", MIB, 50, b"</name></object>", "at most 256 characters in <name>, found 'xxx"),
    "a long name in references": (b"<object><name>", b"&#65;", 10**6, b"</name></object>", "at most 256 characters in"),
    "many long numbers": (b"", OBJECT.replace(b"1<", b"1" * 250 + b"x<"), 99_999, b"", "… and 99994 more"),
    "many odd names": (b"", OBJECT.replace(b"Mask", b"%(n)d" + "😀".encode() * 250), 50_000, b"", "50000"),
    "a long stray text": (b"", MIB, 50, b"", "0"),
    "a long stray CDATA": (b"<![CDATA[", MIB, 50, b"]]>", "0"),
    "many comments": (b"", b"<!-- no object -->", 10**6, b"", "0"),
    "many elements": (b"", b"<pose/>\n", 10**6, b"", "0"),
    "many objects": (b"", OBJECT, MAX_OBJECTS, b"", str(MAX_OBJECTS)),
    "200 MiB": (b"", MIB, 200, b"", f"more than the {MAX_XML_BYTES} of any annotation"),
}


@pytest.mark.parametrize(("start", "piece", "count", "end", "told"), MANY.values(), ids=MANY.keys())
def test_much_of_anything_takes_little_memory(path, start, piece, count, end, told):
    answer = measured(put_long(path, b"<annotation>" + start, piece, count, end + b"</annotation>"))
    assert (answer == told) if told.isdigit() else (told in answer)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_million_objects_of_wide_characters(path, encoding):
    """In these a text takes memory four times: as bytes, as text, as UTF-8, and in the parser."""
    put(path, f"<annotation>{'<object/>' * 10**6}</annotation>".encode(encoding))
    assert f"at most {MAX_OBJECTS} objects" in measured(path)


# The file's size has been asked for when it is opened.
GROWING = """
import sys
from pathlib import Path
from utils.errors import DatasetError
from utils.formats.voc.reader import read_voc
from utils.formats.voc.xml_file import read_voc_file

path = Path(sys.argv[1])
end = path.open("ab", buffering=0)
sys.addaudithook(lambda event, args: end.write(b" " * 3 * 2**20) if event == "open" else None)
try:
    read_voc_file(path)
except DatasetError as error:
    print(error)
"""


def test_a_file_that_grows_while_it_is_read_has_an_end(path):
    put(path, b"<annotation>" + b" " * (MAX_XML_BYTES - 2**20))
    assert re.search(rf"a\.xml: 6[0-9]+ bytes, more than the {MAX_XML_BYTES} of any", *in_python(GROWING, path))
    assert path.stat().st_size > MAX_XML_BYTES + 2**20


# --- no XML, or no file ----------------------------------------------------------------------------------------------

VALID = xml(element())


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not well-formed XML: no element found"),
        (b" \n", "not well-formed XML: no element found"),
        (b"\0", "not well-formed XML"),
        (b"\0" * 100_000, "not well-formed XML"),
        (VALID.encode() + b"\0", "not well-formed XML"),
        (VALID.replace("Mask", "Ma\0sk").encode(), "not well-formed XML"),
        (VALID.replace("Mask", "Ma&#0;sk").encode(), "not well-formed XML: reference to invalid character number"),
        (VALID.replace("Mask", "Ma&#27;sk").encode(), "not well-formed XML: reference to invalid character number"),
        (VALID.replace("Mask", "Ma\x1bsk").encode(), "not well-formed XML"),
        (VALID.encode() * 2, "not well-formed XML: junk after document element"),
        (bytes(range(256)) * 400, "cannot be decoded: byte 128 is not utf-8: invalid start byte"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "cannot be decoded: byte 0 is not utf-8"),
        (b"PK\x03\x04" + b"\0" * 50, "not well-formed XML"),
        (b"<annotation>" + b" " * 600_000 + b"\xff", "cannot be decoded: byte 600012 is not utf-8"),
        (b"<annotation>" + b"\xe2\x82", "cannot be decoded: byte 12 is not utf-8: unexpected end of data"),
        (VALID.encode("utf-16-le")[:-1], "cannot be decoded"),
        (VALID.encode("utf-16-be")[1:], "cannot be decoded: byte "),
        (b"\xff\xfe\xff\xfe", "not well-formed XML"),
        (b"\xff\xfe\x00\xd8\x00\x00", "cannot be decoded"),
        (b"\xef\xbb\xbf", "not well-formed XML: no element found"),
        (b'<?xml version="1.0" encoding="ascii"?>' + "<a>é</a>".encode(), "cannot be decoded: byte 41 is not ascii"),
        (b'<?xml version="1.0" encoding="utf-8"?>' + "<a>é</a>".encode("latin-1"), "cannot be decoded: byte 41 is not"),
        (b'<?xml version="1.0" encoding="gbk"?><annotation>\x81', "cannot be decoded"),
    ],
)
def test_junk(path, content, told):
    put(path, content)
    assert told in error_of(path)


@pytest.mark.parametrize("endian", ["le", "be"])
def test_utf16_without_a_mark_is_read(path, endian):
    put(path, ('<?xml version="1.0" encoding="UTF-16"?>' + VALID).encode(f"utf-16-{endian}"))
    assert annotation_of(path).boxes.tolist() == [[1, 2, 11, 12]]


def test_a_wrong_encoding_that_decodes_makes_another_name(path):
    put(path, '<?xml version="1.0" encoding="latin-1"?>' + xml(element("Maske für")))
    with pytest.raises(DatasetError, match="unknown class 'Maske fÃ¼r'"):
        annotation_of(path)


@pytest.mark.parametrize(
    "encoding",
    "zlib zlib_codec bz2 bz2_codec base64 base64_codec hex quopri uu rot13 unicode_escape raw_unicode_escape "
    "UNICODE-ESCAPE idna IDNA punycode undefined cp037 mbcs oem aliases os .. __init__ utf-8-klingon".split(),
)
def test_codecs_that_are_no_encodings_of_files(path, encoding):
    """idna and punycode take a time that grows with the square of the length; the others are not even text."""
    put(path, f'<?xml version="1.0" encoding="{encoding}"?>'.encode() + VALID.encode() + b" -a" * 300_000)
    assert "cannot be decoded: " in error_of(path)


def test_a_compressed_bomb_is_not_unpacked(path):
    bomb = bz2.compress(b"<annotation>" + b"\0" * 10**8)
    put(path, b'<?xml version="1.0" encoding="bz2"?>' + bomb)
    assert "cannot be decoded: " in measured(path)
    put(path, bomb)
    assert f"{path}: " in measured(path)


def test_a_pipe_does_not_make_the_reader_wait(path):
    os.mkfifo(path)
    with pytest.raises(DatasetError, match=r"a\.xml: expected an XML file, found a pipe or device"):
        read_voc_file(path)
    assert not scan_split(load_config(path.parent.parent / "set.yaml"), "val", progress=False).annotations


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_link_to_a_device_is_not_read(path, device):
    if not Path(device).is_char_device():
        pytest.skip(f"no {device} here")
    path.symlink_to(device)
    with pytest.raises(DatasetError, match=r"a\.xml: expected an XML file, found a pipe or device"):
        read_voc_file(path)


def test_a_folder_is_named(path):
    path.mkdir()
    with pytest.raises(DatasetError, match=r"a\.xml: expected an XML file, found a folder"):
        read_voc_file(path)


def test_a_link_to_itself_is_named(path):
    path.symlink_to(path)
    with pytest.raises(DatasetError, match=r"a\.xml: cannot be read"):
        read_voc_file(path)


def test_every_object_of_another_unknown_class(tmp_path):
    """100,000 names: a short message, without comparing each with all the others."""
    write_image(tmp_path / "a.jpg")
    (tmp_path / "a.xml").write_text(xml(*(element(f"n{i}") for i in range(100_000))))
    scan = read_voc(tmp_path, tmp_path, CLASSES, progress=False)
    assert scan.annotations == [] and len(scan.errors) == 6
    with pytest.raises(DatasetError) as error:
        raise_for_errors({"train": scan})
    assert "99995 further unknown classes" in str(error.value) and len(str(error.value)) < 4000


def test_escape_codes_in_a_file_name_do_not_reach_the_terminal(tmp_path):
    folder = tmp_path / "evil\x1b[2J"
    write_image(folder / "a.jpg")
    (folder / "a.xml").write_text("<")
    (tmp_path / "set.yaml").write_text(
        f'TRAIN_DIR_IMAGES: "{tmp_path}/evil\\e[2J"\nVALID_DIR_IMAGES: {tmp_path}\nCLASSES: [Mask]\n'
    )
    command = [sys.executable, str(ROOT / "train.py"), "--config", str(tmp_path / "set.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=tmp_path)
    assert done.returncode == 2 and r"evil\x1b[2J" in done.stderr and "\x1b" not in done.stderr + done.stdout
