"""Decoded images that processes share: the same pixels with and without, valid whatever happens."""

import multiprocessing
import os
import pickle
import re
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from datasets import DetectionDataset, build_loader
from support.paths import ROOT
from utils.annotations.annotation import Annotation
from utils.dataset.annotation_table import AnnotationTable
from utils.errors import ConfigError, DatasetError
from utils.images.cache import cache_report, open_cache

KINDS = pytest.mark.parametrize("kind", ["ram", "disk"])
FORK = multiprocessing.get_context("fork")


def annotation(path, height, width):
    boxes = np.float32([[2, 2, width / 2, height / 2]])
    return Annotation(Path(path), width, height, boxes, np.array([1]), np.array([False]))


def write(path, height, width, seed):
    """A BMP: as many bytes whatever it shows."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    cv2.imwrite(str(path), cv2.resize(coarse, (width, height)))


@pytest.fixture
def annotations(tmp_path):
    made = []
    for number, (height, width) in enumerate([(150, 200), (220, 150), (96, 128), (90, 90), (400, 300), (64, 200)]):
        path = tmp_path / f"bild {number}.bmp"
        write(path, height, width, number)
        made.append(annotation(path, height, width))
    return made


def dataset_of(annotations, kind=None, tmp_path=None, augment=("mosaic", "train"), img_size=96):
    data = DetectionDataset(annotations, img_size=img_size, training=True, augment=augment, seed=5)
    if kind:
        data.cache = open_cache(kind, data.annotations, data.stored_hw, root=tmp_path / "cache")
    return data


def items_of(data, workers, epochs=(1, 2)):
    loader = build_loader(data, batch_size=2, workers=workers)
    found = []
    for epoch in epochs:
        loader.batch_sampler.epoch = epoch
        found += [item for images, targets in loader for item in zip(images, targets, strict=True)]
    return found


@KINDS
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("augment", [("mosaic", "train"), ("copy-paste", "mixup", "lsj"), ()], ids="+".join)
def test_samples_are_the_same_with_and_without(annotations, tmp_path, kind, workers, augment):
    plain = items_of(dataset_of(annotations, augment=augment), 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of arrays that torch may not write to
        cached = items_of(dataset_of(annotations, kind, tmp_path, augment), workers)
    for (image, target), (other, there) in zip(plain, cached, strict=True):
        assert torch.equal(image, other)
        assert all(torch.equal(torch.as_tensor(target[key]), torch.as_tensor(there[key])) for key in target)
        other.zero_()  # the sample is the loop's own


@KINDS
def test_what_is_kept_is_read_only_and_not_decoded_again(annotations, tmp_path, kind):
    data = dataset_of(annotations, kind, tmp_path)
    first = [data.load(index).image for index in range(6)]
    for one in annotations:
        one.image_path.unlink()
    for index in range(6):
        again = data.load(index).image
        np.testing.assert_array_equal(first[index], again)
        assert again.shape[:2] == tuple(data.stored_hw[index])
        with pytest.raises(ValueError, match="read-only"):
            again[:] = 0
    with pytest.raises(DatasetError, match="bild 0.bmp"):
        dataset_of(annotations).load(0)


@KINDS
def test_loader_processes_fill_it_for_all(annotations, tmp_path, kind):
    data = dataset_of(annotations, kind, tmp_path, augment=())
    assert not data.cache.filled.any()
    items_of(data, 2, epochs=(1,))
    assert data.cache.filled.all()


@KINDS
def test_another_process_finds_it_by_its_path(annotations, tmp_path, kind):
    data = dataset_of(annotations, kind, tmp_path, augment=())
    code = (
        "import pickle, sys; data = pickle.load(sys.stdin.buffer)\n"
        "for index in (1, 3): data.load(index)\n"
        "print(data.load(0).image.sum(), data.load(0).image.flags.writeable)"
    )
    expected = data.load(0).image.sum()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, input=pickle.dumps(data), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().split() == [str(expected), "False"]
    assert data.cache.filled.tolist() == [1, 1, 0, 1, 0, 0]
    np.testing.assert_array_equal(data.load(3).image, dataset_of(annotations).load(3).image)


def _one_of_two(rank, kind, annotations, img_size, tmp_path, board, barrier, pipe):
    def gather(value):
        barrier.wait()  # everybody has read what was there before
        board[rank] = value
        barrier.wait()
        return [board[0], board[1]]

    data = DetectionDataset(annotations, img_size=img_size, training=True)
    try:
        cache = data.cache = open_cache(kind, data.annotations, data.stored_hw, root=tmp_path / "cache", gather=gather)
        for index in range(rank, 6, 2):
            data.load(index)
        barrier.wait()
        found = cache.filled.tolist(), [data.load(index).image.sum() for index in range(6)]
        barrier.wait()
        pipe.send(found)
    except ConfigError as error:
        pipe.send(str(error))


def in_two_processes(kind, annotations, tmp_path, img_size=96):
    with FORK.Manager() as manager:
        board, barrier, pipes = manager.dict(), FORK.Barrier(2), []
        for rank in range(2):
            here, there = FORK.Pipe()
            arguments = (rank, kind, annotations, img_size, tmp_path, board, barrier, there)
            FORK.Process(target=_one_of_two, args=arguments, daemon=True).start()
            pipes.append(here)
        return [pipe.recv() if pipe.poll(60) else None for pipe in pipes]


@KINDS
def test_the_processes_of_a_machine_share_one(annotations, tmp_path, kind):
    expected = [dataset_of(annotations).load(index).image.sum() for index in range(6)]
    for states, sums in in_two_processes(kind, annotations, tmp_path):
        assert states == [True] * 6 and sums == expected
    assert len(list(tmp_path.glob("cache/*"))) == (kind == "disk")


@KINDS
def test_too_little_space_is_reported_before_in_all_processes(annotations, tmp_path, kind):
    huge = [annotation(tmp_path / f"{n}.jpg", 60000, 90000) for n in range(3000)]
    expected = rf"--cache {kind} needs 45262\.\d GiB for 3000 images, and \d+(\.\d)? .iB .*free.* a smaller --img-size"
    with pytest.raises(ConfigError, match=expected):
        dataset_of(huge, kind, tmp_path, img_size=60000)
    for message in in_two_processes(kind, huge, tmp_path, img_size=60000):
        assert re.match(expected, message)
    assert not list(tmp_path.glob("cache/*"))


def test_a_disk_that_does_not_take_it_all_is_reported_before(annotations, tmp_path):
    code = (
        "import pickle, resource, sys; from utils.images.cache import open_cache; from pathlib import Path\n"
        "table, sizes, root = pickle.load(sys.stdin.buffer)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50000, 50000))\n"
        "open_cache('disk', table, sizes, root=root)"
    )
    data = dataset_of(annotations)
    arguments = pickle.dumps((data.annotations, data.stored_hw, tmp_path / "cache"))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, input=arguments, capture_output=True)
    assert b"ConfigError: --cache disk needs 0 MiB for 6 images, which" in done.stderr
    assert b"does not take (" in done.stderr
    assert not list(tmp_path.glob("cache/*"))


@pytest.mark.parametrize("root", ["/proc/images", "a file"])
def test_a_folder_that_cannot_be_written_is_reported(annotations, tmp_path, root):
    (tmp_path / "a file").touch()
    data = dataset_of(annotations)
    with pytest.raises(ConfigError, match="--cache disk: .*cannot be written"):
        open_cache("disk", data.annotations, data.stored_hw, root=tmp_path / root)


def test_a_later_run_finds_the_file(annotations, tmp_path):
    data = dataset_of(annotations, "disk", tmp_path)
    for index in range(4):
        data.load(index)
    del data
    again = dataset_of(annotations, "disk", tmp_path)
    assert again.cache.filled.tolist() == [True] * 4 + [False] * 2
    assert cache_report("disk", again.cache).startswith("cache: disk, 0 MiB for 6 images, 4 of them kept in ")
    other = dataset_of(annotations, "disk", tmp_path, img_size=64)
    assert not other.cache.filled.any()
    assert len(list(tmp_path.glob("cache/*.images"))) == 2


@pytest.mark.parametrize("what", ["time", "size"])
def test_a_changed_file_is_decoded_anew(annotations, tmp_path, what):
    data = dataset_of(annotations, "disk", tmp_path)
    old = [data.load(index).image.copy() for index in range(6)]
    del data
    path = annotations[2].image_path
    before = path.stat()
    write(path, 96, 128, seed=99)
    if what == "time":
        assert path.stat().st_size == before.st_size
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    else:
        with path.open("ab") as file:
            file.write(b"more")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    again, decoded = dataset_of(annotations, "disk", tmp_path), []
    fresh = [again.cache.load(index, lambda index: decoded.append(index) or again._read(index)) for index in range(6)]
    assert decoded == [2] and not np.array_equal(fresh[2], old[2])
    np.testing.assert_array_equal(fresh[2], dataset_of(annotations).load(2).image)
    for index in range(6):
        np.testing.assert_array_equal(again.load(index).image, fresh[index])


def test_a_killed_run_leaves_whole_slots_and_empty_ones(tmp_path):
    annotations = []
    for number in range(60):
        path = tmp_path / f"{number}.bmp"
        write(path, 300, 400, number)
        annotations.append(annotation(path, 300, 400))
    code = (
        "import pickle, sys; from utils.images.cache import open_cache\n"
        "data, root = pickle.load(sys.stdin.buffer)\n"
        "data.cache = open_cache('disk', data.annotations, data.stored_hw, root=root)\n"
        "for index in range(60): data.load(index); print(index, flush=True)"
    )
    data = dataset_of(annotations, img_size=300)
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdin.write(pickle.dumps((data, tmp_path / "cache")))
        process.stdin.close()
        for _ in range(10):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    data.cache = open_cache("disk", data.annotations, data.stored_hw, root=tmp_path / "cache")
    assert 10 <= np.count_nonzero(data.cache.filled) <= 60
    plain = dataset_of(annotations, img_size=300)
    for index in range(60):
        np.testing.assert_array_equal(data.load(index).image, plain.load(index).image)


def test_pixels_that_never_came_to_the_disk_are_decoded_anew(annotations, tmp_path):
    """After a power cut a file may have the record of a slot and not, or not all of, its pixels."""
    data = dataset_of(annotations, "disk", tmp_path, augment=())
    images = [data.load(index).image.copy() for index in range(3)]
    path = data.cache.path
    del data
    content = path.read_bytes()
    start = content.index(images[1].tobytes())
    lost = len(images[1].tobytes()) // 2
    path.write_bytes(content[:start] + bytes(lost) + content[start + lost :])
    again, decoded = dataset_of(annotations, "disk", tmp_path, augment=()), []
    for _ in range(2):
        for index in range(3):
            image = again.cache.load(index, lambda index: decoded.append(index) or again._read(index))
            np.testing.assert_array_equal(image, images[index])
    assert decoded == [1]


def test_two_runs_may_share_a_file(annotations, tmp_path):
    first, second = (dataset_of(annotations, "disk", tmp_path) for _ in range(2))
    first.load(4)
    assert second.cache.filled.tolist() == [0, 0, 0, 0, 1, 0]
    np.testing.assert_array_equal(second.cache.load(4, read=None), first.load(4).image)


def test_a_file_that_is_no_cache_is_made_anew(annotations, tmp_path):
    data = dataset_of(annotations, "disk", tmp_path)
    data.load(0)
    path, size = data.cache.path, data.cache.nbytes
    del data
    for content in (b"", b"x" * 100, bytes(size)):
        path.write_bytes(content)
        assert not dataset_of(annotations, "disk", tmp_path).cache.filled.any()


def test_the_log_line_names_kind_and_size(annotations):
    table = AnnotationTable(annotations)
    cache = open_cache("ram", table, np.full((6, 2), 1000, np.int32))
    assert cache_report("ram", cache) == "cache: ram, 17 MiB for 6 images"
