"""What a run leaves in its folder, besides logs and plots."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from torch import nn

from torch_utils.checkpoint import FORMAT, save_checkpoint
from torch_utils.coco_eval import CocoEvaluator
from torch_utils.engine import Trainer
from torch_utils.views import network_view
from utils.config import DatasetConfig
from utils.pixel_range import PixelRange
from utils.previews import Drawing, write_sheet, write_validation_sheets
from utils.runs import write_text_atomically
from utils.window import display_problem, show_pictures


@dataclass
class Best:
    """The best epoch so far by COCO's main number: its record, and which of its weights that is for.

    record: `val/...` as measured on those weights; empty before the first epoch. weights: "raw", or "ema", the average.
    """

    record: dict[str, float] = field(default_factory=dict)
    weights: str = "raw"

    def update(self, record: dict[str, float]) -> bool:
        """Take in an epoch's record, `val/...` and with averaged weights `ema/...`; True where it is the new best.

        Without any object in the validation split AP is -1 in every epoch; then the latest counts as the best.
        """
        raw, averaged = record["val/map_50_95"], record.get("ema/map_50_95", -2.0)
        score, best = max(raw, averaged), self.record.get("val/map_50_95", -1.0)
        if score > best or score == best == -1.0 or not self.record:
            self.weights = "ema" if averaged > raw else "raw"
            own = {f"val/{k.removeprefix('ema/')}": v for k, v in record.items() if k.startswith("ema/")}
            plain = {k: v for k, v in record.items() if not k.startswith("ema/")}
            self.record = plain | own if self.weights == "ema" else plain
            return True
        return False


def write_settings(run_dir: Path, args, config: DatasetConfig) -> None:
    """`args.yaml`, the arguments as they were resolved, and `config.yaml`, the data set."""
    path = run_dir / "args.yaml"
    values = plain_arguments(args)
    if args.resume_training and path.is_file():  # how the run was begun is kept
        begun = yaml.safe_load(path.read_text(encoding="utf-8"))
        values |= {key: begun[key] for key in ("project_name", "weights", "resume_training") if key in begun}
    write_text_atomically(path, yaml.safe_dump(values, allow_unicode=True))
    text = yaml.safe_dump(config.as_dict(), allow_unicode=True, sort_keys=False)
    write_text_atomically(run_dir / "config.yaml", text)


def plain_arguments(args) -> dict:
    """The arguments as YAML and checkpoints can hold them."""
    return {key: str(value) if isinstance(value, Path) else value for key, value in vars(args).items()}


def save_weights(path: Path, args, config: DatasetConfig, model: nn.Module, scored: Best) -> None:
    """The weights alone, to keep or to share, with what was measured on them."""
    save_checkpoint(path, _content(args, config, model, scored.record) | {"weights": scored.weights})


def save_last(path: Path, args, config: DatasetConfig, trainer: Trainer, record: dict, training: dict) -> None:
    """All that resuming needs: weights, their average, optimizer and scaler as they are now.

    Within an epoch, as `training["progress"]` tells, they have moved on since `record` was measured; then no metrics
    stand beside them.
    """
    content = _content(args, config, trainer.model, record)
    if training["progress"]["steps"]:
        content["metrics"] = {}
    if trainer.ema:
        content["ema_state_dict"] = trainer.ema.model.state_dict()
    # A scale that stays 1 would, on a GPU that needs float16, be taken for one that was found out.
    scaler = trainer.scaler.state_dict() if trainer.scaled else {}
    state = {"optimizer_state_dict": trainer.optimizer.state_dict(), "scaler_state_dict": scaler}
    save_checkpoint(path, content | state | {"training": {"arguments": plain_arguments(args)} | training})


def _content(args, config: DatasetConfig, model: nn.Module, record: dict) -> dict:
    return {
        "toolkit": FORMAT,
        "epoch": record["epoch"],
        "model_name": args.model,
        "config": config.as_dict(),
        "img_size": model.img_size,
        "max_detections": model.max_detections,
        "metrics": plain_record(record),
        "model_state_dict": model.state_dict(),
    }


def plain_record(record: dict) -> dict:
    """A record without NumPy's types."""
    return {key: value if isinstance(value, int) else float(value) for key, value in record.items()}


def write_ground_truth(
    run_dir: Path, evaluator: CocoEvaluator, *, pictures: bool, pixel_range: PixelRange | None = None
) -> None:
    """The validation split as annotated: COCO's JSON, and pictures."""
    write_text_atomically(run_dir / "val_ground_truth.json", json.dumps(evaluator.ground_truth(), ensure_ascii=False))
    if pictures:
        write_validation_sheets(
            run_dir, "val_labels", evaluator.annotations, evaluator.class_names, pixel_range=pixel_range
        )


def write_predictions(
    run_dir: Path, evaluator: CocoEvaluator, *, pictures: bool, pixel_range: PixelRange | None = None
) -> None:
    """What was found on the validation split: COCO's JSON, and pictures."""
    write_text_atomically(run_dir / "val_predictions.json", json.dumps(evaluator.results()))
    if pictures:
        found = evaluator.detections
        write_validation_sheets(
            run_dir, "val_pred", evaluator.annotations, evaluator.class_names, found=found, pixel_range=pixel_range
        )


def write_training_views(run_dir: Path, model: nn.Module, loader, class_names, *, log, show: bool) -> None:
    """`train_batch_N.jpg`: the first batches as the network gets them; with `show` also in a window."""
    sheets = []
    loader.batch_sampler.epoch = 1
    data = loader.dataset
    keys = loader.batch_sampler.keys()[:27]
    model.train()
    for number in range(0, len(keys), 9):
        images, targets = zip(*(data[key] for key in keys[number : number + 9]), strict=True)
        names = [_caption(data.names_of(target)) for target in targets]
        drawings = [
            Drawing(name, *view) for name, view in zip(names, network_view(model, images, targets), strict=True)
        ]
        sheets.append(write_sheet(run_dir / f"train_batch_{number // 9}.jpg", drawings, class_names))
    if show:
        problem = display_problem()
        if problem:
            log.info(f"--vis-transformed: {problem}; the pictures are {run_dir / 'train_batch_*.jpg'}")
        else:
            log.info("keys in the window: q or Esc begins the training, any other shows the next sheet")
            show_pictures("what the network sees (any key: next, q: train)", sheets, seconds=10)


def _caption(names: Sequence[str]) -> str:
    """The first image of a sample, and how many are mixed in."""
    return Path(names[0]).name + (f" + {len(names) - 1} more" if len(names) > 1 else "")
