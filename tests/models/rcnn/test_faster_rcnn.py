"""The training step without host waits against torchvision's own, in float32 and with the same draws."""

import pytest
import torch
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops import boxes as box_ops

from benchmarks.host_syncs import DataDependent
from models import create_model, list_models, model_spec
from models.rcnn import rpn as own_rpn
from models.rcnn.box_ops import large_enough
from models.rcnn.faster_rcnn import SyncFreeAnchors
from models.rcnn.frozen import freeze_batch_norm
from models.rcnn.sampler import seed_samplers
from utils.img_size import long_side_limit

SMALL = "fasterrcnn_resnet10_fpn_small"
V1, V2 = "fasterrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn_v2"


@pytest.fixture(params=["cpu", "gpu"])
def either_way(request, monkeypatch):
    """Proposals as each kind of device takes them; torchvision's, too, whose rounding differs."""
    if request.param == "gpu":
        monkeypatch.setattr(own_rpn, "nms", own_rpn.masked_nms)
        monkeypatch.setattr(box_ops, "_batched_nms_vanilla", box_ops._batched_nms_coordinate_trick)
    return request.param


def models(name, img_size, **kwargs):
    """(ours, torchvision's) in training mode with the same weights, drawing the same."""
    torch.manual_seed(0)
    spec = model_spec(name)
    mine = create_model(name, 4, img_size=img_size)
    plain = spec.build(4, min_size=img_size, max_size=long_side_limit(img_size), **kwargs)
    mine.rpn.score_thresh = kwargs.get("rpn_score_thresh", mine.rpn.score_thresh)
    for key, value in kwargs.items():
        if key == "rpn_score_thresh":
            continue
        assert key.startswith("rpn_")
        part, _, mode = key.removeprefix("rpn_").rpartition("_n_")
        getattr(mine.rpn, f"_{part}_n")[{"train": "training", "test": "testing"}[mode]] = value
    plain.load_state_dict(mine.state_dict())
    for model in (mine, plain):
        for sampler in seed_samplers(model):
            sampler.key, sampler.first = (5, 7), 2
    return mine.train(), plain.train()


def batch(*sizes_hw, counts=(4, 0, 9), seed=0):
    """Random images and boxes; the second image has no object."""
    generator = torch.Generator().manual_seed(seed)
    images, targets = [], []
    for (height, width), count in zip(sizes_hw, counts, strict=False):
        whole = torch.tensor([width, height])
        start = torch.rand(count, 2, generator=generator) * whole * 0.6
        size = torch.rand(count, 2, generator=generator) * whole * 0.35 + 3
        images.append(torch.rand(3, height, width, generator=generator))
        labels = torch.randint(1, 4, (count,), generator=generator)
        targets.append({"boxes": torch.cat((start, start + size), dim=1), "labels": labels})
    return images, targets


def run(model, images, targets):
    """Losses, gradients by name, proposals."""
    seen = []
    hook = model.roi_heads.register_forward_pre_hook(lambda module, inputs: seen.extend(inputs[1]))
    losses = model(images, targets)
    hook.remove()
    model.zero_grad()
    sum(losses.values()).backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return {name: loss.item() for name, loss in losses.items()}, gradients, seen


def assert_same_step(mine, plain, images, targets, gradient_tolerance=1e-4):
    losses, gradients, proposals = run(mine, images, targets)
    expected, expected_gradients, expected_proposals = run(plain, images, targets)
    assert list(losses) == list(expected)
    assert losses == pytest.approx(expected, rel=1e-4)
    for found, wanted in zip(proposals, expected_proposals, strict=True):
        assert torch.equal(found[: len(wanted)], wanted)
        sides = found[len(wanted) :, 2:] - found[len(wanted) :, :2]
        assert (sides.amin(dim=1) < 1e-3).all()  # what is left over is what torchvision has dropped
    assert gradients.keys() == expected_gradients.keys()
    for name, gradient in gradients.items():
        difference = (gradient - expected_gradients[name]).norm()
        assert difference <= gradient_tolerance * expected_gradients[name].norm() + 1e-8, name
    return losses, proposals


SIZES = {
    "one image": [(64, 80)],
    "different sizes and an image without objects": [(64, 80), (90, 60), (64, 64)],
    "resized": [(150, 100), (40, 52), (200, 333)],
}


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_losses_gradients_and_proposals_are_torchvisions(sizes, either_way):
    assert_same_step(*models(SMALL, 64), *batch(*sizes))


@pytest.mark.parametrize("name", [V1, V2])
def test_so_they_are_of_the_large_models(name):
    mine, plain = models(name, 96)
    for model in (mine, plain):
        model.roi_heads.fg_bg_sampler.batch_size_per_image = 64  # version 2's box head is slow on a CPU
    # Batch norm over few pixels makes much of the last bit.
    assert_same_step(mine, plain, *batch((96, 120), (110, 96)), gradient_tolerance=2e-2)


def test_many_proposals_are_torchvisions(either_way):
    mine, plain = models(SMALL, 320)
    _, proposals = assert_same_step(mine, plain, *batch((320, 400), (360, 320), (320, 320)))
    assert {len(boxes) for boxes in proposals} == {200}  # as many as are kept


