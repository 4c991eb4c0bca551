"""Published detectors are scored as torchvision's own reference evaluation scores them, number for number.

Here the weights are random and made on the spot, with biases that let objects through, so that the boxes mean nothing
and every step from the file to the number still shows.
"""

import contextlib
import io
import json
import os
import sys

import cv2
import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights, fasterrcnn_resnet50_fpn

from support import warm
from support.clean_sets import drawn_image
from support.paths import ROOT
from utils.evaluation.coco.metrics import COCO_KEYS

WEIGHTS = FasterRCNN_ResNet50_FPN_Weights.COCO_V1
SIZES = [(160, 120), (120, 160)]  # width, height


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """COCO's own category ids, of which 12, 26 and more are unused, and weights where torch looks for them."""
    folder = tmp_path_factory.mktemp("coco")
    torch.manual_seed(1)
    made = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=91)
    with torch.no_grad():
        made.roi_heads.box_predictor.cls_score.weight.mul_(20)
    stored = folder / "home" / "hub" / "checkpoints"
    stored.mkdir(parents=True)
    # The published file has fixed batch statistics, without their counters.
    state = {key: value for key, value in made.state_dict().items() if not key.endswith("num_batches_tracked")}
    torch.save(state, stored / WEIGHTS.url.rsplit("/", 1)[-1])
    with pytest.MonkeyPatch.context() as patch:  # torch.hub.set_dir has no way back to "as TORCH_HOME says"
        patch.setenv("TORCH_HOME", str(folder / "home"))
        model = fasterrcnn_resnet50_fpn(weights=WEIGHTS).eval()
    names = WEIGHTS.meta["categories"]
    ids = [number for number, name in enumerate(names) if number and name != "N/A"]
    (folder / "images").mkdir()
    for number, size in enumerate(SIZES):
        cv2.imwrite(str(folder / "images" / f"{number}.png"), drawn_image(number, size))
    return folder, model, ids


def torchvisions_results(folder, model) -> list[dict]:
    """Evaluate as references/detection/coco_eval.py does, from the model's output on the images as they are."""
    rows = []
    for number in range(len(SIZES)):
        image = cv2.imread(str(folder / "images" / f"{number}.png"))[..., ::-1].copy()
        with torch.inference_mode():
            (output,) = model([torch.from_numpy(image).permute(2, 0, 1).float() / 255])
        boxes = output["boxes"].clone()
        boxes[:, 2:] -= boxes[:, :2]
        for box, score, label in zip(boxes.tolist(), output["scores"].tolist(), output["labels"].tolist(), strict=True):
            rows.append({"image_id": 10 + number, "category_id": label, "bbox": box, "score": score})
    return rows


def test_the_twelve_numbers_are_torchvisions(place):
    folder, model, ids = place
    names = WEIGHTS.meta["categories"]
    found = [row for row in torchvisions_results(folder, model) if row["category_id"] in ids]
    assert len(found) > 20 and len({row["category_id"] for row in found}) > 1
    # The truth is near some of what is found, so that the numbers are not all 0.
    annotations = []
    for row in found[::4]:
        width, height = SIZES[row["image_id"] - 10]
        x, y, w, h = (float(np.float32(v)) for v in row["bbox"])
        x, y = max(0.0, x), max(0.0, y)
        box = [x, y, min(w, width - x) * 0.9, min(h, height - y) * 0.9]
        if min(box[2:]) > 2:
            keys = {"id": len(annotations) + 1, "image_id": row["image_id"], "category_id": row["category_id"]}
            annotations.append({**keys, "bbox": box, "area": box[2] * box[3], "iscrowd": 0})
    images = [{"id": 10 + n, "file_name": f"{n}.png", "width": w, "height": h} for n, (w, h) in enumerate(SIZES)]
    truth = {"images": images, "categories": [{"id": i, "name": names[i]} for i in ids], "annotations": annotations}
    (folder / "truth.json").write_text(json.dumps(truth))
    listed = json.dumps([names[i] for i in ids])
    (folder / "coco.yaml").write_text(
        f"TRAIN_DIR_IMAGES: images\nTRAIN_DIR_LABELS: truth.json\nCLASSES: {listed}\nFORMAT: coco\n"
        "VALID_DIR_IMAGES: images\nVALID_DIR_LABELS: truth.json\nTRAIN_LIST: t.txt\nVALID_LIST: v.txt\n"
    )
    (folder / "t.txt").write_text("0\n")
    (folder / "v.txt").write_text("0\n1\n")
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(folder / "truth.json"))
        reference = COCOeval(coco, coco.loadRes(found), "bbox")
        reference.evaluate()
        reference.accumulate()
        reference.summarize()
    words = "--pretrained coco --model fasterrcnn_resnet50_fpn --config coco.yaml --batch-size 1 -o out -d cpu"
    env = dict(os.environ) | {"TORCH_HOME": str(folder / "home"), "https_proxy": "http://127.0.0.1:9"}
    done = warm.run([sys.executable, ROOT / "evaluate.py", *words.split()], cwd=folder, env=env)
    assert done.returncode == 0, done.stderr
    ours = json.loads((folder / "out" / "evaluation.json").read_text())["coco"]
    assert [ours[key] for key in COCO_KEYS] == [
        None if v == -1 else pytest.approx(v, abs=1e-6) for v in reference.stats
    ]
    assert 0 < ours["map_50_95"] < 1
