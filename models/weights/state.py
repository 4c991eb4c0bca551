"""State dicts of torchvision's detectors: which entries are what, and a strict way to load them."""

from collections.abc import Mapping

from torch import Tensor, nn

from models.registry import ModelSpec
from utils.errors import CheckpointError

CLASS_LAYERS = "roi_heads.box_predictor."
StateDict = Mapping[str, Tensor]


def load_strictly(model: nn.Module, state: StateDict, *, new: str | None, source: str) -> None:
    """Load a state dict that has to fit, but for keys under `new`.

    Raises CheckpointError, with all that does not fit.
    """
    check_fits(model.state_dict(), state, new=new, source=source)
    model.load_state_dict(state, strict=False)


def check_fits(own: StateDict, state: StateDict, *, new: str | None, source: str) -> None:
    """Raise CheckpointError unless `state` has every tensor of `own`, but for keys under `new`, and no other."""
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


def is_counter(key: str) -> bool:
    """Check whether a state dict's key counts a batch norm's batches: frozen ones have none, and no weight is in it."""
    return key.endswith("num_batches_tracked")


def frozen_norms(model: nn.Module, state: StateDict) -> set[str]:
    """Return the names of the batch norms that were frozen when `state` was saved: those without a count of batches."""
    return {
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.BatchNorm2d)
        and f"{name}.running_var" in state
        and f"{name}.num_batches_tracked" not in state
    }


def at_usual_eps(spec: ModelSpec, state: StateDict) -> StateDict:
    """Return the state dict of a model's COCO weights, restated for epsilon 1e-5 where they have another."""
    return state if spec.coco_bn_eps == 1e-5 else with_usual_eps(state, spec.coco_bn_eps)


def with_usual_eps(state: StateDict, eps: float) -> dict[str, Tensor]:
    """Restate frozen batch norms for epsilon 1e-5, so that they compute the same.

    w / sqrt(var + eps) = w' / sqrt(var + 1e-5). So no model here needs an epsilon of its own.
    """
    state = dict(state)
    for key in [k for k in state if k.startswith("backbone.body.") and k.endswith("running_var")]:
        weight, var = key.replace("running_var", "weight"), state[key].double()
        state[weight] = (state[weight].double() * ((var + 1e-5) / (var + eps)).sqrt()).to(state[weight].dtype)
    return state
