"""The two verbs of training: `train_one_epoch` and `evaluate`."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm import tqdm

from torch_utils.coco_eval import CocoEvaluator
from torch_utils.optim import Schedule, set_lr
from torch_utils.predictor import Predictor, to_float
from utils.errors import TrainingError

CLIP_NORM = 10.0  # of all gradients together; far above what an ordinary step has


@dataclass
class Trainer:
    """What stays the same from step to step. `names_of` turns one target into the names of its image files."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    lr: float
    device: torch.device
    amp_dtype: torch.dtype | None
    seed: int
    names_of: Callable[[dict[str, Tensor]], list[str]]

    def __post_init__(self):
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.amp_dtype is torch.float16)
        # Reading a loss back waits for the GPU: there it is done every 20 steps, on a CPU before each update.
        self.read_every = 20 if self.device.type == "cuda" else 1


def train_one_epoch(
    trainer: Trainer, batches: Iterable, *, epoch: int, on_steps: Callable[[list[dict]], None], title: str
) -> dict[str, float]:
    """One pass over `batches`; returns the epoch's mean losses (`train/...`) and times (`time/...`).

    Args:
        batches: sized iterable of (images, targets): uint8 (3, H, W) tensors and torchvision's target dicts.
        epoch: from 1.
        on_steps: gets one flat dict per step, a few at a time.
        title: of the progress bar.

    Raises TrainingError, with losses and image files, at the first loss that is not finite.
    """
    model, device = trainer.model, trainer.device
    model.train()
    first_step = (epoch - 1) * len(batches)
    sums: dict[str, float] = {}
    pending: list[tuple[dict, dict[str, Tensor], tuple]] = []
    started = ready = time.perf_counter()
    waited = 0.0

    def read_back() -> None:
        """Bring the pending losses to the host, in one copy, and check them."""
        if not pending:
            return
        table = torch.stack([torch.stack(list(losses.values())) for _, losses, _ in pending]).tolist()
        records = []
        for (record, losses, targets), values in zip(pending, table, strict=True):
            named = {f"train/{name}": value for name, value in zip(losses, values, strict=True)}
            if not all(map(math.isfinite, values)):
                on_steps(records)
                raise TrainingError(_not_finite(named, record["step"], targets, trainer.names_of))
            records.append(record | {"train/loss": sum(values)} | named)
        for record in records:
            for key in record.keys() - {"step", "epoch", "lr"}:
                sums[key] = sums.get(key, 0.0) + record[key]
        pending.clear()
        on_steps(records)
        share = waited / max(time.perf_counter() - started, 1e-9)
        parts = ", ".join(f"{key.removeprefix('train/')} {value:.3f}" for key, value in named.items())
        bar.set_postfix_str(f"loss {records[-1]['train/loss']:.3f} ({parts}), waits {share:.0%}")

    with tqdm(batches, desc=title, unit="batch", disable=None, leave=False, dynamic_ncols=True) as bar:
        for step, (images, targets) in enumerate(bar, start=first_step):
            waited += time.perf_counter() - ready
            # The RPN and the box head sample anchors and proposals at random: a seed per step makes a step depend on
            # nothing that happened before it, so that a resumed run needs no generator state.
            torch.manual_seed((trainer.seed << 32) + step)
            lr = trainer.lr * trainer.schedule(step)
            set_lr(trainer.optimizer, lr)
            batch = [to_float(image, device) for image in images]
            moved = [{key: t[key].to(device, non_blocking=True) for key in ("boxes", "labels")} for t in targets]
            with torch.autocast(device.type, trainer.amp_dtype, enabled=trainer.amp_dtype is not None):
                losses = model(batch, moved)
            pending.append(
                ({"step": step + 1, "epoch": epoch, "lr": lr}, {k: v.detach() for k, v in losses.items()}, targets)
            )
            if len(pending) >= trainer.read_every:
                read_back()
            trainer.optimizer.zero_grad(set_to_none=True)
            trainer.scaler.scale(sum(losses.values())).backward()
            trainer.scaler.unscale_(trainer.optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
            trainer.scaler.step(trainer.optimizer)
            trainer.scaler.update()
            ready = time.perf_counter()
        read_back()
    seconds = time.perf_counter() - started
    means = {key: value / len(batches) for key, value in sums.items()}
    return means | {"time/train_s": seconds, "time/data_share": waited / seconds}


def _not_finite(losses: dict[str, float], step: int, targets: tuple, names_of: Callable) -> str:
    table = ", ".join(f"{name.removeprefix('train/')} {value:g}" for name, value in losses.items())
    files = sorted({name for target in targets for name in names_of(target)})
    return (
        f"the loss is no longer finite at step {step}: {table}\n  images of this batch: {', '.join(files)}\n"
        "  Look at these files and their boxes (--vis-transformed shows what the network sees), or lower --lr."
    )


def evaluate(predictor: Predictor, batches: Iterable, evaluator: CocoEvaluator, *, title: str) -> dict[str, float]:
    """Detect on every image of `batches`, then compare; returns `val/...` metrics and `time/val_s`."""
    started = time.perf_counter()
    for images, targets in tqdm(batches, desc=title, unit="batch", disable=None, leave=False, dynamic_ncols=True):
        for target, detections in zip(targets, predictor.predict(images), strict=True):
            evaluator.add(int(target["image_id"]), detections)
    metrics = evaluator.compute()
    return {f"val/{key}": value for key, value in metrics.items()} | {"time/val_s": time.perf_counter() - started}
