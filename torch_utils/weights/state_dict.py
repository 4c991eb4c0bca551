"""Find the weights in whatever a training program saved them in, under the names that torchvision gives them."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from torch_utils.weights.weights_file import fields_of
from utils.errors import CheckpointError
from utils.runs.note import note

OWN_KEY = "model_state_dict"
WEIGHTS_KEYS = ("state_dict", "model", "model_state", "net", "network", "module", "weights", "params")
AVERAGED_KEYS = ("model_ema", "ema", "ema_state_dict", "state_dict_ema", "ema_model", "model_ema_state_dict")
# What wraps a model, or a part of it, puts a part of its own into the names: DataParallel, torch.compile, a Lightning
# module, FSDP, checkpointed activations. No network here has a part of such a name.
WRAPPERS = {"module", "_orig_mod", "model", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
DEPTH = 4


def find_state_dict(content: Mapping, path: Path) -> tuple[dict[str, Tensor], str | None]:
    """Return the weights in a checkpoint, and the key they are under; None where the content itself is a state dict.

    Raises CheckpointError where there are none, and where several may be meant.
    """
    if _is_state_dict(content):
        return _tensors(content), None
    if OWN_KEY in content:
        found = {OWN_KEY: content[OWN_KEY]}
    else:
        found = {key: content[key] for key in WEIGHTS_KEYS if _holds_weights(content.get(key))}
        if not found:
            found = {key: content[key] for key in AVERAGED_KEYS if _holds_weights(content.get(key))}
            if len(found) == 1:
                note(f"{path}: holds averaged weights alone ({next(iter(found))}); these are used")
        found = found or {key: value for key, value in content.items() if _holds_weights(value)}
    if len(found) > 1:
        raise CheckpointError(
            f"{path}: holds weights under {' and '.join(map(str, found))}, and nothing says which are meant: save the "
            "wanted ones alone, with torch.save({'model_state_dict': ...}, FILE)"
        )
    for key, value in found.items():
        if _is_state_dict(value):
            return _tensors(value), str(key)
        if _holds_weights(value):  # {"checkpoint": {"model": ...}}
            state, inner = find_state_dict(value, path)
            return state, f"{key}.{inner}"
    for key, value in ((None, content), *content.items()):
        if "_modules" in fields_of(value):
            under = f" under {key!r}" if key is not None else ""
            raise CheckpointError(
                f"{path}: holds a whole model{under}, which is code, not weights: where it was made, save "
                "torch.save(model.state_dict(), 'weights.pth')"
            )
    raise CheckpointError(
        f"{path}: no model_state_dict of tensors in it; found keys {', '.join(map(str, list(content)[:8])) or 'none'}"
    )


def plain_names(state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return the state dict without the names of what wrapped the model, in any order and depth.

    Raises CheckpointError where two tensors get the same name.
    """
    renamed: dict[str, Tensor] = {}
    before: dict[str, str] = {}
    for key, value in state.items():
        name = ".".join(part for part in key.split(".") if part not in WRAPPERS)
        if name.rpartition(".")[2] == "n_averaged":  # AveragedModel's counter
            continue
        if name in before:
            raise CheckpointError(f"{path}: {before[name]} and {key} are both {name}: two sets of weights in one")
        renamed[name], before[name] = value, key
    return renamed


def one_model(state: Mapping[str, Tensor], known: str, path: Path) -> dict[str, Tensor]:
    """Return the one model's weights in a state dict, known by a tensor that ends in `known`, without its outer name.

    So "detector." goes from before every name. What is no part of that model is left out, and a note says so. Raises
    CheckpointError where several models are there and none of them stands without an outer name.
    """
    prefixes = [key.removesuffix(known) for key in state if key == known or key.endswith("." + known)]
    if not prefixes or (prefixes == [""] and known in state):
        return dict(state)
    if "" not in prefixes and len(prefixes) > 1:
        raise CheckpointError(
            f"{path}: holds several models, {', '.join(p.rstrip('.') for p in prefixes)}, and nothing says which is "
            "meant: save the wanted one alone"
        )
    chosen = "" if "" in prefixes else prefixes[0]
    others = tuple(p for p in prefixes if p != chosen)
    kept = {k.removeprefix(chosen): v for k, v in state.items() if k.startswith(chosen) and not k.startswith(others)}
    if len(kept) < len(state):
        out = sorted({key.partition(".")[0] for key in state if not key.startswith(chosen) or key.startswith(others)})
        note(f"{path}: left out, because they are no part of the detector: {', '.join(out)}")
    return kept


def check_values(state: Mapping[str, Tensor], source: str | Path) -> None:
    """Raise CheckpointError, naming the tensors, where a value is NaN or infinite or is not there at all."""
    faults = []
    for name, value in state.items():
        if value.is_meta:
            faults.append(f"{name} has a shape, but no values (device meta)")
        elif not _finite(value):
            bad = int((~torch.isfinite(value.detach().float())).sum())
            faults.append(f"{name} has {bad} of {value.numel()} values that are NaN or infinite")
    if faults:
        more = f"\n  ... and {len(faults) - 4} more tensors" if len(faults) > 4 else ""
        raise CheckpointError(
            f"{source}: weights that are not finite cannot be used:\n  " + "\n  ".join(faults[:4]) + more + "\n  "
            "The training they come from had diverged: take a checkpoint from before that."
        )


def _finite(value: Tensor) -> bool:
    """Check that all values are finite; in one fast pass, and a slow one only where the sum overflows."""
    if not value.is_floating_point() or not value.numel():
        return True
    value = value.detach()
    if value.element_size() < 4:
        value = value.float()
    return bool(value.sum().isfinite()) or bool(value.isfinite().all())


def _is_state_dict(value) -> bool:
    """Check that values are tensors by name; torch's own entries for other things (`_extra_state`) may be anything."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        return False
    kinds = [isinstance(entry, Tensor) for key, entry in dict.items(value) if not key.endswith("_extra_state")]
    return bool(kinds) and all(kinds)


def _tensors(value: Mapping) -> dict[str, Tensor]:
    return {key: entry for key, entry in dict.items(value) if isinstance(entry, Tensor)}


def _holds_weights(value, depth: int = DEPTH) -> bool:
    """Check whether it is a state dict, or has one under one of the usual keys, a few levels further in at most."""
    if _is_state_dict(value):
        return True
    if not isinstance(value, Mapping) or not depth:
        return False
    return any(_holds_weights(value[k], depth - 1) for k in (OWN_KEY, *WEIGHTS_KEYS, *AVERAGED_KEYS) if k in value)
