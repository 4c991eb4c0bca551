"""One step's gradients, however its batch is split."""

import logging

import pytest
import torch

from models.rcnn.frozen import freeze_batch_norm
from support.training_parts import CPU, gradients_of, new_model, one_batch, trainer
from torch_utils.distributed import Group
from torch_utils.training.gradients import ForwardBackward
from utils.dataset.batch_sampler import Shard, shard_of


def frozen_model():
    model = new_model()
    freeze_batch_norm(model)
    return model


def assert_close(mine, theirs):
    assert mine.keys() == theirs.keys()
    for name, gradient in theirs.items():
        assert torch.allclose(mine[name], gradient, rtol=1e-4, atol=1e-6 + 1e-5 * gradient.abs().max()), name


@pytest.mark.parametrize("micro_batch", (1, 2, 3))
def test_micro_batches_add_up_to_the_whole_batch(micro_batch):
    model = frozen_model()
    images, targets = one_batch()
    images[1] = images[1].transpose(1, 2).contiguous()  # portrait among landscapes: each part is padded as the whole
    targets[1]["boxes"] = targets[1]["boxes"].clip(max=60)
    images[3], targets[3]["short_side"] = images[3][:, :50], 48
    targets[3]["boxes"] = targets[3]["boxes"].clip(max=50)
    whole_losses, whole = gradients_of(model, images, targets, micro_batch=5)
    losses, parts = gradients_of(model, images, targets, micro_batch=micro_batch)
    assert {k: float(v) for k, v in losses.items()} == pytest.approx(
        {k: float(v) for k, v in whole_losses.items()}, rel=1e-5
    )
    assert_close(parts, whole)


@pytest.mark.parametrize("order", ((0, 1), (1, 0)))
def test_padding_changes_no_scale_of_a_model_that_has_seen_nothing(order):
    """Images of 3:2 lying and standing, one at a time: the padded map is 1.5 times as high as the first image's."""
    (images, targets), model = one_batch(size=2), frozen_model()
    images = [images[0].repeat(1, 1, 2)[:, :, :96], images[0].repeat(1, 1, 2)[:, :, :96].transpose(1, 2)]
    for target in targets:
        target["boxes"], target["labels"] = torch.tensor([[8.0, 8, 40, 60]]), torch.tensor([1])
    batch = [images[i].contiguous() for i in order], [targets[i] for i in order]
    whole_losses, whole = gradients_of(model, *batch, micro_batch=2)
    cold = frozen_model()
    losses, parts = gradients_of(cold, *batch, micro_batch=1)
    assert cold.roi_heads.box_roi_pool.scales == [1 / 4, 1 / 8, 1 / 16, 1 / 32]
    assert {k: float(v) for k, v in losses.items()} == pytest.approx(
        {k: float(v) for k, v in whole_losses.items()}, rel=1e-5
    )
    assert_close(parts, whole)


class OneOfThree(Group):
    """Weights as among three processes, without their sum; all have images of one size."""

    def all_max(self, *numbers):
        return list(numbers)


def test_shares_of_processes_add_up_to_the_whole_batch():
    """Gradients of three processes, one of them without an image, averaged by hand."""
    model = frozen_model()
    images, targets = one_batch(size=2)
    _, whole = gradients_of(model, images, targets, micro_batch=9)
    total = {}
    for rank in range(3):
        shard = shard_of(2, rank, 3)
        own = slice(shard.first, shard.first + shard.count) if shard.count else slice(0, 1)
        model.train()
        model.zero_grad(set_to_none=True)
        run = ForwardBackward(model, CPU, None, 3, trainer(model).group, micro_batch=9)
        run.group = OneOfThree(CPU, size=3)
        run(images[own], targets[own], step=5, shard=shard, backward=lambda loss: loss.backward())
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                total[name] = total.get(name, 0) + parameter.grad / 3
    assert sorted(shard_of(2, rank, 3).count for rank in range(3)) == [0, 1, 1]
    assert_close(total, whole)


@pytest.mark.parametrize(("whole", "size"), [(4, 2), (5, 3), (1, 4), (7, 7), (3, 1)])
def test_shares_cover_a_batch_once(whole, size):
    shards = [shard_of(whole, rank, size) for rank in range(size)]
    places = [place for shard in shards for place in range(shard.first, shard.first + shard.count)]
    assert places == list(range(whole))
    assert max(s.count for s in shards) - min(s.count for s in shards) <= 1


def test_out_of_memory_halves_the_passes_and_keeps_the_step(caplog):
    model = frozen_model()
    images, targets = one_batch(size=4)
    _, whole = gradients_of(model, images, targets, micro_batch=4)
    logging.getLogger("train").propagate = True

    def too_many(module, inputs):
        if len(inputs[0]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    handle = model.backbone.register_forward_pre_hook(too_many)
    run = ForwardBackward(model, CPU, None, 3, trainer(model).group, micro_batch=4)
    model.zero_grad(set_to_none=True)
    with caplog.at_level(logging.WARNING, "train"):
        run(images, targets, step=5, shard=Shard(0, 4, 4), backward=lambda loss: loss.backward())
    assert run.micro_batch == 1
    assert "step 6: out of GPU memory" in caplog.text and "From here on 1 images at a time" in caplog.text
    assert_close({k: p.grad for k, p in model.named_parameters() if p.grad is not None}, whole)
    handle.remove()

    def always(module, inputs):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    model.backbone.register_forward_pre_hook(always)
    with pytest.raises(torch.OutOfMemoryError):
        run(images, targets, step=6, shard=Shard(0, 4, 4), backward=lambda loss: loss.backward())
