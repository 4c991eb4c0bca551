"""Any content of a VOC XML file: an `Annotation` that keeps its promises, or a DatasetError that names the file."""

import math
import re
from random import Random
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from support.voc_files import CLASSES, element, write_image, xml
from utils.config.config import load_config
from utils.dataset.scan import raise_for_errors, scan_split
from utils.errors import DatasetError
from utils.formats.voc.xml_file import read_voc_file

SIZES = {"plain.png": (40, 30), "dot.png": (1, 1), "turned.jpg": (30, 40)}
CORNERS = ("xmin", "ymin", "xmax", "ymax")
MAX_MESSAGE = 4_000
LOST = object()


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """For each image a dataset with only that in it, with pixels counted from 0 and from 1."""
    turned = Image.Exif()
    turned[0x0112] = 6
    made = {}
    for name, size in SIZES.items():
        for one_based in (False, True):
            folder = tmp_path_factory.mktemp("set")
            options = {"exif": turned} if name == "turned.jpg" else {}
            write_image(folder / name, size[::-1] if options else size, **options)
            (folder / "train").mkdir()
            (folder / "set.yaml").write_text(
                f"TRAIN_DIR_IMAGES: {folder / 'train'}\nVALID_DIR_IMAGES: {folder}\nFORMAT: voc\n"
                f"VOC_ONE_BASED: {one_based}\nCLASSES: [{', '.join(CLASSES[1:])}]\n"
            )
            made[name, one_based] = load_config(folder / "set.yaml")
    return made


def read(sets, document, name="plain.png", one_based=False):
    """The annotation of the image that the document is written beside, or None where an error names its file.

    An image that lost all its boxes gives LOST.
    """
    config = sets[name, one_based]
    path = (config.val_images_dir / name).with_suffix(".xml")
    path.write_bytes(document if isinstance(document, bytes) else document.encode())
    try:
        scan = scan_split(config, "val", progress=False)
        raise_for_errors({"val": scan})
    except DatasetError as error:
        message = str(error)
        assert f"{path}: " in message or "cannot be meant so" in message, message
        assert len(message) <= MAX_MESSAGE, message
        assert all(line.isprintable() for line in message.split("\n")), message
        return None
    if scan.of("no-box-left"):
        assert not scan.annotations and scan.of("box-dropped")
        return LOST
    (annotation,) = scan.annotations
    assert annotation.image_path == config.val_images_dir / name
    check(annotation, SIZES[name])
    return annotation


def check(annotation, size):
    """Check what the type promises, counted again in float64."""
    assert (annotation.width, annotation.height) == size
    count = len(annotation.labels)
    assert annotation.boxes.shape == (count, 4) and annotation.boxes.dtype == np.float32
    assert annotation.labels.shape == (count,) and annotation.labels.dtype == np.int64
    assert annotation.difficult.shape == (count,) and annotation.difficult.dtype == np.bool_
    for x1, y1, x2, y2 in annotation.boxes.astype(np.float64).tolist():
        assert all(map(math.isfinite, (x1, y1, x2, y2)))
        assert 0 <= x1 < x2 <= size[0] and 0 <= y1 < y2 <= size[1]
    assert all(1 <= label < len(CLASSES) for label in annotation.labels.tolist())


anywhere = {"name": st.sampled_from(list(SIZES)), "one_based": st.booleans()}

# --- well-formed, with anything in it --------------------------------------------------------------------------------

