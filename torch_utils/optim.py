"""Parameter groups, optimizers, and the learning rate as a function of the step."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

OPTIMIZERS = ("sgd", "adamw")
SCHEDULES = ("multistep", "cosine", "constant")
_NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)


def default_lr(optimizer: str, batch_size: int) -> float:
    """SGD: 0.0025 an image, at most 0.02; AdamW: 0.0001 at batch 4, growing with the square root of the batch."""
    if optimizer == "sgd":
        return min(0.0025 * batch_size, 0.02)
    return 1e-4 * math.sqrt(batch_size / 4)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Trainable parameters in two groups: with weight decay, and without it (norms and biases)."""
    decay, plain = [], []
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                (plain if isinstance(module, _NORMS) or name == "bias" else decay).append(parameter)
    return [{"params": decay, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]


def build_optimizer(name: str, model: nn.Module, lr: float) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum 0.9 and weight decay 1e-4, or AdamW with weight decay 0.01; fused kernels."""
    if name == "sgd":
        groups = parameter_groups(model, 1e-4)
        return torch.optim.SGD(groups, lr=lr, momentum=0.9, nesterov=True, fused=True)
    if name == "adamw":
        return torch.optim.AdamW(parameter_groups(model, 0.01), lr=lr, fused=True)
    raise ValueError(f"optimizer: expected one of {OPTIMIZERS}, got {name!r}")


@dataclass(frozen=True)
class Schedule:
    """Learning rate factor of a step, counted from 0: linear warm-up, then `kind`.

    A pure function of the step, so a resumed run needs no state of it. The warm-up is a tenth of the run and at most
    500 steps. multistep: 0.1 from 70 % of the steps on, 0.01 from 90 %. cosine: down to 0 one step after the last.
    """

    kind: str
    total_steps: int

    def __post_init__(self):
        if self.kind not in SCHEDULES:
            raise ValueError(f"schedule: expected one of {SCHEDULES}, got {self.kind!r}")

    @property
    def warmup_steps(self) -> int:
        return min(500, self.total_steps // 10)

    def __call__(self, step: int) -> float:
        warmup = self.warmup_steps
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if self.kind == "multistep":
            return 0.1 ** ((step >= 0.7 * self.total_steps) + (step >= 0.9 * self.total_steps))
        if self.kind == "cosine":
            done = (step - warmup) / max(1, self.total_steps - warmup)
            return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
        return 1.0


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr


def count_parameters(parameters: Iterable[nn.Parameter]) -> tuple[int, int]:
    """(all, trainable) numbers."""
    counted = [(p.numel(), p.requires_grad) for p in parameters]
    return sum(n for n, _ in counted), sum(n for n, trainable in counted if trainable)
