"""The drawn dataset: the same for the same seed, true to its boxes, and never over what is there."""

import importlib
import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
import yaml

from support.paths import ROOT

CLASS_NAMES = ["Mask", "Face_Shield", "Coverall", "Gloves", "Goggles"]


def command(*arguments):
    return [sys.executable, str(ROOT / "data" / "make_sample.py"), *map(str, arguments)]


def run_script(*arguments, cwd):
    return subprocess.run(command(*arguments), cwd=cwd, capture_output=True, text=True, timeout=60)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A small set as the script makes it; copy it before changing it."""
    out_dir = tmp_path_factory.mktemp("sample") / "set"
    result = run_script("--out", out_dir, "--train", 6, "--test", 5, cwd=out_dir.parent)
    assert (result.returncode, result.stderr) == (0, "")
    return out_dir


@pytest.fixture(scope="module")
def sample():
    """The script's modules, imported as the script imports them."""
    names = ("make_sample", "sample.canvas", "sample.figures", "sample.scenes", "sample.showcase")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "data"))
        return SimpleNamespace(**{name.replace("sample.", "sample_"): importlib.import_module(name) for name in names})


def test_every_image_has_its_xml_and_true_boxes(drawn):
    for split, count in (("train", 6), ("test", 5)):
        files = sorted((drawn / split).iterdir())
        assert [path.suffix for path in files] == [".jpg", ".xml"] * count
        for image_path, xml_path in zip(files[::2], files[1::2], strict=True):
            height, width = cv2.imread(str(image_path)).shape[:2]
            root = ET.parse(xml_path).getroot()
            assert image_path.stem == xml_path.stem
            assert root.findtext("filename") == image_path.name
            assert root.findtext("folder") == split
            assert [int(value.text) for value in root.find("size")] == [width, height, 3]
            for thing in root.iter("object"):
                x1, y1, x2, y2 = (int(thing.findtext(f"bndbox/{tag}")) for tag in ("xmin", "ymin", "xmax", "ymax"))
                assert thing.findtext("name") in CLASS_NAMES
                assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height


def test_a_image_depends_on_the_seed_and_its_index_alone(drawn, tmp_path):
    run_script("--out", tmp_path / "other_counts", "--train", 7, "--test", 2, cwd=tmp_path)
    run_script("--out", tmp_path / "other_seed", "--train", 1, "--test", 0, "--seed", 1, cwd=tmp_path)
    first, second = (
        {k: v for k, v in contents(folder).items() if "/" in k} for folder in (drawn, tmp_path / "other_counts")
    )
    shared = first.keys() & second.keys()
    assert len(shared) == 2 * (6 + 2)
    assert all(first[name] == second[name] for name in shared)
    assert (tmp_path / "other_seed/train/ppe_0000.jpg").read_bytes() != first["train/ppe_0000.jpg"]
    assert first["train/ppe_0000.jpg"] != first["test/ppe_0000.jpg"]


def test_a_complete_set_is_left_alone(drawn, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in drawn.rglob("*")}
    result = run_script("--out", drawn, "--train", 6, "--test", 5, cwd=tmp_path)
    assert result.returncode == 0 and "left as it is" in result.stdout
    assert {path: path.stat().st_mtime_ns for path in drawn.rglob("*")} == before


def test_anything_else_is_refused_and_left_alone(drawn, tmp_path):
    incomplete, foreign = tmp_path / "incomplete", tmp_path / "foreign"
    shutil.copytree(drawn, incomplete)
    (incomplete / "test" / "ppe_0003.xml").unlink()
    foreign.mkdir()
    (foreign / "mine.jpg").write_bytes(b"mine")
    cases = [
        (incomplete, 6, "test folder holds 4 .xml files, not 5"),
        (foreign, 6, "mine.jpg"),
        (drawn, 7, "'train': 6"),
        (foreign / "mine.jpg", 6, "it is a file"),
    ]
    before = contents(tmp_path)
    for folder, train, complaint in cases:
        result = run_script("--out", folder, "--train", train, "--test", 5, cwd=tmp_path)
        assert result.returncode == 2, result.stdout
        assert str(folder) in result.stderr and complaint in result.stderr and "--out" in result.stderr
    assert contents(tmp_path) == before


@pytest.mark.skipif(os.name == "nt", reason="sends an interrupt")
def test_an_interrupted_run_leaves_nothing_behind(tmp_path):
    process = subprocess.Popen(command("--out", tmp_path / "set", "--train", 5000), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob(".set.*/set/train/*.jpg")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not (tmp_path / "set").exists()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) != 0
    assert list(tmp_path.iterdir()) == []


