"""Where a run stands, `last_model.pth` that holds it, and the way back from there."""

import os
import socket
from collections.abc import Iterable
from pathlib import Path

from torch_utils.distributed import may_restart, under_torchrun
from torch_utils.runs.checkpoint import Checkpoint, load_checkpoint
from torch_utils.runs.saver import BestEpoch, RunState
from torch_utils.training.engine import Progress, TrainState
from utils.cli.recipes import RECIPES
from utils.cli.train_args import NOT_RESUMED, TRAINING_ROOT, run_dir_of, training_parser
from utils.dataset.fingerprint import differences
from utils.errors import ConfigError
from utils.files import write_text_atomically
from utils.runs.console import note
from utils.runs.run_dir import LAUNCH_FILE, check_run_name, create_run_dir, lock_run_dir


def check_data(resumed: Checkpoint, data: dict[str, dict[str, int]]) -> None:
    """Raise ConfigError where the dataset is no longer the one that the run was trained on."""
    before = resumed.content.get("training", {}).get("data", {})
    before = {{"valid": "val"}.get(split, split): of for split, of in before.items()}  # as runs once called it
    changed = differences(before, data)
    if changed:
        raise ConfigError(
            f"{resumed.path} cannot be resumed, for the dataset has changed:\n  " + "\n  ".join(changed) + "\n  "
            "Bring it back, or start a new run on the new data with --weights and without --resume-training."
        )


def run_state_of(resumed: Checkpoint, args) -> RunState:
    """Where the run of `resumed` stood.

    Raises ConfigError where it holds no training state, and where the arguments leave nothing to do.
    """
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
    _check_work_left(resumed, run_state, args)
    return run_state


def restore(trainer: TrainState, resumed: Checkpoint) -> None:
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


def _check_work_left(resumed: Checkpoint, run_state: RunState, args) -> None:
    epoch, begun = resumed.epoch, run_state.progress.steps > 0
    if epoch + begun > args.epochs:
        what = f"is in epoch {epoch + 1}" if begun else f"has finished {epoch} epochs"
        if begun or epoch > args.epochs or _complete(resumed):
            least = "at least that" if begun else "more than that"
            raise ConfigError(f"{resumed.path} {what}: give --epochs {least}")
    if run_state.finished(args) and _complete(resumed):
        if epoch >= args.epochs:
            raise ConfigError(f"{resumed.path} has finished {epoch} epochs: give --epochs more than that")
        raise ConfigError(
            f"{resumed.path} has ended after epoch {epoch}: the best is epoch {run_state.best.record['epoch']}, and "
            f"--patience is {args.patience}. To continue, give --patience more than {run_state.without_best}, or 0 for "
            "no limit"
        )


def _complete(resumed: Checkpoint) -> bool:
    """Whether the run wrote its last file after this epoch; one of an earlier end does not count."""
    path = resumed.path.with_name("last_model_state.pth")
    return path.is_file() and load_checkpoint(path).epoch == resumed.epoch


def run_to_continue(args) -> Checkpoint | None:
    """The checkpoint of the run that continues; None for a new run, whose name is checked now.

    Where torchrun starts a group anew (`--max-restarts`), the run that this very launch began continues by itself, or
    starts over if it had not saved anything; no other run is touched.
    """
    run_dir = run_dir_of(args)
    if may_restart() and run_dir is None:
        raise ConfigError("torchrun --max-restarts needs --project-name: a restarted group finds its run by it")
    last = args.weights if args.resume_training and args.weights else run_dir / "last_model.pth" if run_dir else None
    # torch counts restarts for each machine by itself, and those for machines that come or go not at all.
    if under_torchrun() and run_dir and _begun_by_this_launch(run_dir):
        args.resume_training, args.exist_ok = last.is_file(), True
    if args.resume_training:
        if not last.is_file() and (last.parent / "args.yaml").is_file():
            raise ConfigError(
                f"{last}: no such file: that run ended before its first checkpoint. The same command without "
                "--resume-training starts it in the same folder"
            )
        resumed = load_checkpoint(last)
        if not (last.parent / "args.yaml").is_file():
            _adopt(args, resumed)
        return resumed
    if not (args.find_lr or args.find_batch_size):
        check_run_name(TRAINING_ROOT, args.project_name, exist_ok=args.exist_ok)
    return None


def _adopt(args, resumed: Checkpoint) -> None:
    """What the run was begun with, from its checkpoint alone; whatever is not at its default was given, and wins."""
    begun = resumed.content.get("training", {}).get("arguments", {})
    usual = vars(training_parser().parse_args([])) | RECIPES[args.recipe]
    for key, value in begun.items():
        if key not in NOT_RESUMED | {"config", "backbone_weights"} and getattr(args, key, None) == usual.get(key, ...):
            setattr(args, key, value)


def open_run_dir(args, resumed: Checkpoint | None, launchers: Iterable[str]) -> Path:
    """The run's folder: a new one, or that of the run that continues, without what a kill left half written.

    `launchers` are those of all processes: after a restart, another machine's process may be the first.
    """
    if resumed is None:
        named = check_run_name(TRAINING_ROOT, args.project_name, exist_ok=args.exist_ok)
        if args.project_name and not args.exist_ok and (named / "args.yaml").is_file():
            note(f"{named}: the run that began there ended before its first checkpoint; its files are replaced")
        run_dir = lock_run_dir(create_run_dir(TRAINING_ROOT, args.project_name, exist_ok=args.exist_ok))
    else:
        run_dir = lock_run_dir(resumed.path.parent)
        for path in run_dir.glob(".*.partial*"):
            path.unlink(missing_ok=True)
    if under_torchrun():
        write_text_atomically(run_dir / LAUNCH_FILE, "\n".join(launchers))
    return run_dir


def launcher() -> str:
    """The process that started this one: under torchrun the machine's agent, the same through all restarts."""
    stat = Path(f"/proc/{os.getppid()}/stat")  # numbers of processes come again; with the time of the start they do not
    started = stat.read_text().rsplit(")", 1)[1].split()[19] if stat.is_file() else ""
    return f"{socket.gethostname()} process {os.getppid()} {started}"


def _begun_by_this_launch(run_dir: Path) -> bool:
    path = run_dir / LAUNCH_FILE
    return path.is_file() and launcher() in path.read_text(encoding="utf-8").split("\n")
