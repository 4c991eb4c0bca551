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
from utils.cli.train_args import training_arguments
from utils.errors import ToolkitError, stop

if __name__ == "__main__":  # before the imports that take seconds: --help, mistyped flags and Ctrl-C answer at once
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    with ending():
        ARGS = training_arguments()

import time
from itertools import islice

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from datasets import DetectionDataset, build_loader
from models.registry import anchors_of
from models.training_model import resume_model, start_model
from torch_utils.device import compile_parts, default_workers, describe, pick_amp, pick_device
from torch_utils.distributed import join_group, sync_batch_norm
from torch_utils.evaluation import evaluate
from torch_utils.predictor import Predictor
from torch_utils.prefetch import prefetch
from torch_utils.runs.artifacts import write_ground_truth, write_predictions, write_settings, write_training_views
from torch_utils.runs.messages import (
    as_user_error,
    check_report,
    data_report,
    end_report,
    objects_of_classes,
    run_report,
    stop_report,
    where,
)
from torch_utils.runs.resume import check_data, launcher, open_run_dir, restore, run_state_of, run_to_continue
from torch_utils.runs.saver import BestEpoch, CheckpointSaver, RunState, save_weights
from torch_utils.training.engine import Progress, TrainState, train_one_epoch
from torch_utils.training.optim import Ema, Schedule, build_optimizer, default_lr
from torch_utils.training.trials import find_batch_size, find_lr
from utils.checks.diagnosis import diagnose
from utils.coco_eval import CocoEvaluator, most_of_a_class
from utils.config.config import load_config
from utils.dataset.batch_sampler import repeat_factors
from utils.dataset.fingerprint import fingerprint
from utils.dataset.scan import raise_for_errors, scan_splits
from utils.files import write_text_atomically
from utils.images.cache import cache_report, open_cache
from utils.metrics import is_few, limit_report, most_objects, needed_detections
from utils.plots.labels import plot_label_statistics
from utils.plots.training import plot_training
from utils.runs.console import attach_log_file, epoch_header, epoch_row, note_in_file, setup_logging
from utils.runs.loggers import LOGGERS
from utils.signals import Signals, Stopped

PLOT_SECONDS = 30  # plots are drawn anew at most this often, and at the end
VAL_BATCH = 4  # images; whatever --batch-size and the number of processes are, so that metrics do not depend on them