# What XML 1.0 allows, but for the carriage return, which a parser has to turn into a line feed.
characters = st.characters(exclude_categories=("Cs", "Cn"), exclude_characters="\r").filter(
    lambda c: c >= " " or c in "\t\n"
)
odd_numbers = st.sampled_from(
    ["", " ", "nan", "-inf", "Infinity", "1e400", "-1e308", "1e-400", "0x10", "1_0", "١٢", "１２", "1 2", "1,5", "--1",
     "+5.", ".5e1", "-0", "9" * 300, "9" * 5_000, "0." + "0" * 200 + "1", "\t7\n", "5d", "Ⅷ", "½"]
)  # fmt: skip
numbers = st.one_of(
    st.integers(-60, 90).map(str),
    st.floats(0, 45).map(repr),
    st.floats().map(repr),
    st.integers().map(str),
    odd_numbers,
)
names = st.one_of(
    st.sampled_from([*CLASSES[1:], *CLASSES[1:], " Mask\n", "mask", "", CLASSES[0]]),
    st.text(characters, max_size=60),
    st.integers(200, 3_000).map(lambda n: "M" * n),
    st.sampled_from(["\x9b31mMask", "Mask\u202e", "Ma\nsk", "\x85", "Mask\x7f"]),
)
harmless = st.sampled_from(
    ["", "", "<difficult>1</difficult>", "<difficult> TRUE </difficult>", "<truncated>0</truncated>", "stray text",
     "<!-- <name>x</name> -->", "<?target name?>", "<![CDATA[<object>]]>",
     "<part><name>head</name><bndbox><xmin>x</xmin></bndbox></part>",
     "<attributes><attribute><name>a</name></attribute></attributes>", "<x:y xmlns:x='urn:z' z='1'/>"]
)  # fmt: skip
harmful = st.sampled_from(
    ["<name>Gloves</name>", "<bndbox/>", "<bndbox><xmin>3</xmin></bndbox>", "<difficult>-1</difficult>",
     "<object><name>Mask</name></object>", "<objects><object/></objects>",
     "<size><width>9</width><height>9</height></size>"]
)  # fmt: skip


@st.composite
def structured(draw):
    """An <annotation> in which everything stands where it should, and more beside it; about half of them are valid."""
    valid = draw(st.booleans())
    number = st.one_of(st.integers(1, 400).map(str), st.floats(-1e308, 1e308).map(repr)) if valid else numbers
    low, high = (st.one_of(st.integers(start, start + 30).map(str), number) for start in (-20, 1))
    name = st.sampled_from(CLASSES[1:]) if valid else names
    extras = harmless if valid else st.one_of(harmless, harmful)

    def with_extras(parts):
        return "".join(draw(extras) + part for part in draw(st.permutations(parts))) + draw(extras)

    def leaf(tag, text):
        return f"<{tag}>{escape(draw(text))}</{tag}>"

    parts = []
    for _ in range(draw(st.integers(0, 4))):
        bndbox = with_extras([leaf(t, v) for t, v in zip(CORNERS, (low, low, high, high), strict=True)])
        parts.append(f"<object>{with_extras([leaf('name', name), f'<bndbox>{bndbox}</bndbox>'])}</object>")
    if draw(st.booleans()):
        parts.append(f"<size>{with_extras([leaf('width', number), leaf('height', number)])}</size>")
    return valid, f"<annotation>{with_extras(parts)}</annotation>"


@settings(max_examples=400, deadline=None)
@given(made=structured(), options=st.fixed_dictionaries(anywhere))
def test_any_numbers_names_and_sizes(sets, made, options):
    valid, document = made
    annotation = read(sets, document, **options)
    assert annotation or not valid


# --- a valid file, damaged -------------------------------------------------------------------------------------------

HEADER = '<?xml version="1.0" encoding="UTF-8"?>\n'
VALID = (
    HEADER + xml(element(), element("Gloves", (0.5, 0, 40, 29.25), "<difficult>1</difficult>"), size=(40, 30))
).encode()
edits = st.tuples(
    st.sampled_from(["delete", "insert", "replace", "flip", "repeat", "digit", "digit"]),
    st.floats(0, 1, exclude_max=True),
    st.sampled_from([1, 1, 2, 5, 40]),
    st.one_of(
        st.binary(min_size=1, max_size=8), st.sampled_from([b"<", b"&", b"]]>", b"<!--", b"<object>", b"\0", b"7"])
    ),
)


def damaged(data, changes):
    for kind, place, length, inserted in changes:
        start = int(place * (len(data) + 1))
        if kind == "digit":
            start = re.search(rb"[0-9]|$", data[start:]).start() + start
            inserted = b"0123456789-.e x"[inserted[0] % 15 :][:1]
        end = start + (1 if kind in ("digit", "flip") else length)
        new = {
            "delete": b"",
            "insert": inserted + data[start:end],
            "repeat": data[start:end] * 2,
            "flip": bytes(byte ^ 1 << length % 8 for byte in data[start:end]),
        }.get(kind, inserted)
        data = data[:start] + new + data[end:]
    return data


def test_the_file_that_gets_damaged_is_valid(sets):
    assert len(read(sets, VALID).labels) == 2


@settings(max_examples=500, deadline=None)
@given(changes=st.lists(edits, min_size=1, max_size=3), options=st.fixed_dictionaries(anywhere))
def test_a_damaged_file(sets, changes, options):
    read(sets, damaged(VALID, changes), **options)


