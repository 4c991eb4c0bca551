"""Two images in one: blended, and with pasted objects."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.rectangles import BACKGROUND, FOREGROUND, boxes_inside, make_sample, paint, seen_box
from utils.augment.mixes import MAX_CUT_OUT, MAX_PASTED, MIN_SEEN, copy_paste, mixup
from utils.augment.sample import Sample, resized_hw
from utils.img_size import model_scale

IMG_SIZE = 128
SIZES = st.sampled_from([(90, 120), (200, 150), (60, 200), (128, 128)])
SEEDS = st.integers(0, 2**32)
MIXES = pytest.mark.parametrize("mix", [mixup, copy_paste])


def _mix(mix, first, second, seed):
    return mix([first, second], np.random.default_rng(seed), IMG_SIZE)


def _model_size(size_hw):
    return resized_hw(size_hw, model_scale(size_hw, IMG_SIZE))


def _plain(size_hw, colour, boxes=()):
    boxes = np.float32(boxes).reshape(-1, 4)
    return Sample(np.full((*size_hw, 3), colour, np.uint8), boxes, np.arange(len(boxes)))


def _full_contrast(image):
    """Return what a blend with the background left of a rectangle's brightness, brought back to all of it."""
    bright = image.astype(float) - BACKGROUND
    return BACKGROUND + bright / bright.max() * (FOREGROUND - BACKGROUND)


@given(place=st.integers(0, 1), sizes=st.tuples(SIZES, SIZES), data=st.data(), seed=SEEDS)
@settings(max_examples=150, deadline=None)
def test_boxes_of_a_mixup_stay_on_their_objects(place, sizes, data, seed):
    box = data.draw(boxes_inside(*sizes[place], min_side=12))
    samples = [make_sample(size, [box] if i == place else []) for i, size in enumerate(sizes)]
    result = _mix(mixup, *samples, seed)
    assert result.size_hw == _model_size(sizes[0])
    assert len(result.boxes) == 1 or place == 1
    if len(result.boxes) and (result.boxes[0, 2:] - result.boxes[0, :2]).min() > 3:
        assert np.abs(result.boxes[0] - seen_box(_full_contrast(result.image))).max() < 0.3


def test_a_mixup_is_an_even_blend_on_average_and_shows_both_always():
    values = [
        int(_mix(mixup, _plain((90, 120), 0), _plain((90, 120), 200), seed).image[5, 5, 0]) for seed in range(300)
    ]
    assert abs(np.mean(values) - 100) < 7 and 15 < np.std(values) < 35
    assert min(values) > 20 and max(values) < 180


def test_a_mixup_keeps_the_labels_of_both_in_step():
    first = make_sample((128, 128), [(10, 10, 40, 40)], [7])
    second = make_sample((128, 128), [(60, 60, 90, 100), (5, 80, 30, 120)], [3, 9])
    result = _mix(mixup, first, second, 0)
    assert result.labels.tolist() == [7, 3, 9]
    np.testing.assert_array_equal(result.boxes, np.concatenate([first.boxes, second.boxes]))


@MIXES
@pytest.mark.parametrize("size_hw", [(30, 40), (96, 128), (640, 853), (20, 90)])
def test_objects_of_the_second_image_keep_the_size_they_have_at_its_own_scale(mix, size_hw):
    side = 12 / model_scale(size_hw, IMG_SIZE)
    middle = np.array(size_hw[::-1]) / 2
    second = make_sample(size_hw, [(*(middle - side / 2), *(middle + side / 2))])
    sides = np.concatenate(
        [np.diff(_mix(mix, make_sample((200, 200), []), second, s).boxes[:, [0, 2]]) for s in range(9)]
    )
    assert np.abs(sides - 12).max() < 0.5 and len(sides) > 5


def test_of_a_larger_second_image_every_part_is_seen_in_time():
    corners = [(0, 0, 20, 20), (180, 0, 200, 20), (0, 40, 20, 60), (180, 40, 200, 60)]
    wide = make_sample((60, 200), corners, [0, 1, 2, 3])
    seen = np.concatenate([_mix(mixup, make_sample((90, 90), []), wide, seed).labels for seed in range(80)])
    assert (np.bincount(seen, minlength=4) >= 10).all()


