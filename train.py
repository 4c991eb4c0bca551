"""Fine-tune a Faster R-CNN on a data set in Pascal VOC XML.

    python train.py --model fasterrcnn_resnet50_fpn_v2 --config data_configs/ppe.yaml --epochs 50 \
        --project-name fasterrcnn_resnet50_fpn_v2_ppe --use-train-aug --no-mosaic

Everything a run leaves is in outputs/training/NAME.
"""

import sys

from utils.arguments import TRAINING_ROOT, run_dir_of, training_arguments
from utils.errors import ConfigError, ToolkitError, stop

if __name__ == "__main__":  # before the imports that take seconds: --help and mistyped flags answer at once
    try:
        ARGS = training_arguments()
    except ToolkitError as error:
        stop(error)

import time
from itertools import islice

import torch

from datasets import DetectionDataset, build_loader
from models.start import resume_model, start_model
from torch_utils.artifacts import (
    Best,
    save_epoch,
    save_final,
    write_ground_truth,
    write_predictions,
    write_settings,
    write_training_views,
)
from torch_utils.checkpoint import load_checkpoint
from torch_utils.coco_eval import CocoEvaluator
from torch_utils.engine import Trainer, evaluate, train_one_epoch
from torch_utils.optim import Schedule, build_optimizer, count_parameters, default_lr
from torch_utils.predictor import Predictor
from torch_utils.runtime import default_workers, describe, pick_amp, pick_device
from utils.annotations import raise_for_errors, scan_split
from utils.config import load_config
from utils.loggers import LOGGERS, attach_log_file, setup_logging
from utils.plots import plot_label_statistics, plot_training
from utils.runs import check_run_name, create_run_dir, write_text_atomically
from utils.tables import class_table, epoch_header, epoch_row

PLOT_SECONDS = 30  # plots are drawn anew at most this often, and at the end


def main(args) -> int:
    log = setup_logging()
    started = time.perf_counter()
    device = pick_device(args.device)
    amp_dtype = pick_amp(device, args.amp)
    for line in describe(device, amp_dtype):
        log.info(line)
    check_run_name(TRAINING_ROOT, args.project_name, exist_ok=args.exist_ok or args.resume_training)
    run_dir = run_dir_of(args)
    resumed = load_checkpoint(args.weights or run_dir / "last_model.pth") if args.resume_training else None

    # The data, all of it looked at before anything is built on it.
    config = load_config(args.config)
    scans = {split: scan_split(config, split, skip_bad=args.skip_bad) for split in ("train", "valid")}
    raise_for_errors(scans)
    for line in data_report(scans, config, max_listed=5):
        log.info(line)

    # The model, the steps, and what they need.
    torch.manual_seed(args.seed)  # of the layers that start from random weights
    model = resume_model(args, config, resumed) if resumed else start_model(args, config, log)
    model.to(device, memory_format=torch.channels_last)
    args.lr = args.lr or default_lr(args.optimizer, args.batch_size)
    train_loader, valid_loader = build_loaders(args, model, scans, device)
    optimizer = build_optimizer(args.optimizer, model, args.lr)
    schedule = Schedule(args.schedule, args.epochs * len(train_loader))
    names_of = train_loader.dataset.names_of
    trainer = Trainer(model, optimizer, schedule, args.lr, device, amp_dtype, args.seed, names_of)
    predictor = Predictor(model, device, amp_dtype)
    best, record = restore(trainer, resumed, run_dir, args.epochs) if resumed else (Best(), {"epoch": 0})
    saved = record["epoch"]

    # The run's folder.
    if not resumed:
        run_dir = create_run_dir(TRAINING_ROOT, args.project_name, exist_ok=args.exist_ok)
    attach_log_file(log, run_dir / "train.log")
    write_settings(run_dir, args, config)
    write_text_atomically(run_dir / "data.txt", "\n".join(data_report(scans, config, max_listed=None)) + "\n")
    describe_run(log, args, model, train_loader, schedule, run_dir)
    plot_label_statistics(run_dir / "labels.png", config.class_names, {k: s.annotations for k, s in scans.items()})
    write_training_views(run_dir, model, train_loader, config.class_names, log=log, show=args.vis_transformed)
    evaluator = CocoEvaluator(scans["valid"].annotations, config.class_names)
    write_ground_truth(run_dir, evaluator, pictures=config.save_valid_predictions)
    for images, _ in islice(valid_loader, 1):  # what would fail at the end of the first epoch fails now
        predictor.predict(images)

    sinks = [logger(run_dir) for logger in LOGGERS.values()]

    def log_steps(records: list[dict]) -> None:
        for sink in sinks:
            sink.steps(records)

    plotted = time.perf_counter()
    log.info(epoch_header())
    try:
        for epoch in range(saved + 1, args.epochs + 1):
            epoch_started = time.perf_counter()
            train_loader.sampler.epoch = epoch
            last_step = epoch * len(train_loader)
            record = {"epoch": epoch, "step": last_step, "lr": args.lr * schedule(last_step - 1)}
            title = f"epoch {epoch}/{args.epochs}"
            record |= train_one_epoch(trainer, train_loader, epoch=epoch, on_steps=log_steps, title=title)
            evaluator = CocoEvaluator(scans["valid"].annotations, config.class_names)
            record |= evaluate(predictor, valid_loader, evaluator, title="validation")
            record["time/epoch_s"] = time.perf_counter() - epoch_started
            improved = best.update(record)

            # The checkpoint comes last: whatever a kill before it leaves, the resumed run writes again.
            for sink in sinks:
                sink.epoch(record)
            if improved:
                write_predictions(run_dir, evaluator, pictures=config.save_valid_predictions)
            save_epoch(run_dir, trainer, args, config, record, best, improved=improved)
            saved = epoch
            log.info(epoch_row(record, args.epochs, best=improved))
            if time.perf_counter() - plotted > PLOT_SECONDS:
                plot_training(run_dir, title=run_dir.name)
                plotted = time.perf_counter()
    except KeyboardInterrupt:
        log.info(f"stopped; {saved} of {args.epochs} epochs are finished and saved")
        if saved:
            log.info(f"go on with: python train.py --resume-training --weights {run_dir / 'last_model.pth'}")
        return 130
    finally:
        for sink in sinks:
            sink.close()

    save_final(run_dir, args, config, model, record)
    plot_training(run_dir, title=run_dir.name)
    report(log, run_dir, config, scans["valid"].annotations, best, time.perf_counter() - started)
    return 0


