"""Samples, the rule for cut boxes, resizing, and the augmentation presets."""

import pickle
import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from support.paths import ROOT
from support.rectangles import boxes_inside, make_sample, paint, seen_box
from utils.augment.sample import FILL, MIN_VISIBLE, Sample, clip_and_drop, cut, resize_sample
from utils.augment.transforms import FLIP, SHIFT, TRAIN, ZOOM, Augmenter, blur, colour, flip, gamma, jpeg, noise, zoom

SEEDS = st.integers(0, 2**63)
HEIGHT, WIDTH = 120, 160
WHOLE = (*FLIP, *TRAIN)
COLOURS = {3: (250, 20, 20), 7: (20, 250, 20), -1: (20, 20, 250), 90: (250, 250, 20)}


@pytest.fixture(scope="module")
def geometry():
    return Augmenter([(0.8, flip), (0.8, zoom)])


def _noise(seed, size_hw=(HEIGHT, WIDTH), boxes=((10, 20, 70.5, 90.25), (80, 5, 150, 60))):
    image = np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    boxes = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    return Sample(image, boxes, np.arange(len(boxes), dtype=np.int64))


def _same(one, other):
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("image", "boxes", "labels"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image", np.zeros((4, 4), np.uint8)),
        ("image", np.zeros((4, 4, 3), np.float32)),
        ("image", np.zeros((0, 4, 3), np.uint8)),
        ("boxes", np.zeros((2, 4), np.float64)),
        ("boxes", np.zeros((0,), np.float32)),
        ("labels", np.zeros(1, np.int64)),
        ("labels", np.zeros(2, np.int32)),
    ],
)
def test_a_sample_refuses_wrong_shapes_and_dtypes(field, value):
    good = {"image": np.zeros((4, 4, 3), np.uint8), "boxes": np.zeros((2, 4), np.float32), "labels": np.zeros(2, int)}
    Sample(**good)
    with pytest.raises(ValueError, match=f"^{field}: expected"):
        Sample(**{**good, field: value})


def test_clip_and_drop_judges_the_share_of_the_whole_box_and_the_sides():
    boxes = [[-8, 0, 2.1, 10], [-8.1, 0, 1.9, 10], [-20, -20, 200, 200], [5, 5, 6.9, 30], [5, 5, 7, 30], [40, 0, 50, 9]]
    sample = Sample(np.zeros((30, 40, 3), np.uint8), np.float32(boxes), np.arange(6))
    result = clip_and_drop(sample)
    # The third covers the image, but the image shows only a fortieth of it.
    assert result.labels.tolist() == [0, 4]
    assert result.boxes.tolist() == [[0, 0, np.float32(2.1), 10], [5, 5, 7, 30]]
    assert sample.boxes[0, 0] == -8


@given(box=boxes_inside(HEIGHT, WIDTH), scale=st.floats(0.6, 3))
@settings(max_examples=60, deadline=None)
def test_resizing_keeps_boxes_on_their_objects(box, scale):
    result = resize_sample(make_sample((HEIGHT, WIDTH), [box]), scale)
    assert result.size_hw == (int(HEIGHT * scale), int(WIDTH * scale))
    assert np.abs(result.boxes[0] - seen_box(result.image)).max() < 0.25


def test_resizing_samples_where_the_model_does():
    torch = pytest.importorskip("torch")
    sample = _noise(0, (61, 83))
    result = resize_sample(sample, 0.71)
    as_float = torch.from_numpy(sample.image).permute(2, 0, 1)[None].float()
    expected = torch.nn.functional.interpolate(
        as_float, scale_factor=0.71, mode="bilinear", align_corners=False, recompute_scale_factor=True
    )
    assert result.image.shape == (*expected.shape[2:], 3)
    assert np.abs(expected[0].permute(1, 2, 0).numpy() - result.image).max() <= 1


def test_resizing_reaches_one_pixel_and_keeps_no_boxes_as_no_boxes():
    result = resize_sample(_noise(0, (8, 8), ()), 0.01)
    assert result.size_hw == (1, 1)
    assert result.boxes.shape == (0, 4)


