"""A new run from another run's checkpoint, of other classes or another depth: what fits is kept, the rest is new."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from models.rcnn.faster_rcnn import SyncFreeFasterRCNN
from models.rcnn.frozen import freeze_batch_norm
from models.registry import ModelSpec
from models.weights.from_checkpoint import as_trained
from models.weights.state import CLASS_LAYERS, StateDict, frozen_norms, is_counter
from torch_utils.runs.checkpoint import Checkpoint
from utils.errors import CheckpointError

BODY = "backbone.body."


@dataclass
class Transfer:
    """Keys of state dicts by what `transfer` did with them, without those of class layers and batch norms' counters.

    kept: from the checkpoint. new: as initialised. unused: of the checkpoint, without a place in the model.
    stages: how many stages of the backbone, from the image upwards, are the checkpoint's as a whole. norms: names of
    the batch norms that are its own, with the layer before them. kept_classes, new_classes: names. trained_as: the
    checkpoint's model.
    """

    kept: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    stages: int = 0
    norms: set[str] = field(default_factory=set)
    kept_classes: list[str] = field(default_factory=list)
    new_classes: list[str] = field(default_factory=list)
    trained_as: str | None = None

    def report(self) -> list[str]:
        """Return lines for the log; where all fits, of the classes alone."""
        lines = [
            f"class layers kept: {', '.join(self.kept_classes) or 'none'}",
            f"class layers new: {', '.join(self.new_classes) or 'none'}",
        ]
        if self.new or self.unused:
            trained = f", trained as {self.trained_as}" if self.trained_as else ""
            lines.append(f"{len(self.kept)} of {len(self.kept) + len(self.new)} tensors fit the weights{trained}")
        if self.new:
            whole = Counter(map(_part, [*self.kept, *self.new]))
            counts = [f"{part} ({n} of {whole[part]})" for part, n in Counter(map(_part, self.new)).items()]
            lines.append(f"new, from random weights: {', '.join(counts)}")
        if self.unused:
            counts = [f"{part} ({n})" for part, n in Counter(map(_part, self.unused)).items()]
            lines.append(f"left out, because the model has no place for them: {', '.join(counts)}")
        return lines


def transfer(
    model: SyncFreeFasterRCNN, spec: ModelSpec, checkpoint: Checkpoint, class_names: tuple[str, ...]
) -> Transfer:
    """Start from a checkpoint, maybe of other classes: keep all that fits, and class by class what has the same name.

    Batch norms are frozen as they were, but for those that are new, or that follow a layer that is.

    Args:
        class_names: the model's classes, background first.

    Raises CheckpointError where hardly anything fits, which means another model.
    """
    state: StateDict = checkpoint.state_dict
    frozen = frozen_norms(model, state)
    if frozen:
        state = as_trained(spec, checkpoint)
    own = model.state_dict()
    keys, fits = fitting_keys(own, checkpoint)
    result = Transfer(kept=[k for k in keys if k in fits], new=[k for k in keys if k not in fits])
    result.trained_as = checkpoint.model_name
    result.unused = [k for k in state if k not in own and not k.startswith(CLASS_LAYERS) and not is_counter(k)]
    changed = {*result.new, *result.unused}
    result.stages = next(
        (number for number, stage in enumerate(spec.stages) if any(_in_stage(key, stage) for key in changed)),
        len(spec.stages),
    )
    result.norms = _kept_norms(keys, fits)
    freeze_batch_norm(model, only=frozen & result.norms)
    rows = _class_rows(own, state, checkpoint.class_names, class_names, result)
    taken = {k: v for k, v in state.items() if k in fits or (is_counter(k) and k in own)}
    model.load_state_dict(taken | rows, strict=False)
    return result


def fitting_keys(own: StateDict, checkpoint: Checkpoint) -> tuple[list[str], set[str]]:
    """Return a model's keys beside class layers and counters, and those that the checkpoint has in the same shape.

    Raises CheckpointError where hardly anything fits.
    """
    state: StateDict = checkpoint.state_dict
    keys = [k for k in own if not k.startswith(CLASS_LAYERS) and not is_counter(k)]
    fits = {k for k in keys if k in state and own[k].shape == state[k].shape}
    if len(fits) < len(keys) / 2:
        raise CheckpointError(
            f"{checkpoint.path}: only {len(fits)} of {len(keys)} tensors fit this model; "
            f"it was trained as {checkpoint.model_name or 'another model'}: pass that as --model"
        )
    return keys, fits


def _part(key: str) -> str:
    """Return the part of the model that a key belongs to: a stage of the backbone, the FPN, a head."""
    return ".".join(key.split(".")[: 3 if key.startswith(BODY) else 2])


def _in_stage(key: str, stage: Iterable[str]) -> bool:
    return key.startswith(BODY) and key.removeprefix(BODY).partition(".")[0] in stage


def _kept_norms(keys: list[str], fits: set[str]) -> set[str]:
    """Return the names of batch norms that fit and whose layer does: the tensor before, in a state dict's order."""
    norms = {key.removesuffix(".running_var") for key in keys if key.endswith(".running_var")}
    fitting = set()
    for before, key in zip(keys, keys[1:], strict=False):
        name = key.removesuffix(".weight")
        if name in norms and before in fits and all(k in fits for k in keys if k.startswith(f"{name}.")):
            fitting.add(name)
    return fitting


def _class_rows(
    own: StateDict, state: StateDict, old: tuple[str, ...] | None, new: tuple[str, ...], result: Transfer
) -> dict:
    """Return the class layers with the rows of the classes that both lists name, matched by name, not by order."""
    keys = [k for k in own if k.startswith(CLASS_LAYERS)]
    old = old or ()
    fits = bool(old) and all(
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
