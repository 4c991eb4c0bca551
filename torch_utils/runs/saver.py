"""Saves checkpoints of a run: the last one, the best one, and within an epoch."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from torch_utils.runs.checkpoint import FORMAT, save_checkpoint
from torch_utils.training.engine import Progress, TrainState
from utils.config.config import DatasetConfig
from utils.signals import Signals, Stopped

DUE = 1  # time to save; a higher number is that of the signal that asks to stop


@dataclass
class BestEpoch:
    """The best epoch so far by COCO's main number: its record, and which of its weights that is for.

    record: `val/...` as measured on those weights; empty before the first epoch. weights: "raw", or "ema", the average.
    """

    record: dict[str, float] = field(default_factory=dict)
    weights: str = "raw"

    def update(self, record: dict[str, float]) -> bool:
        """Take in an epoch's record, `val/...` and with averaged weights `ema/...`; True where it is the new best.

        Without any object in the validation split AP is -1 in every epoch; then the latest counts as the best.
        """
        raw, averaged = record["val/map_50_95"], record.get("ema/map_50_95", -2.0)
        score, best = max(raw, averaged), self.record.get("val/map_50_95", -1.0)
        if score > best or score == best == -1.0 or not self.record:
            self.weights = "ema" if averaged > raw else "raw"
            own = {f"val/{k.removeprefix('ema/')}": v for k, v in record.items() if k.startswith("ema/")}
            plain = {k: v for k, v in record.items() if not k.startswith("ema/")}
            self.record = plain | own if self.weights == "ema" else plain
            return True
        return False


def plain_arguments(args) -> dict:
    """The arguments as YAML and checkpoints can hold them."""
    return {key: str(value) if isinstance(value, Path) else value for key, value in vars(args).items()}


def save_weights(path: Path, args, config: DatasetConfig, model: nn.Module, scored: BestEpoch) -> None:
    """The weights alone, to keep or to share, with what was measured on them."""
    save_checkpoint(path, _content(args, config, model, scored.record) | {"weights": scored.weights})


def save_last(path: Path, args, config: DatasetConfig, trainer: TrainState, record: dict, training: dict) -> None:
    """All that resuming needs: weights, their average, optimizer and scaler as they are now.

    Within an epoch, as `training["progress"]` tells, they have moved on since `record` was measured; then no metrics
    stand beside them.
    """
    content = _content(args, config, trainer.model, record)
    if training["progress"]["steps"]:
        content["metrics"] = {}
    if trainer.ema:
        content["ema_state_dict"] = trainer.ema.model.state_dict()
    # A scale that stays 1 would, on a GPU that needs float16, be taken for one that was found out.
    scaler = trainer.scaler.state_dict() if trainer.scaled else {}
    state = {"optimizer_state_dict": trainer.optimizer.state_dict(), "scaler_state_dict": scaler}
    save_checkpoint(path, content | state | {"training": {"arguments": plain_arguments(args)} | training})


def _content(args, config: DatasetConfig, model: nn.Module, record: dict) -> dict:
    return {
        "toolkit": FORMAT,
        "epoch": record["epoch"],
        "model_name": args.model,
        "config": config.as_dict(),
        "img_size": model.img_size,
        "max_detections": model.max_detections,
        "metrics": plain_record(record),
        "model_state_dict": model.state_dict(),
    }


def plain_record(record: dict) -> dict:
    """A record without NumPy's types."""
    return {key: value if isinstance(value, int) else float(value) for key, value in record.items()}


@dataclass
class RunState:
    """What a run has done: the last finished epoch's record, the best epoch, and how far the running epoch is."""

    record: dict = field(default_factory=lambda: {"epoch": 0})
    best: BestEpoch = field(default_factory=BestEpoch)
    progress: Progress = field(default_factory=Progress)

    @property
    def without_best(self) -> int:
        """How many finished epochs in a row brought no new best."""
        return self.record["epoch"] - self.best.record.get("epoch", 0)

    def finished(self, args) -> bool:
        """No epoch is under way, and `--epochs` or `--patience` allows no further one."""
        if self.progress.steps:
            return False
        return self.record["epoch"] >= args.epochs or 0 < args.patience <= self.without_best


@dataclass
class CheckpointSaver:
    """Keeps `last_model.pth` up to date: every `--save-every` minutes, and when a signal asks to stop.

    `save_if_due` is what `train_one_epoch` and `evaluate` call between steps and batches.
    """

    path: Path
    trainer: TrainState
    args: object
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
        late = time.monotonic() - self._saved_at >= 60 * self.args.save_every
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
            save_last(self.path, self.args, self.config, self.trainer, now.record, training)
        self._saved_at = time.monotonic()