@given(box=boxes_inside(HEIGHT, WIDTH), seed=SEEDS)
@settings(max_examples=150, deadline=None)
def test_boxes_stay_on_their_objects(geometry, box, seed):
    result = geometry(make_sample((HEIGHT, WIDTH), [box]), seed)
    assert result.size_hw == (HEIGHT, WIDTH)
    assert len(result.boxes) == 0 or np.abs(result.boxes[0] - seen_box(result.image)).max() < 0.25


def test_a_flip_is_exact():
    sample = make_sample((HEIGHT, WIDTH), [(10.25, 20.5, 60.75, 90)])
    results = [Augmenter(FLIP)(sample, seed) for seed in range(12)]
    flipped = [result for result in results if not np.array_equal(result.image, sample.image)]
    assert 0 < len(flipped) < 12
    for result in flipped:
        np.testing.assert_array_equal(result.image, sample.image[:, ::-1])
        np.testing.assert_allclose(result.boxes, [[WIDTH - 60.75, 20.5, WIDTH - 10.25, 90]], atol=1e-4)


@given(
    boxes=st.lists(boxes_inside(HEIGHT, WIDTH, min_side=0.5), max_size=6),
    x=st.integers(0, WIDTH - 30),
    y=st.integers(0, HEIGHT - 30),
)
@settings(max_examples=100, deadline=None)
def test_the_augmenter_follows_clip_and_drop(boxes, x, y):
    sample = make_sample((HEIGHT, WIDTH), boxes)
    result = Augmenter([(1, lambda sample, rng: cut(sample, (x, y, x + 30, y + 30))), (1, flip)])(sample, 0)
    cropped = Sample(sample.image[y : y + 30, x : x + 30], sample.boxes - np.float32([x, y, x, y]), sample.labels)
    sides, cut_sides = (boxes[:, 2:] - boxes[:, :2] for boxes in (cropped.boxes, cropped.boxes.clip(0, 30)))
    # At the very limit rounding decides, and may decide differently.
    assume((np.abs(cut_sides.prod(axis=1) / sides.prod(axis=1) - MIN_VISIBLE) > 1e-4).all())
    expected = clip_and_drop(cropped)
    flipped = (expected.boxes * [-1, 1, -1, 1] + [30, 0, 30, 0])[:, [2, 1, 0, 3]]
    assert result.labels.tolist() == expected.labels.tolist()
    np.testing.assert_allclose(result.boxes, flipped, atol=1e-3)


@pytest.mark.parametrize("seed", range(25))
def test_labels_stay_with_their_boxes(geometry, seed):
    boxes = np.float32([[4, 4, 50, 50], [60.5, 10, 156, 55], [8, 66.25, 70, 116], [80, 60, 150, 118]])
    sample = Sample(paint((HEIGHT, WIDTH), boxes, COLOURS.values()), boxes, np.array(list(COLOURS)))
    result = geometry(sample, seed)
    assert result.labels.dtype == np.int64
    for box, label in zip(result.boxes, result.labels.tolist(), strict=True):
        x, y = ((box[:2] + box[2:]) / 2).astype(int)
        assert np.abs(result.image[y, x].astype(int) - COLOURS[label]).max() <= 2


def test_some_boxes_are_cut_and_some_dropped(geometry):
    boxes = [[0, 0, 30, 30], [130, 90, 160, 120], [60, 40, 100, 80]]
    results = [geometry(make_sample((HEIGHT, WIDTH), boxes), seed) for seed in range(40)]
    assert {len(result.boxes) for result in results} >= {1, 2, 3}
    for result in results:
        assert (result.boxes >= 0).all() and (result.boxes <= [WIDTH, HEIGHT, WIDTH, HEIGHT]).all()