def test_few_proposals_are_all_given_to_the_box_head(either_way):
    limits = {"rpn_pre_nms_top_n_train": 3, "rpn_post_nms_top_n_train": 5}
    mine, plain = models(SMALL, 64, **limits)
    heads = []
    for model in (mine, plain):
        model.roi_heads.box_head.register_forward_pre_hook(lambda module, inputs: heads.append(inputs[0].shape))
    _, proposals = assert_same_step(mine, plain, *batch((64, 80), (64, 80)))
    assert max(len(boxes) for boxes in proposals) <= 5
    assert heads[0] == heads[1] and heads[0][0] < 2 * mine.roi_heads.fg_bg_sampler.batch_size_per_image


def test_proposals_that_are_too_small_are_never_drawn(either_way):
    mine, plain = models(SMALL, 64, rpn_post_nms_top_n_train=2000)
    for model in (mine, plain):  # every third box shrinks to nothing
        with torch.no_grad():
            model.rpn.head.bbox_pred.bias.view(3, 4)[1, 2:] = -30
    _, proposals = assert_same_step(mine, plain, *batch((64, 80), (64, 64)))
    left_over = any((boxes[:, 2:] - boxes[:, :2] < 1e-3).any() for boxes in proposals)
    assert left_over == (either_way == "gpu")
    assert mine.roi_heads.fg_bg_sampler.drawn == plain.roi_heads.fg_bg_sampler.drawn


def test_proposals_under_the_threshold_of_scores_are_never_drawn(either_way):
    mine, plain = models(SMALL, 64, rpn_score_thresh=0.5)
    heads = []
    for model in (mine, plain):
        model.roi_heads.box_head.register_forward_pre_hook(lambda module, inputs: heads.append(inputs[0].shape))
    assert_same_step(mine, plain, *batch((64, 80), (64, 64)))
    assert heads[0] == heads[1]
    assert heads[0][0] > 0


def spoilt(model, features):
    """Features for which the RPN gives scores on both sides of any threshold, boxes of no size, and some NaN."""
    with torch.no_grad():
        for layer, std in ((model.rpn.head.cls_logits, 30.0), (model.rpn.head.bbox_pred, 3.0)):
            torch.nn.init.normal_(layer.weight, std=std / layer.in_channels**0.5)
    model.rpn.head.bbox_pred.bias.data[2] = -60
    features = {key: torch.randn_like(value) for key, value in features.items()}
    features["0"][:, :, 1, 2] = torch.nan
    return features


@pytest.mark.parametrize("name", list_models())
def test_every_models_proposals_and_scales_are_torchvisions(name, either_way):
    torch.manual_seed(0)
    model = create_model(name, 3, img_size=128)
    images, targets = batch((128, 160), (128, 150), counts=(3, 2))
    images, targets = model.transform(images, targets)
    model.backbone.eval()
    with torch.no_grad():
        features = spoilt(model, model.backbone(images.tensors))
        found, _ = model.rpn(images, features, targets)
        expected, _ = RegionProposalNetwork.forward(model.rpn, images, features, targets)
    pool = model.roi_heads.box_roi_pool
    for mine, theirs in zip(found, expected, strict=True):
        assert torch.equal(mine[: len(theirs)], theirs) and len(theirs) > 20
        assert not large_enough(mine[len(theirs) :], 1e-3).any()
        assert len(theirs) < len(mine) or either_way == "cpu" or len(mine) == model.rpn.post_nms_top_n()
    if name.endswith("320_fpn"):
        assert model.rpn.score_thresh == 0.05
    # RoIAlign, too, before it has seen any image.
    images.image_sizes = [(40, 60), (60, 40)]
    plain = MultiScaleRoIAlign(pool.featmap_names, pool.output_size, pool.sampling_ratio)
    features = {key: torch.randn_like(value) for key, value in features.items()}
    expected_rois = plain(features, expected, [tuple(images.tensors.shape[-2:])] * 2)
    torch.testing.assert_close(pool(features, expected, images.image_sizes), expected_rois)


def test_an_object_that_no_anchor_overlaps():
    images, targets = batch((64, 80), (64, 80))
    targets[0]["boxes"][0] = torch.tensor([79.99, 63.99, 80.0, 64.0])
    assert_same_step(*models(SMALL, 64), images, targets)


def test_detections_are_torchvisions():
    for name in (SMALL, V1):
        mine, plain = models(name, 128)
        images, _ = batch((128, 160), (100, 140))
        for model in (mine, plain):
            model.eval().roi_heads.score_thresh = 0.0
        with torch.inference_mode():
            found, expected = mine(images), plain(images)
        for mine_, theirs in zip(found, expected, strict=True):
            assert len(mine_["boxes"]) > 10
            assert torch.equal(mine_["labels"], theirs["labels"])
            assert torch.allclose(mine_["boxes"], theirs["boxes"], atol=1e-3)
            assert torch.allclose(mine_["scores"], theirs["scores"], atol=1e-6)


