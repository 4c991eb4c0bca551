"""The report's HTML page: whole, inert, self-contained, and with images of what was found."""

import html
import math
import re
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from models.registry import anchors_of
from support.html_pages import Page, extent, near
from support.voc_files import element, write_image, xml
from support.voc_sets import write_config, write_voc_set
from utils.annotations.findings import CHECKS, SEVERITIES, Finding
from utils.checks.diagnosis import Diagnosis, diagnose
from utils.checks.report.html import MOST_CARDS, MOST_TEXTS, write_html
from utils.checks.report.thumbnails import COLOURS, SIDE
from utils.config.config import load_config
from utils.dataset.scan import scan_splits
from utils.drawing.colors import class_color
from utils.html.markup import STYLE, share

FIRST, SECOND = (class_color(label) for label in COLOURS)
MODEL = "fasterrcnn_resnet50_fpn_v2"
HOSTILE = "<script>alert('x')</script>"


def written(diagnosis: Diagnosis, folder: Path) -> Page:
    """The page, after the checks that hold for every page."""
    path = folder / "report.html"
    write_html(diagnosis, path, progress=False)
    text = path.read_bytes().decode()  # it is UTF-8
    page = Page(text)
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "iframe", "object", "embed", "base", "form"})
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        for name in ("src", "href", "xlink:href", "srcset", "action", "data"):
            value = attributes.get(name) or "#"
            assert value.startswith("data:image/jpeg;base64,") or value[1:] in ["", *page.ids], (tag, attributes)
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style and "@import" not in style
    headings = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1 and all(b - a <= 1 for a, b in zip(headings[:-1], headings[1:], strict=True))
    assert all(svg.get("aria-label") or svg.get("aria-hidden") for svg in page.all("svg"))
    assert all(head.get("scope") in ("col", "row") for head in page.all("th"))
    return page


@pytest.fixture(scope="module")
def shapes(tmp_path_factory) -> Diagnosis:
    """A dataset without errors."""
    folder = tmp_path_factory.mktemp("shapes")
    write_voc_set(folder / "train", 20, 0)
    write_voc_set(folder / "test", 10, 1)
    return diagnosis_of(write_config(folder))


def diagnosis_of(config_path: Path) -> Diagnosis:
    config = load_config(config_path)
    return diagnose(config, scan_splits(config, progress=False), model=MODEL, anchors=anchors_of(MODEL), img_size=640)


def with_findings(diagnosis: Diagnosis, *found: Finding) -> Diagnosis:
    return replace(diagnosis, findings={"train": list(found), "val": []}, samples={})


@pytest.fixture
def photo(tmp_path) -> Path:
    path = tmp_path / "photos" / "grey.png"
    write_image(path, (400, 300))
    return path


def test_every_fault_that_the_reader_finds_is_reported_and_shown(tmp_path):
    write_voc_set(tmp_path / "train", 6, 0)
    write_voc_set(tmp_path / "test", 4, 1)
    train = tmp_path / "train"
    write_image(train / "bad xml.png")
    (train / "bad xml.xml").write_text("<annotation>")
    (train / "bad image.png").write_bytes(b"no image")
    (train / "bad image.xml").write_text(xml(element()))
    for name, text in {
        "unknown": xml(element("mask"), element("Hat &lt;b>")),
        "boxes": xml(element(box=(30, 20, 60, 50)), element(box=(5, 5, 5, 9)), element(box=(500, 5, 600, 9))),
        "size": xml(element(), size=(80, 60)),
        "negative": xml(),
    }.items():
        write_image(train / f"{name}.png")
        (train / f"{name}.xml").write_text(text)
    write_image(train / "unlabelled.png")
    (train / "orphan.xml").write_text(xml(element()))
    (tmp_path / "test" / "copy.jpg").write_bytes((train / "image 1.jpg").read_bytes())
    (tmp_path / "test" / "copy.xml").write_bytes((train / "image 1.xml").read_bytes())
    diagnosis = diagnosis_of(write_config(tmp_path))
    found = diagnosis.by_check()
    assert {
        "annotation-unreadable", "image-unreadable", "unknown-class", "box-dropped", "box-clipped", "size-mismatch",
        "unlabelled", "orphaned", "same-in-both",
    } <= found.keys()  # fmt: skip

    page = written(diagnosis, tmp_path)
    for check, pairs in found.items():
        assert f"check-{check}" in page.ids
        assert CHECKS[check].remedy in page.text
        for _, finding in pairs:
            assert finding.text in page.text
    names = " ".join(image["alt"] for image in page.all("img"))
    for name in ("bad xml.png", "unknown.png", "boxes.png", "size.png", "unlabelled.png", "copy.jpg", "image 1.jpg"):
        assert name in names
    assert "No image: cannot be decoded as an image" in page.text
    assert any(near(image, FIRST).any() for image in page.images)
    errors = diagnosis.count("error")
    assert f"{errors} errors" in page.text and errors >= 4
    assert "Nothing wrong found" not in page.text