@pytest.mark.parametrize("transforms", [FLIP, WHOLE], ids=["flip", "train"])
@pytest.mark.parametrize("size_hw", [(HEIGHT, WIDTH), (8, 8), (2, 3)])
def test_an_image_without_objects_keeps_the_types(transforms, size_hw):
    augment = Augmenter(transforms)
    for seed in range(30):
        result = augment(_noise(1, size_hw, ()), seed)
        assert result.image.shape == (*size_hw, 3) and result.image.flags.c_contiguous
        assert (result.boxes.shape, result.boxes.dtype) == ((0, 4), np.float32)
        assert (result.labels.shape, result.labels.dtype) == ((0,), np.int64)


def test_tiny_boxes_are_dropped_and_a_box_of_the_whole_image_stays():
    sample = _noise(0, boxes=[(50, 50, 51, 51), (0, 0, WIDTH, HEIGHT), (70, 70, 72, 72)])
    for seed in range(6):
        assert Augmenter(FLIP)(sample, seed).labels.tolist() == [1, 2]
    assert all(1 in Augmenter(WHOLE)(sample, seed).labels for seed in range(20))


def test_the_seed_decides_everything():
    sample, augment = _noise(0), Augmenter(WHOLE)
    results = [augment(sample, seed) for seed in range(20)]
    random.seed(5)
    np.random.seed(5)
    again = [augment(sample, np.random.SeedSequence(seed)) for seed in reversed(range(20))][::-1]
    assert all(map(_same, results, again))
    assert len({result.image.tobytes() for result in results}) >= 16


def test_global_random_state_is_left_alone():
    sample, augment = _noise(0), Augmenter(WHOLE)
    before = random.getstate(), np.random.get_state()[1].tolist()
    for seed in range(40):
        augment(sample, seed)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before


def test_transforms_draw_independently_of_each_other():
    def upside_down(sample, rng):
        return Sample(sample.image[::-1].copy(), sample.boxes, sample.labels)

    augment = Augmenter([(0.5, flip), (0.5, upside_down)])
    assert len({augment(_noise(0), seed).image.tobytes() for seed in range(40)}) == 4


@pytest.mark.parametrize("transform", [t for _, t in WHOLE], ids=lambda transform: transform.__name__)
def test_every_transform_leaves_its_input_alone_and_ignores_global_seeds(transform):
    changed = 0
    for drawn in range(8):
        results = []
        for seed in range(2):
            random.seed(seed)
            np.random.seed(seed)
            sample = _noise(0)
            sample.image.flags.writeable = False  # as the image cache gives it
            results.append(Augmenter([(1, transform)])(sample, drawn))
            assert _same(sample, _noise(0))
        assert _same(*results)
        changed += not np.array_equal(results[0].image, _noise(0).image)
    assert changed >= 4


def _many(transform, sample, count=200):
    return [transform(sample, np.random.default_rng(seed)) for seed in range(count)]


def test_a_zoom_shrinks_as_often_as_it_enlarges_and_shifts():
    """Read off one object in the middle, of a tenth of the image, which every zoom and shift leaves in sight."""
    box = np.float32([[0.45, 0.45, 0.55, 0.55]]) * [WIDTH, HEIGHT, WIDTH, HEIGHT]
    boxes = np.concatenate([made.boxes for made in _many(zoom, make_sample((HEIGHT, WIDTH), box), 400)])
    scales = (boxes[:, 2:] - boxes[:, :2]) / (0.1 * np.array([WIDTH, HEIGHT]))
    assert 1 / ZOOM - 0.02 < scales.min() < 0.66 and 1.53 < scales.max() < ZOOM + 0.02
    assert abs((scales > 1).mean() - 0.5) < 0.08
    assert np.abs(scales[:, 0] - scales[:, 1]).max() < 0.03
    shifts = (boxes[:, 2:] + boxes[:, :2]) / (2 * np.array([WIDTH, HEIGHT])) - 0.5
    assert np.abs(shifts).max() < SHIFT + 0.02 and (np.abs(shifts).max(axis=0) > 0.9 * SHIFT).all()
    assert np.abs(shifts.mean(axis=0)).max() < 0.03


