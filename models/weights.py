"""Trained weights into a model: from torchvision's store, from a file, from a checkpoint of other classes."""

import pickle
import sys
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import WeightsEnum
from torchvision.models.detection import FasterRCNN

from models.build import ModelSpec, freeze_batch_norm
from torch_utils.runs.checkpoint import Checkpoint, load_checkpoint, training_arguments_of
from torch_utils.runs.state_dict import check_values
from torch_utils.runs.weights_file import check_records
from utils.errors import CheckpointError, ConfigError
from utils.runs.console import note

CLASS_LAYERS = "roi_heads.box_predictor."
StateDict = Mapping[str, Tensor]


def load_coco(model: FasterRCNN, spec: ModelSpec, name: str) -> None:
    """torchvision's COCO detector, all but the class layers, which stay new."""
    if spec.coco is None:
        other = "imagenet or none" if spec.imagenet else "none"
        raise ConfigError(f"{name}: torchvision has no COCO weights for it; use --pretrained {other}")
    state = _usual(spec, fetch(spec.coco))
    _load(model, {k: v for k, v in state.items() if not k.startswith(CLASS_LAYERS)}, new=CLASS_LAYERS, source=name)


def load_published(model: FasterRCNN, spec: ModelSpec, name: str) -> None:
    """torchvision's COCO detector, class layers and all, for its own 91 classes."""
    state = fetch(spec.coco)
    freeze_batch_norm(model, only=frozen_norms(model, state))
    _load(model, _usual(spec, state), new=None, source=name)


def load_imagenet(model: FasterRCNN, spec: ModelSpec, name: str) -> None:
    """torchvision's ImageNet classifier into the backbone; everything after it stays new."""
    if spec.imagenet is None:
        raise ConfigError(f"{name}: there are no ImageNet weights for it; use --pretrained none")
    _load_backbone(model, fetch(spec.imagenet), source=spec.imagenet.url.rsplit("/", 1)[-1])


def load_backbone_file(model: FasterRCNN, path: Path) -> None:
    """A torchvision-style classifier's state dict, or a detector's, from a file, into the backbone."""
    _load_backbone(model, load_checkpoint(path).state_dict, source=str(path))


def fetch(weights: WeightsEnum) -> StateDict:
    """State dict of torchvision weights, from its cache or the network.

    Raises CheckpointError, with the file, its place and the way round it, where they cannot be had.
    """
    file_name = weights.url.rsplit("/", 1)[-1]
    place = Path(torch.hub.get_dir(), "checkpoints", file_name)
    try:
        if place.is_file():  # torch.hub compares a file with its hash only while downloading it
            check_records(place)
        state = weights.get_state_dict(progress=sys.stderr.isatty(), check_hash=True)
    # No network, HTTP status, full disk; a broken transfer; a wrong hash; a file in the cache that is something else.
    except (OSError, HTTPException, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"trained weights are not at hand: {file_name} could not be read or downloaded ({error}).\n"
            f"  Either download {weights.url} elsewhere and put it at {place},\n"
            "  or train without it: --pretrained none (slower to learn), or start from --weights CHECKPOINT."
        ) from error
    check_values(state, place)
    return state


def _usual(spec: ModelSpec, state: StateDict) -> StateDict:
    return state if spec.coco_bn_eps == 1e-5 else with_usual_eps(state, spec.coco_bn_eps)


def with_usual_eps(state: StateDict, eps: float) -> dict[str, Tensor]:
    """The same function of frozen batch norms, restated for epsilon 1e-5.

    w / sqrt(var + eps) = w' / sqrt(var + 1e-5). So that no model here needs an epsilon of its own.
    """
    state = dict(state)
    for key in [k for k in state if k.startswith("backbone.body.") and k.endswith("running_var")]:
        weight, var = key.replace("running_var", "weight"), state[key].double()
        state[weight] = (state[weight].double() * ((var + 1e-5) / (var + eps)).sqrt()).to(state[weight].dtype)
    return state


