"""VOC XML of any length, bytes of any kind, and files that are none: an error in bounded memory and time."""

import bz2
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT
from support.reading import read_voc
from support.voc_attacks import MAX_MESSAGE, annotation_of, error_of, in_python, put
from support.voc_files import CLASSES, element, write_image, xml
from utils.config.config import load_config
from utils.dataset.scan import raise_for_errors, scan_split
from utils.errors import DatasetError
from utils.formats.voc.xml_file import MAX_OBJECTS, read_voc_file
from utils.formats.voc.xml_source import MAX_XML_BYTES

MAX_GROWTH = 96  # MiB; a file of MAX_XML_BYTES would make a tree of thirty times as much

pytestmark = [pytest.mark.timeout(60), pytest.mark.filterwarnings("error")]


# --- too much of anything --------------------------------------------------------------------------------------------

MEASURED = """
import resource, sys
from pathlib import Path
from utils.errors import DatasetError
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
MANY = {  # start, a piece and how often it comes, end; what is reported
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


@pytest.mark.parametrize(("start", "piece", "count", "end", "message"), MANY.values(), ids=MANY.keys())
def test_much_of_anything_takes_little_memory(path, start, piece, count, end, message):
    answer = measured(put_long(path, b"<annotation>" + start, piece, count, end + b"</annotation>"))
    assert (answer == message) if message.isdigit() else (message in answer)


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
    ("content", "message"),
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
def test_junk(path, content, message):
    put(path, content)
    assert message in error_of(path)


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
    command = [sys.executable, str(ROOT / "train.py"), "--config", str(tmp_path / "set.yaml"), "--pretrained", "none"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=tmp_path)
    assert done.returncode == 2 and r"evil\x1b[2J" in done.stderr and "\x1b" not in done.stderr + done.stdout
