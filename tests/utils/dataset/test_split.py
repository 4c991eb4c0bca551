"""One folder in two: shares by class, groups whole, the same result for the same images."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from support.voc_files import element, xml
from utils.checks.duplicates import duplicates
from utils.config.config import load_config
from utils.dataset.scan import scan_splits
from utils.dataset.split import deal, group_names, joined_groups
from utils.errors import ConfigError
from utils.images.similarity import near_duplicate_groups


def labels_of(rng, count, chances):
    return [rng.choice(len(chances), rng.integers(0, 5), p=chances) + 1 for _ in range(count)]


def test_every_class_has_its_share():
    labels = labels_of(np.random.default_rng(0), 600, [0.5, 0.3, 0.1, 0.06, 0.04])
    held_out = deal(labels, [str(i) for i in range(600)], [0.15]) == 1
    assert abs(held_out.sum() - 90) <= 3
    for label in range(1, 6):
        shows = np.array([label in of_image for of_image in labels])
        assert abs((shows & held_out).sum() - 0.15 * shows.sum()) <= 2


def test_a_class_of_two_images_is_on_both_sides():
    labels = [np.array([1])] * 18 + [np.array([1, 2])] * 2
    held_out = deal(labels, [str(i) for i in range(20)], [0.5]) == 1
    assert sorted(held_out[18:].tolist()) == [False, True]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.lists(st.integers(1, 4), max_size=3)), min_size=1, max_size=40),
       st.floats(0.05, 0.95), st.randoms())  # fmt: skip
def test_groups_stay_whole_and_the_order_of_images_does_not_matter(images, share, random):
    groups = [f"group {number}" for number, _ in images]
    labels = [np.array(of_image, np.int64) for _, of_image in images]
    held_out = deal(labels, groups, [share]) == 1
    for group in set(groups):
        assert len({bool(side) for side, own in zip(held_out, groups, strict=True) if own == group}) == 1
    if len(set(groups)) > 1:
        assert 0 < held_out.sum() < len(images)
    order = list(range(len(images)))
    random.shuffle(order)
    again = deal([labels[i] for i in order], [groups[i] for i in order], [share]) == 1
    np.testing.assert_array_equal(again, held_out[order])


@pytest.mark.parametrize(
    ("names", "pattern", "groups"),
    [
        (["walk_frame_01", "walk_frame_2", "run_frame_01"], None, [0, 0, 1]),
        (["walk-frame12", "walk-frame13", "walk"], None, [0, 0, 1]),
        (["a_jpg.rf.0af1", "a_jpg.rf.77b2", "b_jpg.rf.0af1"], None, [0, 0, 1]),
        (["IMG_0001", "IMG_0002", "frame_1"], None, [0, 1, 2]),
        (["cam1_0001", "cam1_0002", "cam2_0001"], r"(.+)_\d+", [0, 0, 1]),
        (["cam1_0001", "cam2_0001", "other"], r"cam.*", [0, 1, 2]),
        (["d/a", "n/a", "b"], None, [0, 1, 2]),
        (["d/frame_1", "d/frame_2", "n/frame_1", "n/frame_2"], None, [0, 0, 1, 1]),
        (["d/walk_frame_1", "d/walk_frame_2", "n/walk_frame_1", "d/run_frame_1"], None, [0, 0, 1, 2]),
        (["train/a_jpg.rf.0af1", "valid/a_jpg.rf.77b2", "valid/b_jpg.rf.0af1"], None, [0, 0, 1]),
        (["d/1", "d/2", "n/1"], r"([^/]+)/.*", [0, 0, 1]),
        (["d/p1_1", "n/p1_2", "n/p2_1"], r"(p\d+)_.*", [0, 0, 1]),
    ],
)
def test_names_that_belong_together(names, pattern, groups):
    found = group_names([Path(f"{name}.jpg") for name in names], pattern)
    assert [sorted(set(found), key=found.index).index(name) for name in found] == groups


def test_a_pattern_that_is_no_regular_expression():
    with pytest.raises(ConfigError, match="not a regular expression"):
        group_names([], "(")


def test_groups_that_are_linked_are_one():
    assert joined_groups(["c", "b", "a", "d", "b"], [0, 0, 1, 2, 1]) == ["a", "a", "a", "d", "a"]
    assert joined_groups(["b", "a"], ["a", "b"]) == ["b", "a"]  # a name is no entry of the others


@pytest.fixture
def look_alikes(tmp_path):
    """Twenty scenes, each with a copy of another name: brighter, mirrored, or compressed anew."""
    (tmp_path / "train").mkdir()
    rng = np.random.default_rng(3)
    for number in range(20):
        scene = Image.fromarray(rng.integers(0, 200, (6, 8, 3), np.uint8)).resize((96, 72), Image.Resampling.BICUBIC)
        copy = [scene.point(lambda v: v * 1.2), ImageOps.mirror(scene), scene][number % 3]
        for name, image, quality in ((f"{rng.integers(10**9)}", scene, 95), (f"x{number}", copy, 60)):
            image.save(tmp_path / "train" / f"{name}.jpg", quality=quality)
            (tmp_path / "train" / f"{name}.xml").write_text(xml(element()))
    (tmp_path / "set.yaml").write_text("TRAIN_DIR_IMAGES: train\nCLASSES: [Mask]\nSPLIT: 0.3\n")
    return load_config(tmp_path / "set.yaml")


def test_images_that_look_alike_stay_on_one_side(look_alikes):
    scans = scan_splits(look_alikes, progress=False)
    assert [len(scan.annotations) for scan in scans.values()] == [28, 12]
    found = duplicates(scans)
    assert {f.check for split in found.values() for f in split} == {"like-within"}  # and none is in both
    # Those that are not mirrored, which is reported for both splits alone.
    assert len(found["train"] + found["val"]) == 13


def test_images_of_a_camera_that_stood_still_are_divided(tmp_path):
    scene = np.random.default_rng(0).integers(0, 200, (72, 96, 3), np.uint8)
    thumbnails = [scene[:16, :16, 0].tobytes()] * 30 + [bytes(range(256))] * 2
    assert near_duplicate_groups(thumbnails, most=2).tolist() == [*range(30), 30, 30]


# --- in the YAML -----------------------------------------------------------------------------------------------------


@pytest.fixture
def yaml_of(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "test").mkdir()

    def write(text):
        (tmp_path / "set.yaml").write_text(f"TRAIN_DIR_IMAGES: train\nCLASSES: [Mask]\n{text}")
        return tmp_path / "set.yaml"

    return write


def test_a_split_needs_no_validation_folder_and_the_flag_wins(yaml_of, tmp_path):
    config = load_config(yaml_of("SPLIT: 0.2\nSPLIT_GROUPS: (.+)_[0-9]+\n"))
    assert (config.split, config.split_groups, config.val_images_dir) == (0.2, "(.+)_[0-9]+", tmp_path / "train")
    assert load_config(tmp_path / "set.yaml", split=0.5).split == 0.5
    assert load_config(yaml_of(""), split=0.5, split_groups="x").split_groups == "x"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SPLIT: 1.5", "SPLIT: expected the share of images to validate on, between 0 and 1, found 1.5"),
        ("SPLIT: yes", "found True"),
        ("SPLIT: 0.2\nSPLIT_GROUPS: (", "not a regular expression"),
        ("VALID_DIR_IMAGES: test\nSPLIT_GROUPS: x", "but there is no SPLIT"),
        ("VALID_DIR_IMAGES: test\nSPLIT: 0.2", "there is VALID_DIR_IMAGES, too: leave out either"),
        ("VALID_DIR_IMAGES: train", "or divide it: --split 0.15"),
    ],
)
def test_faults_of_a_split(yaml_of, text, message):
    with pytest.raises(ConfigError) as error:
        load_config(yaml_of(text))
    assert message in str(error.value)
