"""What a run leaves in its folder, besides logs and plots."""

import json
from dataclasses import asdict, dataclass
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
    """The best epoch so far by COCO's main number; epoch 0 is none yet."""

    map_50_95: float = -1.0
    epoch: int = 0

    def update(self, record: dict[str, float]) -> bool:
        """Take the epoch's record in; True where it is the new best."""
        if self.epoch and record["val/map_50_95"] <= self.map_50_95:
            return False
        self.map_50_95, self.epoch = record["val/map_50_95"], record["epoch"]
        return True


def write_settings(run_dir: Path, args, config: DatasetConfig) -> None:
    """`args.yaml`, the arguments as they were resolved, and `config.yaml`, the data set."""
    values = {key: str(value) if isinstance(value, Path) else value for key, value in vars(args).items()}
    write_text_atomically(run_dir / "args.yaml", yaml.safe_dump(values, allow_unicode=True))
    text = yaml.safe_dump(config.as_dict(), allow_unicode=True, sort_keys=False)
    write_text_atomically(run_dir / "config.yaml", text)


def save_epoch(
    run_dir: Path, trainer: Trainer, args, config: DatasetConfig, record: dict, best: Best, *, improved: bool
) -> None:
    """`best_model.pth` where the epoch is the best, then `last_model.pth`, with all that resuming needs."""
    content = _content(args, config, trainer.model, record)
    if improved:
        save_checkpoint(run_dir / "best_model.pth", content)
    state = {"optimizer_state_dict": trainer.optimizer.state_dict(), "scaler_state_dict": trainer.scaler.state_dict()}
    save_checkpoint(run_dir / "last_model.pth", content | state | {"best": asdict(best)})


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
        "metrics": {key: float(value) for key, value in record.items()},
        "model_state_dict": model.state_dict(),
    }


def write_predictions(run_dir: Path, evaluator: CocoEvaluator, *, pictures: bool) -> None:
    """The validation split in COCO's JSON, what was annotated and what was found, and pictures of both."""
    truth = run_dir / "val_ground_truth.json"
    first = not truth.exists()
    if first:
        write_text_atomically(truth, json.dumps(evaluator.ground_truth(), ensure_ascii=False))
    write_text_atomically(run_dir / "val_predictions.json", json.dumps(evaluator.results()))
    if pictures:
        write_validation_sheets(
            run_dir, evaluator.annotations, evaluator.detections, evaluator.class_names, labels_too=first
        )


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
