"""Short trial runs that end with a plot and a suggestion, before the real training: `--find-lr`, `--find-batch-size`.

A trial uses the very step of training on the very data, and leaves nothing but its plot.
"""

import math
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from torch_utils.prefetch import Batch, prefetch
from torch_utils.training.engine import TrainState, train_one_epoch
from torch_utils.training.optim import default_lr, set_lr
from utils.cli.settings import TrainSettings
from utils.dataset.batch_sampler import Shard
from utils.errors import ConfigError, TrainingError
from utils.plots.trials import plot_batch_sizes, plot_lr_trial
from utils.runs.run_dir import create_run_dir
from utils.system import free_memory


def memory_limit(device: torch.device) -> int:
    """Return the bytes that this process may take: the memory of the GPU, or what others leave of the machine's."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    free = free_memory()
    return 1 << 62 if free is None else free + memory_in_use(device)


def memory_in_use(device: torch.device, *, reset: bool = False) -> int:
    """Return the peak, in bytes, of this process's memory on a GPU since the last `reset`, or of all its memory."""
    if device.type == "cuda":
        if reset:
            torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024)


ROOT = Path("outputs/trials")
LR_STEPS = 100
LR_RANGE = {"sgd": (1e-5, 1.0), "adamw": (1e-7, 1e-1)}
DIVERGED = 3.0  # times the least smoothed loss: from there on it will not come back
MOST_IMAGES = 128  # in a batch
TIMED_STEPS = 3
ENOUGH = 0.95  # of the best rate: what is gained beyond is not worth a larger batch
MEMORY_SHARE = 0.85  # of the limit: batches differ, and the largest images may come together


class _Diverged(Exception):
    pass


def find_lr(trainer: TrainState, loader, settings: TrainSettings, log) -> int:
    """Raise the learning rate from step to step until the loss diverges (Smith 2017, arXiv:1506.01186)."""
    _alone(trainer, "--find-lr")
    low, high = LR_RANGE[settings.optimizer]
    trainer.lr = 1.0
    trainer.schedule = lambda step: low * (high / low) ** (step / (LR_STEPS - 1))
    rates, losses, smooth = [], [], []

    def on_steps(records: list[dict]) -> None:
        for record in records:
            if math.isfinite(record["train/loss"]):
                rates.append(record["lr"])
                losses.append(record["train/loss"])
                smooth[:] = smoothed(losses)
                if smooth[-1] > DIVERGED * min(smooth):
                    raise _Diverged

    try:
        with tqdm(total=LR_STEPS, desc="learning rates", unit="step", leave=False, disable=None) as bar:
            train_one_epoch(trainer, _Steps(loader, LR_STEPS), epoch=1, on_steps=on_steps, bar=bar)
    except (_Diverged, TrainingError):
        if not rates:
            raise
        log.info(f"the loss diverges at a learning rate of {rates[-1]:.2g}")
    suggested = suggest_lr(rates, smooth)
    path = plot_lr_trial(create_run_dir(ROOT, None) / "find_lr.png", rates, losses, smooth, suggested)
    log.info(f"written to {path}")
    if suggested is None:
        log.info("the loss did not fall anywhere: no rate to suggest; check the data with --vis-transformed")
        return 1
    log.info(f"suggested: --lr {suggested:.2g} (without it: {settings.lr:.2g})")
    return 0


def smoothed(losses: Sequence[float], keep: float = 0.9) -> list[float]:
    """Return the exponential moving average without the bias towards its start."""
    mean, result = 0.0, []
    for number, loss in enumerate(losses, 1):
        mean = keep * mean + (1 - keep) * loss
        result.append(mean / (1 - keep**number))
    return result


def suggest_lr(rates: Sequence[float], smooth: Sequence[float]) -> float | None:
    """Return a third of the rate with the least smoothed loss; None where that never fell by a tenth.

    At the minimum the loss has already begun to turn; the steepest descent, the other usual choice, lies within noise
    on a hundred steps.
    """
    finite = [(loss, rate) for loss, rate in zip(smooth, rates, strict=True) if math.isfinite(loss)]
    if not finite or min(finite)[0] > 0.9 * finite[0][0]:
        return None
    return min(finite)[1] / 3