def main(args) -> int:
    signals = Signals()
    started = time.perf_counter()
    group = join_group(pick_device(args.device))
    device, amp_dtype = group.device, pick_amp(group.device, args.amp)
    log = setup_logging(warnings_only=not group.is_main)
    for line in describe(device, amp_dtype):
        log.info(line)
    resumed, known = group.on_rank_zero(lambda: (run_to_continue(args), vars(args)))
    vars(args).update(known)  # the run's own, where it continues
    args.global_batch = args.batch_size * args.accumulate * group.size
    run_state = group.on_rank_zero(lambda: run_state_of(resumed, args) if resumed else RunState())

    # The data, all of it looked at before anything is built on it.
    config = group.on_rank_zero(lambda: load_config(args.config, split=args.split, split_groups=args.split_groups))
    scans = group.on_rank_zero(lambda: scan_data(config, args))
    for line in data_report(scans, config, max_listed=5):
        log.info(line)
    data = {split: fingerprint(scan.annotations, config.class_names) for split, scan in scans.items()}

    # The model, the steps, and what they need.
    torch.manual_seed(args.seed)  # of the layers that start from random weights
    with group.rank_zero_first():  # which may download weights
        most = most_objects({split: scan.annotations for split, scan in scans.items()})
        needed = needed_detections(most)
        model = resume_model(args, config, resumed) if resumed else start_model(args, config, log, needed=needed)
    crowded = most_of_a_class(scans["val"].annotations)
    limits = limit_report(model.max_detections, most, of_a_class=crowded)
    if args.sync_bn:
        model = sync_batch_norm(model, group)
    model.to(device, memory_format=torch.channels_last)
    args.lr = args.lr or default_lr(args.optimizer, args.global_batch, per_image=args.lr_per_image, most=args.lr_most)
    train_loader, val_loader = build_loaders(args, config, model, scans, group, log)
    trainer = build_trainer(args, model, train_loader, amp_dtype, group)
    predictors = {"val": Predictor(model, device, amp_dtype)}
    if trainer.ema:
        predictors["ema"] = Predictor(trainer.ema.model, device, amp_dtype)
    if resumed:
        group.on_rank_zero(lambda: check_data(resumed, data))
        restore(trainer, resumed)
    if args.find_lr or args.find_batch_size:
        return (find_lr if args.find_lr else find_batch_size)(trainer, train_loader, args, log)

    # The run's folder.
    launchers = set(group.gather(launcher()))
    run_dir = group.on_rank_zero(lambda: open_run_dir(args, resumed, launchers))
    sinks = []
    if group.is_main:
        attach_log_file(log, run_dir / "train.log")
        write_settings(run_dir, args, config)
        anchors = anchors_of(args.model)
        diagnosis = diagnose(config, scans, model=args.model, anchors=anchors, img_size=model.img_size, thorough=False)
        for line in check_report(diagnosis, scans, max_listed=3):
            log.info(line)
        told = [*data_report(scans, config, max_listed=None), *check_report(diagnosis, scans, max_listed=None)]
        write_text_atomically(run_dir / "data.txt", "\n".join(told) + "\n")
        for line in [*run_report(args, model, train_loader, trainer.schedule, group, run_dir), *limits]:
            log.info(line)
        plot_label_statistics(run_dir / "labels.png", config.class_names, {k: s.annotations for k, s in scans.items()})
        write_training_views(run_dir, model, train_loader, config.class_names, log=log, show=args.vis_transformed)
        write_ground_truth(
            run_dir,
            evaluator_of(scans, config, args),
            pictures=config.save_val_predictions,
            pixel_range=config.pixel_range,
        )
        sinks = [logger(run_dir) for logger in LOGGERS.values()]
    if args.compile:
        compile_parts(model, log)
    for batch in islice(prefetch(val_loader, device), 1):  # what would fail at the end of the first epoch fails now
        predictors["val"].predict(batch.images)

    def log_steps(records: list[dict]) -> None:
        for sink in sinks:
            sink.steps(records)

    saver = CheckpointSaver(run_dir / "last_model.pth", trainer, args, config, data, run_state, signals)
    plotted = time.perf_counter()
    if resumed:
        log.info(f"continuing {where(run_state, args, len(train_loader))}")
    log.info(epoch_header())
    rough = any(map(is_few, objects_of_classes(scans["val"].annotations, config.num_classes)))
    try:
        with signals.held():
            while not run_state.finished(args):
                epoch = run_state.record["epoch"] + 1
                train_loader.batch_sampler.epoch, train_loader.batch_sampler.start = epoch, run_state.progress.steps
                last_step = epoch * len(train_loader)
                record = {"epoch": epoch, "step": last_step, "lr": args.lr * trainer.schedule(last_step - 1)}
                record |= train_one_epoch(
                    trainer, train_loader, epoch=epoch, on_steps=log_steps, title=f"epoch {epoch}/{args.epochs}",
                    progress=run_state.progress, between_steps=saver.save_if_due,
                )  # fmt: skip
                validating, evaluators = time.perf_counter(), {}
                for name, predictor in predictors.items():
                    evaluators[name] = evaluator_of(scans, config, args)
                    metrics = evaluate(
                        predictor,
                        val_loader,
                        evaluators[name],
                        title="validation",
                        group=group,
                        between_batches=saver.save_if_due,
                    )
                    record |= {f"{name}/{key}": value for key, value in metrics.items()}
                record["time/val_s"] = time.perf_counter() - validating
                record["time/epoch_s"] = record["time/train_s"] + record["time/val_s"]
                improved = run_state.best.update(record)

                # The checkpoint comes last: whatever a kill before it leaves, the resumed run writes again.
                for sink in sinks:
                    sink.epoch(record)
                if improved and group.is_main:
                    name = {"raw": "val", "ema": "ema"}[run_state.best.weights]
                    write_predictions(
                        run_dir,
                        evaluators[name],
                        pictures=config.save_val_predictions,
                        pixel_range=config.pixel_range,
                    )
                    best_model = predictors[name].model
                    save_weights(run_dir / "best_model.pth", args, config, best_model, run_state.best)
                run_state.record, run_state.progress = record, Progress()
                saver.save()
                log.info(epoch_row(record, args.epochs, best=run_state.best.weights if improved else None, rough=rough))
                if group.is_main and time.perf_counter() - plotted > PLOT_SECONDS:
                    plot_training(run_dir, title=run_dir.name)
                    plotted = time.perf_counter()
    except Stopped as stopped:
        for line in stop_report(run_state, args, len(train_loader), saver.path, group):
            log.info(line)
        if group.is_main:
            plot_training(run_dir, title=run_dir.name)
        return stopped.status
    finally:
        for sink in sinks:
            sink.close()

    if group.is_main:
        save_weights(run_dir / "last_model_state.pth", args, config, model, BestEpoch(run_state.record))
        plot_training(run_dir, title=run_dir.name)
        if run_state.record["epoch"] < args.epochs:
            log.info(f"no better epoch in {args.patience} (--patience): training ends early")
        seconds = time.perf_counter() - started
        for line in end_report(
            run_dir, config, scans["val"].annotations, run_state.best, seconds, counted=model.max_detections
        ):
            log.info(line)
    group.close()
    return 0


