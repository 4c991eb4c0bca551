"""Counts and fingerprints of splits in a report."""

from dataclasses import replace

from support.html_pages import Page
from support.made_annotations import made_up
from utils.evaluation_report.dataset import dataset_parts
from utils.evaluation_report.report import write_report

NAMES = ("__background__", "cat", "dog", "<b>")
TRAIN, VAL = [made_up(number) for number in range(8)], [made_up(number) for number in (20, 21)]


def test_counts_and_fingerprints(tmp_path):
    parts = dataset_parts({"train": TRAIN, "val": VAL}, NAMES)
    counts, classes = parts["dataset"]
    assert counts["rows"] == [["images", 8, 2], ["images without objects", 2, 1], ["objects", 12, 1]]
    assert classes["rows"] == [["cat", 6, 1], ["dog", 4, 0], ["<b>", 2, 0]]
    assert parts["fingerprint"]["train"].startswith("8 images, ")
    write_report(tmp_path / "report.html", parts)
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "<b>" in page.text and parts["fingerprint"]["val"] in page.text


def test_the_fingerprint_is_that_of_the_data_and_not_of_its_place():
    def of(annotations, names=NAMES):
        return dataset_parts({"val": annotations}, names)["fingerprint"]["val"]

    moved = [replace(a, image_path=a.image_path.parent / "elsewhere" / a.image_path.name) for a in TRAIN]
    assert of(TRAIN) == of(TRAIN[::-1]) == of(moved)
    assert len({of(TRAIN), of(TRAIN[1:]), of(TRAIN, ("__background__", "dog", "cat", "<b>")), of([])}) == 4
    assert of([]) == "0 images, 00000000"