@dataclass
class _Steps:
    """`count` batches of a loader, over as many epochs as that takes."""

    loader: object
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator:
        left, epoch = self.count, 1
        while left:
            self.loader.batch_sampler.epoch = epoch
            for batch in self.loader:
                yield batch
                left -= 1
                if not left:
                    return
            epoch += 1


@dataclass(frozen=True)
class BatchTrial:
    """The measured steps of `batch` images: images per second, and the peak of memory in bytes."""

    batch: int
    rate: float
    memory: int


def find_batch_size(trainer: TrainState, loader, settings: TrainSettings, log) -> int:
    """Time steps with 1, 2, 4 … images, until memory ends or more images no longer pay."""
    _alone(trainer, "--find-batch-size")
    limit = memory_limit(trainer.device)
    sizes = [2**power for power in range(1 + int(math.log2(min(MOST_IMAGES, len(loader.dataset)))))]
    trials: list[BatchTrial] = []
    for batch in tqdm(sizes, desc="batch sizes", unit="size", leave=False, disable=None):
        if trials and 2 * trials[-1].memory > limit and trainer.device.type != "cuda":
            break  # without a GPU, the system would end the process rather than raise an error
        trial = _try_batch(trainer, loader.dataset, batch)
        if trial is None:
            log.info(f"batch {batch}: out of memory")
            break
        trials.append(trial)
        log.info(f"batch {batch:3d}: {trial.rate:7.2f} images/s, {trial.memory / 2**30:.1f} GiB")
        if trial.rate < 0.8 * max(other.rate for other in trials):
            break
    if not trials:
        raise ConfigError("not even one image fits: take a smaller --img-size, or --freeze-layers")
    suggested = suggest_batch(trials, limit)
    path = plot_batch_sizes(create_run_dir(ROOT, None) / "find_batch_size.png", trials, limit, suggested)
    lr = default_lr(settings.optimizer, suggested, per_image=settings.lr_per_image, most=settings.lr_most)
    log.info(f"written to {path}")
    log.info(f"suggested: --batch-size {suggested} (its learning rate, unless --lr is given: {lr:.2g})")
    return 0


def suggest_batch(trials: Sequence[BatchTrial], limit: int) -> int:
    """Return the smallest batch that comes near the best rate among those that leave memory to spare."""
    fitting = [trial for trial in trials if trial.memory <= MEMORY_SHARE * limit] or [trials[0]]
    best = max(trial.rate for trial in fitting)
    return min(trial.batch for trial in fitting if trial.rate >= ENOUGH * best)


def _try_batch(trainer: TrainState, dataset, batch: int) -> BatchTrial | None:
    """Time a step of `batch` images; None where memory does not suffice."""
    items = [dataset[(1, index)] for index in range(batch)]
    trainer.gradients.micro_batch = batch
    trainer.model.train()
    set_lr(trainer.optimizer, 1e-12)
    memory_in_use(trainer.device, reset=True)
    try:
        (uploads,) = prefetch([tuple(zip(*items, strict=True))], trainer.device)
        _step(trainer, uploads, 0)  # the first allocates
        started = time.perf_counter()
        for number in range(1, 1 + TIMED_STEPS):
            _step(trainer, uploads, number)
    except torch.OutOfMemoryError:
        return None
    if trainer.gradients.micro_batch < batch:  # it was halved, for want of memory
        return None
    return BatchTrial(batch, batch * TIMED_STEPS / (time.perf_counter() - started), memory_in_use(trainer.device))


def _step(trainer: TrainState, uploads: Batch, number: int) -> None:
    trainer.optimizer.zero_grad(set_to_none=True)
    losses = trainer.gradients(
        uploads.images,
        uploads.targets,
        step=number,
        shard=Shard(0, len(uploads.images), len(uploads.images)),
        backward=lambda loss: trainer.scaler.scale(loss).backward(),
    )
    trainer.update(number)
    sum(losses.values()).item()  # waits for the GPU


def _alone(trainer: TrainState, flag: str) -> None:
    if trainer.group.size > 1:
        raise trainer.group.refuse(ConfigError(f"{flag} is for one process: run it without torchrun"))
