"""One epoch of training."""

import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from torch_utils.distributed import Group
from torch_utils.prefetch import Batch, prefetch
from torch_utils.training.gradients import ForwardBackward
from torch_utils.training.optim import Ema, Schedule, set_lr
from utils.dataset.batch_sampler import Shard, shard_of
from utils.errors import TrainingError

RESUME = "--resume-training continues from the last checkpoint, if there is one."
# float16: the scale of the losses begins at 65536 and is halved at each gradient that is not finite. A healthy run does
# not get below a thousandth of that.
SUSPICIOUS_SCALE = 1.0
HOPELESS_SCALE = 2.0**-10


@dataclass
class TrainState:
    """The parts that stay the same from step to step. `names_of` turns one target into the names of its image files."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    lr: float
    device: torch.device
    amp_dtype: torch.dtype | None
    seed: int
    names_of: Callable[[dict[str, Tensor]], list[str]]
    group: Group | None = None
    micro_batch: int = 1 << 30  # images per forward pass
    ema: Ema | None = None
    clip_norm: float | None = 10.0  # of all gradients together; far above what an ordinary step has

    def __post_init__(self):
        self.group = self.group or Group(self.device)
        # In float32 and bfloat16 the scale stays 1, and the scaler has one duty: to leave out, without asking the GPU,
        # a step whose gradients are not finite.
        self.scaled = self.amp_dtype is torch.float16
        self.scaler = torch.amp.GradScaler(self.device.type, **({} if self.scaled else {"init_scale": 1.0}))
        self.gradients = ForwardBackward(
            self.model, self.device, self.amp_dtype, self.seed, self.group, micro_batch=self.micro_batch
        )
        # Reading a loss back waits for the GPU: there it is done every 20 steps, on a CPU after each.
        self.read_every = 20 if self.device.type == "cuda" else 1
        self.last_bad_step = -1  # the latest that was left out, counted from 1

    def update(self, step: int) -> Tensor:
        """Make a step of the optimizer, unless a gradient is not finite; returns the norm of all gradients together."""
        parameters = [p for p in self.model.parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm([p.grad for p in parameters])
        norm = norm / self.scaler.scale(torch.ones_like(norm))
        # Finite gradients may have a norm beyond the range. Clipping would make them zeros, with which momentum and
        # weight decay still move the parameters; with one that is not a number the scaler leaves the step out.
        parameters[0].grad.add_(torch.where(norm.isfinite(), 0.0, math.nan))
        self.scaler.unscale_(self.optimizer)
        if self.clip_norm is not None:
            nn.utils.clip_grads_with_norm_(parameters, self.clip_norm, norm)
        self.scaler.step(self.optimizer)
        self.scaler.update(None if self.scaled else 1.0)
        if self.ema:
            self.ema.update(step)
        return norm


class StepBar(Protocol):
    """A progress bar with tqdm's methods."""

    def update(self) -> Any:
        """Count a batch."""

    def set_postfix_str(self, text: str) -> Any:
        """Show a text beside the count."""


@dataclass
class Progress:
    """The progress of an epoch: its steps, the sums of their losses, the steps left out, and seconds spent."""

    steps: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    skipped: int = 0
    seconds: float = 0.0
    waited: float = 0.0

    def as_dict(self) -> dict:
        return asdict(self)

    def means(self) -> dict[str, float]:
        return {key: value / (self.steps - self.skipped) for key, value in self.sums.items()}


def train_one_epoch(
    trainer: TrainState,
    batches: Iterable,
    *,
    epoch: int,
    on_steps: Callable[[list[dict]], None],
    bar: StepBar | None = None,
    progress: Progress | None = None,
    between_steps: Callable[[Callable[[], None]], None] | None = None,
) -> dict[str, float]:
    """Train on all of `batches` once; returns the epoch's mean losses (`train/...`) and times (`time/...`).

    Args:
        batches: sized iterable of (images, targets): uint8 (3, H, W) tensors and torchvision's target dicts. Of an
            epoch that `progress` has begun, it gives the remaining ones, while its length stays that of a whole epoch.
        epoch: from 1.
        on_steps: gets one flat dict per step, a few at a time.
        bar: shows the progress, such as tqdm; it counts a batch with `update` and shows text by `set_postfix_str`.
        progress: of this epoch.
        between_steps: called after each step, in every process, with a function that brings `progress` up to date. What
            it raises ends the epoch.

    A step whose losses or gradients are not finite changes no parameter; it is named, with losses and image files, and
    left out of the means. Raises TrainingError at the second in a row. In float16 a gradient that is not finite is
    ordinary: the scale of the losses is halved; only where that never ends is it reported, and raised at last.
    """
    run = _Epoch(trainer, batches, epoch, on_steps, progress or Progress())
    trainer.model.train()
    run.over(batches, tqdm(disable=True) if bar is None else bar, between_steps)
    done = run.progress
    return done.means() | {"time/train_s": done.seconds, "time/data_share": done.waited / max(done.seconds, 1e-9)}