def restore(trainer, resumed, run_dir, epochs: int) -> tuple[Best, dict]:
    """Optimizer, scaler and best score as they were; returns the best and the last epoch's record."""
    complete = (run_dir / "last_model_state.pth").is_file()
    if resumed.epoch > epochs or (resumed.epoch == epochs and complete):
        raise ConfigError(f"{resumed.path} has finished {resumed.epoch} epochs: give --epochs more than that")
    trainer.optimizer.load_state_dict(resumed.content["optimizer_state_dict"])
    if trainer.scaler.is_enabled() and resumed.content["scaler_state_dict"]:
        trainer.scaler.load_state_dict(resumed.content["scaler_state_dict"])
    best = Best(resumed.content["training"]["best"])
    on_disk = run_dir / "best_model.pth"
    if on_disk.is_file():  # a kill between the two may have left it an epoch ahead; it is what will be used
        best.update(load_checkpoint(on_disk).content["metrics"])
    return best, resumed.content["metrics"]


def data_report(scans, config, *, max_listed: int | None) -> list[str]:
    """What the splits hold and what was left out; `max_listed` findings of a kind, None for all."""
    lines = []
    for split, scan in scans.items():
        lines += [f"{split} split:", *(f"  {line}" for line in scan.summary(config.class_names, max_listed))]
    if not any(len(a.labels) for a in scans["valid"].annotations):
        lines.append("no object in the validation split: AP is undefined, and the best epoch will be the last")
    return lines


def build_loaders(args, model, scans, device):
    """The loaders of training and validation batches."""
    workers = default_workers(device) if args.workers is None else args.workers
    common = {"img_size": model.img_size, "seed": args.seed}
    train_set = DetectionDataset(
        scans["train"].annotations,
        training=True,
        use_mosaic=not args.no_mosaic,
        preset="train" if args.use_train_aug else "flip",
        **common,
    )
    valid_set = DetectionDataset(scans["valid"].annotations, training=False, **common)
    return tuple(
        build_loader(data, batch_size=args.batch_size, workers=workers, pin=device.type == "cuda")
        for data in (train_set, valid_set)
    )


def describe_run(log, args, model, loader, schedule, run_dir) -> None:
    total, trainable = count_parameters(model.parameters())
    log.info(
        f"model: {args.model}, {total / 1e6:.1f} M parameters ({trainable / 1e6:.1f} M trainable), "
        f"{total * 4 / 2**20:.0f} MiB, images at {model.img_size} px (long side up to {model.transform.max_size})"
    )
    log.info(
        f"steps: {len(loader)} per epoch, {schedule.total_steps} in all; {args.optimizer}, lr {args.lr:g}, "
        f"{schedule.warmup_steps} steps of warm-up, {args.schedule}"
    )
    shown = {key: value for key, value in sorted(vars(args).items()) if value is not None and value is not False}
    log.info("arguments: " + ", ".join(f"{key}={value}" for key, value in shown.items()))
    log.info(f"results go to {run_dir}")


def report(log, run_dir, config, annotations, best, seconds: float) -> None:
    """The best epoch's table per class, and what was written where."""
    objects = [sum(int((a.labels == label).sum()) for a in annotations) for label in range(config.num_classes)]
    log.info(f"best epoch: {best.record['epoch']}; {seconds / 60:.1f} minutes")
    for line in class_table(best.record, config.class_names, objects):
        log.info(f"  {line}")
    log.info(f"written to {run_dir}:")
    kept = (run_dir / "best_model.pth").is_file()
    for names, what in (
        (
            "best_model.pth",
            "the weights of the best epoch" + ("" if kept else ", which stayed in the run's old folder"),
        ),
        ("last_model.pth", "to go on training with --resume-training"),
        ("map.png, train_loss_*.png, loss_*.png", "how it learned"),
        ("val_pred_*.jpg", "what it finds, beside val_labels_*.jpg"),
        ("results.csv, metrics.jsonl, train.log", "every number"),
        ("data.txt", "all that was found in the data"),
    ):
        log.info(f"  {names:<38} {what}")


if __name__ == "__main__":
    try:
        sys.exit(main(ARGS))
    except torch.OutOfMemoryError as error:
        stop(
            ToolkitError(f"out of GPU memory ({error}): take a smaller --batch-size or --img-size, or --freeze-layers")
        )
    except (ToolkitError, OSError) as error:  # OSError: a disk that fills up, a folder that goes away
        stop(error)
    except KeyboardInterrupt:
        sys.exit(130)
