"""Scans that are kept: exactly those of a fresh scan, whatever became of the files, the cache or the clock."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from support.clean_sets import YAML, boxes_of, drawn_image, write_clean_set, write_labels, write_yaml
from support.paths import ROOT
from support.spoiled_sets import FAULTS
from utils.config.config import load_config
from utils.dataset import scan_cache
from utils.dataset.scan import scan_splits
from utils.dataset.scan_cache import ScanCache
from utils.dataset.tree_state import RESOLUTION_NS
from utils.errors import DatasetError

SETTLED = 1.1 * RESOLUTION_NS / 1e9  # seconds after which a file's time can be trusted


@pytest.fixture(autouse=True)
def keep_small_scans(monkeypatch):
    monkeypatch.setattr(scan_cache, "LEAST", 1)


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory):
    """A folder with a set for each fault, all written a while ago."""
    folder = tmp_path_factory.mktemp("sets")
    write_clean_set(folder / "clean")
    for number, (spoil, *_) in enumerate(FAULTS):
        shutil.copytree(folder / "clean", folder / str(number))
        spoil(folder / str(number))
    time.sleep(SETTLED)
    return folder


@pytest.fixture
def clean(spoiled, tmp_path):
    """A clean set of the test's own, whose files keep their times but were made just now."""
    return load_config(shutil.copytree(spoiled / "clean", tmp_path / "set") / YAML)


def content(scans) -> dict:
    """Return all that the scans hold, to be compared."""
    return {
        name: (
            [
                (a.image_path, a.width, a.height, a.boxes.tobytes(), a.boxes.dtype, a.labels.tolist(), a.labels.dtype)
                for a in scan.annotations
            ],
            [a.difficult.tolist() for a in scan.annotations],
            scan.findings,
            [type(value) for finding in scan.findings for box in finding.boxes for value in box if type(value) is int],
            scan.thumbnails,
            (scan.skip_bad, scan.ignored, scan.used),
            [(t.image_path, t.called, t.orientation, t.by_size, t.by_boxes, t.reading) for t in scan.turned],
            scan.summary(("background", "Mask", "Gloves", "Goggles"), None),
        )
        for name, scan in scans.items()
    }


def scanned(config, cache=None, **options) -> dict:
    return content(scan_splits(config, progress=False, cache=cache, **options))


def is_kept(config, cache, names=None, skip_bad=False) -> bool:
    return ScanCache(cache, config, names, skip_bad=skip_bad).scans is not None


@pytest.mark.parametrize("skip_bad", [False, True])
def test_kept_scans_of_faulty_sets_are_those_of_a_fresh_scan(spoiled, tmp_path, skip_bad):
    whole = 0
    for number, (spoil, *_) in enumerate(FAULTS):
        config = load_config(spoiled / str(number) / YAML)
        fresh = scan_splits(config, progress=False, skip_bad=skip_bad)
        for _ in range(2):
            assert scanned(config, tmp_path, skip_bad=skip_bad) == content(fresh), spoil.__name__
        sound = not any(scan.errors or scan.outside for scan in fresh.values())
        assert is_kept(config, tmp_path, skip_bad=skip_bad) == sound, spoil.__name__
        whole += sound
    assert whole > len(FAULTS) // 2


def test_splits_folds_and_lists_have_scans_of_their_own(spoiled, tmp_path):
    path = shutil.copytree(spoiled / "clean", tmp_path / "set") / YAML
    (path.parent / "train.txt").write_text("a0\na1\na3\na4\n")
    write_yaml(path.parent, extra="TRAIN_LIST: train.txt\n")
    (path.parent / "whole.yaml").write_text("TRAIN_DIR_IMAGES: train\nCLASSES: [Mask, Gloves]\n")
    time.sleep(SETTLED)
    listed, divided = load_config(path), load_config(path.parent / "whole.yaml", split=(0.3, 0.2))
    for config in (listed, divided, load_config(spoiled / "clean" / YAML)):
        for names in (("train", "val"), ("val",), ("train",), None):
            for _ in range(2):
                assert scanned(config, tmp_path / "kept", names=names) == scanned(config, names=names)
            assert is_kept(config, tmp_path / "kept", names)
    assert len(list((tmp_path / "kept").iterdir())) == 12
    (path.parent / "train.txt").write_text("a0\na3\n")
    assert scanned(listed, tmp_path / "kept") == scanned(listed) and not is_kept(listed, tmp_path / "kept")


