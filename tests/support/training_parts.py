"""Small models, batches and trainers for tests of the training loop."""

import torch

from models import create_model
from torch_utils.training.engine import TrainState
from torch_utils.training.gradients import ForwardBackward
from torch_utils.training.optim import Schedule, build_optimizer
from utils.dataset.batch_sampler import Shard

SMALL = "fasterrcnn_resnet10_fpn_small"

CPU = torch.device("cpu")


def batches(count=3, size=2):
    generator = torch.Generator().manual_seed(0)
    made = []
    for number in range(count):
        images, targets = [], []
        for position in range(size):
            images.append(torch.randint(0, 256, (3, 64, 80), generator=generator, dtype=torch.uint8))
            boxes = torch.tensor([[8.0, 8, 40, 40], [30, 20, 70, 60]]) if position else torch.zeros(0, 4)
            index = torch.tensor(number * size + position)
            labels = torch.arange(1, len(boxes) + 1)
            targets.append({"boxes": boxes, "labels": labels, "image_id": index, "sources": index[None]})
        made.append((tuple(images), tuple(targets)))
    return made


def trainer(model, total_steps=6, lr=0.01, device=CPU, amp=None):
    schedule = Schedule("cosine", total_steps)
    return TrainState(
        model,
        build_optimizer("sgd", model, lr),
        schedule,
        lr,
        device,
        amp,
        seed=3,
        names_of=lambda target: [f"image_{i}.jpg" for i in target["sources"].tolist()],
    )


def new_model():
    torch.manual_seed(0)
    return create_model(SMALL, num_classes=3, img_size=64)


def gradients_of(model, images, targets, *, micro_batch, shard=None, step=5):
    model.train()
    model.zero_grad(set_to_none=True)
    run = ForwardBackward(model, CPU, None, 3, trainer(model).group, micro_batch=micro_batch)
    shard = shard or Shard(0, len(images), len(images))
    losses = run(images, targets, step=step, shard=shard, backward=lambda loss: loss.backward())
    return losses, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def one_batch(size=5):
    ((images, targets),) = batches(count=1, size=size)
    return list(images), [{"boxes": t["boxes"], "labels": t["labels"]} for t in targets]
