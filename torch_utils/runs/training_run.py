"""A training run: its parts from the data to the folder, and what happens between two epochs."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import torch

from torch_utils.device import compile_parts
from torch_utils.evaluation import evaluate
from torch_utils.predictor import Predictor
from torch_utils.prefetch import prefetch
from torch_utils.runs.artifacts import write_ground_truth, write_predictions, write_settings, write_training_views
from torch_utils.runs.messages import check_report, end_report, progress_text, run_report, stop_report
from torch_utils.runs.resume import check_data, launcher, open_run_dir, restore
from torch_utils.runs.saver import CheckpointSaver, check_room, save_weights
from torch_utils.runs.session import Session
from torch_utils.training.engine import Progress, TrainState
from torch_utils.training.optim import Ema, Schedule, build_optimizer, default_lr
from torch_utils.training.trials import find_batch_size, find_lr
from utils.checks.diagnosis import diagnose
from utils.cli.settings import TRAINING_ROOT
from utils.coco_eval import CocoEvaluator
from utils.evaluation.matching import match
from utils.evaluation.verdict.numbers import stored_thresholds
from utils.files import write_text_atomically
from utils.plots.labels import plot_label_statistics
from utils.plots.training import plot_training
from utils.runs.best_epoch import BestEpoch
from utils.runs.console import attach_log_file
from utils.runs.final_evaluation import evaluate_best
from utils.runs.loggers import LOGGERS
from utils.runs.progress import RunProgress
from utils.runs.tables import EpochTable, terminal_width
from utils.runs.trackers.tracker import RunInfo
from utils.runs.trackers.trackers import Trackers
from utils.signals import Signals

PLOT_SECONDS = 30  # plots are drawn anew at most this often, and at the end


@dataclass
class TrainingRun:
    """A training with its model, and from `open` on with its folder.

    session: with all its settings resolved. predictors: of the weights that are scored after
    each epoch, "val" for those of training and "ema" for their average.
    """

    session: Session
    trainer: TrainState
    train_loader: torch.utils.data.DataLoader
    val_loader: torch.utils.data.DataLoader
    predictors: dict[str, Predictor]
    folder: Path = Path()
    sinks: list = field(default_factory=list)
    trackers: Trackers | None = None
    progress: RunProgress | None = None
    plotted: float = -PLOT_SECONDS

    def __post_init__(self):
        self.settings, self.group, self.log = self.session.settings, self.session.group, self.session.log
        self.data, self.state, self.model = self.session.data, self.session.state, self.trainer.model
        self.table = EpochTable(
            self.settings.epochs, ema="ema" in self.predictors, rough=self.data.is_rough, width=terminal_width()
        )

    @classmethod
    def build(cls, session: Session, model, train_loader, val_loader) -> "TrainingRun":
        """Return the run that trains `model`; one that continues has its optimizer and averages restored.

        Raises ConfigError where the dataset of a run that continues has changed.
        """
        settings, group, resumed = session.settings, session.group, session.resumed
        lr = settings.lr or default_lr(
            settings.optimizer, settings.global_batch, per_image=settings.lr_per_image, most=settings.lr_most
        )
        session.settings = replace(settings, lr=lr)
        trainer = _train_state(session, model, train_loader)
        predictors = {"val": Predictor(model, group.device, session.amp_dtype)}
        if trainer.ema:
            predictors["ema"] = Predictor(trainer.ema.model, group.device, session.amp_dtype)
        if resumed:
            group.on_rank_zero(lambda: check_data(resumed, session.data.fingerprints))
            restore(trainer, resumed)
        return cls(session, trainer, train_loader, val_loader, predictors)

    def trial(self) -> int:
        """Run the short trial that the settings ask for in place of a training; return the exit status."""
        find = find_lr if self.settings.find_lr else find_batch_size
        return find(self.trainer, self.train_loader, self.settings, self.log)

    def open(self, *, hint: str | None) -> None:
        """Make the run's folder, write what is known before the first step, and compile the model where asked for.

        Args:
            hint: a line for the log in case that the run takes long.

        Raises ToolkitError where the disk has no room for the run's checkpoints, or the folder cannot be taken.
        """
        settings, resumed, launchers = self.settings, self.session.resumed, set(self.group.gather(launcher()))
        near = resumed.path.parent if resumed else settings.run_dir or TRAINING_ROOT
        self.group.on_rank_zero(lambda: check_room(near, self.trainer, settings.optimizer))
        self.folder = folder = self.group.on_rank_zero(lambda: open_run_dir(settings, resumed, launchers))
        if self.group.is_main:
            attach_log_file(self.log, folder / "train.log")
            write_settings(folder, self.settings, self.data.config)
            self._report_data()
            self._report_run()
            self._write_first_files()
            self.sinks = [logger(folder) for logger in LOGGERS.values()]
        self._open_trackers()
        steps, state = len(self.train_loader), self.state
        images = len(self.val_loader.dataset) * len(self.predictors)
        self.progress = RunProgress(
            self.log,
            epochs=self.settings.epochs,
            steps=steps,
            done=state.record["epoch"] * steps + state.progress.steps,
            val_steps=images / self.settings.global_batch,
            quiet=not self.group.is_main,
            hint=hint,
        )
        if settings.compile:
            compile_parts(self.model, self.log)

    def _open_trackers(self) -> None:
        first_step = self.state.record["epoch"] * len(self.train_loader) + self.state.progress.steps + 1
        info = RunInfo(self.folder, self.settings.as_dict(), first_step)
        self.trackers = Trackers(self.settings.log if self.group.is_main else (), info, self.log)
        self.trackers.images("labels.png", "train_batch_*.jpg", "val_labels_*.jpg")

    def _report_data(self) -> None:
        data, settings = self.data, self.settings
        diagnosis = diagnose(
            data.config,
            data.scans,
            model=settings.model,
            anchors=self.model.anchors,
            img_size=self.model.img_size,
            thorough=False,
        )
        for line in check_report(diagnosis, data.scans, max_listed=3):
            self.log.info(line)
        lines = data.report(max_listed=None)
        lines += check_report(diagnosis, data.scans, max_listed=None)
        write_text_atomically(self.folder / "data.txt", "\n".join(lines) + "\n")

    def _report_run(self) -> None:
        report = run_report(
            self.settings, self.model, self.train_loader, self.trainer.schedule, self.group, self.folder
        )
        for line in [*report, *self.data.limit_report(self.model.max_detections)]:
            self.log.info(line)

    def _write_first_files(self) -> None:
        config, folder = self.data.config, self.folder
        plot_label_statistics(folder / "labels.png", config.class_names, self.data.annotations)
        write_training_views(
            folder, self.model, self.train_loader, config.class_names, log=self.log, show=self.settings.vis_transformed
        )
        with_images, pixel_range = config.save_val_predictions, config.pixel_range
        write_ground_truth(folder, self.evaluator(), with_images=with_images, pixel_range=pixel_range)

    def try_validation(self) -> None:
        """Detect on one batch of the validation split: what would fail at the end of the first epoch fails now."""
        for batch in islice(prefetch(self.val_loader, self.group.device), 1):
            self.predictors["val"].predict(batch.images)

    def evaluator(self) -> CocoEvaluator:
        """Return a new evaluator of the validation split."""
        return self.data.evaluator(self.settings.max_detections)

    @contextmanager
    def running(self, signals: Signals) -> Iterator[CheckpointSaver]:
        """Give the saver of the run's checkpoints, while signals are held; close the sinks at the end."""
        if self.session.resumed:
            self.log.info(f"continuing {progress_text(self.state, self.settings, len(self.train_loader))}")
        self.log.info(self.table.header())
        self.plotted = time.perf_counter()
        path, config = self.folder / "last_model.pth", self.data.config
        fingerprints = self.data.fingerprints
        try:
            with signals.held():
                yield CheckpointSaver(path, self.trainer, self.settings, config, fingerprints, self.state, signals)
        except BaseException:
            self.trackers.close()
            raise
        finally:
            self.progress.close()
            for sink in self.sinks:
                sink.close()

    def begin_epoch(self) -> dict[str, float]:
        """Begin or continue the next epoch; return the record of it, with its number and its last step's rate."""
        epoch = self.state.record["epoch"] + 1
        sampler, last_step = self.train_loader.batch_sampler, epoch * len(self.train_loader)
        sampler.epoch, sampler.start = epoch, self.state.progress.steps
        self.progress.begin_epoch(epoch)
        return {"epoch": epoch, "step": last_step, "lr": self.settings.lr * self.trainer.schedule(last_step - 1)}

    def log_steps(self, records: list[dict]) -> None:
        """Write the records of some steps."""
        for sink in (*self.sinks, self.trackers):
            sink.steps(records)

    def validate(self, saver: CheckpointSaver) -> tuple[dict[str, float], dict[str, CocoEvaluator]]:
        """Score the weights, and their average; return the record's part, and the evaluators with all detections."""
        started, record, evaluators = time.perf_counter(), {}, {}
        for name, predictor in self.predictors.items():
            evaluators[name] = self.evaluator()
            metrics = evaluate(
                predictor,
                self.val_loader,
                evaluators[name],
                bar=self.progress.validation,
                group=self.group,
                between_batches=saver.save_if_due,
            )
            record |= {f"{name}/{key}": value for key, value in metrics.items()}
        return record | {"time/val_s": time.perf_counter() - started}, evaluators

    def end_epoch(self, record: dict[str, float], evaluators: dict[str, CocoEvaluator], saver: CheckpointSaver) -> None:
        """Write an epoch's record, predictions and weights, and print its row."""
        record["time/epoch_s"] = record["time/train_s"] + record["time/val_s"]
        best = self.state.best
        improved = best.update(record)
        # The checkpoint comes last: whatever a kill before it leaves, the resumed run writes again.
        for sink in (*self.sinks, self.trackers):
            sink.epoch(record)
        if improved and self.group.is_main:
            name = {"raw": "val", "ema": "ema"}[best.weights]
            self._write_best(evaluators[name], self.predictors[name].model)
        self.state.record, self.state.progress = record, Progress()
        saver.save()
        self.log.info(self.table.row(record, best=best.weights if improved else None))
        if time.perf_counter() - self.plotted > PLOT_SECONDS:
            self.plot()
            self.plotted = time.perf_counter()

    def _write_best(self, evaluator: CocoEvaluator, model: torch.nn.Module) -> None:
        config = self.data.config
        write_predictions(
            self.folder, evaluator, with_images=config.save_val_predictions, pixel_range=config.pixel_range
        )
        self.trackers.images("val_pred_*.jpg")
        matches = match(*evaluator.packed(), max_detections=evaluator.max_detections, image_ids=evaluator.ids)
        path, thresholds = self.folder / "best_model.pth", stored_thresholds(matches, "val")
        save_weights(path, self.settings, config, model, self.state.best, thresholds=thresholds)

    def plot(self) -> None:
        """Draw the curves of the run."""
        if self.group.is_main:
            plot_training(self.folder, title=self.folder.name)

    def report_stop(self) -> None:
        """Report how far the run is that was stopped, and how to resume it."""
        path = self.folder / "last_model.pth"
        for line in stop_report(self.state, self.settings, len(self.train_loader), path, self.group):
            self.log.info(line)
        self.plot()

    def end(self) -> None:
        """Write the last weights, and report the best epoch and the files."""
        settings, state = self.settings, self.state
        if not self.group.is_main:
            return
        last = BestEpoch(state.record)
        save_weights(self.folder / "last_model_state.pth", settings, self.data.config, self.model, last)
        self.plot()
        self.trackers.images("*.png")
        self.trackers.finish(state.best.record)
        if state.record["epoch"] < settings.epochs:
            self.log.info(f"no better epoch in {settings.patience} (--patience): training ends early")
        seconds = time.perf_counter() - self.session.started
        for line in end_report(self.folder, self.data, state.best, seconds, counted=self.model.max_detections):
            self.log.info(line)
        pixel_range, epoch = self.data.config.pixel_range, state.best.record["epoch"]
        for line in evaluate_best(
            self.folder,
            self.evaluator(),
            self.data.annotations,
            epoch=epoch,
            model=settings.model,
            pixel_range=pixel_range,
        ):
            self.log.info(line)


def _train_state(session: Session, model, loader) -> TrainState:
    settings = session.settings
    optimizer = build_optimizer(
        settings.optimizer,
        model,
        settings.lr,
        weight_decay=settings.weight_decay,
        nesterov=settings.momentum == "nesterov",
        decay_norms=settings.decay_norms,
        backbone_lr=settings.backbone_lr,
    )
    total_steps = settings.epochs * len(loader)
    return TrainState(
        model,
        optimizer,
        Schedule(settings.schedule, total_steps, settings.lr_steps, settings.warmup_steps),
        settings.lr,
        session.group.device,
        session.amp_dtype,
        settings.seed,
        loader.dataset.names_of,
        session.group,
        micro_batch=settings.batch_size,
        ema=Ema(model, settings.ema) if settings.ema else None,
        clip_norm=settings.clip_norm,
    )