def load_whole(model: FasterRCNN, spec: ModelSpec, checkpoint: Checkpoint) -> None:
    """A checkpoint into the very model it was saved from, frozen batch norms included. Strict."""
    state = checkpoint.state_dict
    frozen = frozen_norms(model, state)
    freeze_batch_norm(model, only=frozen)
    if frozen:
        state = as_trained(spec, checkpoint)
    _load(model, state, new=None, source=str(checkpoint.path))


def as_trained(spec: ModelSpec, checkpoint: Checkpoint) -> StateDict:
    """The state dict with its frozen batch norms restated for epsilon 1e-5, where they were trained at another.

    torchvision builds version 1 with epsilon 0 where it starts from the published detector, and with 1e-5 where it
    starts from a classifier. The weights do not tell which it was; the arguments that its reference training keeps do.
    """
    if not checkpoint.foreign or spec.coco_bn_eps == 1e-5:
        return checkpoint.state_dict
    begun = training_arguments_of(checkpoint)
    started = begun.get("weights", begun.get("pretrained"))
    if begun and not started and ("weights" in begun or "pretrained" in begun):
        note(f"{checkpoint.path}: batch norms read with epsilon 1e-5: its arguments say it began with no detector")
        return checkpoint.state_dict
    why = (
        f"its arguments say that it began with {started}"
        if started
        else "taken as begun with torchvision's COCO weights; if it began with ImageNet's, epsilon was 1e-5 and its "
        "scores come out slightly different here"
    )
    note(f"{checkpoint.path}: batch norms read with epsilon {spec.coco_bn_eps:g}: {why}")
    return _usual(spec, checkpoint.state_dict)


def frozen_norms(model: nn.Module, state: StateDict) -> set[str]:
    """Names of the batch norms that were frozen when `state` was saved: those without a count of batches."""
    return {
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.BatchNorm2d)
        and f"{name}.running_var" in state
        and f"{name}.num_batches_tracked" not in state
    }


def _load_backbone(model: FasterRCNN, state: StateDict, source: str) -> None:
    """Load the part of `state` that is this backbone, whatever stands before its names (`backbone.body.`, nothing)."""
    body = model.backbone.body
    own = [key for key in body.state_dict() if not is_counter(key)]
    prefixes = {key.removesuffix(own[0]) for key in state if key == own[0] or key.endswith("." + own[0])} or {""}
    fitting = {prefix: sum(prefix + key in state for key in own) for prefix in sorted(prefixes)}
    most = max(fitting.values())
    best = [prefix for prefix, count in fitting.items() if count == most]
    if len(best) > 1 and most == len(own):
        raise CheckpointError(f"{source}: holds several backbones, {', '.join(best)}: save the wanted one alone")
    part = {key.removeprefix(best[0]): value for key, value in state.items() if key.startswith(best[0])}
    # What follows a classifier's backbone has no place here; a layer within it without a place is another backbone's.
    parts = {name for name, _ in body.named_children()}
    _load(body, {k: v for k, v in part.items() if k.partition(".")[0] in parts}, new=None, source=source)


def is_counter(key: str) -> bool:
    """Whether a state dict's key is a batch norm's count of batches: frozen ones have none, and no weight is in it."""
    return key.endswith("num_batches_tracked")


def _load(model: nn.Module, state: StateDict, *, new: str | None, source: str) -> None:
    """Strict but for keys under `new`; all that does not fit in one error."""
    own = model.state_dict()
    needed = [k for k in own if not (new and k.startswith(new)) and not is_counter(k)]
    faults = [f"missing {k}" for k in needed if k not in state]
    faults += [f"unknown {k}" for k in state if k not in own and not is_counter(k)]
    faults += [
        f"{k}: expected shape {tuple(own[k].shape)}, found {tuple(v.shape)}"
        for k, v in state.items()
        if k in own and own[k].shape != v.shape
    ]
    if faults:
        fitting = sum(k in state and own[k].shape == state[k].shape for k in needed)
        listed = "\n  ".join(faults[:4] + ([f"... and {len(faults) - 4} more"] if len(faults) > 4 else []))
        raise CheckpointError(
            f"{source} does not fit the model, {fitting} of whose {len(needed)} tensors are in it:\n"
            f"  {listed}\n  Check --model and the class list."
        )
    model.load_state_dict(state, strict=False)