def test_the_default_set_is_learnable(sample):
    boxes, empty = Counter(), 0
    for index in range(120):
        rng = np.random.default_rng(np.random.SeedSequence([0, 0, index]))
        size = sample.make_sample.SIZES[int(rng.integers(len(sample.make_sample.SIZES)))]
        found = sample.sample_scenes.scene(*size, rng, empty=index % 20 == 4).visible_boxes()
        boxes.update(name for name, _, _ in found)
        empty += not found
    assert 6 <= empty <= 12
    assert sorted(boxes) == sorted(CLASS_NAMES) and min(boxes.values()) >= 60


WORN = [("gloves", "Gloves", "#3d6fc4"), ("shield", "Face_Shield", "#3a4048"), ("goggles", "Goggles", "#2f6fb0")]


@pytest.mark.parametrize("field, class_name, color", WORN)
def test_boxes_enclose_what_changes_when_the_item_is_taken_off(sample, field, class_name, color):
    thumbnail, pose = sample.sample_figures.Look(**{field: color}), sample.sample_figures.Pose(turn=0.4)
    images, found = [], []
    for worn in (thumbnail, replace(thumbnail, **{field: None})):
        canvas = sample.sample_canvas.Canvas(300, 480)
        sample.sample_figures.Figure(canvas, 150, 110, 85, worn, pose).draw()
        images.append(canvas.finished().astype(int))
        found.append(canvas.visible_boxes())
    (boxes, without), changed = found, np.abs(images[0] - images[1]).max(2) > 8
    assert without == []
    assert [name for name, _, _ in boxes] == [class_name] * (2 if field == "gloves" else 1)
    halves = [(0, 150), (150, 300)] if field == "gloves" else [(0, 300)]
    for (left, right), (_, box, truncated) in zip(halves, sorted(boxes, key=lambda b: b[1]), strict=True):
        rows, columns = np.nonzero(changed[:, left:right])
        extent = (columns.min() + left, rows.min(), columns.max() + left + 1, rows.max() + 1)
        np.testing.assert_allclose(box, extent, atol=2)
        assert not truncated


def test_what_hides_an_item(sample):
    shapes, canvas = sample.sample_canvas, sample.sample_canvas.Canvas(100, 80)
    square, pane, cut = (canvas.new_item(name) for name in ("Mask", "Face_Shield", "Gloves"))
    canvas.fill(shapes.box(20, 20, 40, 40), "#ff0000", square)
    canvas.settle(square)
    canvas.glaze(shapes.box(10, 10, 50, 50), "#00ff00", 0.5, pane)
    canvas.settle(pane)
    canvas.fill(shapes.box(85, 60, 105, 70), "#0000ff", cut)
    canvas.settle(cut)
    edges = {name: (box, truncated) for name, box, truncated in canvas.visible_boxes()}
    for name, box, truncated in (("Mask", (20, 20, 40, 40), False), ("Face_Shield", (10, 10, 50, 50), False),
                                 ("Gloves", (85, 60, 100, 70), True)):  # fmt: skip
        np.testing.assert_allclose(edges[name][0], box, atol=1)
        assert edges[name][1] is truncated
    canvas.fill(shapes.box(0, 0, 36, 80), "#ffffff")
    remaining = {name: box for name, box, _ in canvas.visible_boxes()}
    assert set(remaining) == {"Face_Shield", "Gloves"}
    np.testing.assert_allclose(remaining["Face_Shield"], (36, 10, 50, 50), atol=1)


def probed(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        facts = (context.name, context.pix_fmt, stream.average_rate, (context.width, context.height))
        return *facts, sum(1 for _ in container.decode(video=0))


def test_the_clip_is_h264_that_browsers_play(sample, tmp_path):
    sample.sample_showcase.write_clip(tmp_path / "clip.mp4", count=6)
    for path, frames in ((tmp_path / "clip.mp4", 6), (ROOT / "data/inference_data/video_1.mp4", 100)):
        assert probed(path) == ("h264", "yuv420p", 20, (640, 480), frames)
        head = path.read_bytes()
        assert head.index(b"moov") < head.index(b"mdat")


def test_what_is_committed_is_small_and_readable():
    folder = ROOT / "data" / "inference_data"
    assert cv2.imread(str(folder / "image_1.jpg")).shape == (720, 960, 3)
    assert (folder / "image_1.jpg").stat().st_size < 120_000
    assert (folder / "video_1.mp4").stat().st_size < 500_000


def test_the_yaml_names_the_drawn_folders_and_classes():
    config = yaml.safe_load((ROOT / "data_configs" / "ppe_sample.yaml").read_text(encoding="utf-8"))
    assert config["CLASSES"] == ["__background__", *CLASS_NAMES] and config["NC"] == 6
    for split, folder in (("TRAIN", "data/ppe_sample/train"), ("VALID", "data/ppe_sample/test")):
        assert [config[f"{split}_DIR_{kind}"] for kind in ("IMAGES", "LABELS")] == [folder, folder]
    assert config["SAVE_VALID_PREDICTION_IMAGES"] is True
