"""The four-image mix."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.rectangles import BACKGROUND, boxes_inside, make_sample, paint, seen_box
from utils.augment.mixes import mosaic
from utils.augment.sample import MIN_SIDE, MIN_VISIBLE, Sample
from utils.img_size import model_scale

EMPTY = make_sample((90, 120), [])
IMG_SIZE = 128
SEEDS = st.integers(0, 2**32)
COLOURS = [(250, 20, 20), (20, 250, 20), (20, 20, 250), (250, 250, 20)]


def _mix(samples, seed, img_size=IMG_SIZE):
    return mosaic(samples, np.random.default_rng(seed), img_size)


def _plain(size_hw):
    """Four images of one colour each, with no objects."""
    return [Sample(np.full((*size_hw, 3), colour, np.uint8), EMPTY.boxes, EMPTY.labels) for colour in COLOURS]


def _shown(image) -> list:
    """The box, (4,) xyxy, that each colour of `_plain` fills in `image`; None where it is not a rectangle."""
    boxes = []
    for colour in COLOURS:
        ys, xs = (image == colour).all(axis=2).nonzero()
        box = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        boxes.append(box if len(xs) == (box[2] - box[0]) * (box[3] - box[1]) else None)
    return boxes


@given(place=st.integers(0, 3), size_hw=st.sampled_from([(90, 120), (200, 150), (60, 200)]), data=st.data(), seed=SEEDS)
@settings(max_examples=150, deadline=None)
def test_boxes_stay_on_their_objects(place, size_hw, data, seed):
    box = data.draw(boxes_inside(*size_hw, min_side=12))
    samples = [EMPTY] * 4
    samples[place] = make_sample(size_hw, [box])
    result = _mix(samples, seed)
    assert result.size_hw == (IMG_SIZE, IMG_SIZE)
    # A sliver thinner than a bilinear sample's reach has no pixel of full brightness to measure by.
    if len(result.boxes) and (result.boxes[0, 2:] - result.boxes[0, :2]).min() > 3:
        assert np.abs(result.boxes[0] - seen_box(result.image)).max() < 0.25


@pytest.mark.parametrize("seed", range(15))
def test_labels_stay_with_their_boxes(seed):
    shapes = [(90, 120), (120, 90), (300, 400), (64, 64)]
    samples = []
    for shape, colour in zip(shapes, COLOURS, strict=True):
        # Two boxes of each image, distinguished by brightness, and label 10 * place + which.
        height, width = shape
        boxes = np.float32([[0, 0, width * 0.5, height], [width * 0.5, 0, width, height]])
        dark = tuple(channel // 2 for channel in colour)
        labels = np.array([10, 11]) + 10 * len(samples)
        samples.append(Sample(paint(shape, boxes, [colour, dark]), boxes, labels))
    result = _mix(samples, seed)
    assert len(set(result.labels // 10)) >= 2
    for box, label in zip(result.boxes, result.labels.tolist(), strict=True):
        x, y = ((box[:2] + box[2:]) / 2).astype(int)
        expected = np.array(COLOURS[label // 10 - 1]) // (1 + label % 10)
        assert np.abs(result.image[y, x] - expected).max() <= 2


@pytest.mark.parametrize("seed", range(10))
def test_four_images_tile_the_square(seed):
    shown = _shown(_mix(_plain((90, 120)), seed).image)
    x, y = shown[0][2:]
    assert shown == [[0, 0, x, y], [x, 0, 128, y], [0, y, x, 128], [x, y, 128, 128]]
    assert min(x, y) >= 0.2 * IMG_SIZE - 1 and max(x, y) <= 0.8 * IMG_SIZE + 1


@pytest.mark.parametrize("seed", range(10))
def test_very_long_images_touch_the_centre_and_grey_fills_the_rest(seed):
    side = int(20 * model_scale((20, 400), IMG_SIZE))
    image = _mix(_plain((20, 400)), seed).image
    shown = _shown(image)
    x, y = shown[0][2:]
    assert shown == [[0, y - side, x, y], [x, y - side, 128, y], [0, y, x, y + side], [x, y, 128, y + side]]
    assert (image[: y - side] == BACKGROUND).all() and (image[y + side :] == BACKGROUND).all()


@pytest.mark.parametrize("size_hw", [(300, 400), (90, 120), (150, 100)])
def test_objects_keep_the_size_they_have_at_model_scale(size_hw):
    scale = model_scale(size_hw, IMG_SIZE)
    side = 12 / scale
    grid = [(x, y, x + side, y + side) for x in range(0, size_hw[1], 20) for y in range(0, size_hw[0], 20)]
    grid = [box for box in grid if box[2] <= size_hw[1] and box[3] <= size_hw[0]]
    samples = [make_sample(size_hw, grid)] * 4
    sides = np.concatenate([(r.boxes[:, 2:] - r.boxes[:, :2]) for r in (_mix(samples, seed) for seed in range(30))])
    uncut = sides[(sides > 11).all(axis=1)]
    assert len(uncut) > 300
    assert np.abs(uncut.mean(axis=0) - 12).max() < 0.12


def test_every_part_of_an_image_is_seen_in_time():
    corners = [(0, 0, 20, 20), (100, 0, 120, 20), (0, 70, 20, 90), (100, 70, 120, 90), (50, 35, 70, 55)]
    samples = [make_sample((90, 120), corners, [0, 1, 2, 3, 4])] + [EMPTY] * 3
    seen = np.concatenate([_mix(samples, seed).labels for seed in range(80)])
    assert (np.bincount(seen, minlength=5) >= 4).all()


def test_mostly_hidden_boxes_are_dropped():
    sample = make_sample((128, 128), [(0, 0, 128, 128)])
    for seed in range(60):
        result = _mix([sample, EMPTY, EMPTY, EMPTY], seed)
        quarter = seen_box(result.image)
        visible = np.prod(quarter[2:] - quarter[:2]) / 128**2
        assert len(result.boxes) == (visible >= MIN_VISIBLE)


@pytest.mark.parametrize("size_hw", [(8, 8), (1, 1), (8, 700)])
def test_tiny_images_and_images_without_objects(size_hw):
    for seed in range(20):
        result = _mix([make_sample(size_hw, [])] * 4, seed, 320)
        assert result.size_hw == (320, 320)
        assert (result.boxes.shape, result.boxes.dtype) == ((0, 4), np.float32)
        assert (result.labels.shape, result.labels.dtype) == ((0,), np.int64)


@given(size_hw=st.tuples(st.integers(2, 40), st.integers(2, 40)), data=st.data(), seed=SEEDS)
@settings(max_examples=80, deadline=None)
def test_results_are_valid_whatever_the_boxes(size_hw, data, seed):
    samples = [
        make_sample(size_hw, data.draw(st.lists(boxes_inside(*size_hw, min_side=0.5), max_size=4))) for _ in range(4)
    ]
    result = _mix(samples, seed)
    assert (result.boxes >= 0).all() and (result.boxes <= IMG_SIZE).all()
    assert (result.boxes[:, 2:] - result.boxes[:, :2] >= MIN_SIDE - 1e-4).all()


def test_the_generator_decides_everything_and_inputs_are_left_alone():
    def samples():
        rng = np.random.default_rng(0)
        boxes = np.float32([[10, 10, 60, 60]])
        return [Sample(rng.integers(0, 256, (90, 120, 3), np.uint8), boxes, np.array([i])) for i in range(4)]

    used = samples()
    results = [_mix(used, seed) for seed in (1, 1, 2)]
    for sample, fresh in zip(used, samples(), strict=True):
        np.testing.assert_array_equal(sample.image, fresh.image)
        np.testing.assert_array_equal(sample.boxes, fresh.boxes)
    np.testing.assert_array_equal(results[0].image, results[1].image)
    np.testing.assert_array_equal(results[0].boxes, results[1].boxes)
    assert not np.array_equal(results[0].image, results[2].image)


def test_a_mosaic_needs_four():
    with pytest.raises(ValueError, match="expected 4, got 3"):
        _mix([EMPTY] * 3, 0)