def test_what_the_dataset_holds(shapes, tmp_path):
    page = written(shapes, tmp_path)
    train = shapes.statistics["train"]
    for number in (train.images, train.negatives, train.objects, *train.objects_of_class.values()):
        assert str(number) in page.text
    for word in ("Mask", "Gloves", "160×120", "objects per image", "sizes of the anchors", MODEL, "Pascal VOC XML"):
        assert word in page.text
    assert len([svg for svg in page.all("svg") if "aria-label" in svg]) == 4


def test_a_dataset_without_faults(shapes, tmp_path):
    assert "Nothing wrong found." in written(with_findings(shapes), tmp_path).text


def test_a_clean_report_shows_twelve_annotated_images(shapes, tmp_path):
    page = written(replace(with_findings(shapes), samples=shapes.samples), tmp_path)
    assert "Nothing wrong found." in page.text and "As it is annotated" in page.text
    assert len(page.all("img")) == 12 and len(shapes.samples["train"]) == 8 and len(shapes.samples["val"]) == 4
    for (image, photo), annotation in zip(
        zip(page.all("img"), page.images, strict=True), [a for s in shapes.samples.values() for a in s], strict=True
    ):
        assert image["alt"].startswith(annotation.image_path.name) and "marked box" in image["alt"]
        color = np.array(class_color(int(annotation.labels[0])))
        assert near(photo, color).any()  # its boxes are drawn in the colours of their classes


def test_a_dataset_of_which_nothing_is_known(shapes, tmp_path):
    page = written(Diagnosis(shapes.config, MODEL, anchors_of(MODEL), 640), tmp_path)
    assert "Nothing wrong found." in page.text and not page.all("table") and not page.all("img")


def test_a_dataset_without_objects(tmp_path):
    for split in ("train", "test"):
        write_image(tmp_path / split / f"{split}.png")
        (tmp_path / split / f"{split}.xml").write_text(xml())
    diagnosis = diagnosis_of(write_config(tmp_path))
    assert diagnosis.statistics["train"].objects == 0
    assert "1 (100 %)" in written(diagnosis, tmp_path).text  # images without objects


def test_hostile_names_stay_text(shapes, tmp_path):
    name = 'x" onerror="alert(1)\n\x1b\u202e\udcff\x00<img src=y>.png'
    image = tmp_path / name
    subject = f"unknown class {HOSTILE!r}"
    found = [
        Finding("unknown-class", f"{name}: {subject}", subject=subject, image=image, meant=(HOSTILE, HOSTILE)),
        Finding("unknown-class", f"other: {subject}", subject=subject, image=image),
        Finding("image-unreadable", f"{name}: {HOSTILE}"),
        Finding("like-in-both", f"{name} looks like it", image=image, other=image),
    ]
    config = replace(shapes.config, path=image, class_names=("__background__", HOSTILE))
    counts = {HOSTILE: 3, '"&\udcfe': 0}
    statistics = replace(
        shapes.statistics["train"], objects_of_class=counts, images_of_class=counts,
        unreached_of_class=dict.fromkeys(counts, math.nan), image_sizes={HOSTILE: 1},
    )  # fmt: skip
    page = written(with_findings(replace(shapes, config=config, statistics={HOSTILE: statistics}), *found), tmp_path)
    assert page.all("img") == []  # of the name's own
    assert HOSTILE in page.text and "onerror" in page.text
    assert r"\xff" in page.text and r"\x1b" in page.text and r"\u202e" in page.text
    assert "\x1b" not in page.text and "\u202e" not in page.text and "\x00" not in page.text


