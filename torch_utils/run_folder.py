"""Which folder a run lives in: a new one, that of the run that goes on, or of the one that torchrun starts again."""

import os
import socket
from collections.abc import Iterable
from pathlib import Path

from torch_utils.checkpoint import Checkpoint, load_checkpoint
from torch_utils.distributed import may_restart, under_torchrun
from utils.arguments import NOT_RESUMED, TRAINING_ROOT, run_dir_of
from utils.errors import ConfigError
from utils.loggers import note
from utils.recipes import RECIPES
from utils.runs import LAUNCH_FILE, check_run_name, create_run_dir, lock_run_dir, write_text_atomically
from utils.training_flags import training_parser


def run_to_continue(args) -> Checkpoint | None:
    """The checkpoint of the run that goes on; None for a new run, whose name is checked now.

    Where torchrun starts a group anew (`--max-restarts`), the run that this very launch began goes on by itself, or
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
    """The run's folder: a new one, or that of the run that goes on, without what a kill left half written.

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
