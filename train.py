"""Fine-tune a Faster R-CNN on images annotated in Pascal VOC XML, COCO JSON or YOLO text.

    python train.py --model fasterrcnn_resnet50_fpn_v2 --config data_configs/ppe.yaml --epochs 50 \
        --project-name fasterrcnn_resnet50_fpn_v2_ppe --use-train-aug --no-mosaic

Everything a run leaves is in outputs/training/NAME. On several GPUs: torchrun --nproc_per_node=K train.py …
"""

import sys

from utils.cli.guard import NETWORK_PACKAGES, check_python

if __name__ == "__main__":  # before anything else is imported: this Python may lack it
    check_python(NETWORK_PACKAGES)

from utils.cli.script import ending
from utils.cli.train_args import TrainSettings, training_settings
from utils.signals import Signals, Stopped, end_at_once

if __name__ == "__main__":  # before the imports that take seconds: --help, mistyped flags and Ctrl-C answer at once
    end_at_once()
    with ending():
        SETTINGS = training_settings()

from datasets import build_loaders
from models.rcnn.frozen import learns_batch_statistics
from models.training_model import check_model, fetch_weights, lighter_model, training_model
from torch_utils.runs.folds import train_folds
from torch_utils.runs.messages import user_errors
from torch_utils.runs.session import Session
from torch_utils.runs.start import begin_session
from torch_utils.runs.training_run import TrainingRun
from torch_utils.training.engine import train_one_epoch
from utils.runs.read_data import read_config, read_data, read_whole_data


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
    """Join the processes, find the run to resume, check its weights, then scan the whole dataset."""
    session = begin_session(settings)
    session.group.on_rank_zero(lambda: check_model(session.settings, session.resumed))
    config = session.group.on_rank_zero(lambda: read_config(session.settings))  # a wrong path comes before a download
    if not session.resumed:
        session.group.on_rank_zero(lambda: fetch_weights(session.settings))
    session.data = session.group.on_rank_zero(lambda: read_data(session.settings, config))
    session.log_data()
    return session


def prepare_model(session: Session) -> TrainingRun:
    """Build the model and all that a step needs; what weights and data decide is in the run's settings."""
    group, data = session.group, session.data
    with group.rank_zero_first():  # which may download weights
        model, settings = training_model(session.settings, data, session.resumed, session.log)
    model = group.place(model, sync_bn=settings.sync_bn)
    by_shape = not learns_batch_statistics(model)
    loaders = build_loaders(settings, data, group, img_size=model.img_size, by_shape=by_shape)
    session.settings = settings
    return TrainingRun.build(session, model, *loaders)


def open_run(run: TrainingRun) -> TrainingRun:
    """Make the run's folder, write what is known before the first step, and try what would fail at an epoch's end."""
    run.open(hint=lighter_model(run.settings, run.group.device))
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
    with ending(), user_errors():
        sys.exit(main(SETTINGS))