def test_around_a_smaller_image_is_fill():
    white = Sample(np.full((HEIGHT, WIDTH, 3), 255, np.uint8), np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    shares = []
    for made in _many(zoom, white):
        filled = (made.image == FILL).all(axis=2)
        assert (filled | (made.image == 255).all(axis=2)).all()
        shares.append(filled.mean())
    assert 0 in shares and 0.4 < max(shares) < 1 - 1 / ZOOM**2 + 0.25


def test_greys_stay_grey_in_another_colour_and_colours_may_become_grey():
    grey, seen = np.repeat(_noise(3).image[..., :1], 3, axis=2), 0
    for made in _many(colour, Sample(grey, *(getattr(_noise(3), name) for name in ("boxes", "labels")))):
        assert np.ptp(made.image.astype(int), axis=2).max() <= 1
    for made in _many(colour, _noise(0), 400):
        seen += np.ptp(made.image.astype(int), axis=2).max() <= 1
    assert 8 <= seen <= 36


def test_colours_change_by_as_much_as_they_should():
    flat = np.zeros((4, 4, 3), np.uint8) + np.uint8([150, 100, 90])
    sample = Sample(flat, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    results = np.array([made.image[0, 0] for made in _many(colour, sample, 600)], float)
    same = (results == flat[0, 0]).all(axis=1)
    assert abs(same.mean() - 0.6 * 0.7 * 0.95) < 0.08
    luma = results @ [0.299, 0.587, 0.114]
    assert 40 < luma.min() < 70 and 170 < luma.max() < 200
    spread = np.ptp(results, axis=1)
    assert spread.max() < 60 * 1.2 * 1.4 + 6 and np.sort(spread[spread > 2])[0] > 60 * 0.8 * 0.6 - 6


def test_gamma_keeps_black_and_white_and_the_order_of_tones():
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    middles = []
    for made in _many(gamma, Sample(ramp, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))):
        tones = made.image[0, :, 0].astype(int)
        assert (tones[0], tones[-1]) == (0, 255) and (np.diff(tones) >= 0).all()
        middles.append(tones[128])
    assert 100 < min(middles) < 110 and 148 < max(middles) < 155


def test_noise_has_its_deviation_and_no_bias():
    flat = Sample(np.full((60, 81, 3), 128, np.uint8), np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    differences = [made.image.astype(float) - 128 for made in _many(noise, flat, 60)]
    deviations = [difference.std() for difference in differences]
    assert 2.5 < min(deviations) < 3.2 and 9 < max(deviations) < 10.4
    assert np.abs([difference.mean() for difference in differences]).max() < 0.35
    channels = np.corrcoef(differences[0].reshape(-1, 3).T)
    assert np.abs(channels - np.eye(3)).max() < 0.06


def test_blur_smooths_and_compression_changes_little():
    noisy = _noise(5)
    for made in _many(blur, noisy, 40):
        assert made.image.std() < 0.8 * noisy.image.std()
        assert abs(made.image.mean() - noisy.image.mean()) < 2
    smooth = Sample(np.ascontiguousarray(np.linspace(0, 255, 120)[:, None, None].repeat(160, 1).repeat(3, 2), np.uint8),
                    noisy.boxes, noisy.labels)  # fmt: skip
    smooth.image[..., 0] //= 2  # red is distinguished from blue
    for made in _many(jpeg, smooth, 20):
        assert 0 < np.abs(made.image.astype(int) - smooth.image).mean() < 4


def test_grey_images_stay_images():
    grey = np.repeat(_noise(3).image[..., :1], 3, axis=2)
    for seed in range(20):
        result = Augmenter(WHOLE)(Sample(grey, np.zeros((0, 4), np.float32), np.zeros(0, np.int64)), seed)
        assert result.image.std() > 10


def test_an_augmenter_pickles_after_use_and_behaves_the_same():
    augment = Augmenter(WHOLE)
    first = augment(_noise(0), 7)
    copied = pickle.dumps(augment)
    assert len(copied) < 500
    assert _same(pickle.loads(copied)(_noise(0), 7), first)


def test_training_needs_no_library_of_augmentations():
    code = "import sys, utils.augment.transforms as t; t.Augmenter(t.TRAIN); print('albumentations' in sys.modules)"
    root = ROOT
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
