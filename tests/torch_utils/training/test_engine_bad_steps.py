"""Steps that go wrong: losses, gradients or statistics that are not finite, and batches that nothing is drawn from."""

import logging

import numpy as np
import pytest
import torch
from torch import nn

from models import create_model
from models.rcnn.frozen import freeze_batch_norm
from support.training_parts import CPU, SMALL, batches, gradients_of, new_model, one_batch, trainer
from torch_utils.evaluation import detect_with_losses
from torch_utils.predictor import Predictor
from torch_utils.training.engine import Progress, train_one_epoch
from torch_utils.training.optim import build_optimizer
from utils.errors import TrainingError


def poison(model, steps, bad):
    """From now on the class scores of the steps in `bad`, counted from 1, are not numbers."""

    def spoil(module, inputs, output):
        return output * float("nan") if len(steps) + 1 in bad else output

    model.roi_heads.box_predictor.cls_score.register_forward_hook(spoil, prepend=True)


def test_an_infinite_loss_with_finite_gradients_changes_nothing(caplog):
    """Smooth L1 of an infinite prediction, as of an overflow in 16 bits, has a gradient of one."""
    logging.getLogger("train").propagate = True
    model, steps = new_model(), []

    def overflow(module, inputs, output):
        return output + float("inf") if len(steps) == 0 else output

    model.roi_heads.box_predictor.bbox_pred.register_forward_hook(overflow, prepend=True)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    train_one_epoch(trainer(model), batches(count=1), epoch=1, on_steps=steps.extend)
    assert "loss_box_reg inf" in caplog.text
    assert all(torch.equal(before[name], p) for name, p in model.named_parameters())


def test_a_gradient_that_is_not_finite_is_no_secret(caplog):
    logging.getLogger("train").propagate = True
    model, steps, progress = new_model(), [], Progress()
    model.roi_heads.box_predictor.cls_score.weight.register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(TrainingError, match="gradient is not finite at step 2"):
        train_one_epoch(trainer(model), batches(), epoch=1, on_steps=steps.extend, progress=progress)
    assert "the gradient is not finite at step 1" in caplog.text and progress.skipped == 2


@pytest.mark.parametrize("optimizer", ("sgd", "adamw"))
@pytest.mark.parametrize("clip_norm", (10.0, None))
@pytest.mark.parametrize("spoilt", (1e38, float("nan")), ids=("an overflowing norm", "nan"))
def test_a_step_left_out_moves_nothing_whatever_the_optimizer(optimizer, clip_norm, spoilt, caplog):
    """Finite gradients of a norm beyond float32, after a step that has given the optimizer momentum."""
    logging.getLogger("train").propagate = True
    model, steps, states = new_model(), [], []
    job = trainer(model)
    job.optimizer, job.clip_norm = build_optimizer(optimizer, model, 0.01, weight_decay=0.1), clip_norm
    model.backbone.body.layer4[0].conv1.weight.register_hook(
        lambda gradient: torch.full_like(gradient, spoilt) if len(steps) == 1 else gradient
    )

    def remember(records):
        steps.extend(records)
        moments = [v for state in job.optimizer.state.values() for k, v in sorted(state.items())]
        states.append([t.detach().clone() for t in (*model.parameters(), *moments)])

    train_one_epoch(job, batches(), epoch=1, on_steps=remember)
    assert "the gradient is not finite at step 2" in caplog.text and len(states) == 3
    assert all(torch.equal(before, after) for before, after in zip(states[0], states[1], strict=True))
    assert all(tensor.isfinite().all() for tensor in states[2])
    assert not all(torch.equal(before, after) for before, after in zip(states[1], states[2], strict=True))


def float16_trainer(model, *, scale=2.0**16):
    job = trainer(model)
    job.scaled, job.scaler = True, torch.amp.GradScaler("cpu", init_scale=scale)
    return job


def test_float16_gradients_that_are_never_finite_are_reported_then_end_the_training(caplog):
    """The losses stay finite, so only the scale shows that no step changes anything."""
    logging.getLogger("train").propagate = True
    model, steps = new_model(), []
    model.roi_heads.box_predictor.cls_score.weight.register_hook(lambda gradient: gradient * float("inf"))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    job = float16_trainer(model, scale=4.0)
    with pytest.raises(TrainingError, match="Nothing is being learned") as caught:
        train_one_epoch(job, batches(20), epoch=1, on_steps=steps.extend)
    assert len(steps) == 13 and "scaled down to 0.00049" in str(caught.value) and "--amp bf16" in str(caught.value)
    reported = [record.getMessage() for record in caplog.records if "float16" in record.getMessage()]
    (message,) = reported
    assert all(part in message for part in ("step 3,", "If it continues", "loss_classifier"))
    assert all(torch.equal(before[name], p) for name, p in model.named_parameters())


def test_float16_gradients_beyond_the_range_at_first_are_ordinary(caplog):
    logging.getLogger("train").propagate = True
    model, steps = new_model(), []
    too_large = torch.finfo(torch.float16).max
    model.roi_heads.box_predictor.cls_score.weight.register_hook(
        lambda gradient: torch.where(gradient.abs() * 2**8 > too_large, torch.inf, gradient)
    )
    job = float16_trainer(model)
    train_one_epoch(job, batches(14), epoch=1, on_steps=steps.extend)
    assert not [r for r in caplog.records if r.name == "train"] and 1 <= job.scaler.get_scale() < 2**16


