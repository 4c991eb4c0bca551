"""Trained weights from torchvision's store, or of a backbone from a file."""

import pickle
import sys
from http.client import HTTPException
from pathlib import Path

import torch
from torchvision.models import WeightsEnum
from torchvision.models.detection import FasterRCNN

from models.rcnn.faster_rcnn import SyncFreeFasterRCNN
from models.rcnn.frozen import freeze_batch_norm
from models.registry import ModelSpec
from models.weights.state import (
    CLASS_LAYERS,
    StateDict,
    at_usual_eps,
    check_fits,
    frozen_norms,
    is_counter,
    load_strictly,
)
from torch_utils.runs.checkpoint import load_checkpoint
from torch_utils.weights.state_dict import check_values
from torch_utils.weights.weights_file import check_records
from utils.errors import CheckpointError, ConfigError


def load_coco(model: SyncFreeFasterRCNN, spec: ModelSpec, name: str) -> None:
    """Load torchvision's COCO detector, all but the class layers, which stay new."""
    if spec.coco is None:
        other = "imagenet or none" if spec.imagenet else "none"
        raise ConfigError(f"{name}: torchvision has no COCO weights for it; use --pretrained {other}")
    state = at_usual_eps(spec, fetch(spec.coco))
    load_strictly(
        model, {k: v for k, v in state.items() if not k.startswith(CLASS_LAYERS)}, new=CLASS_LAYERS, source=name
    )


def load_published(model: SyncFreeFasterRCNN, spec: ModelSpec, name: str) -> None:
    """Load torchvision's COCO detector, class layers and all, for its own 91 classes."""
    state = fetch(spec.coco)
    freeze_batch_norm(model, only=frozen_norms(model, state))
    load_strictly(model, at_usual_eps(spec, state), new=None, source=name)


def load_imagenet(model: SyncFreeFasterRCNN, spec: ModelSpec, name: str) -> None:
    """Load torchvision's ImageNet classifier into the backbone; everything after it stays new."""
    if spec.imagenet is None:
        raise ConfigError(f"{name}: there are no ImageNet weights for it; use --pretrained none")
    _load_backbone(model, fetch(spec.imagenet), source=spec.imagenet.url.rsplit("/", 1)[-1])


def load_backbone_file(model: SyncFreeFasterRCNN, path: Path) -> None:
    """Load a file with the state dict of a torchvision-style classifier, or of a detector, into the backbone."""
    _load_backbone(model, load_checkpoint(path).state_dict, source=str(path))


def check_backbone_file(model: FasterRCNN, path: Path) -> None:
    """Raise CheckpointError where a file of backbone weights cannot be read or does not fit; nothing is loaded."""
    _backbone_part(model, load_checkpoint(path).state_dict, source=str(path))


def fetch(weights: WeightsEnum) -> StateDict:
    """Return the state dict of torchvision weights, from its cache or the network.

    Raises CheckpointError, with the file, its place and the way round it, where they cannot be downloaded.
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


def _load_backbone(model: SyncFreeFasterRCNN, state: StateDict, source: str) -> None:
    """Load the part of `state` that is this backbone."""
    model.backbone.body.load_state_dict(_backbone_part(model, state, source), strict=False)


def _backbone_part(model: FasterRCNN, state: StateDict, source: str) -> StateDict:
    """Return the part of `state` that is this backbone, whatever stands before its names (`backbone.body.`, nothing).

    Raises CheckpointError where it does not fit.
    """
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
    part = {k: v for k, v in part.items() if k.partition(".")[0] in parts}
    check_fits(body.state_dict(), part, new=None, source=source)
    return part
