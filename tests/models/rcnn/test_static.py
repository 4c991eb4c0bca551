"""The detector of fixed sizes gives what torchvision's own code gives."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops import nms as torchvision_nms

from models.build import create_model
from models.rcnn.static import StaticFasterRCNN, _sheet, nms
from support.paths import ROOT
from utils.images.io import read_image

MODELS = (
    "fasterrcnn_resnet50_fpn_v2",
    "fasterrcnn_resnet50_fpn",
    "fasterrcnn_mobilenet_v3_large_fpn",
    "fasterrcnn_mobilenet_v3_large_320_fpn",
    "fasterrcnn_resnet10_fpn_small",
)


def images_of(*shapes):
    """Photographs, cut to shapes (H, W); float32 in 0..1."""
    files = sorted((ROOT / "data/inference_data").glob("*.jpg"))
    images = [read_image(files[i % len(files)])[:h, :w] for i, (h, w) in enumerate(shapes)]
    assert all(image.shape[:2] == shape for image, shape in zip(images, shapes, strict=True))
    return [torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255 for image in images]


def built(name, *, num_classes=6, img_size=160, spread=1.0, seed=0, proposals=200, **options):
    """A random model whose scores are spread out, as those of a trained one are."""
    torch.manual_seed(seed)
    model = create_model(name, num_classes, img_size=img_size, **options)
    for module in model.backbone.modules():  # MobileNet's features would all be the same with untrained statistics
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    model.rpn._post_nms_top_n["testing"] = min(
        proposals, model.rpn._post_nms_top_n["testing"]
    )  # v2's head takes its time
    with torch.no_grad():
        for _ in range(2):
            model.backbone(torch.randn(4, 3, 96, 96))
        model.eval()
        model.roi_heads.box_predictor.cls_score.weight *= spread
    return model


@torch.inference_mode()
def detect_fixed(model, images, **options):
    batch, _ = model.transform(images)
    sizes = torch.tensor(batch.image_sizes, dtype=torch.float32)
    found = StaticFasterRCNN(model, **options).detect(batch.tensors, sizes)
    results = []
    for i, image in enumerate(images):
        count = int(found.counts[i])
        assert not found.scores[i, count:].any() and not found.boxes[i, count:].any()
        factors = torch.tensor(image.shape[-2:]) / sizes[i]
        results.append(
            (found.boxes[i, :count] * factors.flip(0).repeat(2), found.scores[i, :count], found.labels[i, :count])
        )
    return results


def assert_equal(model, images, **options):
    """Compare with torchvision, image by image; returns the number of detections."""
    with torch.inference_mode():
        expected = model(images)
    for want, (boxes, scores, labels) in zip(expected, detect_fixed(model, images, **options), strict=True):
        torch.testing.assert_close(scores, want["scores"], atol=1e-5, rtol=0)
        # Detections whose scores are the same but for rounding may come in another order.
        apart = (boxes[:, None] - want["boxes"]).abs().amax(2)
        apart += 1e3 * ((labels[:, None] != want["labels"]) | ((scores[:, None] - want["scores"]).abs() > 1e-5))
        nearest = apart.min(dim=1) if len(apart) else None
        assert nearest is None or (nearest.values.max() <= 1e-3 and len(set(nearest.indices.tolist())) == len(boxes))
    return [len(want["labels"]) for want in expected]


@pytest.mark.parametrize("name", MODELS)
def test_detections_are_those_of_torchvision(name):
    model = built(name)
    assert all(assert_equal(model, images_of((240, 320), (300, 200))))


@pytest.mark.parametrize("img_size", [96, 192, 320])
@pytest.mark.parametrize("spread", [0.1, 1.0, 30.0])
def test_sizes_and_scores_from_even_to_sure(img_size, spread):
    model = built("fasterrcnn_resnet10_fpn_small", img_size=img_size, spread=spread, seed=img_size)
    assert_equal(model, images_of((200, 300)), candidates=10_000)
    assert_equal(model, images_of((301, 199), (64, 64), (40, 320)), candidates=10_000)


@pytest.mark.parametrize("num_classes", [2, 91])
def test_one_class_and_many(num_classes):
    model = built("fasterrcnn_resnet10_fpn_small", num_classes=num_classes)
    assert_equal(model, images_of((240, 320)))


def test_no_detection():
    model = built("fasterrcnn_resnet10_fpn_small")
    model.roi_heads.score_thresh = 1.0
    assert assert_equal(model, images_of((240, 320), (240, 320))) == [0, 0]


def test_three_hundred_detections():
    model = built(
        "fasterrcnn_resnet10_fpn_small", num_classes=2, img_size=320, proposals=400, max_detections=300, spread=0.1
    )
    model.roi_heads.nms_thresh = 0.95
    assert assert_equal(model, images_of((320, 320))) == [300]


def test_no_proposal():
    model = built("fasterrcnn_resnet10_fpn_small")
    model.rpn.score_thresh = 1.0
    assert assert_equal(model, images_of((240, 320))) == [0]


def test_it_normalises_and_clears_the_padding_itself():
    model = built("fasterrcnn_resnet10_fpn_small")
    batch, _ = model.transform(images_of((240, 320), (120, 300)))
    raw = batch.tensors * model.transform.std + model.transform.mean
    for image, (height, width) in zip(raw, batch.image_sizes, strict=True):
        image[:, height:], image[:, :, width:] = 7, -3
    sizes = torch.tensor(batch.image_sizes, dtype=torch.float32)
    static = StaticFasterRCNN(model)
    with torch.inference_mode():
        for found, expected in zip(static(raw, sizes), static.detect(batch.tensors, sizes), strict=True):
            torch.testing.assert_close(found.float(), expected.float(), atol=1e-2, rtol=0)


def test_an_image_alone_and_in_a_batch_of_its_like():
    model = built("fasterrcnn_resnet10_fpn_small")
    images = images_of((240, 320), (240, 320), (240, 320))
    alone = [detect_fixed(model, [image])[0] for image in images]
    for one, other in zip(alone, detect_fixed(model, images), strict=True):
        for part, same in zip(one, other, strict=True):
            torch.testing.assert_close(part.float(), same.float(), atol=1e-3, rtol=0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 80), st.sampled_from([0.3, 0.5, 0.6, 0.7]), st.booleans())
def test_nms_keeps_what_torchvision_keeps(seed, count, threshold, coarse):
    rng = np.random.default_rng(seed)
    corner, side = rng.uniform(0, 60, (count, 2)), rng.uniform(0, 40, (count, 2))
    if coarse:  # overlaps that are the threshold itself, boxes twice and boxes without a side
        corner, side = corner.round(-1), side.round(-1)
    boxes = torch.from_numpy(np.concatenate([corner, corner + side], 1).astype(np.float32))
    valid = torch.from_numpy(rng.random(count) < 0.8)
    scores = torch.linspace(1, 0.1, count)
    chosen = valid.nonzero()[:, 0]
    expected = torch.zeros(count, dtype=torch.bool)
    expected[chosen[torchvision_nms(boxes[chosen], scores[chosen], threshold)]] = True
    assert nms(boxes[None], valid[None], threshold)[0].equal(expected)


def test_a_long_chain_of_overlaps_is_followed_to_its_end():
    left = torch.arange(200) * 4.0
    boxes = torch.stack([left, torch.zeros(200), left + 10, torch.full((200,), 10.0)], 1)
    kept = nms(boxes[None], torch.ones(1, 200, dtype=torch.bool), 0.4)[0]
    assert kept.equal(torch.arange(200) % 2 == 0)


def test_the_sheet_pools_as_every_level_by_itself():
    torch.manual_seed(0)
    maps = {str(i): torch.randn(2, 5, side, side + 3) for i, side in enumerate((40, 20, 10))}
    corner = torch.rand(60, 2) * 100
    boxes = torch.cat([corner, torch.minimum(corner + torch.rand(60, 2) * 150, torch.tensor([172.0, 160.0]))], 1)
    boxes[:4] = torch.tensor([[170, 158.5, 172, 160], [171.5, 10, 172, 90], [0, 159, 100, 160], [171, 0, 171.5, 1]])
    pool = MultiScaleRoIAlign(["0", "1", "2"], 7, 2)
    expected = pool(maps, [boxes, boxes], [(160, 172)] * 2)
    model = built("fasterrcnn_resnet10_fpn_small")
    model.roi_heads.box_roi_pool = pool
    found = StaticFasterRCNN(model)._pool(maps, torch.stack([boxes, boxes]))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    sheet, tops = _sheet(list(maps.values()))
    assert sheet.shape == (2, 5, 42 + 22 + 12, 45) and tops == [0, 42, 64]


def test_torch_export_takes_it_with_any_height_and_width():
    model = built("fasterrcnn_resnet10_fpn_small", img_size=96)
    static = StaticFasterRCNN(model).eval()
    inputs = (torch.rand(1, 3, 96, 128), torch.tensor([[96.0, 120.0]]))
    sides = {2: 32 * torch.export.Dim("height", max=64), 3: 32 * torch.export.Dim("width", max=64)}
    with torch.no_grad():
        exported = torch.export.export(static, inputs, dynamic_shapes=(sides, None)).module()
        for height, width in ((96, 128), (192, 96), (160, 320)):
            other = (torch.rand(1, 3, height, width), torch.tensor([[height - 6.0, width]]))
            for want, found in zip(static(*other), exported(*other), strict=True):
                torch.testing.assert_close(found, want, atol=1e-4, rtol=0)
