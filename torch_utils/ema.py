"""Averaged weights: smoother than the last step's, and often better."""

import copy

import torch
from torch import nn


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