@pytest.mark.skipif(sys.platform != "linux", reason="names that only Linux allows")
def test_a_image_of_a_hostile_name_is_shown(shapes, tmp_path):
    image = tmp_path / 'a "b" <i>\n\udcff.png'
    write_image(image)
    page = written(with_findings(shapes, Finding("unlabelled", image.name, image=image)), tmp_path)
    (shown,) = page.all("img")
    assert shown["alt"] == r'a "b" <i>\n\xff.png' and len(page.images) == 1


def test_the_boxes_in_question_are_drawn_where_they_are(shapes, photo, tmp_path):
    found = Finding("box-twice", "two", image=photo, boxes=((40, 60, 240, 200), (300, 200, 380, 280)))
    (shown,) = written(with_findings(shapes, found), tmp_path).images
    scale = SIDE / 400
    assert shown.shape == (270, 360, 3)
    assert extent(near(shown, FIRST)) == pytest.approx(np.array((40, 60, 240, 200)) * scale, abs=3)
    assert extent(near(shown, SECOND)) == pytest.approx(np.array((300, 200, 380, 280)) * scale, abs=5)


def test_what_one_image_has_of_a_check_is_one_image(shapes, photo, tmp_path):
    boxes = [(40.0, 60.0, 140.0, 160.0), (200.0, 100.0, 380.0, 280.0)]
    found = [Finding("box-covers-image", f"box {i}", image=photo, boxes=(box,)) for i, box in enumerate(boxes)]
    page = written(with_findings(shapes, *found), tmp_path)
    (shown,) = page.images
    assert extent(near(shown, FIRST)) == pytest.approx(np.array((40, 60, 380, 280)) * SIDE / 400, abs=3)
    assert not near(shown, SECOND).any()
    assert "box 0" in page.text and "box 1" in page.text and "and 1 more here" in page.text


def test_a_second_image_stands_beside_the_first(shapes, photo, tmp_path):
    other = tmp_path / "other" / "narrow.png"
    write_image(other, (100, 300))
    page = written(with_findings(shapes, Finding("like-in-both", "x", image=photo, other=other)), tmp_path)
    assert [shown.shape[0] > shown.shape[1] for shown in page.images] == [False, True]
    assert "photos/grey.png" in page.text and "other/narrow.png" in page.text


def test_an_image_that_went_away_leaves_its_place(shapes, photo, tmp_path):
    gone, broken = photo.with_name("gone.png"), photo.with_name("broken.png")
    broken.write_bytes(photo.read_bytes()[:60])
    found = [Finding("unlabelled", path.name, image=path) for path in (gone, photo, broken, photo.parent)]
    page = written(with_findings(shapes, *found), tmp_path)
    assert len(page.images) == 1
    assert "No image: image file not found" in page.text
    assert "No image: cannot be decoded as an image" in page.text
    assert "No image: is a folder" in page.text


def test_thousands_of_findings_make_a_page_of_a_few_megabytes(shapes, tmp_path):
    rng = np.random.default_rng(0)
    found = []
    for number in range(40):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), rng.integers(0, 256, (480, 640, 3), np.uint8))  # noise, which no JPEG makes small
        found += [
            Finding(check, f"{check}, object {i} of {path}", image=path, boxes=((10, 10, 90, 90 + i),))
            for check in ("box-clipped", "box-dropped", "box-tiny", "unlabelled", "size-mismatch")
            for i in range(25)
        ]
    assert len(found) == 5000
    page = written(with_findings(shapes, *found), tmp_path)
    assert (tmp_path / "report.html").stat().st_size < 4e6
    assert len(page.images) == 5 * MOST_CARDS
    assert page.text.count(", object ") >= 5000

    many = [replace(finding, check="box-dropped") for finding in found]
    page = written(with_findings(shapes, *many), tmp_path)
    assert f"and {5000 - MOST_TEXTS:,} more" in page.text and "5,000" in page.text
    assert many[MOST_TEXTS - 1].text in page.text and many[MOST_TEXTS].text not in page.text


