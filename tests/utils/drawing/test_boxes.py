import itertools
import warnings

import cv2
import numpy as np
import pytest

from utils.drawing.boxes import draw_boxes
from utils.drawing.colors import class_color, contrast_color
from utils.drawing.contact_sheet import image_grid
from utils.drawing.text import font_path

NAMES = ["__background__", "Mask", "Goggles", "Каска"]


def blank(height=240, width=320, value=120):
    return np.full((height, width, 3), value, np.uint8)


def changed(image, drawn):
    return (image != drawn).any(axis=2)


def test_class_colors_are_distinct_and_endless():
    lab = cv2.cvtColor(np.array([[class_color(n) for n in range(21)]], np.float32) / 255, cv2.COLOR_RGB2LAB)[0]
    nearest = min(np.linalg.norm(a - b) for a, b in itertools.combinations(lab, 2))
    assert nearest > 30  # CIELAB; a difference of 2.3 is just noticeable
    colors = [class_color(n) for n in range(500)]
    assert len(set(colors)) > 490 and all(0 <= c <= 255 for color in colors for c in color)
    assert class_color(1) == (255, 99, 46)
    with pytest.raises(ValueError, match="-1"):
        class_color(-1)


@pytest.mark.parametrize("size", [(240, 320), (1080, 1920), (3000, 4000)])
def test_the_line_is_the_class_color_in_a_contrasting_rim_and_the_inside_is_untouched(size):
    height, width = size
    image = blank(height, width)
    before = image.copy()
    box = np.array([width * 0.25, height * 0.25, width * 0.75, height * 0.75])
    drawn = draw_boxes(image, box[None], np.array([1]), NAMES, show_labels=False)
    assert (image == before).all() and drawn.dtype == np.uint8
    x1, y1, x2, _ = box.astype(int)
    color = class_color(1)
    column = drawn[: height // 2, width // 2].tolist()  # down through the upper line
    assert column[y1] == list(color)
    first, last = column.index(list(color)), len(column) - 1 - column[::-1].index(list(color))
    assert column[first - 1] == column[last + 1] == list(contrast_color(color))
    assert last - first + 1 == round(1 + (height * width) ** 0.5 / 600)
    assert drawn[height // 2, x1].tolist() == drawn[height // 2, x2].tolist() == list(color)
    assert not changed(image, drawn)[int(height * 0.3) : int(height * 0.7), int(width * 0.3) : int(width * 0.7)].any()


@pytest.mark.parametrize("corner", [(0, 0), (290, 0), (0, 220), (290, 220)])
def test_tags_stay_inside_at_every_corner(corner):
    x, y = corner
    box = np.array([[x, y, x + 30, y + 20]], np.float32)
    args = (blank(), box, np.array([1]), NAMES)
    tag = changed(draw_boxes(*args, show_labels=False), draw_boxes(*args, scores=np.array([0.97])))
    ys, xs = np.nonzero(tag)
    middle = changed(
        draw_boxes(blank(), box * 0 + [[150, 110, 180, 130]], np.array([1]), NAMES, show_labels=False),
        draw_boxes(blank(), box * 0 + [[150, 110, 180, 130]], np.array([1]), NAMES, scores=np.array([0.97])),
    )
    whole = [np.ptp(axis) + 1 for axis in np.nonzero(middle)]
    # Where it lies on the box's own line, the part of the same colour is not counted as changed.
    assert abs(np.ptp(ys) + 1 - whole[0]) <= 3 and abs(np.ptp(xs) + 1 - whole[1]) <= 3


def test_tags_make_room_for_each_other():
    image = blank(480, 640)
    boxes = np.array([[200, 200, 300, 300]] * 3, np.float32)
    one = changed(image, draw_boxes(image, boxes[:1], np.array([1]), NAMES)).sum()
    lines = changed(image, draw_boxes(image, boxes[:1], np.array([1]), NAMES, show_labels=False)).sum()
    three = changed(image, draw_boxes(image, boxes, np.array([1, 1, 1]), NAMES)).sum()
    assert three - lines > 2.8 * (one - lines)


def test_many_tags_leave_most_of_the_image_to_be_seen():
    image = blank(1200, 1600)
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(20, 1560, 80), np.arange(40, 1160, 80)))
    boxes = np.column_stack([x, y, x + 40, y + 40])
    drawn = draw_boxes(image, boxes, np.ones(len(boxes), int), NAMES, scores=np.full(len(boxes), 0.9))
    lines = draw_boxes(image, boxes, np.ones(len(boxes), int), NAMES, show_labels=False)
    assert len(boxes) > 250 and changed(lines, drawn).mean() < 0.25
    one = draw_boxes(image, boxes[:1], np.ones(1, int), NAMES, scores=np.full(1, 0.9))
    alone, among = changed(image, one).sum(), changed(image, drawn)[:110, :95].sum()
    assert among < 0.6 * alone


def test_track_numbers_stand_before_the_name():
    def tag(track_ids):
        boxes, labels = np.array([[100, 100, 200, 200.0]]), np.array([1])
        return draw_boxes(blank(), boxes, labels, NAMES, track_ids=track_ids)

    plain = tag(None)
    assert (tag(np.array([-1])) == plain).all()
    assert (tag(np.array([7])) != plain).any() and (tag(np.array([7])) != tag(np.array([8]))).any()


def test_the_higher_score_is_on_top():
    boxes = np.array([[50, 50, 150, 150]] * 2, np.float32)
    drawn = draw_boxes(blank(), boxes, np.array([1, 2]), NAMES, scores=np.array([0.4, 0.9]), show_labels=False)
    assert drawn[100, 50].tolist() == list(class_color(2))


