"""The checks' anchors are the models' own."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import box_iou

from models import create_model
from models.registry import MODELS, anchors_of
from utils.annotations.annotation import Annotation
from utils.checks.anchors import RATIOS, best_ious, network_boxes, network_sizes
from utils.dataset.annotation_table import Objects

# Of three kinds of shape; the last sizes leave feature maps whose cells do not divide the padded image.
SIZES = [(640, 480), (480, 640), (333, 500), (1920, 1080), (97, 61), (200, 900), (417, 416)]
DISTINCT = [
    "fasterrcnn_resnet50_fpn_v2", "fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_mobilenet_v3_large_320_fpn",
    "fasterrcnn_resnet18_fpn", "fasterrcnn_resnet10_fpn_small",
]  # fmt: skip


def random_objects(seed: int) -> Objects:
    """Boxes of all sizes and shapes, some along the edges, in one image of each size, and one image without any."""
    rng, annotations = np.random.default_rng(seed), []
    for width, height in SIZES:
        size = np.array([width, height])
        sides = np.maximum(1, np.exp(rng.uniform(0, np.log(size), (60, 2))))
        low = rng.uniform(0, 1, (60, 2)) * (size - sides)
        low[:10] = np.where(rng.random((10, 2)) < 0.5, 0, size - sides[:10])
        boxes = np.clip(np.concatenate([low, low + sides], axis=1), 0, np.tile(size, 2)).astype(np.float32)
        annotations.append(
            Annotation(Path("a.jpg"), width, height, boxes, np.ones(60, np.int64), np.zeros(60, np.bool_))
        )
    none = np.zeros(0)
    empty = Annotation(
        Path("b.jpg"), 50, 40, none.reshape(0, 4).astype(np.float32), none.astype(np.int64), none.astype(np.bool_)
    )
    return Objects.of([empty, *annotations])


@pytest.mark.parametrize("name", DISTINCT)
@torch.no_grad()
def test_the_best_anchor_is_the_best_of_all(name):
    for img_size in (None, 256, 417):
        model = create_model(name, 2, img_size=img_size).eval()
        model.backbone.to("meta")  # only the shapes of its features matter, and there they cost nothing
        objects = random_objects(seed=img_size or 0)
        ious = best_ious(objects, anchors_of(name), model.img_size)
        for index, annotation in enumerate(objects.annotations):
            target = {"boxes": torch.from_numpy(annotation.boxes), "labels": torch.from_numpy(annotation.labels)}
            images, targets = model.transform([torch.zeros(3, annotation.height, annotation.width)], [target])
            width, height = network_sizes(objects.sizes_wh, model.img_size)[index].tolist()
            assert images.image_sizes == [(height, width)]
            boxes = targets[0]["boxes"]
            own = objects.image_of == index
            assert np.allclose(network_boxes(objects, model.img_size)[own], boxes, atol=1e-3)
            features = [torch.empty(f.shape) for f in model.backbone(images.tensors.to("meta")).values()]
            (anchors,) = model.rpn.anchor_generator(ImageList(images.tensors, images.image_sizes), features)
            expected = box_iou(boxes, anchors).amax(dim=1).numpy() if len(boxes) else np.zeros(0)
            assert np.abs(ious[own] - expected).max(initial=0) < 1e-5


def test_every_model_has_its_row():
    for name, row in MODELS.items():
        generator = create_model(name, 2).rpn.anchor_generator
        assert generator.sizes == row.anchors.sizes and set(generator.aspect_ratios) == {RATIOS}


def test_no_boxes():
    assert best_ious(Objects.of([]), anchors_of(DISTINCT[0]), 640).shape == (0,)