class _Epoch:
    def __init__(self, trainer, batches, epoch, on_steps, progress):
        self.trainer, self.epoch, self.on_steps, self.progress = trainer, epoch, on_steps, progress
        self.first_step = (epoch - 1) * len(batches)
        self.pending: list[tuple[dict, dict[str, Tensor], Tensor, tuple]] = []
        self.batch_sampler = getattr(batches, "batch_sampler", None)
        self.scale_reported = False

    def over(self, batches, bar, between_steps) -> None:
        trainer, progress = self.trainer, self.progress
        if progress.steps == len(batches):
            return
        clock = time.perf_counter()
        for batch in prefetch(batches, trainer.device):
            progress.waited += time.perf_counter() - clock
            self.step(batch)
            now = time.perf_counter()
            progress.seconds, clock = progress.seconds + now - clock, now
            bar.update()
            if len(self.pending) >= trainer.read_every or progress.steps == len(batches):
                self.read_back(bar)
            if between_steps:
                between_steps(partial(self.read_back, bar))

    def step(self, batch: Batch) -> None:
        trainer, step = self.trainer, self.first_step + self.progress.steps
        lr = trainer.lr * trainer.schedule(step)
        set_lr(trainer.optimizer, lr)
        shard = Shard(0, len(batch.images), len(batch.images))
        if trainer.group.size > 1:
            shard = shard_of(self.batch_sampler.whole(self.progress.steps), trainer.group.rank, trainer.group.size)
        trainer.optimizer.zero_grad(set_to_none=True)
        losses = trainer.gradients(
            batch.images,
            batch.targets,
            step=step,
            shard=shard,
            backward=lambda loss: trainer.scaler.scale(loss).backward(),
        )
        norm = trainer.update(step)
        self.progress.steps += 1
        self.pending.append(({"step": step + 1, "epoch": self.epoch, "lr": lr}, losses, norm, batch.host))

    def read_back(self, bar) -> None:
        """Bring the pending losses to the host, in one copy, and check them."""
        if not self.pending:
            return
        trainer, progress = self.trainer, self.progress
        table = torch.stack([torch.stack([*losses.values(), norm]) for _, losses, norm, _ in self.pending])
        rows = (trainer.group.sum(table) / trainer.group.size).tolist()
        records = []
        for (record, losses, _, targets), (*values, norm) in zip(self.pending, rows, strict=True):
            named = {f"train/{name}": value for name, value in zip(losses, values, strict=True)}
            named = {"train/loss": sum(values)} | named
            records.append(record | named)
            # In float16 a gradient beyond the range is ordinary: the scale of the losses is lowered, and that is all.
            if all(map(math.isfinite, values if trainer.scaled else (*values, norm))):
                for key, value in named.items():
                    progress.sums[key] = progress.sums.get(key, 0.0) + value
            else:
                progress.skipped += 1
                self.leave_out(record["step"], named, norm, targets, records)
        self.pending.clear()
        self.on_steps(records)
        if trainer.scaled and not math.isfinite(rows[-1][-1]):
            self.check_scale(records[-1])
        share = progress.waited / max(progress.seconds, 1e-9)
        bar.set_postfix_str(f"loss {records[-1]['train/loss']:.3f}, data wait {share:.0%}")

    def check_scale(self, record: dict) -> None:
        """Report gradients that stay beyond float16's range, whatever the losses are scaled by; raise in the end."""
        scale = self.trainer.scaler.get_scale()
        if scale >= SUSPICIOUS_SCALE:
            return
        table = ", ".join(
            f"{key.removeprefix('train/')} {value:g}" for key, value in record.items() if key.startswith("train/")
        )
        message = (
            f"float16: the gradient is not finite at step {record['step']}, though the losses are scaled down to "
            f"{scale:.2g} by now (from 65536, halved each time): {table}\n  Such steps change nothing."
        )
        remedy = "--amp bf16 or --amp off computes with more range; or lower --lr"
        if scale < HOPELESS_SCALE:
            ending = f"{message} Nothing is being learned, so the training ends here: {remedy}. {RESUME}"
            raise self.trainer.group.refuse(TrainingError(ending))
        if not self.scale_reported:
            logging.getLogger("train").warning(f"{message} If it continues, the training ends: {remedy}.")
        self.scale_reported = True

    def leave_out(self, step: int, losses: dict[str, float], norm: float, targets: tuple, records: list[dict]) -> None:
        """Report a step that is not finite; raise at the second in a row, or where the model is spoilt."""
        trainer = self.trainer
        own = sorted({name for target in targets for name in trainer.names_of(target)})
        files = sorted({name for names in trainer.group.gather(own) for name in names})
        table = ", ".join(f"{name.removeprefix('train/')} {value:g}" for name, value in losses.items())
        what = "gradient" if all(map(math.isfinite, losses.values())) else "loss"
        message = f"the {what} is not finite at step {step}: {table}\n  images of this batch: {', '.join(files)}"
        in_a_row, trainer.last_bad_step = trainer.last_bad_step == step - 1, step
        # Running statistics of batch norms are each process's own.
        own = all(bool(b.isfinite().all()) for b in trainer.model.buffers() if b.is_floating_point())
        (spoilt,) = trainer.group.all_max(not own)
        if not in_a_row and not spoilt:
            logging.getLogger("train").warning(
                f"{message}\n  The step is left out; a second one in a row would end the training."
            )
            return
        self.on_steps(records)
        why = "and running statistics of batch norms no longer are" if spoilt else "nor was it at the step before"
        error = TrainingError(
            f"{message}\n  {why}, so the training ends here.\n"
            "  Look at these files and their boxes (--vis-transformed shows what the network sees), or lower --lr. "
            f"{RESUME}"
        )
        raise trainer.group.refuse(error)
