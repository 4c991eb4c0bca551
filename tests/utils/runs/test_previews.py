"""Sheets of images: tags where there is room for them, colours and a legend where there is none."""

import numpy as np

from utils.drawing.colors import class_color
from utils.drawing.contact_sheet import Drawing, write_sheet
from utils.images.io import read_image

NAMES = ["__background__", "Helmet with ear muffs", "Vest"]


def drawing(count):
    x, y = (axis.ravel()[:count] for axis in np.meshgrid(np.arange(5, 460, 40), np.arange(5, 460, 40)))
    boxes = np.stack([x, y, x + 30, y + 30], axis=1).astype(float)
    return Drawing("a.jpg", np.full((480, 480, 3), 90, np.uint8), boxes, np.arange(count) % 2 + 1, np.full(count, 0.9))


def near(image, color):
    return np.abs(image.astype(int) - color).max(axis=2) < 40


def test_a_crowded_image_has_a_legend_in_place_of_tags(tmp_path):
    few = write_sheet(tmp_path / "few.jpg", [drawing(2)], NAMES)
    many = write_sheet(tmp_path / "many.jpg", [drawing(120), drawing(2)], NAMES)
    legend = many[: many.shape[0] - few.shape[0]]
    assert legend.size and all(near(legend, class_color(label)).sum() > 80 for label in (1, 2))
    crowded, roomy = many[len(legend) :, :], many[len(legend) :, few.shape[1] - 4 :]
    cell = crowded[-480:, 10:480]
    assert (np.abs(cell.astype(int) - 90).max(axis=2) < 12).mean() > 0.5  # the image is seen, not its tags
    assert near(roomy, class_color(1)).sum() > near(drawing(1).image, class_color(1)).sum() + 500  # with its tags
    assert read_image(tmp_path / "many.jpg").shape == many.shape


def test_a_image_with_few_objects_keeps_its_tags(tmp_path):
    sheet = write_sheet(tmp_path / "few.jpg", [drawing(3)], NAMES)
    assert sheet.shape[0] < 530 and (tmp_path / "few.jpg").stat().st_size > 5000
