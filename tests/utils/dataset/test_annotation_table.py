"""Packed annotations are the annotations, in less memory, which loader processes share."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from support.made_annotations import made_up
from support.paths import ROOT
from utils.annotations.annotation import Annotation
from utils.dataset.annotation_table import AnnotationTable

FIELDS = ("image_path", "width", "height", "boxes", "labels", "difficult")


@pytest.fixture
def annotations():
    return [made_up(number) for number in range(12)]


def assert_same(found, expected):
    assert type(found) is Annotation
    for name in FIELDS:
        one, other = getattr(found, name), getattr(expected, name)
        assert type(one) is type(other)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype and one.shape == other.shape
            np.testing.assert_array_equal(one, other)
        else:
            assert one == other


@pytest.mark.parametrize("way", [lambda table: table, lambda table: pickle.loads(pickle.dumps(table))])
def test_a_table_is_the_sequence_that_it_was_made_from(annotations, way):
    table = way(AnnotationTable(annotations))
    assert len(table) == 12
    for found, expected in zip(table, annotations, strict=True):
        assert_same(found, expected)
    assert_same(table[-1], annotations[-1])
    assert table.counts.tolist() == [len(a.labels) for a in annotations]
    assert table.sizes_hw.tolist() == [[a.height, a.width] for a in annotations]
    with pytest.raises(IndexError):
        table[12]


def test_a_slice_is_a_table_and_a_table_of_a_table_the_same(annotations):
    part = AnnotationTable(annotations)[3:9:2]
    assert type(part) is AnnotationTable and len(part) == 3
    for found, expected in zip(AnnotationTable(part), annotations[3:9:2], strict=True):
        assert_same(found, expected)
    assert len(part[3:]) == 0


def test_no_images_and_no_objects():
    empty = AnnotationTable([])
    assert (len(empty), list(empty), empty.counts.shape) == (0, [], (0,))
    table = AnnotationTable([made_up(0), made_up(4)])
    assert table.boxes.shape == (0, 4) and table[1].boxes.shape == (0, 4) and table.boxes.dtype == np.float32


@pytest.mark.parametrize("way", [lambda table: table, lambda table: pickle.loads(pickle.dumps(table))])
def test_what_all_share_cannot_be_changed(annotations, way):
    table = way(AnnotationTable(annotations))
    for array in (table[3].boxes, table[3].labels, table[3].difficult, table.sizes_hw, table.objects(3)[0]):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


@pytest.mark.parametrize("path", ["/data/\udce4.jpg", "a.jpg", "/a.jpg", "../a b/c.jpg"])  # the first is not UTF-8
def test_every_path_comes_back(annotations, path):
    path = Path(path)
    table = AnnotationTable([Annotation(path, 5, 5, *(getattr(annotations[0], name) for name in FIELDS[3:]))])
    assert table[0].image_path == path


def test_memory_for_an_image_and_an_object_is_bounded():
    annotations = [made_up(number) for number in range(3000)]
    table, objects = AnnotationTable(annotations), sum(len(a.labels) for a in annotations)
    names = sum(len(str(a.image_path.name).encode()) for a in annotations)
    assert table.nbytes <= 32 * 3000 + 25 * objects + names
    assert len(pickle.dumps(table)) <= table.nbytes + 5000


WORKER = """
import gc, multiprocessing, sys
from benchmarks.loader_memory import private_bytes
from tests.support.made_annotations import made_up
from utils.dataset.annotation_table import AnnotationTable

def look(annotations, pipe):
    for index in range(len(annotations)):  # what is read to make a sample
        if isinstance(annotations, AnnotationTable):
            (boxes, _), file = annotations.objects(index), annotations.file(index)
        else:
            boxes, file = annotations[index].boxes, annotations[index].image_path
        boxes.sum(), hash(file)
    pipe.send(private_bytes())

for count in (1000, 60000):
    listed = [made_up(number) for number in range(count)]
    for annotations in (AnnotationTable(listed), listed):
        here, there = multiprocessing.Pipe()
        process = multiprocessing.get_context("fork").Process(target=look, args=(annotations, there))
        gc.freeze()  # as the loader does
        process.start()
        print(here.recv())
        process.join()
"""


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="Linux reports a process's own memory")
def test_a_workers_own_memory_does_not_grow_with_the_dataset():
    root = ROOT
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = ['.', 'tests']\n{WORKER}"],
        cwd=root, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    few, few_listed, many, many_listed = (int(line) / 2**20 for line in done.stdout.split())
    assert many - few < 5
    assert many_listed - few_listed > 15  # that it can be seen
