"""One epoch's steps against torchvision's plain loop, and what happens when a loss is not a number."""

import copy
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import MultiScaleRoIAlign

from models import create_model
from models.rcnn.sampler import seed_samplers
from support.training_parts import CPU, SMALL, batches, new_model, trainer
from torch_utils.device import compile_parts, pick_amp, pick_device
from torch_utils.evaluation import evaluate
from torch_utils.predictor import Predictor
from torch_utils.prefetch import prefetch
from torch_utils.runs.artifacts import network_view
from torch_utils.training.engine import train_one_epoch
from torch_utils.training.optim import Schedule
from utils.annotations.annotation import Annotation
from utils.coco_eval import CocoEvaluator
from utils.errors import ConfigError

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


def test_an_epoch_takes_the_very_steps_of_a_plain_loop():
    model, reference = new_model(), new_model()
    records = []
    means = train_one_epoch(trainer(model), batches(), epoch=2, on_steps=records.extend)

    groups = [[], []]
    for module in reference.modules():
        for name, parameter in module.named_parameters(recurse=False):
            groups[isinstance(module, nn.BatchNorm2d) or name == "bias"].append(parameter)
    optimizer = torch.optim.SGD(
        [{"params": groups[0], "weight_decay": 1e-4}, {"params": groups[1], "weight_decay": 0}],
        lr=0.01,
        momentum=0.9,
        nesterov=True,
    )
    expected = []
    samplers = seed_samplers(reference.train())
    for step, (images, targets) in enumerate(batches(), start=3):  # the second epoch of three batches
        for sampler in samplers:
            sampler.key, sampler.first = (3, step), 0
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * Schedule("cosine", 6)(step)
        losses = reference([image.float() / 255 for image in images], [dict(t) for t in targets])
        optimizer.zero_grad()
        sum(losses.values()).backward()
        nn.utils.clip_grad_norm_(reference.parameters(), 10.0)
        optimizer.step()
        expected.append({f"train/{name}": value.item() for name, value in losses.items()})
    assert [record["step"] for record in records] == [4, 5, 6]
    for record, losses in zip(records, expected, strict=True):
        assert {key: record[key] for key in losses} == pytest.approx(losses, rel=1e-5)
        assert record["train/loss"] == pytest.approx(sum(losses.values()), rel=1e-5)
    assert means["train/loss_classifier"] == pytest.approx(np.mean([e["train/loss_classifier"] for e in expected]))
    for (name, mine), theirs in zip(model.state_dict().items(), reference.state_dict().values(), strict=True):
        assert torch.allclose(mine.float(), theirs.float(), atol=1e-6), name


def test_bfloat16_losses_are_near_those_in_float32():
    losses = {}
    for amp in (None, torch.bfloat16):
        means = train_one_epoch(
            trainer(new_model(), lr=1e-9, amp=amp), batches(), epoch=1, on_steps=lambda records: None
        )
        losses[amp] = means["train/loss"]
    assert losses[torch.bfloat16] == pytest.approx(losses[None], rel=0.05)


def test_evaluate_scores_what_the_predictor_finds():
    model = new_model()
    model.roi_heads.score_thresh = 0.0
    data = batches(count=2)
    images = [image for batch, _ in data for image in batch]
    predictor = Predictor(model, CPU)
    annotations = []
    for index, image in enumerate(images):
        found = predictor([image.permute(1, 2, 0).numpy()])[0]
        difficult = np.zeros(len(found), bool)
        annotations.append(Annotation(Path(f"{index}.jpg"), 80, 64, found.boxes, found.labels, difficult))
    evaluator = CocoEvaluator(annotations, ("__background__", "a", "b"))
    metrics = evaluate(predictor, data, evaluator)
    assert set(evaluator.detections) == {0, 1, 2, 3}
    assert metrics["map_50_95"] == pytest.approx(1)  # its own boxes are the ground truth


def test_the_predictor_gives_torchvisions_boxes_in_original_pixels():
    model = new_model().eval()
    model.roi_heads.score_thresh = 0.0
    rng = np.random.default_rng(1)
    arrays = [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((120, 200), (90, 60))]
    found = Predictor(model, CPU)(arrays)
    with torch.no_grad():
        expected = [model([torch.from_numpy(p).permute(2, 0, 1) / 255])[0] for p in arrays]  # each as it is alone
    for mine, theirs, array in zip(found, expected, arrays, strict=True):
        assert len(mine) > 5
        np.testing.assert_allclose(mine.boxes, theirs["boxes"], atol=1e-3)
        np.testing.assert_allclose(mine.scores, theirs["scores"], atol=1e-6)
        assert mine.boxes[:, 2].max() <= array.shape[1] and mine.boxes[:, 3].max() <= array.shape[0]
    assert found[0].boxes[:, 2].max() > 107  # not in the network's pixels, 64 x 107


