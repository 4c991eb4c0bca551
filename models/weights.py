"""Trained weights into a model: from torchvision's store, from a file, from a checkpoint of other classes."""

import pickle
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import WeightsEnum
from torchvision.models.detection import FasterRCNN

from models.build import freeze_batch_norm
from models.spec import ModelSpec
from torch_utils.checkpoint import Checkpoint, load_checkpoint, training_arguments_of
from torch_utils.state_dict import check_values
from torch_utils.weights_file import check_records
from utils.errors import CheckpointError, ConfigError
from utils.loggers import note

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
        state = _as_trained(spec, checkpoint)
    _load(model, state, new=None, source=str(checkpoint.path))


def _as_trained(spec: ModelSpec, checkpoint: Checkpoint) -> StateDict:
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


@dataclass
class Transfer:
    """What `transfer` kept. `new_layers`: state dict keys left as initialised; `kept_classes`, `new_classes`: names."""

    new_layers: list[str] = field(default_factory=list)
    kept_classes: list[str] = field(default_factory=list)
    new_classes: list[str] = field(default_factory=list)


def transfer(model: FasterRCNN, spec: ModelSpec, checkpoint: Checkpoint, class_names: tuple[str, ...]) -> Transfer:
    """Start from a checkpoint, maybe of other classes: keep all that fits, and class by class what has the same name.

    Args:
        class_names: the model's classes, background first.

    Raises CheckpointError where hardly anything fits, which means another model.
    """
    state = checkpoint.state_dict
    frozen = frozen_norms(model, state)
    freeze_batch_norm(model, only=frozen)
    if frozen:
        state = _as_trained(spec, checkpoint)
    own = model.state_dict()
    kept = {k: v for k, v in state.items() if not k.startswith(CLASS_LAYERS) and k in own and own[k].shape == v.shape}
    body = [k for k in own if not k.startswith(CLASS_LAYERS)]
    if len(kept) < len(body) / 2:
        raise CheckpointError(
            f"{checkpoint.path}: only {len(kept)} of {len(body)} tensors fit this model; "
            f"it was trained as {checkpoint.model_name or 'another model'}: pass that as --model"
        )
    result = Transfer(new_layers=[k for k in body if k not in kept])
    kept |= _class_rows(own, state, checkpoint.class_names, class_names, result)
    if not result.kept_classes:
        result.new_layers += [k for k in own if k.startswith(CLASS_LAYERS)]
    model.load_state_dict(kept, strict=False)
    return result


def _class_rows(
    own: StateDict, state: StateDict, old: tuple[str, ...] | None, new: tuple[str, ...], result: Transfer
) -> dict[str, Tensor]:
    """The class layers with the rows of classes that both lists name taken over; matched by name, not by order."""
    keys = [k for k in own if k.startswith(CLASS_LAYERS)]
    fits = old is not None and all(
        k in state and len(state[k]) % len(old) == 0 and own[k].shape[1:] == state[k].shape[1:] for k in keys
    )
    shared = [name for name in new[1:] if fits and name in old]
    result.kept_classes = shared
    result.new_classes = [name for name in new[1:] if name not in shared]
    rows = {}
    if shared:
        for key in keys:
            source = state[key].unflatten(0, (len(old), -1))  # (classes, 1 or 4, ...)
            target = own[key].clone().unflatten(0, (len(new), -1))
            for name in (new[0], *shared):
                target[new.index(name)] = source[old.index(name)]
            rows[key] = target.flatten(0, 1)
    return rows


def _load_backbone(model: FasterRCNN, state: StateDict, source: str) -> None:
    """Load the part of `state` that is this backbone, whatever stands before its names (`backbone.body.`, nothing)."""
    body = model.backbone.body
    own = [key for key in body.state_dict() if not key.endswith("num_batches_tracked")]
    prefixes = {key.removesuffix(own[0]) for key in state if key == own[0] or key.endswith("." + own[0])} or {""}
    fitting = {prefix: sum(prefix + key in state for key in own) for prefix in sorted(prefixes)}
    most = max(fitting.values())
    best = [prefix for prefix, count in fitting.items() if count == most]
    if len(best) > 1 and most == len(own):
        raise CheckpointError(f"{source}: holds several backbones, {', '.join(best)}: save the wanted one alone")
    part = {key.removeprefix(best[0]): value for key, value in state.items() if key.startswith(best[0])}
    _load(body, {k: v for k, v in part.items() if k in body.state_dict()}, new=None, source=source)


def _load(model: nn.Module, state: StateDict, *, new: str | None, source: str) -> None:
    """Strict but for keys under `new`; all that does not fit in one error."""
    own = model.state_dict()
    # Batch norms saved while frozen carry no count of batches; it only matters where momentum is None.
    needed = [k for k in own if not (new and k.startswith(new)) and not k.endswith("num_batches_tracked")]
    faults = [f"missing {k}" for k in needed if k not in state]
    faults += [f"unknown {k}" for k in state if k not in own and not k.endswith("num_batches_tracked")]
    faults += [
        f"{k}: expected shape {tuple(own[k].shape)}, found {tuple(v.shape)}"
        for k, v in state.items()
        if k in own and own[k].shape != v.shape
    ]
    if faults:
        listed = "\n  ".join(faults[:8] + ([f"... and {len(faults) - 8} more"] if len(faults) > 8 else []))
        raise CheckpointError(f"{source} does not fit the model:\n  {listed}\n  Check --model and the class list.")
    model.load_state_dict(state, strict=False)
