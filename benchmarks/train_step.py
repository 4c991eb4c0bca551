"""Compare the time of a training step with torchvision's own: measured in turns, in one process, on the same weights.

    python benchmarks/train_step.py --model fasterrcnn_resnet50_fpn_v2 --img-size 320 640 --batch 2 --rounds 5

"plain" is torchvision's model in float32 with the loop of its references; "ours" is what train.py does: bf16 and
channels_last where the hardware has them, fused SGD, clipping. Prints the ratio of their median times, how many
operations of a step make the host wait for the device, and, first, that losses and gradients agree in float32. On a
GPU also images per second, peak memory, and the fraction of time that an epoch waits for data.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.host_syncs import DataDependent
from models import create_model, list_models, model_spec
from models.rcnn.frozen import freeze_batch_norm
from models.rcnn.sampler import seed_samplers
from torch_utils.device import describe, pick_amp, pick_device
from torch_utils.prefetch import prefetch
from torch_utils.training.engine import TrainState, train_one_epoch
from torch_utils.training.optim import Schedule, build_optimizer
from utils.dataset.batch_sampler import Shard
from utils.errors import ToolkitError, stop
from utils.img_size import long_side_limit
from utils.system import loader_processes

CLASSES = 6
LR = 1e-4


def main(args) -> int:
    device = pick_device(args.device)
    amp_dtype = pick_amp(device)
    for line in describe(device, amp_dtype):
        print(line)
    for name in args.model:
        for img_size in args.img_size:
            compare(name, img_size, args, device, amp_dtype)
    return 0


def compare(name: str, img_size: int, args, device, amp_dtype) -> None:
    print(f"{name}, {img_size} px, batch {args.batch}")
    batch = made_batch(img_size, args.batch)
    print(f"  {agreement(name, img_size, batch, device)}")
    steps = {
        "plain": PlainStep(plain_model(name, img_size).to(device), device),
        "ours": OurStep(our_model(name, img_size).to(device, memory_format=torch.channels_last), device, amp_dtype),
    }
    waits = {}
    for kind, step in steps.items():
        step(*batch)  # warms up
        with DataDependent() as counter:
            step(*batch)
        waits[kind] = f"{counter.total} ({', '.join(f'{n} {op}' for op, n in counter.counts.most_common())})"
    seconds = {kind: [] for kind in steps}
    for _ in range(args.rounds):
        for kind, step in steps.items():
            seconds[kind].append(timed(step, batch, device))
    medians = {kind: statistics.median(times) for kind, times in seconds.items()}
    for kind in steps:
        print(
            f"  {kind}: {1000 * medians[kind]:8.1f} ms a step ({', '.join(f'{1000 * t:.0f}' for t in seconds[kind])})"
        )
        print(f"         data-dependent operations: {waits[kind]}")
    print(f"  ours is {medians['plain'] / medians['ours']:.2f} times as fast")
    if device.type == "cuda":
        for kind, step in steps.items():
            torch.cuda.reset_peak_memory_stats(device)
            step(*batch)
            peak = torch.cuda.max_memory_allocated(device) / 2**30
            print(
                f"  {kind}: {args.batch / medians[kind]:.1f} images/s, at most {peak:.2f} GiB (both models are loaded)"
            )
        print(f"  {epoch(steps['ours'].state, batch)}")


def plain_model(name: str, img_size: int):
    """Return a model of torchvision's own classes, with fixed batch statistics where training has them."""
    torch.manual_seed(0)
    spec = model_spec(name)
    model = spec.build(CLASSES, min_size=img_size, max_size=long_side_limit(img_size))
    if spec.frozen_bn:
        freeze_as_torchvision(model.backbone.body)
    return model.train()


def our_model(name: str, img_size: int):
    model = create_model(name, CLASSES, img_size=img_size)
    if model_spec(name).frozen_bn:
        freeze_batch_norm(model.backbone.body)
    model.load_state_dict(plain_model(name, img_size).state_dict())
    return model.train()


def freeze_as_torchvision(module) -> None:
    from torchvision.ops import FrozenBatchNorm2d

    for name, child in module.named_children():
        if isinstance(child, torch.nn.BatchNorm2d):
            frozen = FrozenBatchNorm2d(child.num_features, eps=child.eps)
            # Random weights without batch statistics: halved, so that activations stay in range.
            frozen.weight.fill_(0.5)
            setattr(module, name, frozen)
        else:
            freeze_as_torchvision(child)


