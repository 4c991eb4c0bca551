"""Where a run stands, `last_model.pth` that holds it, and the way back from there."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from torch_utils.artifacts import Best, plain_record, save_last
from torch_utils.checkpoint import Checkpoint, load_checkpoint
from torch_utils.engine import Progress, Trainer
from utils.config import DatasetConfig
from utils.errors import ConfigError
from utils.fingerprint import differences
from utils.signals import Signals, Stopped

DUE = 1  # a wish to save; a higher one is the number of the signal that asks to stop


@dataclass
class Standing:
    """What a run has done: the last finished epoch's record, the best epoch, and how far the running epoch is."""

    record: dict = field(default_factory=lambda: {"epoch": 0})
    best: Best = field(default_factory=Best)
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
class Keeper:
    """Keeps `last_model.pth` up to date while a run goes on: the `pause` of `train_one_epoch` and `evaluate`.

    The wish to save comes from the clock, every `--save-every` minutes, or from a signal that asks to stop.
    """

    path: Path
    trainer: Trainer
    args: object
    config: DatasetConfig
    data: dict[str, dict[str, int]]
    standing: Standing
    signals: Signals

    def __post_init__(self):
        self._saved_at = time.monotonic()

    def wish(self) -> int:
        if self.signals.noted:
            return self.signals.noted
        late = time.monotonic() - self._saved_at >= 60 * self.args.save_every
        return DUE if late and self.trainer.group.writes else 0

    def grant(self, wish: int) -> None:
        """Save; then raise Stopped where the wish is a signal's."""
        self.save()
        if wish > DUE:
            raise Stopped(wish)

    def save(self) -> None:
        now = self.standing
        if self.trainer.group.writes:
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


def check_data(resumed: Checkpoint, data: dict[str, dict[str, int]]) -> None:
    """Raise ConfigError where the data set is no longer the one that the run was trained on."""
    changed = differences(resumed.content.get("training", {}).get("data", {}), data)
    if changed:
        raise ConfigError(
            f"{resumed.path} cannot be resumed, for the data set has changed:\n  " + "\n  ".join(changed) + "\n  "
            "Bring it back, or start a new run on the new data with --weights and without --resume-training."
        )


def standing_of(resumed: Checkpoint, args) -> Standing:
    """Where the run of `resumed` stood.

    Raises ConfigError where it holds no training state, and where the arguments leave nothing to do.
    """
    if "optimizer_state_dict" not in resumed.content or resumed.foreign:
        raise ConfigError(
            f"{resumed.path} has no training state of this toolkit: --resume-training needs a last_model.pth; "
            "--weights without it starts a new run from these weights"
        )
    training, run_dir = resumed.content["training"], resumed.path.parent
    standing = Standing(
        record=training.get("last", resumed.content["metrics"]),
        best=Best(training["best"], training.get("best_weights", "raw")),
        progress=Progress(**training.get("progress", {})),
    )
    best_path = run_dir / "best_model.pth"
    if best_path.is_file():  # a kill between the two may have left it an epoch ahead; it is what will be used
        best = load_checkpoint(best_path)
        if standing.best.update(best.content["metrics"]):
            standing.best.weights = best.content.get("weights", "raw")
    _check_work_left(resumed, standing, args)
    return standing


def restore(trainer: Trainer, resumed: Checkpoint) -> None:
    """Optimizer, scaler and averaged weights as they were when `resumed` was written; `--weight-decay` as it is now."""
    content = resumed.content
    decays = [group["weight_decay"] for group in trainer.optimizer.param_groups]
    trainer.optimizer.load_state_dict(content["optimizer_state_dict"])
    for group, decay in zip(trainer.optimizer.param_groups, decays, strict=True):
        group["weight_decay"] = decay
    if trainer.scaled and content["scaler_state_dict"]:
        trainer.scaler.load_state_dict(content["scaler_state_dict"])
    if trainer.ema:
        trainer.ema.model.load_state_dict(content["ema_state_dict"])
    trainer.last_bad_step = content["training"].get("last_bad_step", -1)


def _check_work_left(resumed: Checkpoint, standing: Standing, args) -> None:
    epoch, begun = resumed.epoch, standing.progress.steps > 0
    if epoch + begun > args.epochs:
        what = f"is in epoch {epoch + 1}" if begun else f"has finished {epoch} epochs"
        if begun or epoch > args.epochs or _complete(resumed):
            least = "at least that" if begun else "more than that"
            raise ConfigError(f"{resumed.path} {what}: give --epochs {least}")
    if standing.finished(args) and _complete(resumed):
        if epoch >= args.epochs:
            raise ConfigError(f"{resumed.path} has finished {epoch} epochs: give --epochs more than that")
        raise ConfigError(
            f"{resumed.path} has ended after epoch {epoch}: the best is epoch {standing.best.record['epoch']}, and "
            f"--patience is {args.patience}. To go on, give --patience more than {standing.without_best}, or 0 for "
            "no limit"
        )


def _complete(resumed: Checkpoint) -> bool:
    """Whether the run wrote its last file after this epoch; one of an earlier end does not count."""
    path = resumed.path.with_name("last_model_state.pth")
    return path.is_file() and load_checkpoint(path).epoch == resumed.epoch