@given(sizes=st.tuples(SIZES, SIZES), data=st.data(), seed=SEEDS)
@settings(max_examples=100, deadline=None)
def test_a_pasted_box_is_on_its_object(sizes, data, seed):
    box = data.draw(boxes_inside(*sizes[1], min_side=6))
    result = _mix(copy_paste, make_sample(sizes[0], []), make_sample(sizes[1], [box]), seed)
    height, width = _model_size(sizes[0])
    assert result.size_hw == (height, width)
    x1, y1, x2, y2 = np.array(box) * model_scale(sizes[1], IMG_SIZE)
    area, sides = (x2 - x1) * (y2 - y1), (x2 - x1 + 2, y2 - y1 + 2)
    if sides[0] < width and sides[1] < height and sides[0] * sides[1] < MAX_CUT_OUT * height * width:
        assert len(result.boxes) == 1
    if area > 1.03 * MAX_CUT_OUT * height * width:
        assert len(result.boxes) == 0
    if len(result.boxes):
        assert (result.boxes >= 0).all() and (result.boxes <= [width, height, width, height]).all()
        # A box in between pixels shines a little beyond the cut-out, and fades there.
        assert np.abs(result.boxes[0] - seen_box(result.image)).max() < 0.4
    else:
        assert (result.image == BACKGROUND).all()


def test_pasting_reaches_every_part_of_the_image():
    donor = make_sample((128, 128), [(40, 50, 72, 82)])
    centres = []
    for seed in range(120):
        (box,) = _mix(copy_paste, make_sample((128, 128), []), donor, seed).boxes
        centres.append((box[:2] + box[2:]) / 2)
    assert (np.min(centres, axis=0) < 22).all() and (np.max(centres, axis=0) > 106).all()
    assert (np.abs(np.mean(centres, axis=0) - 64) < 10).all()


@pytest.mark.parametrize("seed", range(20))
def test_a_pasted_object_is_whole_and_its_surroundings_fade(seed):
    box = (40, 40, 80, 80)
    result = _mix(copy_paste, _plain((128, 128), 0), _plain((128, 128), 240, [box]), seed)
    x1, y1, x2, y2 = result.boxes[0].astype(int)
    assert (x2 - x1, y2 - y1) == (40, 40)
    assert (result.image[y1:y2, x1:x2] == 240).all()
    row = result.image[y1 + 20, :, 0].astype(int)
    left, right = row[max(0, x1 - 4) : x1], row[x2 : x2 + 4]
    assert (np.diff(left) > 0).all() and (np.diff(right) < 0).all()
    assert ((left > 0) & (left < 240)).all() and ((right > 0) & (right < 240)).all()
    assert not row[: max(0, x1 - 4)].any() and not row[x2 + 4 :].any()


def test_an_object_of_the_whole_donor_is_pasted_without_surroundings():
    """A small donor whose only object fills it: there is nothing around it to fade."""
    donor = make_sample((20, 160), [(0, 0, 160, 20)])
    result = _mix(copy_paste, make_sample((128, 128), []), donor, 0)
    assert len(result.boxes) == 0  # 213 pixels long at the model's scale
    donor = make_sample((10, 10), [(0, 0, 5, 10)])
    result = _mix(copy_paste, make_sample((128, 200), []), donor, 0)
    assert result.size_hw == (128, 200) and (result.boxes[0, 2:] - result.boxes[0, :2]).tolist() == [64, 128]


@given(
    base=st.lists(
        st.tuples(st.integers(0, 100), st.integers(0, 100), st.integers(3, 28), st.integers(3, 28)), max_size=8
    ),
    side=st.integers(10, 70),
    seed=SEEDS,
)
@settings(max_examples=150, deadline=None)
def test_covered_objects_are_dropped_and_others_keep_their_box(base, side, seed):
    base_boxes = np.float32([(x, y, x + w, y + h) for x, y, w, h in base]).reshape(-1, 4)
    first = make_sample((128, 128), base_boxes, np.arange(len(base)))
    second = make_sample((128, 128), [(30, 30, 30 + side, 30 + side)], [99])
    result = _mix(copy_paste, first, second, seed)
    (pasted,) = result.boxes[result.labels == 99]
    overlap = (np.minimum(base_boxes[:, 2:], pasted[2:]) - np.maximum(base_boxes[:, :2], pasted[:2])).clip(0)
    seen = 1 - overlap.prod(axis=1) / (base_boxes[:, 2:] - base_boxes[:, :2]).prod(axis=1)
    expected = [*np.flatnonzero(seen >= MIN_SEEN - 1e-6).tolist(), 99]
    assert result.labels.tolist() == expected
    np.testing.assert_array_equal(result.boxes[:-1], base_boxes[expected[:-1]])


