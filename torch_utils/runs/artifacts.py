"""Files that a run leaves in its folder, besides logs and plots."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import Tensor, nn

from torch_utils.predictor import to_float
from torch_utils.prefetch import prefetch
from utils.cli.settings import TrainSettings
from utils.coco_eval import CocoEvaluator
from utils.config.dataset_config import DatasetConfig
from utils.drawing.contact_sheet import Drawing, write_sheet
from utils.drawing.window import display_problem, show_images
from utils.files import write_text_atomically
from utils.images.pixel_range import PixelRange
from utils.runs.previews import write_validation_sheets


@torch.no_grad()
def network_view(
    model: nn.Module, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]]
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return a batch after the model's own normalisation, resizing and padding, turned back into images.

    Returns one (RGB uint8 (H, W, 3), boxes (N, 4) xyxy in its pixels, labels (N,)) per image; padding is black.
    """
    transform = model.transform
    device = next(model.parameters()).device
    (uploads,) = prefetch([(images, targets)], device)
    batch, moved = transform([to_float(image, device) for image in images], list(uploads.targets))
    mean, std = (torch.tensor(v, device=device).view(3, 1, 1) for v in (transform.image_mean, transform.image_std))
    views = []
    for tensor, (height, width), target in zip(batch.tensors, batch.image_sizes, moved, strict=True):
        image = (tensor * std + mean).mul_(255).round_().clamp_(0, 255)
        image[:, height:], image[:, :, width:] = 0, 0  # padding is added after normalisation
        boxes, labels = target["boxes"].cpu().numpy(), target["labels"].cpu().numpy()
        views.append((image.byte().permute(1, 2, 0).contiguous().cpu().numpy(), boxes, labels))
    return views


def write_settings(run_dir: Path, settings: TrainSettings, config: DatasetConfig) -> None:
    """Write `args.yaml`, the settings as they were resolved, and `config.yaml`, the dataset."""
    path = run_dir / "args.yaml"
    values = settings.as_dict()
    if settings.resume_training and path.is_file():  # how the run was begun is kept
        begun = yaml.safe_load(path.read_text(encoding="utf-8"))
        values |= {key: begun[key] for key in ("project_name", "weights", "resume_training") if key in begun}
    write_text_atomically(path, yaml.safe_dump(values, allow_unicode=True))
    text = yaml.safe_dump(config.as_dict(), allow_unicode=True, sort_keys=False)
    write_text_atomically(run_dir / "config.yaml", text)


def write_ground_truth(
    run_dir: Path, evaluator: CocoEvaluator, *, with_images: bool, pixel_range: PixelRange | None = None
) -> None:
    """Write the validation split as annotated: COCO's JSON, and images."""
    write_text_atomically(run_dir / "val_ground_truth.json", json.dumps(evaluator.ground_truth(), ensure_ascii=False))
    if with_images:
        write_validation_sheets(
            run_dir, "val_labels", evaluator.annotations, evaluator.class_names, pixel_range=pixel_range
        )


def write_predictions(
    run_dir: Path, evaluator: CocoEvaluator, *, with_images: bool, pixel_range: PixelRange | None = None
) -> None:
    """Write the detections on the validation split: COCO's JSON, and images."""
    write_text_atomically(run_dir / "val_predictions.json", json.dumps(evaluator.results()))
    if with_images:
        found = evaluator.detections
        write_validation_sheets(
            run_dir, "val_pred", evaluator.annotations, evaluator.class_names, found=found, pixel_range=pixel_range
        )


def write_training_views(run_dir: Path, model: nn.Module, loader, class_names, *, log, show: bool) -> None:
    """Write `train_batch_N.jpg`, the first batches as the network gets them; with `show` also open a window."""
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
            log.info(f"--vis-transformed: {problem}; the images are {run_dir / 'train_batch_*.jpg'}")
        else:
            log.info("keys in the window: q or Esc begins the training, any other shows the next sheet")
            show_images("what the network sees (any key: next, q: train)", sheets, seconds=10)


def _caption(names: Sequence[str]) -> str:
    """Return the first image's name of a sample, and how many are mixed in."""
    return Path(names[0]).name + (f" + {len(names) - 1} more" if len(names) > 1 else "")