def another_box(folder):
    write_labels(folder / "train", "a1", boxes_of(2))


def another_box_of_the_same_time(folder):
    """As rsync and archives write it: the file's time and size stay."""
    path = folder / "train/a1.xml"
    about, text = path.stat(), path.read_text()
    path.write_text(text.replace("Mask", "Glow", 1))
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def another_image(folder):
    cv2.imwrite(str(folder / "train/a1.jpg"), drawn_image(55, (640, 480)))


def images_swapped(folder):
    one, other = folder / "train/a1.jpg", folder / "train/a2.jpg"
    one.rename(folder / "x"), other.rename(one), (folder / "x").rename(other)


def an_image_less(folder):
    (folder / "train/a1.jpg").unlink()


def an_image_more(folder):
    cv2.imwrite(str(folder / "train/a1 2.jpg"), drawn_image(55))


def a_folder_of_another_split(folder):
    shutil.move(folder / "train/a1.jpg", (folder / "train/test").mkdir() or folder / "train/test")


def broken(folder):
    (folder / "train/a1.jpg").write_bytes(b"no image")


def a_link_to_another_image(folder):
    (folder / "train/a1.jpg").unlink()
    (folder / "train/a1.jpg").symlink_to("a2.jpg")


def other_classes(folder):
    write_yaml(folder, classes="[Gloves, Mask]")


def an_ignored_class(folder):
    write_yaml(folder, classes="[Mask]", extra="IGNORE: [Gloves]\n")


CHANGES = [
    another_box, another_box_of_the_same_time, another_image, images_swapped, an_image_less, an_image_more, broken,
    a_folder_of_another_split, a_link_to_another_image, other_classes, an_ignored_class,
]  # fmt: skip


def test_whatever_changes_is_read_again(spoiled, tmp_path):
    sets = {change: shutil.copytree(spoiled / "clean", tmp_path / change.__name__) for change in CHANGES}
    time.sleep(SETTLED)
    before = {change: scanned(load_config(folder / YAML), tmp_path / "kept") for change, folder in sets.items()}
    for change, folder in sets.items():
        assert is_kept(load_config(folder / YAML), tmp_path / "kept")
        change(folder)
        config = load_config(folder / YAML)
        fresh = scanned(config)
        assert fresh != before[change] or change is other_classes, change.__name__
        assert scanned(config, tmp_path / "kept") == fresh, change.__name__


def test_a_file_changed_within_the_clocks_resolution_is_not_trusted(clean, tmp_path):
    assert scanned(clean, tmp_path / "kept") == scanned(clean)
    assert not is_kept(clean, tmp_path / "kept")
    time.sleep(SETTLED)
    assert scanned(clean, tmp_path / "kept") == scanned(clean)
    assert is_kept(clean, tmp_path / "kept")


def test_times_in_the_future_and_before_1970_are_as_good_as_others(clean, tmp_path):
    for number, path in enumerate(sorted(clean.train_images_dir.iterdir())):
        os.utime(path, (0, (-3600, 2**33)[number % 2]))
    time.sleep(SETTLED)
    for _ in range(2):
        assert scanned(clean, tmp_path / "kept") == scanned(clean)
    assert is_kept(clean, tmp_path / "kept")


