"""The state of a run that is resumed, from `last_model.pth`, and its folder."""

import os
import socket
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from torch_utils.distributed import may_restart, under_torchrun
from torch_utils.runs.checkpoint import Checkpoint, load_checkpoint
from torch_utils.runs.saver import RunState
from torch_utils.training.engine import Progress, TrainState
from utils.cli.settings import NOT_RESUMED, TRAINING_ROOT, TrainSettings, saved_fields
from utils.dataset.fingerprint import differences
from utils.errors import ConfigError
from utils.files import write_text_atomically
from utils.runs.best_epoch import BestEpoch
from utils.runs.note import note
from utils.runs.run_dir import LAUNCH_FILE, check_run_name, create_run_dir, lock_run_dir


def check_data(resumed: Checkpoint, data: dict[str, dict[str, int]]) -> None:
    """Raise ConfigError where the dataset is no longer the one that the run was trained on."""
    before = resumed.content.get("training", {}).get("data", {})
    before = {{"valid": "val"}.get(split, split): of for split, of in before.items()}  # as runs once called it
    changed = differences(before, data)
    if changed:
        raise ConfigError(
            f"{resumed.path} cannot be resumed, because the dataset has changed:\n  " + "\n  ".join(changed) + "\n  "
            "Bring it back, or start a new run on the new data with --weights and without --resume-training."
        )


def run_state_of(resumed: Checkpoint | None, settings: TrainSettings) -> RunState:
    """Return the state of the run when `resumed` was written; without one, that of a new run.

    Raises ConfigError where it holds no training state, and where the settings leave nothing to do.
    """
    if resumed is None:
        return RunState()
    if "optimizer_state_dict" not in resumed.content or resumed.foreign:
        raise ConfigError(
            f"{resumed.path} has no training state of this toolkit: --resume-training needs a last_model.pth; "
            "--weights without it starts a new run from these weights"
        )
    training, run_dir = resumed.content["training"], resumed.path.parent
    run_state = RunState(
        record=training.get("last", resumed.content["metrics"]),
        best=BestEpoch(training["best"], training.get("best_weights", "raw")),
        progress=Progress(**training.get("progress", {})),
    )
    best_path = run_dir / "best_model.pth"
    if best_path.is_file():  # a kill between the two may have left it an epoch ahead; it is what will be used
        best = load_checkpoint(best_path)
        if run_state.best.update(best.content["metrics"]):
            run_state.best.weights = best.content.get("weights", "raw")
    _check_work_left(resumed, run_state, settings)
    return run_state


def restore(trainer: TrainState, resumed: Checkpoint) -> None:
    """Set optimizer, scaler and averaged weights to those of `resumed`; `--weight-decay` stays as it is now."""
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


def _check_work_left(resumed: Checkpoint, run_state: RunState, settings: TrainSettings) -> None:
    epoch, begun = resumed.epoch, run_state.progress.steps > 0
    if epoch + begun > settings.epochs:
        what = f"is in epoch {epoch + 1}" if begun else f"has finished {epoch} epochs"
        if begun or epoch > settings.epochs or _complete(resumed):
            least = "at least that" if begun else "more than that"
            raise ConfigError(f"{resumed.path} {what}: give --epochs {least}")
    if run_state.finished(settings) and _complete(resumed):
        if epoch >= settings.epochs:
            raise ConfigError(f"{resumed.path} has finished {epoch} epochs: give --epochs more than that")
        raise ConfigError(
            f"{resumed.path} has ended after epoch {epoch}: the best is epoch {run_state.best.record['epoch']}, and "
            f"--patience is {settings.patience}. To continue, give --patience more than {run_state.without_best}, or 0 "
            "for no limit"
        )


def _complete(resumed: Checkpoint) -> bool:
    """Check whether the run wrote its last file after this epoch; one of an earlier end does not count."""
    path = resumed.path.with_name("last_model_state.pth")
    return path.is_file() and load_checkpoint(path).epoch == resumed.epoch


def run_to_continue(settings: TrainSettings) -> tuple[Checkpoint | None, TrainSettings]:
    """Return the checkpoint of the run that continues and its settings; None for a new run, whose name is checked now.

    Where torchrun starts a group anew (`--max-restarts`), the run that this very launch began continues by itself, or
    starts over if it had not saved anything; no other run is touched.
    """
    run_dir = settings.run_dir
    if may_restart() and run_dir is None:
        raise ConfigError("torchrun --max-restarts needs --project-name: a restarted group finds its run by it")
    last = (
        settings.weights
        if settings.resume_training and settings.weights
        else run_dir / "last_model.pth"
        if run_dir
        else None
    )
    # torch counts restarts for each machine by itself, and those for machines that come or go not at all.
    if under_torchrun() and run_dir and _begun_by_this_launch(run_dir):
        settings = replace(settings, resume_training=last.is_file(), exist_ok=True)
    if settings.resume_training:
        if not last.is_file() and (last.parent / "args.yaml").is_file():
            raise ConfigError(
                f"{last}: no such file: that run ended before its first checkpoint. The same command without "
                "--resume-training starts it in the same folder"
            )
        resumed = load_checkpoint(last)
        if not (last.parent / "args.yaml").is_file():
            settings = _adopted(settings, resumed)
        return resumed, settings
    if not settings.is_trial:
        check_run_name(TRAINING_ROOT, settings.project_name, exist_ok=settings.exist_ok)
    return None, settings


def _adopted(settings: TrainSettings, resumed: Checkpoint) -> TrainSettings:
    """Return what the run was begun with, from its checkpoint alone; what is not at its default was given, and wins."""
    begun = resumed.content.get("training", {}).get("arguments", {})
    usual = TrainSettings.of_recipe(settings.recipe)
    but = NOT_RESUMED | {"config", "backbone_weights", "global_batch"}
    but |= {"use_train_aug", "no_mosaic"} if settings.augment != usual.augment else set()
    kept = saved_fields(begun, but=but)
    return replace(settings, **{k: v for k, v in kept.items() if getattr(settings, k) == getattr(usual, k)})


def open_run_dir(settings: TrainSettings, resumed: Checkpoint | None, launchers: Iterable[str]) -> Path:
    """Return the run's folder: a new one, or that of the run that continues, without what a kill left half written.

    `launchers` are those of all processes: after a restart, another machine's process may be the first.
    """
    if resumed is None:
        named = check_run_name(TRAINING_ROOT, settings.project_name, exist_ok=settings.exist_ok)
        if settings.project_name and not settings.exist_ok and (named / "args.yaml").is_file():
            note(f"{named}: the run that began there ended before its first checkpoint; its files are replaced")
        run_dir = lock_run_dir(create_run_dir(TRAINING_ROOT, settings.project_name, exist_ok=settings.exist_ok))
    else:
        run_dir = lock_run_dir(resumed.path.parent)
        for path in run_dir.glob(".*.partial*"):
            path.unlink(missing_ok=True)
    if under_torchrun():
        write_text_atomically(run_dir / LAUNCH_FILE, "\n".join(launchers))
    return run_dir


def launcher() -> str:
    """Return the process that started this one: under torchrun the machine's agent, the same through all restarts."""
    stat = Path(f"/proc/{os.getppid()}/stat")  # numbers of processes come again; with the time of the start they do not
    started = stat.read_text().rsplit(")", 1)[1].split()[19] if stat.is_file() else ""
    return f"{socket.gethostname()} process {os.getppid()} {started}"


def _begun_by_this_launch(run_dir: Path) -> bool:
    path = run_dir / LAUNCH_FILE
    return path.is_file() and launcher() in path.read_text(encoding="utf-8").split("\n")
