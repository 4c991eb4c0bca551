"""The names of augmentations, and the maker of samples that they choose."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from support.paths import ROOT
from support.rectangles import make_sample
from utils.augment.augmentations import (
    AUGMENTATIONS,
    MIX,
    PIXELS,
    SCALE,
    SIZE,
    augmentations_help,
    check_augmentations,
)
from utils.augment.sample import Sample
from utils.augment.sample_builder import SampleBuilder
from utils.augment.transforms import JITTER_RANGE
from utils.errors import ConfigError

IMG_SIZE = 96
MIXES = [name for name, row in AUGMENTATIONS.items() if row.stage == MIX]
SIZES = [(90, 120), (120, 90), (200, 200), (300, 400)]


def _load(index):
    height, width = SIZES[index]
    boxes = [(width * 0.2, height * 0.2, width * 0.6, height * 0.5)] * (index > 0)
    return make_sample((height, width), boxes, [index] * (index > 0))


def _maker(names, mix_until=None):
    return SampleBuilder(names, [0, 1, 1, 1], IMG_SIZE, mix_until=mix_until)


def _make(maker, index, seed=0, epoch=1):
    return maker(_load, index, np.random.default_rng(seed), epoch)


def test_names_are_a_set_with_the_flip():
    assert check_augmentations([]) == check_augmentations(["flip"]) == {"flip"}
    assert check_augmentations(["mosaic", "lsj", "mosaic"]) == {"flip", "mosaic", "lsj"}


@pytest.mark.parametrize(
    ("name", "close"),
    [("mixupp", "mixup"), ("copypaste", "copy-paste"), ("Mosaic", "mosaic"), ("multiscale", "multi-")],
)
def test_an_unknown_name_brings_the_nearest_and_all(name, close):
    with pytest.raises(ConfigError, match=f"'{name}' is unknown .did you mean {close}") as raised:
        check_augmentations(["flip", name])
    assert all(known in str(raised.value) for known in AUGMENTATIONS)


def test_all_faults_come_at_once():
    with pytest.raises(ConfigError, match=r"'xyzzy' is unknown; there are .*lsj and multi-scale contradict"):
        check_augmentations(["multi-scale", "xyzzy", "lsj"])
    with pytest.raises(ConfigError, match="contradict"):
        _maker(["multi-scale", "lsj"])


def test_names_are_checked_without_numpy():
    code = "import sys, utils.augment.augmentations as a; a.check_augmentations(['lsj']); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_every_row_has_its_function_and_a_line_of_help():
    for name, row in AUGMENTATIONS.items():
        function = row.load()
        assert callable(function) if row.stage != PIXELS else all(callable(transform) for _, transform in function)
        assert row.stage in (MIX, SIZE, SCALE, PIXELS) and (row.partners > 0) == (row.stage == MIX)
        assert f"{name}: {row.help}" in augmentations_help()
    assert MIXES == ["mosaic", "mixup", "copy-paste"] and AUGMENTATIONS["lsj"].largest == JITTER_RANGE[1]


def test_half_of_the_samples_are_mixed_each_kind_equally_often():
    maker = _maker(MIXES)
    names = {row: name for name, row in AUGMENTATIONS.items()}
    rng = np.random.default_rng(0)
    drawn = Counter(names.get(maker.draw_mix(rng, 1)) for _ in range(6000))
    assert abs(drawn.pop(None) / 6000 - 1 / 2) < 0.03
    assert drawn.keys() == set(MIXES) and all(abs(count / 6000 - 1 / 6) < 0.02 for count in drawn.values())


def test_objects_to_paste_come_from_images_that_have_some():
    made = [_make(_maker(["copy-paste"]), 0, seed) for seed in range(60)]
    partners = [one.sources[1] for one in made if len(one.sources) == 2]
    assert set(partners) == {1, 2, 3} and 15 < len(partners) < 45
    mixed = [_make(_maker(["mixup"]), 1, seed).sources for seed in range(60)]
    assert {sources[1] for sources in mixed if len(sources) == 2} == {0, 1, 2, 3}


@pytest.mark.parametrize("names", [["lsj"], ["lsj", "mosaic", "train"], ["lsj", "mixup", "copy-paste"]])
def test_large_scale_jitter_makes_every_sample_a_square(names):
    maker = _maker(names)
    for seed in range(20):
        for index in range(4):
            assert _make(maker, index, seed).sample.size_hw == (IMG_SIZE, IMG_SIZE)


def test_with_large_scale_jitter_nothing_else_moves_the_image():
    """ "train" shifts and zooms by itself; here it may only flip, as without it, and change pixels."""
    plain, train = _maker(["lsj"]), _maker(["lsj", "train"])
    for seed in range(40):
        one, other = (_make(maker, 3, seed).sample for maker in (plain, train))
        np.testing.assert_array_equal(one.boxes, other.boxes)


def test_mixes_end_with_their_last_epoch():
    maker = _maker(MIXES, mix_until=4)
    counts = [{len(_make(maker, 1, seed, epoch).sources) for seed in range(40)} for epoch in (1, 4, 5, 9)]
    assert counts == [{1, 2, 4}, {1, 2, 4}, {1}, {1}]
    assert {len(_make(_maker(MIXES, mix_until=0), 1, seed, 1).sources) for seed in range(40)} == {1}


@pytest.mark.parametrize("names", [MIXES, [*MIXES, "lsj", "train"], ["multi-scale", *MIXES]], ids=str)
def test_images_as_on_disk_are_left_alone(names):
    kept = {index: _load(index) for index in range(4)}
    maker = _maker(names)
    for seed in range(15):
        maker(kept.__getitem__, 2, np.random.default_rng(seed), 1)
    for index, sample in kept.items():
        for name in ("image", "boxes", "labels"):
            np.testing.assert_array_equal(getattr(sample, name), getattr(_load(index), name))


def test_without_any_object_all_mixes_work():
    def load(index):
        return Sample(np.zeros((*SIZES[index], 3), np.uint8), np.zeros((0, 4), np.float32), np.zeros(0, np.int64))

    maker = SampleBuilder([*MIXES, "lsj", "train"], [0] * 4, IMG_SIZE)
    for seed in range(30):
        made = maker(load, 1, np.random.default_rng(seed), 1)
        assert made.sample.boxes.shape == (0, 4) and made.short_side is None