def test_a_model_trains_after_it_has_detected():
    """Anchors cached in inference mode take part in a training step."""
    mine, _ = models(SMALL, 64)
    images, targets = batch((64, 80))
    with torch.inference_mode():
        mine.eval()(images)
    sum(mine.train()(images, targets).values()).backward()


def test_state_dict_and_children_keep_their_names():
    mine, plain = models(SMALL, 64)
    assert list(mine.state_dict()) == list(plain.state_dict())
    assert [n for n, _ in mine.named_modules()] == [n for n, _ in plain.named_modules()]


def test_data_dependent_operations_of_a_step(monkeypatch):
    monkeypatch.setattr(own_rpn, "nms", own_rpn.masked_nms)  # as on a GPU
    images, targets = batch((320, 400), (320, 400))
    counts = []
    for model in models(SMALL, 320):
        with DataDependent() as counter:
            sum(model(images, targets).values()).backward()
        counts.append(counter.total)
    assert counts[0] <= 5 and counts[1] >= 50  # one NMS an image
    assert counter.counts["nonzero"] >= 20


def test_the_counter_sees_what_makes_a_host_wait():
    x = torch.tensor([1.0, 0.0, 2.0])
    for operation in (
        lambda: x.nonzero(), lambda: torch.where(x > 0), lambda: x[x > 0], lambda: x.max().item(), lambda: x.unique(),
        lambda: bool(x.any()), lambda: torch.equal(x, x), lambda: x.masked_select(x > 0),
        lambda: x.clone().__setitem__(x > 0, torch.zeros(2)),
    ):  # fmt: skip
        with DataDependent() as counter:
            operation()
        assert counter.total == 1
    with DataDependent() as counter:
        torch.where(x > 0, x, 0).topk(2)
        _ = x[torch.tensor([0, 2])]
    assert counter.total == 0


def test_anchors_are_torchvisions_and_made_once():
    mine, plain = models(SMALL, 64)
    generator = mine.rpn.anchor_generator
    for size in ((64, 96), (96, 64), (64, 96)):
        images = ImageList(torch.zeros(2, 3, *size), [size, size])
        features = [torch.zeros(2, 8, size[0] // s, size[1] // s) for s in (4, 8, 16, 32, 64)]
        found = generator(images, [f.bfloat16() for f in features])
        for mine_, theirs in zip(found, plain.rpn.anchor_generator(images, features), strict=True):
            assert torch.equal(mine_, theirs) and mine_.dtype == torch.float32
    assert found[0] is found[1] and len(generator.cache) == 2
    for width in range(1, 40):
        generator(ImageList(torch.zeros(1, 3, 64, 32 * width), [(64, 32 * width)]), features)
    assert len(generator.cache) == SyncFreeAnchors.CACHED


def test_a_target_may_bring_its_own_short_side():
    mine, _ = models(SMALL, 64)
    images, targets = batch((100, 150), (100, 150), (100, 300), counts=(2, 2, 2))
    targets[1]["short_side"] = 80
    targets[2]["short_side"] = torch.tensor(48)
    state = torch.get_rng_state()
    batched, resized = mine.transform(images, targets)
    assert batched.image_sizes == [(64, 96), (80, 120), (26, 80)]  # the last by its long side: 48 * 1333 / 800 = 80
    for (height, width), before, after, image in zip(batched.image_sizes, targets, resized, images, strict=True):
        scale = torch.tensor([width / image.shape[2], height / image.shape[1]]).repeat(2)
        assert torch.allclose(after["boxes"], before["boxes"] * scale)
    assert torch.equal(torch.get_rng_state(), state)
    assert "short_side" not in targets[0] and mine(images, targets)
    assert list(mine.eval().transform(images)[0].image_sizes) == [(64, 96), (64, 96), (35, 107)]


def test_bfloat16_steps_are_bit_identical():
    """From the same state, whatever ran before: an exact resume rests on it."""
    images, targets = batch((128, 160), (140, 128))
    gradients = []
    for _ in range(2):
        mine, _ = models("fasterrcnn_resnet18_fpn", 128)
        freeze_batch_norm(mine.backbone.body)
        mine.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            gradients.append(run(mine, images, targets)[1])
    for name, gradient in gradients[0].items():
        assert gradient.isfinite().all() and torch.equal(gradient, gradients[1][name]), name


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_on_cuda_losses_are_those_of_the_cpu_and_nms_is_what_is_waited_for():
    mine, _ = models(SMALL, 320)
    images, targets = batch((320, 400), (360, 320))
    expected, _, _ = run(mine, images, targets)
    mine.cuda().to(memory_format=torch.channels_last)
    images = [image.cuda() for image in images]
    targets = [{key: value.cuda() for key, value in target.items()} for target in targets]
    with torch.backends.cudnn.flags(allow_tf32=False):
        losses, _, _ = run(mine, images, targets)
    assert losses == pytest.approx(expected, rel=0.05)
    with DataDependent() as counter:
        sum(mine(images, targets).values()).backward()
    assert counter.counts == {"nms": 2, "nonzero": 1, "copy to the host": 1}
