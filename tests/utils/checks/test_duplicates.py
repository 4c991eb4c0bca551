"""Images that count as the same, or nearly so: copies do, different images of one kind do not."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance

from support.paths import SHARED
from utils.annotations.annotation import Annotation
from utils.annotations.scan_result import Scan
from utils.checks.duplicates import duplicates
from utils.images.io import probe_image

NONE = np.zeros((0, 4), np.float32)


def scan_of(paths) -> Scan:
    scan = Scan()
    for path in paths:
        image = probe_image(path)
        nothing = np.zeros(0, np.int64), np.zeros(0, np.bool_)
        scan.annotations.append(Annotation(path, image.width, image.height, NONE, *nothing))
        scan.thumbnails.append(image.thumbnail)
    return scan


def checked(train, val, **more):
    return duplicates({"train": scan_of(train), "val": scan_of(val)}, **more)


def names(findings, check):
    return [(f.image.name, f.other.name) for f in findings if f.check == check]


def scene(seed: int) -> Image.Image:
    """An image with large and small things in it: a photograph's spectrum falls with the frequency."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((480, 640, 3), np.float32)
    for cells, weight in ((4, 60), (8, 35), (24, 20), (80, 10), (200, 5)):
        blots = rng.normal(0, weight, (cells, cells * 4 // 3, 3)).astype(np.float32)
        pixels += cv2.resize(blots, (640, 480), interpolation=cv2.INTER_CUBIC)
    return Image.fromarray(np.clip(pixels + 128, 0, 255).astype(np.uint8))


CHANGES = {
    "compressed": lambda image: image,
    "halved": lambda image: image.resize((320, 240)),
    "squeezed": lambda image: image.resize((416, 416)),
    "enlarged": lambda image: image.resize((1280, 960)),
    "brightened": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "darkened": lambda image: ImageEnhance.Brightness(image).enhance(0.5),
    "contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.4),
    "grey": lambda image: image.convert("L"),
    "cut by 3 %": lambda image: image.crop((9, 7, 631, 473)),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found(tmp_path, change, suffix):
    train = [tmp_path / f"a{n}.jpg" for n in range(8)]
    for number, path in enumerate(train):
        scene(number).save(path, quality=92)
    val = [tmp_path / f"b{n}{suffix}" for n in range(8)]
    for number, path in enumerate(val):
        original = scene(number) if number < 4 else scene(50 + number)
        CHANGES[change](original).save(path, quality=60)
    found = checked(train, val)
    assert found["train"] == []
    assert names(found["val"], "like-in-both") == [(f"b{n}{suffix}", f"a{n}.jpg") for n in range(4)]
    assert all(("mirror" in f.text) == (change == "mirrored") for f in found["val"])


def test_equal_files_are_reported_as_such_and_once(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2), ("d", 1), ("e", 1), ("f", 3)):
        scene(seed).save(tmp_path / f"{name}.jpg")
    paths = {name: tmp_path / f"{name}.jpg" for name in "abcdef"}
    paths["b"].write_bytes(paths["a"].read_bytes() + b"\0")  # the same image in another file
    found = checked([paths[n] for n in "abc"], [paths[n] for n in "def"])
    assert [(f.check, f.text) for f in found["train"]] == [("like-within", "a.jpg, b.jpg look nearly the same")]
    assert [(f.check, f.text) for f in found["val"]] == [
        ("same-twice", "d.jpg, e.jpg are one and the same image"),
        ("same-in-both", "d.jpg is the same file as a.jpg in the training split"),
        ("same-in-both", "e.jpg is the same file as a.jpg in the training split"),
    ]
    quick = checked([paths[n] for n in "abc"], [paths[n] for n in "def"], thorough=False)
    assert quick["train"] == [] and quick["val"] == found["val"]


def test_files_of_one_name_are_reported_with_their_folders(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        scene(1).save(tmp_path / folder / "a.jpg")
    found = checked([tmp_path / "one/a.jpg"], [tmp_path / "two/a.jpg"])
    assert found["val"][0].text == "two/a.jpg is the same file as one/a.jpg in the training split"


def test_images_of_a_faint_slope_say_nothing(tmp_path):
    slope = np.linspace(0, 4, 64)[None, :, None] + np.zeros((48, 64, 3))
    for grey in (60, 90, 120):
        Image.fromarray((slope + grey).astype(np.uint8)).save(tmp_path / f"{grey}.png")
    found = checked([tmp_path / "60.png", tmp_path / "90.png"], [tmp_path / "120.png"])
    assert found == {"train": [], "val": []}


def test_flat_images_are_only_compared_as_files(tmp_path):
    paths = [tmp_path / f"{n}.png" for n in range(4)]
    for number, path in enumerate(paths):
        Image.new("RGB", (64, 48), (100 + number // 2,) * 3).save(path)
    found = checked(paths[:3], paths[3:])
    assert names(found["train"], "same-twice") == [("0.png", "1.png")]
    assert names(found["val"], "same-in-both") == [("3.png", "2.png")] and len(found["val"]) == 1


def test_images_of_one_kind_are_not_the_same(tmp_path):
    """As X-rays, or a camera that stands still: any two correlate by more than 0.9."""
    rng, common = np.random.default_rng(0), np.asarray(scene(0)).astype(np.float32)
    paths = [tmp_path / f"{n}.jpg" for n in range(120)]
    for path in paths[:-1]:
        own = cv2.resize(rng.normal(0, 12, (24, 32, 3)).astype(np.float32), (640, 480), interpolation=cv2.INTER_CUBIC)
        Image.fromarray(np.clip(common + own, 0, 255).astype(np.uint8)).save(path)
    Image.open(paths[0]).resize((500, 375)).save(paths[-1])
    thumbnails = np.stack([np.frombuffer(probe_image(path).thumbnail, np.uint8) for path in paths[:-1]])
    assert np.corrcoef(thumbnails).min() > 0.9
    found = checked(paths[:90], paths[90:])
    assert names(found["val"], "like-in-both") == [("119.jpg", "0.jpg")]
    assert found["train"] == [] and len(found["val"]) == 1


def test_splits_without_images_or_with_one():
    assert checked([], []) == {"train": [], "val": []}
    scan = Scan([Annotation(Path("a.jpg"), 5, 5, NONE, np.zeros(0, np.int64), np.zeros(0, np.bool_))], [], [b""])
    assert duplicates({"train": Scan(), "val": scan}) == {"train": [], "val": []}
    assert duplicates({"train": scan, "val": scan}) == {"train": [], "val": []}  # a file that has gone since


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared datasets are not there")
def test_frames_of_a_video(tmp_path):
    """Neighbouring frames are nearly the same, but not while the person walks by close to the camera."""
    capture, paths = cv2.VideoCapture(str(SHARED / "video/person_walk.mp4")), []
    while (frame := capture.read()[1]) is not None:
        paths.append(tmp_path / f"{len(paths):03d}.jpg")
        cv2.imwrite(str(paths[-1]), frame)
    found = checked(paths[::2], paths[1::2])
    assert len(names(found["val"], "like-in-both")) >= 0.7 * len(paths[1::2])
