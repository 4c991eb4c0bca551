"""Saves checkpoints of a run: the last one, the best one, and within an epoch."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from torch_utils.runs.checkpoint import FORMAT, save_checkpoint
from torch_utils.training.engine import Progress, TrainState
from utils.cli.settings import TrainSettings
from utils.config.dataset_config import DatasetConfig
from utils.errors import ToolkitError
from utils.runs.best_epoch import BestEpoch
from utils.runs.run_dir import CHECKPOINTS
from utils.signals import Signals, Stopped
from utils.system import free_disk, in_units

STATES_OF = {"sgd": 1, "adamw": 2}  # tensors that an optimizer keeps for each parameter
DUE = 1  # time to save; a higher number is that of the signal that asks to stop


def save_weights(
    path: Path,
    settings: TrainSettings,
    config: DatasetConfig,
    model: nn.Module,
    scored: BestEpoch,
    *,
    thresholds: dict | None = None,
) -> None:
    """Write the weights alone, to keep or to publish, with what was measured on them, and maybe their thresholds."""
    more = {"weights": scored.weights} | ({"thresholds": thresholds} if thresholds else {})
    save_checkpoint(path, _content(settings, config, model, scored.record) | more)


def save_last(
    path: Path, settings: TrainSettings, config: DatasetConfig, trainer: TrainState, record: dict, training: dict
) -> None:
    """Write all that resuming needs: weights, their average, optimizer and scaler as they are now.

    Within an epoch, as `training["progress"]` says, they have moved on since `record` was measured; then no metrics
    stand beside them.
    """
    content = _content(settings, config, trainer.model, record)
    if training["progress"]["steps"]:
        content["metrics"] = {}
    if trainer.ema:
        content["ema_state_dict"] = trainer.ema.model.state_dict()
    # A scale that stays 1 would, on a GPU that needs float16, be taken for one that was found out.
    scaler = trainer.scaler.state_dict() if trainer.scaled else {}
    state = {"optimizer_state_dict": trainer.optimizer.state_dict(), "scaler_state_dict": scaler}
    save_checkpoint(path, content | state | {"training": {"arguments": settings.as_dict()} | training})


def _content(settings: TrainSettings, config: DatasetConfig, model: nn.Module, record: dict) -> dict:
    return {
        "toolkit": FORMAT,
        "epoch": record["epoch"],
        "model_name": settings.model,
        "config": config.as_dict(),
        "img_size": model.img_size,
        "max_detections": model.max_detections,
        "metrics": plain_record(record),
        "model_state_dict": model.state_dict(),
    }


def plain_record(record: dict) -> dict:
    """Return a record without NumPy's types."""
    return {key: value if isinstance(value, int) else float(value) for key, value in record.items()}


def check_room(run_dir: Path, trainer: TrainState, optimizer: str) -> None:
    """Raise ToolkitError where the disk has no room for the checkpoints of a run.

    Each is written beside the one that it replaces: so a run needs about twice last_model.pth, and best_model.pth.
    """
    size = sum(tensor.nbytes for tensor in trainer.model.state_dict().values())
    moving = sum(p.nbytes for p in trainer.model.parameters() if p.requires_grad)
    last = size * (2 if trainer.ema else 1) + moving * STATES_OF[optimizer]
    there = [run_dir / name for name in CHECKPOINTS]
    needed = max(2 * last + size, last + 3 * size) - sum(path.stat().st_size for path in there if path.is_file())
    free = free_disk(run_dir)
    if free < needed:
        raise ToolkitError(
            f"{run_dir} has {in_units(free)} of disk left, and the checkpoints of this run take up to "
            f"{in_units(needed)}: make room there, or train a smaller --model"
        )


@dataclass
class RunState:
    """The state of a run: the last finished epoch's record, the best epoch, and how far the running epoch is."""

    record: dict = field(default_factory=lambda: {"epoch": 0})
    best: BestEpoch = field(default_factory=BestEpoch)
    progress: Progress = field(default_factory=Progress)

    @property
    def without_best(self) -> int:
        """The number of finished epochs in a row without a new best."""
        return self.record["epoch"] - self.best.record.get("epoch", 0)

    def finished(self, settings: TrainSettings) -> bool:
        """Check that no epoch is under way, and `--epochs` or `--patience` allows no further one."""
        if self.progress.steps:
            return False
        return self.record["epoch"] >= settings.epochs or 0 < settings.patience <= self.without_best


@dataclass
class CheckpointSaver:
    """Keeps `last_model.pth` up to date: every `--save-every` minutes, and when a signal asks to stop.

    `save_if_due` is what `train_one_epoch` and `evaluate` call between steps and batches.
    """

    path: Path
    trainer: TrainState
    settings: TrainSettings
    config: DatasetConfig
    data: dict[str, dict[str, int]]
    run_state: RunState
    signals: Signals

    def __post_init__(self):
        self._saved_at = time.monotonic()

    def save_if_due(self, settle: Callable[[], None] = lambda: None) -> None:
        """Save where it is time to, after `settle`; then raise Stopped where a signal asks to stop.

        Called between two steps in every process, because the processes have to agree.
        """
        group = self.trainer.group
        late = time.monotonic() - self._saved_at >= 60 * self.settings.save_every
        (due,) = group.all_max(self.signals.noted or (DUE if late and group.is_main else 0))
        if due:
            settle()
            self.save()
        if due > DUE:
            raise Stopped(due)

    def save(self) -> None:
        now = self.run_state
        if self.trainer.group.is_main:
            training = {
                "best": plain_record(now.best.record),
                "best_weights": now.best.weights,
                "last": plain_record(now.record),
                "progress": now.progress.as_dict(),
                "last_bad_step": self.trainer.last_bad_step,
                "data": self.data,
            }
            save_last(self.path, self.settings, self.config, self.trainer, now.record, training)
        self._saved_at = time.monotonic()
