"""The run folder, and files that are either whole or not there."""

import atexit
import errno
import importlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from utils.errors import ToolkitError

fcntl: Any = importlib.import_module("fcntl") if os.name == "posix" else None  # Windows has none

LAUNCH_FILE = ".launch"  # which torchrun began the run, where it may restart it
LOCK_FILE = ".lock"  # held by the process that trains there
CHECKPOINTS = ("last_model.pth", "best_model.pth", "last_model_state.pth")

# What a run writes, as names and glob patterns inside its folder; `--exist-ok` removes these and nothing else.
RUN_FILES = (
    "args.yaml",
    "config.yaml",
    "data.txt",
    "train.log",
    "metrics.jsonl",
    "results.csv",
    "train_loss_iter.png",
    "train_loss_epoch.png",
    "loss_*.png",
    "map.png",
    "lr.png",
    "labels.png",
    "train_batch_*.jpg",
    "val_labels_*.jpg",
    "val_pred_*.jpg",
    "val_predictions.json",
    "evaluation.json",
    "thresholds.yaml",
    "report.html",
    "MODEL_CARD.md",
    "val_ground_truth.json",
    "out_of_fold_predictions.json",
    "out_of_fold_ground_truth.json",
    "label_errors.csv",
    "events.out.tfevents.*",
    "trackers.json",
    *CHECKPOINTS,
    LAUNCH_FILE,
    LOCK_FILE,
    ".*.partial*",  # what a killed run left of `atomic_path`
)


_locks: dict[Path, object] = {}  # open files of the folders that this process holds


def create_run_dir(root: Path, name: str | None, *, exist_ok: bool = False) -> Path:
    """Make the folder of a new run, `root / name`, and return it.

    Args:
        root: parent of all runs, made if missing.
        name: may be nested (`"bccd/first"`); None takes `res_N`, N one above the highest there. Two processes that
            ask at the same moment get two folders.
        exist_ok: accept a folder that holds an earlier run and remove the files named by `RUN_FILES` from it;
            anything else in it stays.

    What a run left that ended before its first checkpoint is removed in the same way, unasked.

    Raises:
        ToolkitError: the name leaves `root`, the folder holds a checkpoint or files that a run would overwrite (without
            `exist_ok`), or it cannot be made.
    """
    root = Path(root)
    run_dir = check_run_name(root, name, exist_ok=exist_ok)
    try:
        if name is None:
            return _create_numbered(root)
        run_dir.mkdir(parents=True, exist_ok=True)
        lock_run_dir(run_dir)
        _remove_run_files(run_dir)  # of an earlier run, or of one without a checkpoint
    except OSError as error:
        raise ToolkitError(f"the run folder {run_dir} cannot be made or written: {error}") from error
    return run_dir


def check_run_name(root: Path, name: str | None, *, exist_ok: bool = False) -> Path:
    """Refuse what `create_run_dir` would, early and without touching anything; returns the folder."""
    if name is None:
        return root
    run_dir = _inside(root, name)
    try:
        if exist_ok or not run_dir.is_dir():
            return run_dir
        if found := [name for name in CHECKPOINTS if (run_dir / name).exists()]:
            remedy = (
                "--resume-training continues it"
                if "last_model.pth" in found
                else f"--weights {run_dir / found[0]} starts a new run from its weights"
            )
            raise ToolkitError(
                f"{run_dir} holds {found[0]} of an earlier run, which is never overwritten unasked. "
                f"--exist-ok starts over there, {remedy}, or take another --project-name."
            )
        theirs = [] if _begun_by_a_run(run_dir) else _run_files(run_dir)
    except OSError as error:
        raise ToolkitError(f"the run folder {run_dir} cannot be read: {error}") from error
    if theirs:
        raise ToolkitError(
            f"{run_dir} has {', '.join(path.name for path in theirs[:4])}, which a run would overwrite and no run has "
            "written: move it away, or take another --project-name; --exist-ok overwrites it."
        )
    return run_dir


def _begun_by_a_run(run_dir: Path) -> bool:
    """Check whether the folder's files are a run's, which begins with its settings."""
    if (run_dir / LOCK_FILE).exists() or (run_dir / LAUNCH_FILE).exists():
        return True
    try:
        text = (run_dir / "args.yaml").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, IsADirectoryError):
        return False
    return all(re.search(rf"^{key}:", text, re.MULTILINE) for key in ("project_name", "recipe", "img_size"))


def lock_run_dir(run_dir: Path) -> Path:
    """Hold the folder until this process ends, however it ends; returns it.

    Raises ToolkitError where another process holds it. Does nothing where the system or the disk has no such locks.
    """
    if fcntl is None or run_dir in _locks:
        return run_dir
    file = (run_dir / LOCK_FILE).open("a")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # this process's own: loader processes do not inherit it
    except OSError as error:
        file.close()
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise ToolkitError(
                f"{run_dir}: another process is training there: wait for it, or take another --project-name"
            ) from None
        return run_dir
    _locks[run_dir] = file
    atexit.register(_unlock, run_dir)
    return run_dir


def _unlock(run_dir: Path) -> None:
    if (run_dir / "args.yaml").exists():  # else the lock alone says that the folder is a run's
        (run_dir / LOCK_FILE).unlink(missing_ok=True)


def _inside(root: Path, name: str) -> Path:
    path = Path(name)
    if not path.parts or path.anchor or ".." in path.parts:
        raise ToolkitError(
            f"{name!r} cannot name a run: expected a folder below {root}, such as 'first' or 'bccd/first', "
            "without '..' and not an absolute path."
        )
    return root / path


def _create_numbered(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    # Any case, because res_3 and RES_3 are the same folder on some file systems.
    taken = [re.fullmatch(r"res_([0-9]+)", entry.name, re.IGNORECASE) for entry in root.iterdir()]
    highest = max((int(match[1]) for match in taken if match), default=0)
    number = highest + 1
    while True:
        run_dir = root / f"res_{number}"
        try:
            run_dir.mkdir()
            return run_dir
        except FileExistsError:  # another process took it since we looked
            number += 1


def _run_files(run_dir: Path) -> list[Path]:
    """Return the files in the folder that have the names of a run's."""
    found = {path for pattern in RUN_FILES for path in run_dir.glob(pattern)}
    return sorted(path for path in found if path.is_symlink() or path.is_file())


def _remove_run_files(run_dir: Path) -> None:
    for path in _run_files(run_dir):
        if path.name != LOCK_FILE:
            path.unlink()


@contextmanager
def output_dir(chosen: Path | None, root: Path) -> Iterator[Path]:
    """Return the folder for results: `chosen`, made if missing, else a new `root / res_N`.

    One that was made here and stays empty is taken away again.
    """
    made = chosen is None or not chosen.exists()
    if chosen is None:
        folder = create_run_dir(root, None)
    else:
        folder = chosen
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ToolkitError(f"the folder {folder} cannot be made: {error.strerror or error}") from error
    try:
        yield folder
    finally:
        if made and not any(folder.iterdir()):
            folder.rmdir()