def test_images_of_all_causes_and_splits(shapes, tmp_path):
    def of(split: str, subject: str, count: int) -> list[Finding]:
        paths = [tmp_path / f"{split}-{subject}-{i}.png" for i in range(count)]
        for path in paths:
            write_image(path)
        return [Finding("unknown-class", f"{p}: {subject}", subject=subject, image=p) for p in paths]

    findings = {"train": [*of("train", "often", 90), *of("train", "seldom", 1)], "val": of("val", "often", 2)}
    page = written(replace(shapes, findings=findings, samples={}), tmp_path)
    alts = [image["alt"] for image in page.all("img")]
    assert len(alts) == MOST_CARDS
    assert {"train-seldom-0.png", "val-often-0.png", "val-often-1.png", "train-often-0.png"} <= set(alts)


def test_the_line_that_renames_classes_can_be_pasted(shapes, tmp_path):
    meant = {"mask": "Mask", "GLOVES: x": "Gloves", "'a, b'": "Mask"}
    found = [Finding("unknown-class", old, subject=old, meant=(old, new)) for old, new in meant.items()]
    write_html(with_findings(shapes, *found), tmp_path / "report.html", progress=False)
    (code,) = re.findall("<code>(RENAME.*?)</code>", (tmp_path / "report.html").read_text())
    assert yaml.safe_load(html.unescape(code)) == {"RENAME": meant}


def test_an_earlier_page_stays_where_the_new_one_cannot_be_written(shapes, tmp_path):
    with pytest.raises(OSError):
        write_html(shapes, tmp_path / "no folder" / "report.html", progress=False)
    written(shapes, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_many_classes_of_unequal_frequency(shapes, tmp_path):
    counts = {f"class {i}": 3**i for i in range(12)} | {"none": 0} | {f"c{i}": 5 for i in range(40)}
    nothing = dict.fromkeys(counts, 0)
    unreached = dict.fromkeys(counts, 0.25)
    statistics = {
        split: replace(shapes.statistics[split], objects_of_class=of, images_of_class=of, unreached_of_class=unreached)
        for split, of in (("train", counts), ("val", nothing))
    }
    page = written(replace(shapes, statistics=statistics), tmp_path)
    assert "by the logarithm" in page.text and page.text.index("class 11") < page.text.index("class 2")
    widths = [float(bar["width"]) for bar in page.all("rect") if bar.get("height") == "10"]
    assert max(widths) == 100
    assert widths.count(0) == 2 * (1 + len(counts))  # objects and images of what is not there; the rarest have bars


def test_shares_are_rounded_to_nothing_that_is_false():
    formatted = [share(value) for value in (0, 0.0004, 0.004, 0.05, 0.125, 0.9996, 1, math.nan)]
    assert formatted == ["0 %", "< 0.1 %", "0.4 %", "5 %", "12 %", "> 99 %", "100 %", "–"]


def test_texts_are_legible_in_light_and_dark():
    def colours(block: str) -> dict[str, float]:
        return {name: luminance(value) for name, value in re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})\b", block)}

    def luminance(value: str) -> float:
        digits = value[1:] if len(value) == 7 else "".join(2 * digit for digit in value[1:])
        linear = [
            (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4)
            for c in np.frombuffer(bytes.fromhex(digits), np.uint8) / 255
        ]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    light, dark = (colours(block) for block in re.findall(r":root \{(.*?)\}", STYLE.read_text(), re.DOTALL)[:2])
    for shown in (light, dark):
        pairs = [(ink, ground) for ink in ("ink", "soft") for ground in ("page", "card", "sunk", "mat")]
        pairs += [(kind, ground) for kind in (*SEVERITIES, "good") for ground in ("card", f"{kind}-ground")]
        for ink, ground in [*pairs, ("mark", "card")]:
            darker, brighter = sorted((shown[ink], shown[ground]))
            assert (brighter + 0.05) / (darker + 0.05) >= 4.5, (ink, ground)
