"""Parts of the training step: matching, RoIAlign, the RPN's head, sampling, frozen batch norm."""

import pytest
import torch
from torchvision import ops
from torchvision.models.detection._utils import Matcher
from torchvision.models.detection.rpn import RPNHead, concat_box_prediction_layers
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign, roi_align

from models import create_model
from models.rcnn.box_ops import box_iou, match
from models.rcnn.frozen import SyncFreeFrozenBatchNorm2d
from models.rcnn.roi_align import SyncFreeRoIAlign, bag_roi_align
from models.rcnn.rpn import head_at
from models.rcnn.sampler import ImageSampler


def test_matching_is_torchvisions():
    generator = torch.Generator().manual_seed(0)
    boxes = torch.rand(300, 4, generator=generator) * 50
    boxes[:, 2:] += boxes[:, :2]
    gt_boxes = boxes[:200:20] + 2
    for thresholds in ((0.7, 0.3, True), (0.5, 0.5, False), (0.99, 0.3, True)):
        matcher = Matcher(*thresholds)
        expected = matcher(box_iou(gt_boxes, boxes))
        index, kind = match(matcher, gt_boxes, boxes)
        assert torch.equal(kind, torch.where(expected >= 0, 1, torch.where(expected == -1, 0, -1)))
        assert torch.equal(index[expected >= 0], expected[expected >= 0])
        assert {1, 0} <= set(kind.tolist())
    assert torch.equal(box_iou(gt_boxes, boxes), ops.box_iou(gt_boxes, boxes))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_head_at_some_anchors_is_the_head(depth):
    torch.manual_seed(0)
    head = RPNHead(8, 3, conv_depth=depth)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # biases, too, which a border shows
    features = [torch.randn(2, 8, *size, requires_grad=True) for size in ((5, 7), (3, 4), (1, 1))]
    objectness, deltas = concat_box_prediction_layers(*head(features))
    drawn = torch.stack([torch.randperm(3 * (35 + 12 + 1)) for _ in range(2)])  # every one, borders and all
    wanted = (
        objectness.view(2, -1).gather(1, drawn),
        deltas.view(2, -1, 4).gather(1, drawn[..., None].expand(-1, -1, 4)),
    )
    inputs = [*features, *head.parameters()]
    results = []
    for outputs in (head_at(head, features, drawn), wanted):
        total = outputs[0].sin().sum() + outputs[1].sin().sum()
        results.append((*outputs, *torch.autograd.grad(total, inputs)))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


ROIS = {
    "inside": [[0, 10.0, 10, 50, 40], [1, 0, 0, 128, 96]],
    "outside": [[0, -30.0, -20, 10, 15], [1, 100, 80, 190, 150], [0, 300, 300, 400, 400], [1, -9, -9, -1, -1]],
    "tiny": [[0, 20.0, 20, 20.001, 20.001], [1, 127.9, 95.9, 128, 96], [1, 5, 5, 5, 5]],
    "on the border": [[0, 128.0, 96, 140, 99], [1, 124, 0, 128, 4], [0, -4, -4, 0, 0]],
    "none": [],
}


@pytest.mark.parametrize("rois", ROIS.values(), ids=ROIS)
def test_roi_align_and_its_gradient_are_torchvisions(rois):
    torch.manual_seed(0)
    rois = torch.tensor(rois).view(-1, 5)
    for scale, ratio, size in ((1 / 4, 2, (7, 7)), (1 / 16, 1, (3, 5)), (1.0, 3, (2, 2))):
        feature = torch.randn(2, 8, int(96 * scale), int(128 * scale), requires_grad=True)
        mine = bag_roi_align([feature], rois, torch.zeros(len(rois), dtype=torch.int64), [scale], size, ratio)
        theirs = roi_align(feature, rois, size, scale, ratio, aligned=False)
        assert mine.shape == theirs.shape
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)
        weights = torch.randn_like(theirs)
        (gradient,), (expected,) = (torch.autograd.grad(pooled, feature, weights) for pooled in (mine, theirs))
        torch.testing.assert_close(gradient, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("sides", "used"), [((8.0, 700.0), [0, 1, 2, 3]), ((8.0, 60.0), [0]), ((450.0, 700.0), [3])])