def test_names_in_other_scripts_are_written_out():
    def tag(name):
        return draw_boxes(blank(), np.array([[100, 100, 200, 200.0]]), np.array([1]), ["", name])

    assert (tag("Каска") != tag("?????")).any()
    assert (tag("Каска") != tag("Маска")).any()
    assert (tag("naïve") != tag("naive")).any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert font_path("Größe Каска") == font_path("Mask")
        assert font_path("\u1d81") != font_path("Mask")  # d with palatal hook, which DejaVu Sans lacks
    with pytest.warns(UserWarning, match="no installed font"):
        font_path("Ж 口 𒀀 𓀀")


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (7, 9), (30, 40)])
def test_tiny_images_and_long_names(size):
    image = blank(*size)
    boxes = np.array([[-5, -5, 1000, 1000], [0, 0, 1, 1]], np.float32)
    names = ["", "a very long class name" * 3, ""]
    drawn = draw_boxes(image, boxes, np.array([1, 2]), names, scores=np.array([1, 0.1]))
    assert drawn.shape == image.shape and changed(image, drawn).any()


def test_no_boxes_is_a_copy():
    image = blank()
    for boxes in (np.zeros((0, 4), np.float32), []):
        drawn = draw_boxes(image, boxes, np.zeros(0, np.int64), NAMES, scores=np.zeros(0))
        assert (drawn == image).all() and not np.shares_memory(drawn, image)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((9, 9, 3), np.float32)}, r"uint8 \(H, W, 3\), got float32 \(9, 9, 3\)"),
        ({"image": np.zeros((9, 9), np.uint8)}, r"got uint8 \(9, 9\)"),
        ({"image": None}, "got NoneType"),
        ({"image": np.zeros((0, 9, 3), np.uint8)}, "with pixels"),
        ({"boxes": np.zeros((1, 5))}, r"\(N, 4\), got \(1, 5\)"),
        ({"boxes": np.full((1, 4), np.nan)}, "box 0 is not finite"),
        ({"labels": np.array([1.0])}, "integer labels"),
        ({"labels": np.array([1, 1])}, r"\(1,\), got int64 \(2,\)"),
        ({"labels": np.array([4])}, "labels from 0 to 3, got 4"),
        ({"scores": np.zeros(2)}, r"scores of shape \(1,\), got \(2,\)"),
    ],
)
def test_what_does_not_fit_is_said(change, message):
    good = {"image": blank(), "boxes": np.array([[1, 2, 30, 40.0]]), "labels": np.array([1]), "class_names": NAMES}
    with pytest.raises(ValueError, match=message):
        draw_boxes(**(good | change))


def test_the_grid_letterboxes_each_image_in_its_cell():
    red = np.zeros((50, 200, 3), np.uint8) + np.array([255, 0, 0], np.uint8)
    green = np.zeros((300, 60, 3), np.uint8) + np.array([0, 255, 0], np.uint8)
    sheet = image_grid([red, green, red], columns=2, cell_hw=(100, 200), background=(10, 10, 10))
    gap = 2
    assert sheet.shape == (2 * (100 + gap) + gap, 2 * (200 + gap) + gap, 3)
    ys, xs = np.nonzero((sheet[: 100 + 2 * gap] == (255, 0, 0)).all(axis=2))
    assert (ys.min(), ys.max(), xs.min(), xs.max()) == (gap + 25, gap + 74, gap, gap + 199)
    ys, xs = np.nonzero((sheet == (0, 255, 0)).all(axis=2))
    assert (np.ptp(ys) + 1, np.ptp(xs) + 1) == (100, 20)
    assert (sheet[-50, -50] == 10).all()  # the empty fourth cell


def test_grid_titles_are_drawn_above_and_kept_to_their_cell():
    images = [blank(100, 100, 0)] * 2
    plain = image_grid(images, titles=["", ""], columns=2, cell_hw=(100, 100))
    titled = image_grid(images, titles=["x" * 300, ""], columns=2, cell_hw=(100, 100))
    ys, xs = np.nonzero(changed(plain, titled))
    assert len(xs) and xs.max() < 102 and ys.max() < plain.shape[0] - 100


def test_grid_errors():
    with pytest.raises(ValueError, match="0 images"):
        image_grid([])
    with pytest.raises(ValueError, match="each of the 1 images, got 2"):
        image_grid([blank()], titles=["a", "b"])
    with pytest.raises(ValueError, match="uint8"):
        image_grid([blank().astype(np.float32)])


def test_a_legend_stands_above_the_grid():
    images, legend = [blank(60, 60)] * 3, [("Mask", (255, 0, 0)), ("x" * 900, (0, 255, 0)), ("\ud800$", (0, 0, 255))]
    plain = image_grid(images, cell_hw=(200, 200))
    sheet = image_grid(images, cell_hw=(200, 200), legend=legend)
    added = sheet.shape[0] - plain.shape[0]
    assert added > 0 and (sheet[added:] == plain).all()
    tops = [np.nonzero((sheet[:added] == color).all(axis=2).any(axis=1))[0][0] for _, color in legend]
    assert tops == sorted(tops) and len(set(tops)) == 3  # the long name fills a row of its own
    many = image_grid(images, cell_hw=(200, 200), legend=[(str(n), (n, 0, 99)) for n in range(1, 200)])
    assert many.shape[0] - plain.shape[0] < 300


def test_titles_that_are_no_unicode_and_endless_ones_are_drawn():
    sheet = image_grid([blank()] * 2, titles=["gr\udcfcn.jpg", "y" * 10**6], cell_hw=(100, 100))
    assert (sheet != image_grid([blank()] * 2, titles=["", ""], cell_hw=(100, 100))).any()
