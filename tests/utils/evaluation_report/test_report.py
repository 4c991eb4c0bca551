"""The report's page: self-contained, inert where names are hostile, and without the parts that have no data."""

import base64
import hashlib
import json
import math
import re

import pytest

from support.html_pages import Page
from support.report_data import HOSTILE, random_evaluation
from utils.evaluation_report import report
from utils.evaluation_report.images import MOST_BYTES, embed_images
from utils.evaluation_report.report import SECTIONS, write_report


class ReportPage(Page):
    """A page whose scripts and style are no text."""

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"):
            super().handle_data(data)


def written(data, folder) -> tuple[ReportPage, str]:
    """Write the page and check what holds for every page."""
    path = folder / "report.html"
    write_report(path, data)
    text = path.read_bytes().decode()
    page = ReportPage(text)
    assert {tag for tag, _ in page.tags}.isdisjoint(
        {"link", "iframe", "object", "embed", "base", "form", "audio", "video", "source"}
    )
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        for name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
            value = attributes.get(name) or "#"
            assert value.startswith("data:image/jpeg;base64,") or value[1:] in ["", *page.ids], (tag, attributes)
    assert not re.search(
        r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)|fetch\(|XMLHttpRequest|eval\(|innerHTML", text
    )
    assert [attributes for tag, attributes in page.tags if tag == "script"] == [
        {"type": "application/json", "id": "data"},
        {},
    ]
    script = text[text.rindex("<script>") + len("<script>") : text.rindex("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy == (f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'")
    headings = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1 and all(b - a <= 1 for a, b in zip(headings[:-1], headings[1:], strict=True))
    assert all(svg.get("aria-label") or svg.get("aria-hidden") for svg in page.all("svg"))
    assert all(head.get("scope") in ("col", "row") for head in page.all("th"))
    labelled = {label.get("for") for label in page.all("label")}
    assert all(
        i.get("id") in labelled or i.get("type") == "checkbox" for i in [*page.all("input"), *page.all("select")]
    )
    return page, text


def data_of(text: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def test_the_whole_report(tmp_path):
    data = random_evaluation(tmp_path)
    page, text = written(data, tmp_path)
    assert set(SECTIONS) <= set(page.ids)
    assert HOSTILE.replace("\u2028", "\\u2028") in page.text and "<script>document" not in text
    assert data_of(text)["names"] == ["all classes", *data["class_names"]]
    assert len(page.images) == 5
    assert "0.45" in page.text and "0.38–0.52" in page.text and "31 ms" in page.text and "nan" not in page.text.lower()
    assert "--threshold" in page.text and "AP of small objects" in page.text
    assert len(text) < 300_000


def test_numbers_at_the_threshold_stand_in_the_page_without_a_script(tmp_path):
    data = random_evaluation(tmp_path)
    page, _ = written(data, tmp_path)
    overall = data["curves"][0]
    row = max(i for i, score in enumerate(overall["scores"]) if score >= 0.5)
    tp, fp = overall["tp"][row], overall["fp"][row]
    for number in (f"{100 * tp / (tp + fp):.0f} %", f"{100 * tp / overall['objects']:.0f} %"):
        assert number in page.text


@pytest.mark.parametrize("kept", [(), ("class_names", "curves", "threshold"), ("gallery", "class_names"), ("epochs",)])
def test_parts_without_data_are_absent(tmp_path, kept):
    full = random_evaluation(tmp_path)
    page, _ = written({key: full[key] for key in kept}, tmp_path)
    present = {section for section in SECTIONS if section in page.ids}
    assert (
        present
        == {
            (): set(),
            "class_names": {"threshold-results"},
            "gallery": {"gallery"},
            "epochs": {"training"},
        }[kept and kept[0]]
    )
    assert ("threshold" in page.ids) == (kept[:1] in (("class_names",), ("gallery",)))


def test_nothing_found_and_nothing_to_find(tmp_path):
    data = random_evaluation(tmp_path, images=1, class_names=("only",))
    empty = {"objects": 0, "scores": [], "tp": [], "fp": [], "precision": [], "recall": [], "f1": []}
    data["curves"] = [{"label": None} | empty, {"label": 1} | empty]
    data["gallery"] = [data["gallery"][0] | {"objects": [], "detections": []}]
    data["error_kinds"] = {"ap50": None, "counts": dict.fromkeys(data["error_kinds"]["counts"], 0), "costs": {}}
    data["error_kinds"]["costs"] = dict.fromkeys(data["error_kinds"]["counts"])
    data["wrong_by_score"] = {kind: [0] * 10 for kind in data["wrong_by_score"]}
    data["threshold"] = math.nan
    data["epochs"] = data["epochs"][:1]
    page, text = written(data, tmp_path)
    assert data_of(text)["threshold"] == 0.5 and "gallery" in page.ids


def test_images_that_cannot_be_shown_have_the_reason_in_their_place(tmp_path):
    data = random_evaluation(tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    data["gallery"][0]["path"] = str(tmp_path / "gone.png")
    data["gallery"][1]["path"] = str(tmp_path / "broken.jpg")
    page, text = written(data, tmp_path)
    assert page.text.count("No image:") == 2 and len(page.images) == 3


def test_many_classes_and_images_stay_a_page_of_bounded_size(tmp_path, monkeypatch):
    names = tuple(f"class {i}" for i in range(60))
    data = random_evaluation(tmp_path, images=60, class_names=names)
    page, text = written(data, tmp_path)
    assert len(page.all("img")) == 36 + 1 and len(text) < 2_000_000
    confusion = data_of(text)["confusion"]["counts"]
    assert {len(matrix) for matrix in confusion} == {len(matrix[0]) for matrix in confusion} == {25}
    assert "36 classes with fewer confusions are left out" in page.text
    monkeypatch.setattr("utils.evaluation_report.images.MOST_PAGE_BYTES", 1500)
    page, _ = written(data, tmp_path)
    assert 0 < len(page.all("img")) < 10 and "left out, so that the page stays small" in page.text


def test_a_noisy_photograph_is_made_small(tmp_path):
    import cv2
    import numpy as np

    path = tmp_path / "noise.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (900, 1600, 3), dtype=np.uint8))
    (one,) = embed_images([str(path)])
    assert (one.width, one.height) == (1600, 900) and len(base64.b64decode(one.data)) < MOST_BYTES * 1.5


def test_the_page_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("before")
    monkeypatch.setattr(report, "_page", lambda *_: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(MemoryError):
        write_report(path, {})
    assert path.read_text() == "before"
    monkeypatch.undo()
    with pytest.raises(OSError):
        write_report(tmp_path / "nowhere" / "report.html", {})
