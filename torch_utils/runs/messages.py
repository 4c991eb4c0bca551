"""Messages of a training run, besides its rows of numbers."""

import errno
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from torch_utils.training.optim import count_parameters
from utils.annotations.findings import CHECKS, NOTE
from utils.cli.script import reader_gone
from utils.cli.settings import NOT_RESUMED, TrainSettings
from utils.errors import ToolkitError
from utils.runs.best_epoch import BestEpoch
from utils.runs.console import log_folder, note_in_file
from utils.runs.data import TrainingData
from utils.runs.tables import class_table
from utils.system import in_units

SHARED_MEMORY = Path("/dev/shm")
SAID_ELSEWHERE = NOT_RESUMED | set("model config epochs batch_size global_batch lr optimizer schedule img_size".split())


def check_report(diagnosis, scans, *, max_listed: int | None) -> list[str]:
    """Return the short form of what `diagnosis` found beyond the scans; nothing where that is nothing.

    Findings of a kind are listed where they are at most `max_listed`, else counted; None lists all, and notes, too.
    """
    lines = []
    further = {split: found[len(scans[split].findings) :] for split, found in diagnosis.findings.items()}
    for check, row in CHECKS.items():
        texts = [f"{split}: {f.text}" for split, found in further.items() for f in found if f.check == check]
        if not texts or (row.severity == NOTE and max_listed is not None):
            continue
        lines.append(f"  {row.title}: {len(texts)}")
        if max_listed is None or len(texts) <= max_listed:
            lines += [f"    {text}" for text in texts]
    if not lines:
        return []
    config = diagnosis.config
    command = ["python", "check_dataset.py", "--config", str(config.path), "--model", diagnosis.model]
    command += ["--img-size", str(diagnosis.img_size)]
    command += (
        ["--split", *(str(share) for share in (config.split, config.test_share) if share)] if config.split else []
    )
    command += ["--split-groups", config.split_groups] if config.split_groups else []
    return ["check before a long training:", *lines, f"  what to do: {shlex.join(command)}"]


def run_report(settings: TrainSettings, model, loader, schedule, group, run_dir: Path) -> list[str]:
    """Return the model, the steps, and the settings that are not the recipe's; args.yaml has all of them."""
    usual = TrainSettings.of_recipe(settings.recipe).as_dict()
    samples, images = loader.batch_sampler.length, len(loader.dataset)
    total, trainable = count_parameters(model.parameters())
    split = f" ({group.size} processes with {settings.batch_size} each)" if group.size > 1 else ""
    given = {k: v for k, v in sorted(settings.as_dict().items()) if k not in SAID_ELSEWHERE and v != usual[k]}
    return [
        f"model: {settings.model}, {total / 1e6:.1f} M parameters ({trainable / 1e6:.1f} M trainable), "
        f"{total * 4 / 2**20:.0f} MiB, images at {model.img_size} px (long side up to {model.transform.max_size})",
        f"steps: {len(loader)} per epoch of {settings.global_batch} images{split}, {schedule.total_steps} in all; "
        f"{settings.optimizer}, lr {settings.lr:g}, {schedule.warmup_steps} steps of warm-up, {settings.schedule}",
        f"recipe: {settings.recipe}" + "".join(f", {key} {value}" for key, value in given.items()),
        *([f"rare classes: {samples} samples an epoch of {images} images"] if samples != images else []),
        f"results go to {run_dir}",
    ]


def progress_text(run_state, settings: TrainSettings, steps: int) -> str:
    """Return how far a run is, in words; `steps` of an epoch."""
    epoch, done = run_state.record["epoch"], run_state.progress.steps
    if done:
        return f"in epoch {epoch + 1} of {settings.epochs}, after {done} of its {steps} steps"
    return f"after epoch {epoch}"


def stop_report(run_state, settings: TrainSettings, steps: int, path: Path, group) -> list[str]:
    """Return where a run was stopped, and how to continue."""
    program = _program()
    if group.size > 1:
        program = f"torchrun --nproc_per_node={group.size}"  # or what it was started with
    weights = shlex.quote(str(path))
    return [
        f"stopped {progress_text(run_state, settings, steps)}; saved",
        f"continue with: {program} train.py --resume-training --weights {weights}",
    ]


