"""What a run leaves in its folder, besides logs and plots."""

import json
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import yaml
from torch import nn

from torch_utils.checkpoint import FORMAT, save_checkpoint
from torch_utils.coco_eval import CocoEvaluator
from torch_utils.engine import Trainer
from torch_utils.views import network_view
from utils.config import DatasetConfig
from utils.draw import draw_boxes
from utils.previews import write_sheet, write_validation_sheets
from utils.runs import write_text_atomically
from utils.window import display_problem, show_pictures


@dataclass
class Best:
    """The record of the best epoch so far by COCO's main number; empty before the first."""

    record: dict[str, float] = field(default_factory=dict)

    def update(self, record: dict[str, float]) -> bool:
        """Take an epoch's record in; True where it is the new best.

        Without any object in the validation split AP is -1 in every epoch; then the latest counts as the best.
        """
        score, best = record["val/map_50_95"], self.record.get("val/map_50_95", -1.0)
        if score > best or score == best == -1.0 or not self.record:
            self.record = dict(record)
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


def save_epoch(
    run_dir: Path, trainer: Trainer, args, config: DatasetConfig, record: dict, best: Best, *, improved: bool
) -> None:
    """`best_model.pth` where the epoch is the best, then `last_model.pth`, with all that resuming needs."""
    content = _content(args, config, trainer.model, record)
    if improved:
        save_checkpoint(run_dir / "best_model.pth", content)
    state = {"optimizer_state_dict": trainer.optimizer.state_dict(), "scaler_state_dict": trainer.scaler.state_dict()}
    training = {"arguments": plain_arguments(args), "best": best.record}
    save_checkpoint(run_dir / "last_model.pth", content | state | {"training": training})


def save_final(run_dir: Path, args, config: DatasetConfig, model: nn.Module, record: dict) -> None:
    """`last_model_state.pth`: the last weights alone, to keep or to share."""
    save_checkpoint(run_dir / "last_model_state.pth", _content(args, config, model, record))


def _content(args, config: DatasetConfig, model: nn.Module, record: dict) -> dict:
    return {
        "toolkit": FORMAT,
        "epoch": record["epoch"],
        "model_name": args.model,
        "config": config.as_dict(),
        "img_size": model.img_size,
        "metrics": {key: value if isinstance(value, int) else float(value) for key, value in record.items()},
        "model_state_dict": model.state_dict(),
    }


def write_ground_truth(run_dir: Path, evaluator: CocoEvaluator, *, pictures: bool) -> None:
    """The validation split as annotated: COCO's JSON, and pictures."""
    write_text_atomically(run_dir / "val_ground_truth.json", json.dumps(evaluator.ground_truth(), ensure_ascii=False))
    if pictures:
        write_validation_sheets(run_dir, "val_labels", evaluator.annotations, evaluator.class_names)


def write_predictions(run_dir: Path, evaluator: CocoEvaluator, *, pictures: bool) -> None:
    """What was found on the validation split: COCO's JSON, and pictures."""
    write_text_atomically(run_dir / "val_predictions.json", json.dumps(evaluator.results()))
    if pictures:
        found = evaluator.detections
        write_validation_sheets(run_dir, "val_pred", evaluator.annotations, evaluator.class_names, found=found)


def write_training_views(run_dir: Path, model: nn.Module, loader, class_names, *, log, show: bool) -> None:
    """`train_batch_N.jpg`: the first batches as the network gets them; with `show` also in a window."""
    sheets = []
    loader.sampler.epoch = 1
    data = loader.dataset
    keys = list(islice(loader.sampler, 27))
    model.train()
    for number in range(0, len(keys), 9):
        images, targets = zip(*(data[key] for key in keys[number : number + 9]), strict=True)
        pictures = [
            draw_boxes(image, boxes, labels, class_names)
            for image, boxes, labels in network_view(model, images, targets)
        ]
        names = [Path(data.names_of(t)[0]).name + (" + 3 more" if len(t["sources"]) > 1 else "") for t in targets]
        sheets.append(write_sheet(run_dir / f"train_batch_{number // 9}.jpg", pictures, names))
    if show:
        problem = display_problem()
        if problem:
            log.info(f"--vis-transformed: {problem}; the pictures are {run_dir / 'train_batch_*.jpg'}")
        else:
            show_pictures("what the network sees (any key: next, q: train)", sheets, seconds=10)
