"""Loads a checkpoint, or published weights, as a predictor with its class names."""

from pathlib import Path
from typing import Any

import torch

from models.build import build_model, load_model
from models.registry import DEFAULT_MODEL, model_spec
from models.weights.published import load_published
from torch_utils.device import describe, pick_amp, pick_device
from torch_utils.predictor import Predictor
from torch_utils.runs.checkpoint import Checkpoint, load_checkpoint
from torch_utils.slicing import SlicedPredictor
from utils.annotations.annotation import BACKGROUND
from utils.config.config import load_class_names
from utils.errors import ConfigError
from utils.evaluation.verdict.stored import StoredThresholds, choose_threshold
from utils.exported.engines import is_exported
from utils.exported.loading import load_exported
from utils.exported.predictor import ExportedPredictor


def load_predictor(
    weights: Path | Checkpoint | None,
    device: torch.device,
    *,
    model_name: str | None = None,
    config: Path | None = None,
    img_size: int | None = None,
    max_detections: int | None = None,
    amp_dtype: torch.dtype | None = None,
    threshold: float = 0.3,
) -> tuple[Predictor, tuple[str, ...]]:
    """Load a predictor; returns it and its class names, background first.

    Model, classes and image size come from the checkpoint; `config` fills in what an older file lacks; `model_name`,
    `img_size` (short side in pixels) and `max_detections` of an image override it. Without `weights`: torchvision's
    published COCO detector. Raises ConfigError where `config` names other classes than the checkpoint.
    """
    pixel_range, class_names = None, None
    if weights is None:
        name = model_name or DEFAULT_MODEL
        spec, class_names = model_spec(name), published_classes(name)
        # The size that the published figures are for: 800, but for the model made for 320.
        img_size = img_size or (320 if spec.img_size == 320 else 800)
        model = build_model(spec, len(class_names), img_size, max_detections=max_detections)
        load_published(model, spec, name)
    else:
        checkpoint = weights if isinstance(weights, Checkpoint) else load_checkpoint(weights, model_name=model_name)
        weights = checkpoint.path
        checkpoint.require_model_name()
        class_names = checkpoint.class_names or (load_class_names(config) if config else None)
        if class_names is None or len(class_names) != checkpoint.num_classes:
            found = (
                "names no classes" if class_names is None else f"has {checkpoint.num_classes} classes with background"
            )
            raise ConfigError(
                f"{weights} {found}: give --config with the YAML it was trained with, "
                f"of {checkpoint.num_classes - 1} classes"
            )
        pixel_range = checkpoint.pixel_range
        model = load_model(checkpoint, img_size=img_size, max_detections=max_detections)
    _check_classes(config, class_names, weights or name)
    model.roi_heads.score_thresh = min(model.roi_heads.score_thresh, threshold)
    if amp_dtype is not None:  # where half precision is fast, so is this layout; in float32 it gains nothing
        model.to(memory_format=torch.channels_last)
    return Predictor(
        model.eval().to(device), device, amp_dtype, threshold=threshold, pixel_range=pixel_range
    ), class_names


def _check_classes(config: Path | None, own: tuple[str, ...], whose: Path | str) -> None:
    """Raise ConfigError where a YAML names other classes than the weights have."""
    if config and (given := load_class_names(config)) != own:
        raise ConfigError(
            f"{config} has the classes {', '.join(given[1:])}; {whose} has {', '.join(own[1:])}: "
            "leave --config out, which is for a checkpoint that names no classes"
        )


def published_classes(name: str = DEFAULT_MODEL) -> tuple[str, ...]:
    """Return the classes of torchvision's published COCO detector, by COCO's category ids; "N/A" where there is none.

    Raises ConfigError for a model that has none.
    """
    coco = model_spec(name).coco
    if coco is None:
        raise ConfigError(f"{name} has no published COCO weights: give --weights CHECKPOINT")
    return BACKGROUND, *map(str, coco.meta["categories"][1:])


def build_predictor(
    weights: Path | Checkpoint | ExportedPredictor | None,
    *,
    device_name: str = "auto",
    half: bool = False,
    model_name: str | None = None,
    config: Path | None = None,
    img_size: int | None = None,
    max_detections: int | None = None,
    slice_size: int | None = None,
    overlap: float = 0.2,
    batch_size: int = 1,
    threshold: float | None = None,
    lowest: float = 1.0,
) -> tuple[Predictor | ExportedPredictor | SlicedPredictor, tuple[str, ...], float]:
    """Load a predictor for a script and print versions, device, precision and what is to be said of the threshold.

    `weights` may be an exported model, too, or what `load_exported` made of it with these arguments. `half` asks for
    half precision where the device is fast at it. With `slice_size` it detects in windows of that side in pixels,
    `batch_size` at a time, each repeating the share `overlap` of the one before. Without a `threshold` it is the
    checkpoint's own, or else the usual one; scores from `lowest` on are detected whatever it is. The rest is as in
    `load_predictor`. Returns the predictor, its class names and the threshold.
    """
    options: dict[str, Any] = {"model_name": model_name, "img_size": img_size, "max_detections": max_detections}
    predictor: Predictor | ExportedPredictor
    if isinstance(weights, Path) and is_exported(weights):
        predictor, class_names = load_exported(weights, device_name=device_name, half=half, **options)
        _check_classes(config, class_names, weights)
        weights = predictor
    if isinstance(weights, ExportedPredictor):
        predictor, class_names = weights, weights.class_names
        print(f"device: {predictor.engine.title}")
        shown, least = _thresholds(threshold, lowest, predictor.engine.metadata.stored_thresholds)
        predictor.detect_from(least)
    else:
        device = pick_device(device_name)
        amp_dtype = pick_amp(device) if half else None
        if half and amp_dtype is None:
            print("note: --half: this device has no fast half precision; using float32")
        for line in describe(device, amp_dtype):
            print(line)
        checkpoint = load_checkpoint(weights, model_name=model_name) if isinstance(weights, Path) else weights
        shown, least = _thresholds(threshold, lowest, checkpoint.thresholds if checkpoint else None)
        predictor, class_names = load_predictor(
            checkpoint, device, amp_dtype=amp_dtype, config=config, threshold=least, **options
        )
    if slice_size is None:
        return predictor, class_names, shown
    sliced = SlicedPredictor(predictor, slice_size, overlap, batch_size=batch_size, threshold=least)
    return sliced, class_names, shown


def _thresholds(wanted: float | None, lowest: float, stored: StoredThresholds | None) -> tuple[float, float]:
    """Return the least score to show and that to detect; print what is to be said of the first."""
    shown, line = choose_threshold(wanted, stored)
    if line:
        print(line)
    return shown, min(shown, lowest)