def end_report(run_dir: Path, data: TrainingData, best: BestEpoch, seconds: float, *, counted: int) -> list[str]:
    """Return the best epoch's table per class, what was written where, and what to type next.

    `counted` are the detections of an image and class that AP counts.
    """
    averaged = ", averaged weights (--ema)" if best.weights == "ema" else ""
    kept = (run_dir / "best_model.pth").is_file()
    weights = run_dir / ("best_model.pth" if kept else "last_model_state.pth")
    files = (
        (
            "best_model.pth",
            "the weights of the best epoch" + ("" if kept else ", which stayed in the run's old folder"),
        ),
        ("last_model.pth", "to continue training with --resume-training"),
        ("map.png, train_loss_*.png, loss_*.png", "how it learned"),
        ("val_pred_*.jpg", "what it finds, beside val_labels_*.jpg"),
        ("results.csv, metrics.jsonl, train.log", "every number"),
        ("data.txt", "all that was found in the data"),
    )
    return [
        f"best epoch: {best.record['epoch']}{averaged}; {seconds / 60:.1f} minutes",
        *(f"  {line}" for line in class_table(best.record, data.config.class_names, data.val_objects, counted=counted)),
        f"written to {run_dir}:",
        *(f"  {names:<38} {meaning}" for names, meaning in files),
        f"detect objects with it: {_program()} inference.py --weights {shlex.quote(str(weights))} "
        f"--input {shlex.quote(str(data.config.val_images_dir))}",
    ]


def _program() -> str:
    """Return how to start Python, as it was started, from the current folder."""
    python, here = Path(sys.executable), Path.cwd()
    return str(python.relative_to(here)) if python.is_relative_to(here) else "python"


@contextmanager
def user_errors() -> Iterator[None]:
    """Raise an error that is the user's to fix in words, which `train.log` has, too; others come through."""
    try:
        yield
    except (ToolkitError, OSError, RuntimeError) as error:
        if isinstance(error, OSError) and reader_gone():
            raise
        reported = as_user_error(error)
        note_in_file(f"error: {reported}")
        raise reported from error


def as_user_error(error: Exception) -> ToolkitError:
    """Return an error that is the user's to fix, in words; raise any other again."""
    if isinstance(error, ToolkitError):
        return error
    if isinstance(error, torch.OutOfMemoryError):
        return ToolkitError(f"out of GPU memory ({error}): smaller --batch-size or --img-size, or --freeze-layers")
    if _shared_memory_is_full(error):
        size = in_units(shutil.disk_usage(SHARED_MEMORY).total) if SHARED_MEMORY.is_dir() else "unknown size"
        return ToolkitError(
            f"{SHARED_MEMORY} is too small ({size}): the loader processes hand over their batches there. Start the "
            "container with more, docker run --shm-size=2g (or --ipc=host); else take fewer --workers or a smaller "
            f"--batch-size. --workers 0 needs none of it. {_how_to_resume()}"
        )
    if isinstance(error, OSError):  # a disk that fills up, a folder that goes away
        return ToolkitError(f"{error}. {_how_to_resume()}")
    if "DataLoader worker" in str(error):
        return ToolkitError(f"{error} If memory ran out: fewer --workers. {_how_to_resume()}")
    raise error


def _how_to_resume() -> str:
    """Return what to do once the cause is gone; resuming takes a checkpoint."""
    run_dir = log_folder()
    if run_dir is None or not (run_dir / "last_model.pth").is_file():
        return "No checkpoint was written yet: then start again with the same command"
    return "Checkpoints are whole or not there: --resume-training continues from the last one"


def _shared_memory_is_full(error: Exception) -> bool:
    """Check whether torch, or Python's multiprocessing, found no room in /dev/shm; they say so in several ways."""
    text = str(error)
    if isinstance(error, OSError):  # of a semaphore: nothing but the number says so, and no file is named
        full = error.errno == errno.ENOSPC and error.filename is None and SHARED_MEMORY.is_dir()
        return full and shutil.disk_usage(SHARED_MEMORY).free < 2**16
    mentioned = "shared memory" in text or "unable to write to file </torch_" in text or "Bus error" in text
    return isinstance(error, RuntimeError) and mentioned
