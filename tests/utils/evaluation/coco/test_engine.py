"""The engine's arrays and numbers against pycocotools, and the traps of the library behind it."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.coco_reference import coco_dicts, random_split, run_pycocotools
from support.paths import ROOT
from utils.evaluation.coco.engine import COCO_DETECTIONS, coco_arrays, hotcoco_module
from utils.evaluation.coco.metrics import COCO_KEYS, coco_metrics
from utils.evaluation.packed import PackedDetections, PackedTruth

LIMITS = (1, 10, 100, 300)


def assert_equal_to_pycocotools(truth, detections, limits=COCO_DETECTIONS):
    arrays = coco_arrays(truth, detections, limits=limits)
    reference = run_pycocotools(*coco_dicts(truth, detections), limits)
    np.testing.assert_allclose(arrays.precision, reference.eval["precision"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(arrays.recall, reference.eval["recall"], rtol=0, atol=1e-12)
    if limits == COCO_DETECTIONS:
        reference.summarize()
        metrics = coco_metrics(truth, detections)
        np.testing.assert_allclose([metrics[key] for key in COCO_KEYS], reference.stats, rtol=0, atol=1e-12)
    return arrays


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), crowds=st.sampled_from([0.0, 0.3, 1.0]), images=st.integers(1, 9))
def test_random_sets_with_ties_crowds_and_areas_at_the_limits(seed, crowds, images):
    assert_equal_to_pycocotools(*random_split(seed, images=images, crowds=crowds))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), limits=st.sampled_from([COCO_DETECTIONS, LIMITS]))
def test_more_than_100_objects_of_a_class_in_an_image(seed, limits):
    assert_equal_to_pycocotools(*random_split(seed, images=2, classes=1, objects=200, crowds=0.02), limits)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_equal_scores_are_ordered_by_the_ids_of_images(seed):
    truth, detections = random_split(seed, levels=2)
    ids = np.random.default_rng(seed).permutation(truth.num_images) * 7 + 10**13
    arrays = coco_arrays(truth, detections, image_ids=ids.tolist())
    dataset, results = coco_dicts(truth, detections)
    for item in [*dataset["annotations"], *results]:
        item["image_id"] = int(ids[item["image_id"] - 1])
    dataset["images"] = [image | {"id": int(ids[image["id"] - 1])} for image in dataset["images"]]
    np.testing.assert_allclose(
        arrays.precision, run_pycocotools(dataset, results).eval["precision"], rtol=0, atol=1e-12
    )


def only(packed, rows):
    """Return the rows of packed objects or detections."""
    fields = ("image_of", "labels", "boxes_xywh", "areas", "crowd", "scores")
    return replace(packed, **{name: getattr(packed, name)[rows] for name in fields if hasattr(packed, name)})


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("found", [True, False])
def test_no_detections_no_objects_and_neither(there, found):
    truth, detections = random_split(1)
    truth = truth if there else only(truth, [])
    detections = detections if found else only(detections, [])
    arrays = assert_equal_to_pycocotools(truth, detections)
    assert (arrays.precision[..., 0, -1].max() > 0) == (there and found)


def test_without_images_or_classes_everything_is_undefined():
    empty = np.zeros(0, np.int64)
    none = PackedDetections(empty, empty, np.zeros((0, 4)), np.zeros(0))
    for images, names in ((0, ("background", "a")), (3, ("background",)), (0, ("background",))):
        truth = PackedTruth(empty, empty, np.zeros((0, 4)), np.zeros(0), np.zeros(0, bool), images, names)
        metrics = coco_metrics(truth, none)
        assert all(metrics[key] == -1 for key in COCO_KEYS)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("field", ["scores", "boxes_xywh"])
def test_what_is_not_finite_is_refused(value, field):
    truth, detections = random_split(1)
    values = getattr(detections, field).copy()
    values[3] = value
    with pytest.raises(ValueError, match=rf"detections: 1 of {len(values)} have a box or score .* first row 3"):
        coco_arrays(truth, replace(detections, **{field: values}))
    boxes = truth.boxes_xywh.copy()
    boxes[0, 2] = value
    with pytest.raises(ValueError, match="objects: 1 of"):
        coco_arrays(replace(truth, boxes_xywh=boxes), detections)


def test_unknown_images_and_classes_are_refused():
    truth, detections = random_split(1)
    for field, value, expected in (("labels", 0, "1 to 3"), ("labels", 4, "1 to 3"), ("image_of", 8, "0 to 7")):
        values = getattr(detections, field).copy()
        values[0] = value
        with pytest.raises(ValueError, match=f"detections: {field}: expected {expected}, found"):
            coco_arrays(truth, replace(detections, **{field: values}))


@pytest.mark.parametrize("limits", [(), (0, 10), (10, 1), (1, 1)])
def test_limits_that_make_no_sense_are_refused(limits):
    with pytest.raises(ValueError, match="limits: expected ascending"):
        coco_arrays(*random_split(1), limits=limits)


def test_what_breaks_inside_the_library_is_an_ordinary_error():
    """Its panics are no Exceptions: `except Exception` would let them pass."""
    truth, detections = random_split(1)
    with pytest.raises((RuntimeError, ValueError, TypeError, IndexError)):
        coco_arrays(replace(truth, areas=truth.areas[:-1]), detections)


def run(code: str, timeout: float = 60) -> subprocess.CompletedProcess:
    prefix = "import sys; sys.path[:0] = ['.', 'tests']\nfrom support.coco_reference import random_split\n"
    return subprocess.run(
        [sys.executable, "-c", prefix + code], cwd=ROOT, capture_output=True, text=True, timeout=timeout
    )


FORKING = """
import os
from utils.evaluation.coco.metrics import coco_metrics
split = random_split(1)
def in_child():
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        coco_metrics(*split)
    except RuntimeError as error:
        print(error, flush=True)
        os._exit(3)
    os._exit(0)