@settings(max_examples=120, deadline=None)
@given(encoding=st.sampled_from(["utf-16", "utf-16-le", "utf-32", "utf-8-sig"]), changes=st.lists(edits, max_size=2))
def test_a_damaged_file_in_another_encoding(sets, encoding, changes):
    read(sets, damaged(VALID.decode().encode(encoding), changes))


ENCODINGS = (
    "ascii latin-1 cp1252 gbk big5 shift_jis euc-kr iso2022_jp hz utf-7 utf-8-sig utf-32 cp037 charmap idna punycode "
    "unicode_escape raw_unicode_escape undefined rot13 zlib_codec bz2 base64 hex quopri uu klingon .. mbcs"
)


@settings(max_examples=200, deadline=None)
@given(encoding=st.sampled_from(ENCODINGS.split()), changes=st.lists(edits, max_size=1))
def test_any_declared_encoding(sets, encoding, changes):
    body = damaged(VALID[len(HEADER) :], changes)
    read(sets, f'<?xml version="1.0" encoding="{encoding}"?>'.encode() + body + b"<!-- \\ud800 +2AA- \xe9\x81 -->")


# --- no XML at all ---------------------------------------------------------------------------------------------------


@settings(max_examples=120, deadline=None)
@given(document=st.binary(max_size=300), start=st.sampled_from([b"", b"<annotation>", b"<?xml", b"\xff\xfe", b"\0<"]))
def test_junk_is_an_error(sets, document, start):
    assume(b"</annotation" not in document and b"/>" not in document)
    assert read(sets, start + document) is None


# --- any tree of the vocabulary --------------------------------------------------------------------------------------

TAGS = "annotation object name bndbox xmin ymin xmax ymax size width height difficult part filename".split()
USUAL = {
    "annotation": ["object", "object", "size"],
    "object": ["name", "bndbox", "difficult"],
    "bndbox": ["xmin", "ymin", "xmax", "ymax"],
    "size": ["width", "height"],
}


def trees(root="annotation", depth=6):
    """XML of random depth, order and repetition; an element is likelier than by chance to have the children it needs.

    By a seed, for to draw every choice would take most of the test's time.
    """
    return st.integers(0, 2**64).map(lambda seed: ElementTree.tostring(grown(Random(seed), root, depth)).decode())


def grown(random, root, depth):
    node, usual = ElementTree.Element(root), USUAL.get(root, [])
    numeric = root in ("xmin", "ymin", "xmax", "ymax", "width", "height")
    fitting = ["1", "2", " 20\n", "25.5"] if numeric else ["0", "1", ""] if root == "difficult" else ["Mask", "Gloves"]
    node.text = random.choice(fitting if random.random() < 0.97 else ["", "\n ", "x", "-3e2", "1e999", "1_0"])
    children = [tag for tag in usual if random.random() < 0.98]
    children += random.choices(TAGS, k=random.choice([0] * 12 + [1, 2]))
    random.shuffle(children)
    for tag in children if depth else []:
        child = grown(random, tag, depth - 1)
        child.tail = random.choice(["", "\n  ", "tail", "7"])
        node.append(child)
    return node


def out_of_place(root):
    """Check if an element of VOC's is there twice, or in a place that VOC does not have."""
    parents = {child: node for node in root.iter() for child in node}
    grandparents = {child: parents.get(parent) for child, parent in parents.items()}
    for node, parent in parents.items():
        top, tag, inside = grandparents[node] is None, node.tag, parent.tag
        in_object = grandparents[node] is root and inside == "object"
        if tag == "object" and not top:
            return True
        if tag == "bndbox" and not in_object and inside != "part":
            return True
        if tag == "name" and not in_object and inside in ("annotation", "object", "bndbox", "size"):
            return True
        if tag == "xmin" and inside != "bndbox":
            return True
        if tag in ("width", "height") and inside == "size" and grandparents[node] is not root:
            return True
    containers = [root, *root.findall("size"), *root.findall("object"), *root.findall("object/bndbox")]
    once = [("size",), ("width", "height"), ("name", "bndbox"), CORNERS]
    kinds = [0, *[1] * len(root.findall("size")), *[2] * len(root.findall("object"))]
    kinds += [3] * (len(containers) - len(kinds))
    return any(len(node.findall(tag)) > 1 for node, kind in zip(containers, kinds, strict=True) for tag in once[kind])