def test_levels_are_torchvisions(sides, used):
    torch.manual_seed(0)
    size = (448, 640)
    features = {str(i): torch.randn(2, 16, 112 >> i, 160 >> i, requires_grad=True) for i in range(4)}
    features["pool"] = torch.randn(2, 16, 7, 10)
    start = torch.rand(60, 2) * 300
    boxes = torch.cat((start, start + torch.empty(60, 2).uniform_(*sides)), dim=1)
    mine, theirs = (kind(["0", "1", "2", "3"], 7, 2) for kind in (SyncFreeRoIAlign, MultiScaleRoIAlign))
    mine.set_scales(create_model("fasterrcnn_resnet10_fpn_small", 2).backbone)
    expected = theirs(features, [boxes[:20], boxes[20:]], [size, size])
    assert theirs.map_levels([boxes]).unique().tolist() == used
    image = torch.zeros(60, 1)
    image[20:] = 1
    pooled = mine.pool(features, torch.cat((image, boxes), dim=1))
    torch.testing.assert_close(pooled, expected, atol=1e-5, rtol=1e-5)
    levels = [features[str(i)] for i in range(4)]
    gradients = [torch.autograd.grad(p.square().sum(), levels) for p in (pooled, expected)]
    for found, wanted in zip(*gradients, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def sampler(first=0, key=(1, 2), stage=0):
    made = ImageSampler(16, 0.5, stage)
    made.key, made.first = key, first
    return made


def labels_of(count=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(-1, 3, (40 + 25 * i,), generator=generator) for i in range(count)]


def test_what_is_drawn_depends_on_no_other_image():
    labels = labels_of()
    state = torch.get_rng_state()
    whole = sampler()(labels)
    for split in ((1, 5), (3, 3), (2, 2, 2)):
        parts, start = ([], []), 0
        for size in split:
            for kind, masks in zip(parts, sampler(first=start)(labels[start : start + size]), strict=True):
                kind.extend(masks)
            start += size
        for together, apart in zip(whole, parts, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(together, apart, strict=True))
    assert torch.equal(torch.get_rng_state(), state)
    same = [labels[3]] * 4
    for other in (sampler(key=(1, 3)), sampler(stage=1), sampler(first=4)):
        assert not all(torch.equal(a, b) for a, b in zip(sampler()(same)[1], other(same)[1], strict=True))
    assert not torch.equal(*sampler()(same)[1][:2])


def test_as_many_are_drawn_as_torchvision_draws():
    cases = [
        *labels_of(),
        torch.zeros(30),
        torch.ones(30),
        torch.full((9,), -1),
        torch.tensor([1, 0, 0]),
        torch.ones(3),
    ]
    drawing = sampler()
    for labels in cases:
        (positive,), (negative,) = drawing([labels])
        positives = min(8, int((labels >= 1).sum()))
        assert positive.sum() == positives and (labels[positive] >= 1).all()
        assert negative.sum() == min(16 - positives, int((labels == 0).sum())) and (labels[negative] == 0).all()
        assert drawing.drawn == positive.sum() + negative.sum()


def test_every_one_is_drawn_as_often():
    labels = torch.zeros(64)
    times = torch.zeros(64)
    together = torch.zeros(64, 64)
    for step in range(2000):
        (mask,) = sampler(key=(0, step), first=step % 3)([labels])[1]
        times += mask
        together += mask[:, None] & mask[None, :]
    expected = 2000 * 16 / 64  # of each; its standard deviation is 19
    assert (times - expected).abs().max() < 5 * 19
    pairs = together[~torch.eye(64, dtype=torch.bool)]
    assert abs(pairs.std() / (2000 * 16 / 64 * 15 / 63) ** 0.5 - 1) < 0.1


def test_frozen_batch_norm_in_16_bits_is_that_of_32():
    torch.manual_seed(0)
    mine = SyncFreeFrozenBatchNorm2d(8)
    for buffer in mine.buffers():
        buffer.uniform_(0.5, 2)
    plain = FrozenBatchNorm2d(8)
    plain.load_state_dict(mine.state_dict())
    x = torch.randn(2, 8, 5, 5)
    assert torch.equal(mine(x), plain(x))
    half = x.bfloat16().requires_grad_()
    result = mine(half)
    assert result.dtype == torch.bfloat16
    torch.testing.assert_close(result.float(), plain(half.float()), atol=0, rtol=2**-8)
    (gradient,), (expected,) = (torch.autograd.grad(r.float().sum(), half) for r in (result, plain(half)))
    torch.testing.assert_close(gradient, expected, atol=0, rtol=2**-7)