first = in_child()
coco_metrics(*split)
print(first, in_child(), flush=True)
"""


@pytest.mark.skipif(hotcoco_module() is None or sys.platform == "win32", reason="needs hotcoco and fork")
def test_a_process_forked_after_an_evaluation_is_refused_and_does_not_hang():
    done = run(FORKING)
    assert done.returncode == 0, done.stderr
    message, codes = done.stdout.splitlines()
    assert "cannot be computed in process" in message and "forked" in message and '"spawn"' in message
    assert codes == "0 3"


LOADING = """
import torch
from utils.evaluation.coco.metrics import coco_metrics
split = random_split(1)
class Numbers(torch.utils.data.Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, index):
        return torch.ones(4, 4).matmul(torch.ones(4, 4)) * index
lasting = torch.utils.data.DataLoader(Numbers(), num_workers=2, persistent_workers=True)
for _ in range(2):
    short = torch.utils.data.DataLoader(Numbers(), num_workers=2)
    print(sum(len(batch) for loader in (lasting, short) for batch in loader), coco_metrics(*split)["map_50"] > 0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_loader_workers_that_start_after_an_evaluation_work_and_end():
    done = run(LOADING)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["16 True"] * 2


WITHOUT = """
sys.modules["hotcoco"] = None  # an import of it fails
from utils.evaluation.coco.metrics import coco_metrics
for seed in range(3):
    print(sorted(coco_metrics(*random_split(seed)).items()))
"""


def test_without_hotcoco_the_numbers_are_the_same_and_it_is_logged_once():
    done = run(WITHOUT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(sorted(coco_metrics(*random_split(seed)).items())) for seed in range(3)]
    assert done.stderr.count("hotcoco is not available") == 1 and "pycocotools" in done.stderr


def test_what_a_loader_worker_runs_does_not_load_it():
    done = run("import datasets\nprint('hotcoco' in sys.modules)")
    assert done.stdout == "False\n", done.stderr