def objects_of(root):
    """(name, corners, difficult) by ElementTree; None where an object, or the size, is at fault."""

    def number(text):
        text = (text or "").strip()
        plain = text and set(text) <= set("0123456789+-.eE")  # float() decides about the rest
        try:
            value = float(text) if plain else math.nan
        except ValueError:
            return None
        return value if math.isfinite(value) else None

    if out_of_place(root):
        return None
    found = []
    for item in root.findall("object"):
        name, difficult = (item.findtext(tag, "").strip() for tag in ("name", "difficult"))
        box = item.find("bndbox")
        corners = [] if box is None else [number(box.findtext(t)) for t in CORNERS]
        if not name or not corners or None in corners or difficult not in ("", "0", "1"):
            return None
        found.append((name, tuple(corners), difficult == "1"))
    size = root.find("size")
    sides = [] if size is None else [size.findtext(tag, "").strip() for tag in ("width", "height")]
    return None if all(sides) and None in map(number, sides) else found


@settings(max_examples=250, deadline=None)
@given(document=trees())
def test_a_tree_is_read_as_elementtree_finds_it(sets, document):
    expected = objects_of(ElementTree.fromstring(document))
    annotation = read(sets, document)
    path = sets["plain.png", False].val_images_dir / "plain.xml"
    if expected is None:
        assert annotation is None
        with pytest.raises(DatasetError, match=r"plain\.xml: "):
            read_voc_file(path)
    else:
        assert [(item.name, item.box, item.difficult) for item in read_voc_file(path).objects] == expected


@settings(max_examples=60, deadline=None)
@given(document=st.sampled_from(TAGS).flatmap(lambda tag: trees(tag, 3)), attribute=st.text(characters, max_size=20))
def test_any_root(sets, document, attribute):
    read(sets, re.sub(r"^<\w+", lambda start: f"{start[0]} verified={quoteattr(attribute)}", document))


# --- what is right comes back as it was written ----------------------------------------------------------------------


def written(value):
    """Ways in which tools write one number."""
    return st.sampled_from(
        [repr(value), f"{value:.17e}", f" {value!r}\n", f"+{value!r}", f"00{value!r}", repr(value).upper()]
    )


@st.composite
def inside_boxes(draw, size=SIZES["plain.png"]):
    """Four numbers whose float32 make a box inside the image, and their texts."""
    corners = []
    for side in size:
        values = st.one_of(st.integers(0, side).map(float), st.floats(0, side), st.floats(0, side, width=32))
        low, high = sorted((draw(values), draw(values)))
        assume(np.float32(low) < np.float32(high))
        corners.append((low, high))
    (x1, x2), (y1, y2) = corners
    return (x1, y1, x2, y2), tuple(draw(written(value)) for value in (x1, y1, x2, y2))


@settings(max_examples=200, deadline=None)
@given(
    items=st.lists(st.tuples(inside_boxes(), st.integers(1, len(CLASSES) - 1), st.booleans()), max_size=5),
    size=st.none() | st.just((40, 30)) | st.just((0, 0)) | st.just((400, 300)),
)
def test_boxes_inside_the_image_come_back_exactly_as_float32(sets, items, size):
    objects = [
        element(CLASSES[label], text, f"<difficult>{int(difficult)}</difficult>")
        for (_, text), label, difficult in items
    ]
    annotation = read(sets, xml(*objects, size=size))
    expected = np.array([box for (box, _), _, _ in items], np.float64).reshape(-1, 4).astype(np.float32)
    np.testing.assert_array_equal(annotation.boxes, expected)
    assert annotation.labels.tolist() == [label for _, label, _ in items]
    assert annotation.difficult.tolist() == [difficult for _, _, difficult in items]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32-be", "gbk"])
def test_a_long_file_comes_back_whole(tmp_path, encoding):
    """It is read in pieces, which end anywhere: within a tag, a number, or the bytes of a character."""
    expected = [(f"口罩{index}", (index / 8, 1.0, index / 8 + 12345.678, 2.0)) for index in range(20_000)]
    document = xml(*[element(name, tuple(map(repr, box))) for name, box in expected])
    mark = "\ufeff" if encoding == "utf-32-be" else ""
    header = '<?xml version="1.0" encoding="gbk"?>' if encoding == "gbk" else ""
    (tmp_path / "a.xml").write_bytes((mark + header + document).encode(encoding))
    assert [(item.name, item.box) for item in read_voc_file(tmp_path / "a.xml").objects] == expected
