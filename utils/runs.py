"""The run folder, and files that are either whole or not there."""

import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from utils.errors import ToolkitError

LAUNCH_FILE = ".launch"  # which torchrun began the run, where it may restart it

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
    "val_ground_truth.json",
    "best_model.pth",
    "last_model.pth",
    "last_model_state.pth",
    LAUNCH_FILE,
    ".*.partial*",  # what a killed run left of `atomic_path`
)


def create_run_dir(root: Path, name: str | None, *, exist_ok: bool = False) -> Path:
    """Make the folder of a new run, `root / name`, and return it.

    Args:
        root: parent of all runs, made if missing.
        name: may be nested (`"bccd/first"`); None takes `res_N`, N one above the highest there. Two processes that
            ask at the same moment get two folders.
        exist_ok: accept a folder that holds an earlier run and remove the files named by `RUN_FILES` from it;
            anything else in it stays.

    Raises:
        ToolkitError: the name leaves `root`, the folder is not empty (without `exist_ok`), or it cannot be made.
    """
    root = Path(root)
    run_dir = check_run_name(root, name, exist_ok=exist_ok)
    try:
        if name is None:
            return _create_numbered(root)
        run_dir.mkdir(parents=True, exist_ok=True)
        if exist_ok:
            _remove_run_files(run_dir)
    except OSError as error:
        raise ToolkitError(f"the run folder {run_dir} cannot be made or written: {error}") from error
    return run_dir


def check_run_name(root: Path, name: str | None, *, exist_ok: bool = False) -> Path:
    """What `create_run_dir` would refuse, found out early and without touching anything; returns the folder."""
    run_dir = root if name is None else _inside(root, name)
    try:
        if name is not None and not exist_ok and run_dir.is_dir() and any(run_dir.iterdir()):
            raise ToolkitError(
                f"{run_dir} is not empty: it may hold an earlier run, which is never overwritten unasked. "
                "--exist-ok starts over there, --resume-training continues it, or take another --project-name."
            )
    except OSError as error:
        raise ToolkitError(f"the run folder {run_dir} cannot be read: {error}") from error
    return run_dir


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


def _remove_run_files(run_dir: Path) -> None:
    for pattern in RUN_FILES:
        for path in list(run_dir.glob(pattern)):
            if path.is_symlink() or path.is_file():
                path.unlink()


@contextmanager
def output_dir(chosen: Path | None, root: Path) -> Iterator[Path]:
    """The folder for results: `chosen`, made if missing, else a new `root / res_N`.

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


def check_free(folder: Path, names: Iterable[str | Path]) -> None:
    """Raise ToolkitError, naming one, where `folder` holds any of `names`: results never overwrite anything."""
    there = [folder / name for name in names if (folder / name).exists()]
    if there:
        more = f" (and {len(there) - 1} more)" if len(there) > 1 else ""
        raise ToolkitError(
            f"{there[0]}{more} is there already and is never overwritten: move it away, or give another --output"
        )


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; on success it replaces `path`, on failure it is removed.

    A reader sees the old file or the whole new one, also when the process is killed or the machine loses power. The
    suffix is kept, because image writers choose the format by it.
    """
    path = Path(path)
    partial = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.partial{path.suffix}")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        if error.filename is None:  # a full disk tells of no file
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        partial.unlink(missing_ok=True)


def write_text_atomically(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with the newlines it has, all or nothing."""
    with atomic_path(path) as partial:
        partial.write_bytes(text.encode(errors="replace"))  # a file name that is no UTF-8 gets question marks