def test_objects_pasted_over_each_other_follow_the_same_rule():
    colours = [(250, 20, 20), (20, 250, 20), (20, 20, 250), (250, 250, 20)]
    boxes = np.float32([[0, 0, 60, 60], [64, 0, 124, 60], [0, 64, 60, 124], [64, 64, 124, 124]])
    donor = Sample(paint((128, 128), boxes, colours), boxes, np.arange(4))
    dropped = 0
    for seed in range(60):
        result = _mix(copy_paste, make_sample((128, 128), []), donor, seed)
        left = [(result.image == colour).all(axis=2) for colour in colours]
        for label in range(4):
            if label in result.labels:
                x1, y1, x2, y2 = result.boxes[result.labels == label][0].astype(int)
                # Fading surroundings of later cut-outs tint some of what counts as seen.
                assert left[label].sum() > 0.1 * 60**2 and left[label][y1:y2, x1:x2].sum() == left[label].sum()
            elif left[label].any():
                dropped += 1
                assert left[label].sum() < MIN_SEEN * 60**2
    assert dropped > 3


def test_what_else_shows_in_a_cut_out_comes_along():
    """One object within another, and one that reaches in with a quarter and with a twentieth."""
    boxes = [(20, 20, 60, 60), (30, 35, 50, 55), (50, 20, 90, 60), (58, 20, 98, 60)]
    donor = make_sample((128, 128), boxes, [1, 2, 3, 4])
    expected = {1: [0, 0, 40, 40], 2: [10, 15, 30, 35], 3: [30, 0, 40, 40]}
    found = 0
    for seed in range(60):
        result = _mix(copy_paste, make_sample((128, 128), []), donor, seed)
        if sorted(result.labels.tolist()) == [1, 2, 3] and (np.ptp(result.boxes[:, ::2]), 40)[0] == 40:
            corner = result.boxes[result.labels == 1][0, :2]
            for label, box in zip(result.labels.tolist(), result.boxes, strict=True):
                np.testing.assert_array_equal(box - np.tile(corner, 2), expected[label])
            found += 1
    assert found >= 2


def test_one_to_five_objects_are_pasted():
    grid = [(x, y, x + 6, y + 6) for x in range(5, 120, 20) for y in range(5, 120, 20)]
    counts = set()
    for seed in range(60):
        labels = _mix(copy_paste, make_sample((128, 128), []), make_sample((128, 128), grid), seed).labels.tolist()
        assert len(set(labels)) == len(labels)  # none twice
        counts.add(len(labels))
    assert counts == set(range(1, MAX_PASTED + 1))


@MIXES
@pytest.mark.parametrize("size_hw", [(8, 8), (1, 1), (8, 700), (128, 128)])
def test_images_without_objects_are_valid(mix, size_hw):
    for seed in range(10):
        result = _mix(mix, _plain(size_hw, 30), _plain((50, 60), 30), seed)
        assert result.size_hw == _model_size(size_hw)
        assert (result.boxes.shape, result.boxes.dtype) == ((0, 4), np.float32)
        assert (result.labels.shape, result.labels.dtype) == ((0,), np.int64)


def test_nothing_to_paste_leaves_the_image_as_it_is():
    first = make_sample((128, 128), [(10, 10, 40, 40)])
    result = _mix(copy_paste, first, make_sample((128, 128), []), 0)
    np.testing.assert_array_equal(result.image, first.image)
    np.testing.assert_array_equal(result.boxes, first.boxes)


@MIXES
@given(sizes=st.tuples(*[st.tuples(st.integers(2, 40), st.integers(2, 40))] * 2), data=st.data(), seed=SEEDS)
@settings(max_examples=60, deadline=None)
def test_results_are_valid_whatever_the_boxes(mix, sizes, data, seed):
    samples = [make_sample(size, data.draw(st.lists(boxes_inside(*size, min_side=0.5), max_size=4))) for size in sizes]
    result = _mix(mix, *samples, seed)
    height, width = result.size_hw
    assert (result.boxes >= 0).all() and (result.boxes <= np.float32([width, height] * 2) + 1e-3).all()


@MIXES
def test_the_generator_decides_everything_and_inputs_are_left_alone(mix):
    def samples():
        rng = np.random.default_rng(0)
        boxes = np.float32([[10, 10, 60, 60], [30, 40, 100, 100]])
        # At the model's scale already, so that nothing is copied by resizing.
        return [Sample(rng.integers(0, 256, (128, 128, 3), np.uint8), boxes, np.array([i, 5])) for i in range(2)]

    used = samples()
    results = [_mix(mix, *used, seed) for seed in (1, 1, 2)]
    for sample, fresh in zip(used, samples(), strict=True):
        for name in ("image", "boxes", "labels"):
            np.testing.assert_array_equal(getattr(sample, name), getattr(fresh, name))
    for name in ("image", "boxes", "labels"):
        np.testing.assert_array_equal(getattr(results[0], name), getattr(results[1], name))
    assert not np.array_equal(results[0].image, results[2].image)
