"""Fine-tune a Faster R-CNN on images annotated in Pascal VOC XML, COCO JSON or YOLO text.

    python train.py --model fasterrcnn_resnet50_fpn_v2 --config data_configs/ppe.yaml --epochs 50 \
        --project-name fasterrcnn_resnet50_fpn_v2_ppe --use-train-aug --no-mosaic

Everything a run leaves is in outputs/training/NAME. On several GPUs: torchrun --nproc_per_node=K train.py …
"""

import signal
import sys

from utils.cli.guard import NETWORK_PACKAGES, check_python

if __name__ == "__main__":  # before anything else is imported: this Python may lack it
    check_python(NETWORK_PACKAGES)

from utils.cli.script import ending, reader_gone
from utils.cli.train_args import TrainSettings, training_settings
from utils.errors import ToolkitError, stop

if __name__ == "__main__":  # before the imports that take seconds: --help, mistyped flags and Ctrl-C answer at once
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    with ending():
        SETTINGS = training_settings()

import time
from dataclasses import replace

import torch

from datasets import DetectionDataset, Loader, build_loader
from models.registry import LIGHTEST, anchors_of
from models.training_model import check_start, resume_model, start_model
from torch_utils.device import compile_parts, default_workers, describe, pick_amp, pick_device
from torch_utils.distributed import Group, join_group, sync_batch_norm
from torch_utils.runs.folds import train_folds
from torch_utils.runs.messages import as_user_error, data_report
from torch_utils.runs.resume import run_state_of, run_to_continue
from torch_utils.runs.training_run import Session, TrainingRun
from torch_utils.training.engine import train_one_epoch
from utils.dataset.batch_sampler import repeat_factors
from utils.images.cache import cache_report, open_cache
from utils.runs.console import note_in_file, setup_logging
from utils.runs.data import TrainingData
from utils.runs.read_data import read_data, read_whole_data
from utils.runs.trackers.trackers import check_trackers
from utils.signals import Signals, Stopped

VAL_BATCH = 4  # images; whatever --batch-size and the number of processes are, so that metrics do not depend on them


def main(settings: TrainSettings) -> int:
    """Train as the settings ask for; return the exit status."""
    if settings.folds and not settings.fold:
        return train_folds(settings, main, read_whole_data)
    signals = Signals()
    run = prepare_model(prepare_data(settings))
    if settings.is_trial:
        return run.trial()
    open_run(run)
    try:
        fit(run, signals)
    except Stopped as stopped:
        run.report_stop()
        return stopped.status
    finish(run)
    return 0


def prepare_data(settings: TrainSettings) -> Session:
    """Join the processes, find the run to resume, and scan the whole dataset before anything is built on it."""
    started = time.perf_counter()
    group = join_group(pick_device(settings.device))
    log = setup_logging(warnings_only=not group.is_main)
    resumed, settings = group.on_rank_zero(lambda: run_to_continue(settings))
    group.on_rank_zero(lambda: check_trackers(settings.log))
    amp_dtype = pick_amp(group.device, settings.amp)
    for line in describe(group.device, amp_dtype):
        log.info(line)
    settings = replace(settings, global_batch=settings.batch_size * settings.accumulate * group.size)
    state = group.on_rank_zero(lambda: run_state_of(resumed, settings))
    group.on_rank_zero(lambda: None if resumed else check_start(settings))
    data = group.on_rank_zero(lambda: read_data(settings))
    for line in data_report(data.scans, data.config, max_listed=5):
        log.info(line)
    return Session(settings, group, amp_dtype, log, data, state, resumed, started)


def prepare_model(session: Session) -> TrainingRun:
    """Build the model and all that a step needs; what weights and data decide is in the run's settings."""
    group, data, log, resumed = session.group, session.data, session.log, session.resumed
    torch.manual_seed(session.settings.seed)  # of the layers that start from random weights
    with group.rank_zero_first():  # which may download weights
        model, settings = (
            resume_model(session.settings, data.config, resumed)
            if resumed
            else start_model(session.settings, data.config, log, needed=data.needed_detections)
        )
    if settings.sync_bn:
        model = sync_batch_norm(model, group)
    model.to(group.device, memory_format=torch.channels_last)
    loaders = build_loaders(settings, data, model, group, log)
    return TrainingRun.build(replace(session, settings=settings), model, *loaders)


def build_loaders(settings: TrainSettings, data: TrainingData, model, group: Group, log) -> tuple[Loader, Loader]:
    """Return the loaders of training and validation batches."""
    annotations, pixel_range = data.annotations, data.config.pixel_range
    train_set = DetectionDataset(
        annotations["train"],
        img_size=model.img_size,
        training=True,
        seed=settings.seed,
        augment=settings.augment,
        mix_until=settings.epochs - settings.close_mosaic,
        pixel_range=pixel_range,
    )
    if settings.cache != "off":
        train_set.cache = open_cache(
            settings.cache, train_set.annotations, train_set.stored_hw, gather=group.gather, pixel_range=pixel_range
        )
        log.info(cache_report(settings.cache, train_set.cache))
    val_set = DetectionDataset(annotations["val"], img_size=model.img_size, training=False, pixel_range=pixel_range)
    rare = settings.repeat_rare
    repeats = repeat_factors([a.labels for a in annotations["train"]], rare) if rare else None
    # Less padding; but where batch norms learn, batches of like images cost accuracy.
    learning = torch.nn.modules.batchnorm._BatchNorm  # SyncBatchNorm, too
    by_shape = not any(isinstance(module, learning) for module in model.modules())
    workers = default_workers(group.device) if settings.workers is None else settings.workers
    common = {"workers": workers, "pin": group.device.type == "cuda", "rank": group.rank, "size": group.size}
    return (
        build_loader(train_set, batch_size=settings.global_batch, repeats=repeats, by_shape=by_shape, **common),
        build_loader(val_set, batch_size=VAL_BATCH, **common),
    )


def open_run(run: TrainingRun) -> TrainingRun:
    """Make the run's folder, write what is known before the first step, and try what would fail at an epoch's end."""
    hint = f"a lighter model takes less time on a CPU: --model {LIGHTEST}, or a smaller --img-size"
    slow = run.group.device.type == "cpu" and run.settings.model != LIGHTEST
    run.open(anchors=anchors_of(run.settings.model), hint=hint if slow else None)
    if run.settings.compile:
        compile_parts(run.model, run.log)
    run.try_validation()
    return run


def fit(run: TrainingRun, signals: Signals | None = None) -> None:
    """Train epoch by epoch, to the end or to the end of patience.

    Signals are answered where `signals` are given; then one raises Stopped, between two steps, with all saved.
    """
    with run.running(signals or Signals(())) as saver:
        while not run.state.finished(run.settings):
            record = run.begin_epoch()
            record |= train_one_epoch(
                run.trainer, run.train_loader, epoch=record["epoch"], on_steps=run.log_steps, bar=run.progress,
                progress=run.state.progress, between_steps=saver.save_if_due,
            )  # fmt: skip
            metrics, evaluators = run.validate(saver)
            run.end_epoch(record | metrics, evaluators, saver)


def finish(run: TrainingRun) -> dict[str, float]:
    """Write the last weights, report the best epoch, and return its record, `val/map_50_95` and the like."""
    run.end()
    run.group.close()
    return run.state.best.record


if __name__ == "__main__":
    with ending():
        try:
            sys.exit(main(SETTINGS))
        except (ToolkitError, OSError, RuntimeError) as error:
            if isinstance(error, OSError) and reader_gone():
                raise
            reported = as_user_error(error)
            note_in_file(f"error: {reported}")
            stop(reported)