def test_the_network_view_is_the_image_with_its_boxes():
    model = create_model(SMALL, num_classes=3, img_size=64).train()
    image = torch.zeros(3, 128, 192, dtype=torch.uint8)
    image[:, 40:80, 20:100] = 200
    target = {"boxes": torch.tensor([[20.0, 40, 100, 80]]), "labels": torch.tensor([2])}
    array, boxes, labels = network_view(model, [image], [target])[0]
    assert array.shape == (64, 96, 3) and labels.tolist() == [2]
    np.testing.assert_allclose(boxes, [[10, 20, 50, 40]], atol=1e-4)
    assert abs(int(array[30, 30, 0]) - 200) <= 1 and array[5, 5, 0] <= 1


def test_devices_that_are_not_there_are_named():
    assert pick_device("cpu").type == "cpu"
    for wrong in ("cuda:99", "gpu", "meta"):
        with pytest.raises(ConfigError, match=f"--device {wrong}"):
            pick_device(wrong)
    with pytest.raises(ConfigError, match="fp16 needs a CUDA GPU"):
        pick_amp(CPU, "fp16")
    assert pick_amp(CPU, "off") is None and pick_amp(CPU, "bf16") is torch.bfloat16


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA GPUs")
def test_a_numbered_gpu_is_the_current_one_and_the_first_stays_free():
    device = pick_device("cuda:1")
    assert torch.cuda.current_device() == 1
    train_one_epoch(trainer(new_model().to(device), device=device), batches(2), epoch=1, on_steps=lambda records: None)
    assert torch.cuda.memory_reserved(1) > 0 and torch.cuda.memory_reserved(0) == 0
    torch.cuda.set_device(0)


@needs_cuda
def test_on_cuda_an_overflowing_norm_moves_nothing():
    device = torch.device("cuda")
    model = new_model().to(device)
    job, before = trainer(model, device=device), [p.detach().clone() for p in model.parameters()]
    model.backbone.body.layer4[0].conv1.weight.register_hook(lambda gradient: torch.full_like(gradient, 1e38))
    train_one_epoch(job, batches(1), epoch=1, on_steps=lambda records: None)
    assert all(torch.equal(one, other) for one, other in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize("device", ("cpu", pytest.param("cuda", marks=needs_cuda)))
def test_batches_come_to_the_device_in_order_and_whole(device):
    made = batches(count=3)
    made[1][1][0]["short_side"] = 48
    came = list(prefetch(made, torch.device(device)))
    assert len(came) == 3
    for batch, (images, targets) in zip(came, made, strict=True):
        assert {image.device.type for image in batch.images} == {device} and batch.host == targets
        assert all(torch.equal(there.cpu(), here) for there, here in zip(batch.images, images, strict=True))
        for there, here in zip(batch.targets, targets, strict=True):
            assert torch.equal(there["boxes"].cpu(), here["boxes"]) and torch.equal(
                there["labels"].cpu(), here["labels"]
            )
            assert there.get("short_side") == here.get("short_side") and "sources" not in there


def tiny_detector():
    """torchvision's, around one convolution, for compiling takes minutes on a whole network."""
    body = nn.Sequential(nn.Conv2d(3, 8, 3, stride=8, padding=1), nn.ReLU())
    body.out_channels = 8
    model = FasterRCNN(
        body,
        min_size=64,
        max_size=107,
        rpn_anchor_generator=AnchorGenerator(((16, 32),), ((1.0,),)),
        box_roi_pool=MultiScaleRoIAlign(["0"], 7, 2),
        box_head=TwoMLPHead(8 * 7 * 7, 32),
        box_predictor=FastRCNNPredictor(32, 3),
    )
    model.samplers = seed_samplers(model)
    return model


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_compiled_parts_give_the_same_losses_and_names():
    model = tiny_detector()
    compiled = copy.deepcopy(model)
    compile_parts(compiled, logging.getLogger("train"))
    means = [train_one_epoch(trainer(m), batches(2), epoch=1, on_steps=len) for m in (model, compiled)]
    for key in ("train/loss", "train/loss_box_reg"):
        assert means[1][key] == pytest.approx(means[0][key], rel=1e-3)
    assert model.state_dict().keys() == compiled.state_dict().keys()


def test_a_missing_compiler_is_reported(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match=r"--compile needs a C\+\+ compiler"):
        compile_parts(new_model(), logging.getLogger("train"))


@needs_cuda
@pytest.mark.parametrize("amp", ("off", "bf16", "fp16"))
def test_on_cuda_an_epoch_trains_and_detects(amp):
    device = torch.device("cuda")
    model = new_model().to(device, memory_format=torch.channels_last)
    job = trainer(model, device=device, amp=pick_amp(device, amp))
    records = []
    means = train_one_epoch(job, batches(25), epoch=1, on_steps=records.extend)
    assert len(records) == 25 and np.isfinite(means["train/loss"])
    reference = train_one_epoch(trainer(new_model()), batches(1), epoch=1, on_steps=lambda r: None)
    assert records[0]["train/loss"] == pytest.approx(reference["train/loss"], rel=0.05)
    found = Predictor(model, device, pick_amp(device, amp)).predict(batches(1)[0][0])
    assert len(found) == 2 and found[0].boxes.dtype == np.float32
