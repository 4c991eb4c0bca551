"""Images of a report: boxes in question on their images, and histograms."""

import math

import cv2
import numpy as np
import pytest

from support.html_pages import Page, extent, near
from support.paths import ROOT
from support.voc_files import write_image
from utils.checks.report.charts import histogram, median
from utils.checks.report.thumbnails import COLOURS, SIDE, Wanted, make_thumbnails, show_boxes
from utils.checks.statistics import Histogram
from utils.drawing.colors import class_color
from utils.html.markup import environment
from utils.images.io import read_image

FIRST = class_color(COLOURS[0])


@pytest.mark.parametrize(
    "box",
    [(100, 100, 101, 101), (100, 100, 100, 100), (100, 100, 100, 130), (399, 299, 400, 300), (130, 140, 100, 110)],
)
def test_a_box_too_small_to_be_seen_is_pointed_at_and_enlarged(tmp_path, box):
    write_image(tmp_path / "grey.png", (400, 300))
    image = read_image(tmp_path / "grey.png")
    image[100:110, 100:110] = (0, 200, 0)
    shown = show_boxes(image, [box])
    x, y = np.clip([min(box[0], box[2]), min(box[1], box[3])], 0, [399, 299]) * SIDE / 400
    mask = near(shown, FIRST)
    around = mask[max(0, round(y) - 30) : round(y) + 40, max(0, round(x) - 30) : round(x) + 40]
    assert around.sum() > 30
    elsewhere = mask.copy()
    elsewhere[max(0, round(y) - 60) : round(y) + 90, max(0, round(x) - 60) : round(x) + 90] = False
    assert elsewhere.any()  # in the corner where it is enlarged
    if box[0] == 100:
        assert (near(shown, (0, 200, 0)).sum()) > 2.5 * (10 * SIDE / 400) ** 2


@pytest.mark.parametrize(
    ("box", "side"),
    [
        ((350, 100, 450, 200), "right"), ((-80, 100, 50, 200), "left"), ((100, -60, 200, 50), "top"),
        ((100, 250, 200, 390), "bottom"), ((500, 100, 600, 200), "right"), ((9000, 100, 1e30, 200), "right"),
    ],
)  # fmt: skip
def test_a_box_outside_is_shown_in_a_margin(box, side):
    image = np.full((300, 400, 3), (0, 200, 0), np.uint8)
    shown = show_boxes(image, [box])
    x1, y1, x2, y2 = extent(near(shown, (0, 200, 0)))
    height, width = shown.shape[:2]
    margins = {"left": x1, "top": y1, "right": width - 1 - x2, "bottom": height - 1 - y2}
    assert margins[side] > 10 and sum(width > 3 for width in margins.values()) == 1
    left, top, right, bottom = extent(near(shown, FIRST))
    outside = {"left": left < x1, "top": top < y1, "right": right > x2, "bottom": bottom > y2}
    assert outside[side] and max(height, width) == SIDE
    inside = np.clip(box, 0, (400, 300, 400, 300))
    if inside[0] < inside[2]:
        found = extent(near(shown, FIRST)[y1 : y2 + 1, x1 : x2 + 1])
        assert found == pytest.approx(inside * (x2 + 1 - x1) / 400, abs=4)


def test_an_inverted_box_is_shown_like_the_one_that_was_meant():
    image = np.full((300, 400, 3), 90, np.uint8)
    assert np.array_equal(show_boxes(image, [(240, 60, 40, 200)]), show_boxes(image, [(40, 60, 240, 200)]))


def test_boxes_that_are_no_numbers_are_left_out():
    image = np.full((30, 40, 3), 90, np.uint8)
    shown = show_boxes(image, [(math.nan, 0, 10, 10), (0, 0, math.inf, 5)])
    assert not near(shown, FIRST).any() and shown.shape == (270, 360, 3)


def test_a_panorama_is_shown_around_its_box():
    image = np.full((20, 8000, 3), 90, np.uint8)
    shown = show_boxes(image, [(7000, 4, 7030, 16)])
    assert shown.shape == (120, 360, 3) and near(shown, FIRST).any()
    assert show_boxes(image.transpose(1, 0, 2), []).shape == (360, 120, 3)


def test_images_come_in_their_order(tmp_path):
    for number in range(12):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((20 + number, 40, 3), 20 * number, np.uint8))
    made = make_thumbnails([Wanted(tmp_path / f"{number}.png") for number in range(12)], progress=False)
    greys = [cv2.imdecode(np.frombuffer(p.jpeg, np.uint8), cv2.IMREAD_GRAYSCALE).mean() for p in made]
    assert greys == pytest.approx([20 * number for number in range(12)], abs=2)


def svg(chart) -> str:
    return environment(ROOT / "utils/checks/report").get_template("statistics.html").module.histogram(chart)


def test_marks_stand_where_their_values_are():
    h = Histogram((16, 32, 64, 128, 256, 512, 1024), (1, 0, 2, 2, 0, 5))
    page = Page(svg(histogram("sides", "px", {"train": h}, "", log=True, marks=(32, 64, 512), mark_label="anchors")))
    marks = [float(line["x1"]) for line in page.all("line") if line["class"] == "mark"]
    ticks = [float(line["x1"]) for line in page.all("line") if line["class"] == "tick"]
    assert len(ticks) == 7 and marks == pytest.approx([ticks[1], ticks[2], ticks[5]], abs=0.1)
    steps = np.diff(ticks)
    assert steps == pytest.approx(np.full(6, steps[0]), abs=0.2)
    assert "16 to 32: train 1 (10 %)" in page.text
    assert "anchors" in page.text


@pytest.mark.parametrize(
    ("edges", "counts", "options"),
    [
        ((0, 1), (3,), {"whole": True}),
        ((0, 1, 2, math.inf), (3, 0, 1), {"log": True}),
        ((0, 5, math.inf), (0, 4), {}),
        ((0, 0.5, 1), (1, 10**9), {"span": (0, 1), "marks": (0.5,)}),
        (tuple(range(0, 3000, 3)), (1,) * 999, {"whole": True}),
    ],
)
def test_histograms_of_any_kind(edges, counts, options):
    page = Page(svg(histogram("title", "unit", {"train": Histogram(edges, counts)}, "", **options)))
    assert len(page.all("path")) == 1 and "nan" not in str(page.tags) and "inf" not in str(page.tags)
    assert len([line for line in page.all("line") if line["class"] == "tick"]) <= 13


def test_a_histogram_of_nothing_is_nothing():
    assert histogram("title", "unit", {"train": Histogram((0, 1), (0,))}, "") is None
    assert math.isnan(median(Histogram((0, 1), (0,))))
    assert median(Histogram((0, 10, 20), (1, 3))) == pytest.approx(10 + 10 / 3)