def test_the_scale_of_the_losses_changes_no_step():
    """Gradients are clipped by their true norm."""
    ends = []
    for scale in (1.0, 2.0**10):
        model = new_model()
        job = float16_trainer(model, scale=scale)
        job.clip_norm = 0.5
        train_one_epoch(job, batches(), epoch=1, on_steps=len)
        ends.append([p.detach() for p in model.parameters()])
    assert all(torch.allclose(one, other, rtol=1e-4, atol=1e-6) for one, other in zip(*ends, strict=True))


@pytest.mark.parametrize("name", (SMALL, "fasterrcnn_mobilenet_v3_large_320_fpn", "fasterrcnn_resnet50_fpn_v2"))
def test_a_batch_without_objects_and_without_proposals_trains_the_rpn(name):
    """A sure RPN on images of nothing: no proposal reaches the threshold."""
    torch.manual_seed(0)
    model = create_model(name, 3, img_size=64)
    model.rpn.score_thresh = 1.1
    if name == SMALL:
        freeze_batch_norm(model)
    statistics = {n: b.clone() for n, b in model.roi_heads.named_buffers()}
    images, targets = one_batch(size=2)
    for target in targets:
        target["boxes"], target["labels"] = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
    for micro_batch in (2, 1):
        losses, gradients = gradients_of(model, images, targets, micro_batch=micro_batch)
        assert losses["loss_classifier"] == losses["loss_box_reg"] == losses["loss_rpn_box_reg"] == 0
        assert 0 < losses["loss_objectness"] < 10
        assert all(gradient.isfinite().all() for gradient in gradients.values())
        assert gradients["rpn.head.cls_logits.weight"].abs().sum() > 0
        assert gradients["roi_heads.box_predictor.cls_score.weight"].abs().sum() == 0
    assert all(torch.equal(statistics[n], b) for n, b in model.roi_heads.named_buffers() if b.is_floating_point())
    # As in validation; and the next batch has an object.
    _, found = detect_with_losses(Predictor(model, CPU), images, targets)
    assert found["loss_classifier"] == 0 and found["loss_objectness"].isfinite()
    targets[0] = {"boxes": torch.tensor([[8.0, 8, 40, 40]]), "labels": torch.tensor([1])}
    losses, _ = gradients_of(model, images, targets, micro_batch=2)
    assert losses["loss_classifier"] > 0 and sum(losses.values()).isfinite()


def test_two_in_a_row_count_across_epochs():
    """With one batch an epoch, every epoch begins anew; the count does not."""
    model, steps = new_model(), []
    poison(model, steps, {1, 2})
    job = trainer(model)
    train_one_epoch(job, batches(count=1), epoch=1, on_steps=steps.extend)
    with pytest.raises(TrainingError, match="not finite at step 2"):
        train_one_epoch(job, batches(count=1), epoch=2, on_steps=steps.extend)


@pytest.mark.parametrize("bad", (1, 2))
def test_a_step_that_is_not_finite_is_named_and_left_out(bad, caplog):
    logging.getLogger("train").propagate = True
    model, steps, progress = new_model(), [], Progress()
    poison(model, steps, {bad})
    with caplog.at_level(logging.WARNING, "train"):
        means = train_one_epoch(trainer(model), batches(), epoch=1, on_steps=steps.extend, progress=progress)
    assert f"not finite at step {bad}" in caplog.text and "loss_classifier nan" in caplog.text
    assert f"image_{2 * bad - 2}.jpg, image_{2 * bad - 1}.jpg" in caplog.text and "image_4.jpg" not in caplog.text
    assert len(steps) == 3 and progress.skipped == 1
    good = [record["train/loss"] for number, record in enumerate(steps, 1) if number != bad]
    assert means["train/loss"] == pytest.approx(np.mean(good))
    assert all(p.isfinite().all() for p in model.parameters())


def test_two_in_a_row_end_the_training_with_the_weights_as_they_were():
    model, steps = new_model(), []
    poison(model, steps, {2, 3})
    job, after_first = trainer(model), {}
    counted = []

    def remember(records):
        steps.extend(records)
        if not counted:
            after_first.update({k: v.detach().clone() for k, v in model.named_parameters()})
        counted.extend(records)

    with pytest.raises(TrainingError) as caught:
        train_one_epoch(job, batches(4), epoch=1, on_steps=remember)
    message = str(caught.value)
    assert "step 3" in message and "loss_classifier nan" in message and "loss_objectness" in message
    assert "image_4.jpg, image_5.jpg" in message and "image_0.jpg" not in message
    assert "--resume-training continues from the last checkpoint" in message
    assert len(steps) == 3
    assert all(torch.equal(after_first[k], v) for k, v in model.named_parameters())


def test_a_spoilt_running_statistic_ends_the_training_at_once():
    model, steps = new_model(), []

    def spoil(module, inputs):
        return (inputs[0] * float("nan"),) if len(steps) == 1 else None

    norm = next(m for m in model.modules() if isinstance(m, nn.BatchNorm2d))
    norm.register_forward_pre_hook(spoil)
    with pytest.raises(TrainingError, match=r"running statistics of batch norms no longer are"):
        train_one_epoch(trainer(model), batches(), epoch=1, on_steps=steps.extend)
