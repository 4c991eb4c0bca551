"""Large-scale jitter, and the short sides of multi-scale training."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.rectangles import BACKGROUND, boxes_inside, make_sample, seen_box
from utils.augment.sample import MIN_SIDE, Sample
from utils.augment.transforms import scale_jitter, short_sides
from utils.img_size import model_scale

IMG_SIZE = 128
SEEDS = st.integers(0, 2**32)


def _jitter(sample, seed):
    return scale_jitter(sample, np.random.default_rng(seed), IMG_SIZE)


def _shown(image):
    """Height and width of what is not fill."""
    ys, xs = (image[..., 0] != BACKGROUND).nonzero()
    return ys.max() + 1, xs.max() + 1


@given(size_hw=st.sampled_from([(90, 120), (150, 200), (60, 200)]), data=st.data(), seed=SEEDS)
@settings(max_examples=200, deadline=None)
def test_boxes_stay_on_their_objects(size_hw, data, seed):
    box = data.draw(boxes_inside(*size_hw, min_side=8))
    result = _jitter(make_sample(size_hw, [box]), seed)
    assert result.size_hw == (IMG_SIZE, IMG_SIZE)
    if len(result.boxes) and (result.boxes[0, 2:] - result.boxes[0, :2]).min() > 3:
        assert np.abs(result.boxes[0] - seen_box(result.image)).max() < 0.25


@pytest.mark.parametrize("size_hw", [(1000, 1400), (128, 128), (30, 20)])
def test_the_scale_lies_between_a_tenth_and_twice_the_models(size_hw):
    """Read off an object in the middle, a fifth of the image wide, where a window shows all of it."""
    height, width = size_hw
    box = np.float32([[0.4 * width, 0.4 * height, 0.6 * width, 0.6 * height]])
    sample = Sample(np.zeros((*size_hw, 3), np.uint8), box, np.array([1]))
    rng, scales = np.random.default_rng(0), []
    for _ in range(600):
        for x1, y1, x2, y2 in scale_jitter(sample, rng, IMG_SIZE).boxes.tolist():
            if min(x1, y1) > 0 and max(x2, y2) < IMG_SIZE:
                scales.append((x2 - x1) / (0.2 * width) / model_scale(size_hw, IMG_SIZE))
    # Whole source pixels decide where a window lies and how wide it is; of 20 pixels, one is a twentieth.
    slack = 1 + 1 / min(size_hw)
    assert 0.1 / slack - 0.01 < min(scales) < 0.13 and 1.8 < max(scales) < 2 * slack
    assert abs(np.mean(np.array(scales) < 0.5) - 0.4 / 1.9) < 0.1


def test_a_small_image_lies_at_the_top_left_and_fill_around_it():
    white = Sample(np.full((96, 128, 3), 255, np.uint8), np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    jitters, rng = [], np.random.default_rng(0)
    for _ in range(1000):
        image = scale_jitter(white, rng, IMG_SIZE).image
        height, width = _shown(image)
        assert (image[:height, :width] == 255).all()
        assert (image[height:] == BACKGROUND).all() and (image[:, width:] == BACKGROUND).all()
        if height < IMG_SIZE:
            assert abs(width - min(IMG_SIZE, height * 4 / 3)) < 2
            jitters.append(height / IMG_SIZE)
    # Uniform from 0.1 to 2: 0.47 of all are below 1, a third of those below 0.4.
    assert 0.41 < len(jitters) / 1000 < 0.54
    assert min(jitters) < 0.12
    assert 0.25 < np.mean(np.array(jitters) < 0.4) < 0.42


@pytest.mark.parametrize("side", [128, 512])
def test_shrinking_averages_instead_of_picking_pixels(side):
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    seen = 0
    for seed in range(60):
        image = _jitter(Sample(noise, np.zeros((0, 4), np.float32), np.zeros(0, np.int64)), seed).image
        height, width = _shown(image)
        if height < 0.25 * IMG_SIZE:
            seen += 1
            # The mean of independent pixels of deviation 74, of which one result pixel holds (128 / height)².
            assert image[:height, :width].std() < 1.3 * 74 * height / IMG_SIZE
    assert seen >= 3


def test_an_image_may_lose_all_objects():
    """One too small to be seen when it is far away, in a corner that a window seldom shows."""
    sample = make_sample((128, 128), [(0, 0, 8, 8)])
    results = [_jitter(sample, seed) for seed in range(60)]
    counts = [len(result.boxes) for result in results]
    assert {0, 1} == set(counts)
    for result in results:
        assert result.boxes.shape == (len(result.labels), 4) and result.boxes.dtype == np.float32
        assert (result.boxes[:, 2:] - result.boxes[:, :2] >= MIN_SIDE - 1e-4).all()


def test_every_part_of_an_image_is_seen_in_time_and_labels_stay_in_step():
    corners = [(0, 0, 20, 20), (100, 0, 120, 20), (0, 70, 20, 90), (100, 70, 120, 90), (50, 35, 70, 55)]
    sample = make_sample((90, 120), corners, [0, 1, 2, 3, 4])
    near = [result for result in (_jitter(sample, seed) for seed in range(150)) if len(result.boxes) < 5]
    assert (np.bincount(np.concatenate([result.labels for result in near]), minlength=5) >= 10).all()
    for result in near:
        centres = {k: box[:2] + box[2:] for k, box in zip(result.labels.tolist(), result.boxes, strict=True)}
        for left, right in ((0, 1), (2, 3), (0, 4), (4, 3)):
            assert left not in centres or right not in centres or centres[left][0] < centres[right][0]


@given(size_hw=st.tuples(st.integers(1, 60), st.integers(1, 300)), data=st.data(), seed=SEEDS)
@settings(max_examples=80, deadline=None)
def test_results_are_valid_whatever_the_image(size_hw, data, seed):
    boxes = data.draw(st.lists(boxes_inside(*size_hw, min_side=0.5), max_size=4))
    result = _jitter(make_sample(size_hw, boxes), seed)
    assert result.size_hw == (IMG_SIZE, IMG_SIZE)
    assert (result.boxes >= 0).all() and (result.boxes <= IMG_SIZE).all()


def test_the_generator_decides_everything_and_inputs_are_left_alone():
    def sample():
        image = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
        return Sample(image, np.float32([[10, 10, 60, 60]]), np.array([3]))

    used, fresh = sample(), sample()
    results = [_jitter(used, seed) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(used.image, fresh.image)
    np.testing.assert_array_equal(used.boxes, fresh.boxes)
    np.testing.assert_array_equal(results[0].image, results[1].image)
    np.testing.assert_array_equal(results[0].boxes, results[1].boxes)
    assert not np.array_equal(results[0].image, results[2].image)


def test_short_sides_are_torchvisions_where_its_size_is_asked_for():
    assert short_sides(800) == [480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800]
    assert short_sides(96) == [64, 96]
    assert short_sides(64) == [64]


@given(img_size=st.integers(1, 3000))
def test_short_sides_end_at_the_image_size(img_size):
    sides = short_sides(img_size)
    assert sides[-1] == img_size and sides[0] >= round(0.6 * img_size)
    assert sides[0] - 32 < 0.6 * img_size + 1
    assert all(right - left == 32 for left, right in zip(sides, sides[1:], strict=False))
