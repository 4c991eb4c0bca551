"""Parameter groups, optimizers, and the learning rate as a function of the step."""

import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

OPTIMIZERS = ("sgd", "adamw")
SCHEDULES = ("multistep", "cosine", "constant")
_NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)


def default_lr(optimizer: str, batch_size: int, *, per_image: float = 0.0025, most: float | None = 0.02) -> float:
    """Return the learning rate that a batch size suggests.

    SGD: `per_image` times the batch, at most `most`; AdamW: 0.0001 at batch 4, with the square root of the batch.
    """
    if optimizer == "sgd":
        return min(per_image * batch_size, math.inf if most is None else most)
    return 1e-4 * math.sqrt(batch_size / 4)


def parameter_groups(
    model: nn.Module, weight_decay: float, *, decay_norms: bool = False, backbone_lr: float = 1.0
) -> list[dict]:
    """Return the trainable parameters: with weight decay, and without it (norms and biases), unless `decay_norms`.

    With a `backbone_lr` other than 1, the factor on the rate of `model.backbone.body`, that has groups of its own.
    `lr_scale` of a group is its factor.
    """
    backbone = set() if backbone_lr == 1 else set(model.backbone.body.parameters())
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {(False, True): [], (False, False): []}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                decayed = decay_norms or not (isinstance(module, _NORMS) or name == "bias")
                groups.setdefault((parameter in backbone, decayed), []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": weight_decay if decayed else 0.0,
            "lr_scale": backbone_lr if in_backbone else 1.0,
        }
        for (in_backbone, decayed), parameters in groups.items()
    ]


def build_optimizer(
    name: str,
    model: nn.Module,
    lr: float,
    *,
    weight_decay: float | None = None,
    nesterov: bool = True,
    decay_norms: bool = False,
    backbone_lr: float = 1.0,
) -> torch.optim.Optimizer:
    """Build SGD with momentum 0.9, or AdamW; fused kernels. `weight_decay` None: 1e-4 for SGD, 0.01 for AdamW."""
    if name not in OPTIMIZERS:
        raise ValueError(f"optimizer: expected one of {OPTIMIZERS}, got {name!r}")
    if weight_decay is None:
        weight_decay = 1e-4 if name == "sgd" else 0.01
    groups = parameter_groups(model, weight_decay, decay_norms=decay_norms, backbone_lr=backbone_lr)
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=lr, fused=True)
    optimizer = torch.optim.SGD(groups, lr=lr, momentum=0.9, nesterov=nesterov, fused=True)
    # torch leaves them uninitialised where the very first step is left out for a gradient that is not finite.
    for parameter in (p for group in groups for p in group["params"]):
        optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


@dataclass(frozen=True)
class Schedule:
    """Learning rate factor of a step, counted from 0: linear warm-up, then `kind`.

    A pure function of the step, so a resumed run needs no state of it. The warm-up is a tenth of the run and at most
    `most_warmup` steps. multistep: a tenth from each of `lr_steps` on, shares of the run. cosine: down to 0 one step
    after the last.
    """

    kind: str
    total_steps: int
    lr_steps: tuple[float, ...] = (0.7, 0.9)
    most_warmup: int = 500

    def __post_init__(self):
        if self.kind not in SCHEDULES:
            raise ValueError(f"schedule: expected one of {SCHEDULES}, got {self.kind!r}")

    @property
    def warmup_steps(self) -> int:
        return min(self.most_warmup, self.total_steps // 10)

    def __call__(self, step: int) -> float:
        warmup = self.warmup_steps
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if self.kind == "multistep":
            return 0.1 ** sum(step >= share * self.total_steps for share in self.lr_steps)
        if self.kind == "cosine":
            done = (step - warmup) / max(1, self.total_steps - warmup)
            return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
        return 1.0


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("lr_scale", 1.0)


def count_parameters(parameters: Iterable[nn.Parameter]) -> tuple[int, int]:
    """Count (all, trainable) numbers."""
    counted = [(p.numel(), p.requires_grad) for p in parameters]
    return sum(n for n, _ in counted), sum(n for n, trainable in counted if trainable)


class Ema:
    """An exponential moving average of a model's weights and running statistics, in a model of its own.

    After step n, counted from 0, the average keeps `min(decay, (1 + n) / (10 + n))` of itself (the rule of TensorFlow's
    ExponentialMovingAverage with `num_updates`): what it started from is forgotten within a few dozen steps. It is a
    pure function of the step, so a resumed run needs no count.

    Args:
        model: on its device already; it is copied.
        decay: what the average keeps in the long run, below 1; 0.999 averages over about a thousand steps.
    """

    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        pairs = list(zip(self.model.state_dict().values(), model.state_dict().values(), strict=True))
        self._averaged, self._current = zip(*(p for p in pairs if p[0].is_floating_point()), strict=True)
        self._counts = [p for p in pairs if not p[0].is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the model's weights as they are after `step`."""
        kept = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._averaged, self._current, 1 - kept)
        for averaged, current in self._counts:
            averaged.copy_(current)
