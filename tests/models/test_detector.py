"""`Detector` finds what inference.py finds, whatever kind of image it is given."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from models import Detector, create_model
from support.paths import ROOT
from torch_utils.runs.checkpoint import save_checkpoint
from utils.errors import CheckpointError, DatasetError
from utils.images.io import read_image

SMALL = "fasterrcnn_resnet10_fpn_small"
CLASSES = ("__background__", "Mask", "Gloves")
THRESHOLD = 0.365


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A detector with random weights: what it finds means nothing, but is the same each time."""
    path = tmp_path_factory.mktemp("weights") / "best_model.pth"
    torch.manual_seed(3)
    model = create_model(SMALL, len(CLASSES), pretrained="none")
    content = {"toolkit": 1, "epoch": 1, "model_name": SMALL, "img_size": 96, "config": {"CLASSES": list(CLASSES)}}
    save_checkpoint(path, content | {"model_state_dict": model.state_dict()})
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Five images of two shapes."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for number, (height, width) in enumerate([(90, 120), (120, 90), (90, 120), (64, 64), (120, 90)]):
        image = np.full((height, width, 3), 90, np.uint8)
        for _ in range(4):
            x, y = int(rng.integers(0, width - 20)), int(rng.integers(0, height - 20))
            image[y : y + 30, x : x + 40] = rng.integers(0, 255, 3)
        cv2.imwrite(str(folder / f"{number}.png"), image)
    return folder


@pytest.fixture(scope="module")
def detector(weights) -> Detector:
    return Detector(weights, device="cpu", batch_size=1)


def test_it_finds_what_inference_finds(weights, folder, detector, tmp_path):
    command = [sys.executable, ROOT / "inference.py", "-w", weights, "-i", folder, "-o", tmp_path / "out", "-d", "cpu"]
    subprocess.run(
        [*command, "--threshold", str(THRESHOLD), "--save", "json", "--batch-size", "1"],
        check=True, capture_output=True,
    )  # fmt: skip
    written = json.loads((tmp_path / "out" / "predictions.json").read_text())
    id_of = {image["file_name"]: image["id"] for image in written["images"]}
    paths = sorted(folder.iterdir())
    found = [row for path in paths for row in detector(path, threshold=THRESHOLD).to_coco(id_of[path.name])]
    assert len(found) == len(written["annotations"]) > 5
    for ours, theirs in zip(found, written["annotations"], strict=True):
        assert (ours["image_id"], ours["category_id"]) == (theirs["image_id"], theirs["category_id"])
        assert np.allclose(ours["bbox"], theirs["bbox"], atol=2e-3) and abs(ours["score"] - theirs["score"]) < 2e-6


def test_paths_arrays_and_pil_images_give_the_same(folder, detector):
    path = folder / "0.png"
    expected = detector(path, threshold=THRESHOLD)
    assert len(expected) and expected.names == [CLASSES[label] for label in expected.labels]
    for image in (str(path), read_image(path), Image.open(path), Image.open(path).convert("RGBA")):
        found = detector(image, threshold=THRESHOLD)
        assert (found.boxes == expected.boxes).all() and (found.scores == expected.scores).all()
    assert (expected.image == read_image(path)).all()


def test_a_list_gives_a_list_in_its_order(weights, folder, detector):
    paths = sorted(folder.iterdir())
    one_by_one = [detector(path, threshold=THRESHOLD) for path in paths]
    for found, expected in zip(detector(paths, threshold=THRESHOLD), one_by_one, strict=True):
        assert found.names == expected.names and (found.boxes == expected.boxes).all()
    assert detector([]) == []


def test_any_threshold(folder, detector):
    path = folder / "0.png"
    everything, usual = detector(path, threshold=0.0), detector(path, threshold=THRESHOLD)
    assert len(everything) > len(usual) > 0 and everything.scores.min() < THRESHOLD
    assert (everything.above(THRESHOLD).boxes == usual.boxes).all()
    assert everything.above(THRESHOLD).names == usual.names  # the image and the names stay with what is kept
    for threshold in (-0.1, 1.5):
        with pytest.raises(ValueError, match="threshold from 0 to 1"):
            detector(path, threshold=threshold)


def test_a_photograph_turned_by_exif(folder, detector, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(folder / "0.png").save(tmp_path / "turned.png", exif=exif)
    found = detector(tmp_path / "turned.png", threshold=THRESHOLD)
    assert found.image.shape == (120, 90, 3)
    opened = detector(Image.open(tmp_path / "turned.png"), threshold=THRESHOLD)
    assert (opened.image == found.image).all() and (opened.boxes == found.boxes).all()


def test_for_other_libraries(folder, detector):
    found = detector(folder / "0.png", threshold=THRESHOLD)
    drawn = found.plot()
    assert drawn.shape == found.image.shape and (drawn != found.image).any()
    theirs = found.to_supervision()
    assert (theirs.xyxy == found.boxes).all() and (theirs.confidence == found.scores).all()
    assert theirs.class_id.tolist() == found.labels.tolist() and theirs.data["class_name"].tolist() == found.names
    x1, y1, x2, y2 = found.boxes[0].tolist()
    row = found.to_coco(7)[0]
    assert row["image_id"] == 7 and np.allclose(row["bbox"], [x1, y1, x2 - x1, y2 - y1])


def test_what_is_no_image(folder, detector, tmp_path):
    (tmp_path / "text.jpg").write_text("no image")
    with pytest.raises(DatasetError, match=r"text\.jpg"):
        detector(tmp_path / "text.jpg")
    with pytest.raises(ValueError, match=r"RGB uint8 array of shape \(H, W, 3\), got float32 of shape \(4, 4, 3\)"):
        detector(np.zeros((4, 4, 3), np.float32))
    with pytest.raises(ValueError, match=r"uint8 of shape \(4, 4\)"):
        detector(np.zeros((4, 4), np.uint8))
    with pytest.raises(CheckpointError, match=r"no\.pth"):
        Detector(tmp_path / "no.pth", device="cpu")