def scan_data(config, args):
    scans = scan_splits(config, skip_bad=args.skip_bad)
    raise_for_errors(scans)
    return scans


def evaluator_of(scans, config, args) -> CocoEvaluator:
    return CocoEvaluator(
        scans["val"].annotations,
        config.class_names,
        images_dir=config.val_images_dir,
        max_detections=args.max_detections,
    )


def build_trainer(args, model, loader, amp_dtype, group) -> TrainState:
    optimizer = build_optimizer(
        args.optimizer,
        model,
        args.lr,
        weight_decay=args.weight_decay,
        nesterov=args.momentum == "nesterov",
        decay_norms=args.decay_norms,
        backbone_lr=args.backbone_lr,
    )
    return TrainState(
        model,
        optimizer,
        Schedule(args.schedule, args.epochs * len(loader), tuple(args.lr_steps), args.warmup_steps),
        args.lr,
        group.device,
        amp_dtype,
        args.seed,
        loader.dataset.names_of,
        group,
        micro_batch=args.batch_size,
        ema=Ema(model, args.ema) if args.ema else None,
        clip_norm=args.clip_norm,
    )


def build_loaders(args, config, model, scans, group, log):
    """The loaders of training and validation batches."""
    workers = default_workers(group.device) if args.workers is None else args.workers
    annotations = scans["train"].annotations
    train_set = DetectionDataset(
        annotations,
        img_size=model.img_size,
        training=True,
        seed=args.seed,
        augment=args.augment,
        mix_until=args.epochs - args.close_mosaic,
        pixel_range=config.pixel_range,
    )
    if args.cache != "off":
        train_set.cache = open_cache(
            args.cache, train_set.annotations, train_set.stored_hw, gather=group.gather, pixel_range=config.pixel_range
        )
        log.info(cache_report(args.cache, train_set.cache))
    val_set = DetectionDataset(
        scans["val"].annotations, img_size=model.img_size, training=False, pixel_range=config.pixel_range
    )
    repeats = repeat_factors([a.labels for a in annotations], args.repeat_rare) if args.repeat_rare else None
    # Less padding; but where batch norms learn, batches of like images cost accuracy.
    by_shape = not any(isinstance(module, _BatchNorm) for module in model.modules())  # SyncBatchNorm, too
    common = {"workers": workers, "pin": group.device.type == "cuda", "rank": group.rank, "size": group.size}
    return (
        build_loader(train_set, batch_size=args.global_batch, repeats=repeats, by_shape=by_shape, **common),
        build_loader(val_set, batch_size=VAL_BATCH, **common),
    )


if __name__ == "__main__":
    with ending():
        try:
            sys.exit(main(ARGS))
        except (ToolkitError, OSError, RuntimeError) as error:
            if isinstance(error, OSError) and reader_gone():
                raise
            told = as_user_error(error)
            note_in_file(f"error: {told}")
            stop(told)