def test_a_damaged_cache_is_ignored_and_written_anew(spoiled, tmp_path):
    config = load_config(spoiled / "clean" / YAML)
    fresh = scanned(config, tmp_path)
    (path,) = tmp_path.iterdir()
    good, rng = path.read_bytes(), np.random.default_rng(0)
    damaged = [b"", b"PK", good[: len(good) // 2], good[:-30], b"\x80\x04N.", rng.bytes(5000)]
    for _ in range(20):
        place = int(rng.integers(len(good)))
        damaged.append(good[:place] + rng.bytes(8) + good[place + 8 :])
    for data in damaged:
        path.write_bytes(data)
        assert scanned(config, tmp_path) == fresh
        assert is_kept(config, tmp_path)
    arrays = dict(np.load(path))
    for name in arrays:
        for value in (np.zeros(0, np.int64), arrays[name][:-1], arrays[name].astype(np.float64) + 1e6, arrays["paths"]):
            np.savez(path, **arrays | {name: value})
            assert scanned(config, tmp_path) == fresh, name
    np.savez(path, allow_pickle=True, **arrays | {"rest": np.array([print], object)})
    assert scanned(config, tmp_path) == fresh


def test_it_works_without_a_place_to_write(spoiled, tmp_path):
    config = load_config(spoiled / "clean" / YAML)
    (tmp_path / "file").write_text("")
    assert scanned(config, tmp_path / "file") == scanned(config, tmp_path / "file" / "below") == scanned(config)
    ScanCache(tmp_path, config, None, skip_bad=False).path.mkdir()  # where the file should go
    assert scanned(config, tmp_path) == scanned(config)
    full = (
        "import resource, sys\nfrom pathlib import Path\n"
        "from utils.config.config import load_config\nfrom utils.dataset import scan_cache, scan\n"
        "scan_cache.LEAST = 1\nresource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "print(len(scan.scan_splits(load_config(sys.argv[1]), cache=Path(sys.argv[2]))['train'].annotations))"
    )
    done = subprocess.run(
        [sys.executable, "-c", full, config.path, tmp_path / "full"], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.stdout, done.returncode) == ("6\n", 0) and "Error" not in done.stderr
    assert list((tmp_path / "full").iterdir()) == []


def test_an_error_of_a_folder_is_the_same(spoiled, tmp_path):
    config = load_config(shutil.copytree(spoiled / "clean", tmp_path / "set") / YAML)
    shutil.rmtree(tmp_path / "set" / "test")
    for cache in (None, tmp_path / "kept"):
        with pytest.raises(DatasetError, match="test: cannot be listed: No such file"):
            scanned(config, cache)


def test_its_size_is_bounded(spoiled, tmp_path):
    for number in range(30):
        path = tmp_path / f"scan_{number}.npz"
        path.write_bytes(b"x")
        os.utime(path, (number, number))
    (tmp_path / ".scan_5.aa.partial.npz").write_bytes(b"x")  # of a killed process
    os.utime(tmp_path / ".scan_5.aa.partial.npz", (0, 0))
    (tmp_path / "other.images").write_bytes(b"x")
    scanned(load_config(spoiled / "clean" / YAML), tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert len(left) == 1 + scan_cache.MOST_FILES and "other.images" in left and "scan_29.npz" in left
    assert "scan_14.npz" not in left


def test_two_processes_at_once(spoiled, tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from utils.config.config import load_config\nfrom utils.dataset import scan_cache, scan\n"
        "scan_cache.LEAST = 1\nconfig = load_config(sys.argv[1])\n"
        "for _ in range(15):\n"
        "    scans = scan.scan_splits(config, progress=False, cache=Path(sys.argv[2]))\n"
        "    print([a.boxes.tolist() for scan in scans.values() for a in scan.annotations])\n"
        "    for path in Path(sys.argv[2]).glob('*.npz'):\n"
        "        path.unlink(missing_ok=True)\n"
    )
    command = [sys.executable, "-c", code, spoiled / "clean" / YAML, tmp_path]
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    lines = {line for process in both for line in process.communicate(timeout=120)[0].splitlines()}
    assert [process.returncode for process in both] == [0, 0] and len(lines) == 1
    assert not [path for path in Path(tmp_path).iterdir() if "partial" in path.name]
