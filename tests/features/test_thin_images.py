"""Images that are next to nothing but length, or next to nothing: reported before training, or else harmless."""

import json

import cv2
import numpy as np
import pytest
import torch

from datasets import DetectionDataset
from models import create_model
from support.clean_sets import write_clean_set, write_pair
from torch_utils.predictor import Predictor, to_float
from utils.annotations.annotation import Annotation
from utils.checks.repair import repair
from utils.config.config import load_config
from utils.dataset.scan import raise_for_errors, scan_splits
from utils.errors import DatasetError

SMALL = "fasterrcnn_resnet10_fpn_small"


@pytest.mark.parametrize("size", [(2000, 1), (1, 2000), (60000, 1), (12120, 120)])
def test_check_training_and_repair_agree_on_an_image_too_thin(tmp_path, size):
    yaml = write_clean_set(tmp_path / "set")
    write_pair(tmp_path / "set" / "train", "thin.png", 1, objects=[("Mask", (0, 0, *size))], size=size)
    config = load_config(yaml)
    with pytest.raises(DatasetError, match=rf"thin\.png: {size[0]}x{size[1]}, more than 100 times as long as wide"):
        raise_for_errors(scan_splits(config, progress=False))
    scans = scan_splits(config, skip_bad=True, progress=False)
    raise_for_errors(scans)
    assert "thin.png" not in {a.image_path.name for a in scans["train"].annotations}
    lines = repair(config, scan_splits(config, progress=False), tmp_path / "fixed", progress=False)
    assert [line for line in lines if "left out" in line and "thin.png" in line]
    assert not list((tmp_path / "fixed").rglob("thin*"))


@pytest.mark.parametrize("kind", ["yolo", "coco"])
def test_the_other_formats_tell_it_too(tmp_path, kind):
    sizes = {"thin.png": (900, 1), "a.png": (40, 30)}
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        for name, (width, height) in sizes.items():
            cv2.imwrite(str(tmp_path / split / name), np.zeros((height, width, 3), np.uint8))
            if kind == "yolo":
                (tmp_path / split / name).with_suffix(".txt").write_text("0 0.5 0.5 0.4 0.4\n")
    images = [{"id": n, "file_name": name, "width": w, "height": h} for n, (name, (w, h)) in enumerate(sizes.items())]
    objects = [{"id": n, "image_id": n, "category_id": 1, "bbox": [0, 0, 20, 1]} for n in (0, 1)]
    content = {"images": images, "annotations": objects, "categories": [{"id": 1, "name": "Mask"}]}
    labels = ""
    if kind == "coco":
        (tmp_path / "truth.json").write_text(json.dumps(content))
        labels = "TRAIN_DIR_LABELS: truth.json\nVALID_DIR_LABELS: truth.json\n"
    yaml = tmp_path / "data.yaml"
    yaml.write_text(f"TRAIN_DIR_IMAGES: train\nVALID_DIR_IMAGES: val\nFORMAT: {kind}\nCLASSES: [Mask]\n{labels}")
    scan = scan_splits(load_config(yaml), progress=False)["train"]
    assert [finding.image.name for finding in scan.of("image-too-thin")] == ["thin.png"]
    assert [annotation.image_path.name for annotation in scan.annotations] == ["a.png"]


def test_what_is_not_refused_trains_and_is_answered(tmp_path):
    annotations = []
    for width, height in [(1, 1), (100, 1), (1, 100), (1000, 10), (2, 3), (60, 40)]:
        path = tmp_path / f"{width}x{height}.png"
        cv2.imwrite(str(path), np.full((height, width, 3), 99, np.uint8))
        box = np.array([[0, 0, width, height]], np.float32)
        annotations.append(Annotation(path, width, height, box, np.array([1]), np.array([False])))
    torch.manual_seed(0)
    model = create_model(SMALL, 2, pretrained="none", img_size=64).train()
    augment = ["copy-paste", "flip", "lsj", "mixup", "mosaic", "train"]
    for names in ([], augment, ["multi-scale"]):
        data = DetectionDataset(annotations, img_size=64, training=True, seed=0, augment=names)
        images, targets = zip(*(data[1, index] for index in range(len(annotations))), strict=True)
        losses = model([to_float(image, torch.device("cpu")) for image in images], list(targets))
        assert all(torch.isfinite(loss) for loss in losses.values()), names
    found = Predictor(model.eval(), torch.device("cpu"))([cv2.imread(str(a.image_path)) for a in annotations])
    assert len(found) == len(annotations)
    with pytest.raises(DatasetError, match="too thin for the network"):
        Predictor(model, torch.device("cpu"))([np.zeros((1, 2000, 3), np.uint8)])
