"""Images scaled into a width and height."""

import numpy as np
import pytest

from utils.images.fitting import fit_into, fit_scale, shrink_to_fit


@pytest.mark.parametrize(
    ("size_wh", "limit_wh", "expected_hw"),
    [
        ((400, 200), (100, 100), (50, 100)),
        ((200, 400), (100, 100), (100, 50)),
        ((80, 60), (100, 100), (60, 80)),  # never larger
        ((1000, 1), (100, 100), (1, 100)),  # at least a pixel
    ],
)
def test_shrink_to_fit(size_wh, limit_wh, expected_hw):
    image = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    assert shrink_to_fit(image, limit_wh).shape[:2] == expected_hw


def test_an_image_that_fits_is_returned_as_it_is():
    image = np.zeros((60, 80, 3), np.uint8)
    assert shrink_to_fit(image, (80, 60)) is image and fit_scale((80, 60), (160, 240)) == 2


def test_the_whole_image_in_the_middle_of_black():
    image = np.full((20, 10, 3), 200, np.uint8)
    found = fit_into(image, (40, 40))
    assert found.shape == (40, 40, 3)
    assert (found[:, 10:30] == 200).all() and not found[:, :10].any() and not found[:, 30:].any()
    wide = fit_into(image, (40, 40), pixel_aspect=4.0)  # 40 wide to be seen, 20 high
    assert (wide[10:30] == 200).all() and not wide[:10].any() and not wide[30:].any()