def made_batch(img_size: int, count: int):
    """Return uint8 images of 3:4 and targets as the dataset makes them; every fourth image has no object."""
    generator = torch.Generator().manual_seed(0)
    height, width = img_size, img_size * 4 // 3
    images, targets = [], []
    for number in range(count):
        images.append(torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8))
        objects = 0 if number % 4 == 3 else 8
        start = torch.rand(objects, 2, generator=generator) * torch.tensor([0.6 * width, 0.6 * height])
        size = torch.rand(objects, 2, generator=generator) * 0.35 * img_size + 8
        labels = torch.randint(1, CLASSES, (objects,), generator=generator)
        targets.append({"boxes": torch.cat((start, start + size), dim=1), "labels": labels})
    return images, targets


class PlainStep:
    """The loop of torchvision's references, in float32."""

    def __init__(self, model, device):
        self.model, self.device = model, device
        self.optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=0.9, weight_decay=1e-4)

    def __call__(self, images, targets) -> float:
        images = [image.to(self.device).float().div(255) for image in images]
        targets = [{key: value.to(self.device) for key, value in target.items()} for target in targets]
        loss = sum(self.model(images, targets).values())
        value = loss.item()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return value


class OurStep:
    """A step of `train_one_epoch`, and on a CPU the reading of its losses."""

    def __init__(self, model, device, amp_dtype):
        optimizer = build_optimizer("sgd", model, LR)
        schedule = Schedule("constant", 1000)
        self.state = TrainState(model, optimizer, schedule, LR, device, amp_dtype, seed=1, names_of=lambda target: [])
        self.step = 0

    def __call__(self, images, targets) -> None:
        state = self.state
        for batch in prefetch([(images, targets)], state.device):
            state.optimizer.zero_grad(set_to_none=True)
            losses = state.gradients(
                batch.images,
                batch.targets,
                step=self.step,
                shard=Shard(0, len(images), len(images)),
                backward=lambda loss: state.scaler.scale(loss).backward(),
            )
            state.update(self.step)
        self.step += 1
        if self.step % state.read_every == 0:
            torch.stack(list(losses.values())).tolist()


def agreement(name: str, img_size: int, batch, device) -> str:
    """Compare losses and gradients of both models in float32, drawing the same. Raises where the losses differ."""
    results = []
    images, targets = batch
    for made in (plain_model, our_model):
        model = made(name, img_size).to(device)
        for sampler in seed_samplers(model):
            sampler.key = (1, 0)
        losses = model(
            [image.to(device).float().div(255) for image in images],
            [{key: value.to(device) for key, value in target.items()} for target in targets],
        )
        sum(losses.values()).backward()
        gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        results.append((losses, gradient))
    (expected, wanted), (found, gradient) = results
    worst = max(abs(found[key].item() / expected[key].item() - 1) for key in expected)
    if not worst <= 1e-4:
        raise ToolkitError(f"losses differ by {worst:.1e} of their size:\n  torchvision {expected}\n  ours {found}")
    apart = float((gradient - wanted).norm() / wanted.norm())
    values = ", ".join(f"{key} {value.item():.4f}" for key, value in found.items())
    return f"in float32 losses agree to {worst:.1e}, the gradient to {apart:.1e} of its length: {values}"


def timed(step, batch, device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    step(*batch)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def epoch(state, batch) -> str:
    """Time an epoch of 60 steps over a loader that copies the batch; one before it warms up."""
    images, targets = batch
    loader = torch.utils.data.DataLoader(
        [(image, target) for _ in range(60) for image, target in zip(images, targets, strict=True)],
        batch_size=len(images),
        collate_fn=lambda samples: tuple(zip(*samples, strict=True)),
        num_workers=loader_processes(state.device.type == "cuda"),
        pin_memory=True,
        persistent_workers=True,
    )
    for number in (1, 2):
        times = train_one_epoch(state, loader, epoch=number, on_steps=lambda records: None)
    rate = len(loader.dataset) / times["time/train_s"]
    return f"an epoch with a loader: {rate:.1f} images/s, {times['time/data_share']:.1%} of it waiting for data"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = ["fasterrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn_v2"]
    parser.add_argument("-m", "--model", nargs="+", default=default, choices=list_models(), metavar="NAME")
    parser.add_argument("-ims", "--img-size", nargs="+", type=int, default=[320, 640], metavar="PIXELS")
    parser.add_argument("-b", "--batch", type=int, default=2)
    parser.add_argument("-d", "--device", default="auto")
    parser.add_argument("--rounds", type=int, default=5)
    try:
        sys.exit(main(parser.parse_args()))
    except ToolkitError as error:
        stop(error)
