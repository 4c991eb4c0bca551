"""Learning rates step by step, and which parameters are decayed."""

import pytest
import torch
from torch import nn

from torch_utils.optim import SCHEDULES, Schedule, build_optimizer, default_lr, parameter_groups


def test_warmup_is_linear_and_never_longer_than_the_run_allows():
    schedule = Schedule("constant", 20_000)
    assert schedule.warmup_steps == 500
    assert [schedule(step) for step in (0, 249, 499, 500)] == [1 / 501, 250 / 501, 500 / 501, 1.0]
    assert Schedule("constant", 30)(3) == 1.0
    assert Schedule("constant", 30)(0) == 0.25
    assert Schedule("cosine", 1)(0) == 1.0  # one batch in one epoch


def test_schedules_end_where_they_should():
    cosine = Schedule("cosine", 1000)
    values = [cosine(step) for step in range(1000)]
    assert max(values) == 1.0 and values.index(1.0) == 100
    assert values[100:] == sorted(values[100:], reverse=True)
    assert values[550] == pytest.approx(0.5)
    assert 0 < values[-1] < 1e-5
    multistep = Schedule("multistep", 1000)
    assert [multistep(s) for s in (699, 700, 899, 900, 999)] == pytest.approx([1, 0.1, 0.1, 0.01, 0.01])
    assert all(Schedule(kind, n)(s) > 0 for kind in SCHEDULES for n in (1, 2, 3, 7, 10) for s in range(n))
    with pytest.raises(ValueError, match="multistep"):
        Schedule("step", 10)


def test_norms_and_biases_are_not_decayed():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
    model[0].weight.requires_grad_(False)
    decay, plain = parameter_groups(model, 0.1)
    assert [p.shape for p in decay["params"]] == [model[2].weight.shape]
    assert len(plain["params"]) == 4 and plain["weight_decay"] == 0 and decay["weight_decay"] == 0.1


def test_sgd_is_nesterov_with_momentum():
    """Two steps on f(w) = w worked out by hand: v = 0.9 v + 1, w -= lr (1 + 0.9 v)."""
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(1.0)
    optimizer = build_optimizer("sgd", model, 0.1)
    optimizer.param_groups[0]["weight_decay"] = 0.0
    for _ in range(2):
        optimizer.zero_grad()
        model.weight.sum().backward()
        optimizer.step()
    assert model.weight.item() == pytest.approx(1 - 0.1 * (1 + 0.9) - 0.1 * (1 + 0.9 * 1.9))
    assert isinstance(build_optimizer("adamw", model, 0.1), torch.optim.AdamW)
    with pytest.raises(ValueError, match="sgd"):
        build_optimizer("lion", model, 0.1)


def test_learning_rate_grows_with_the_batch_up_to_a_bound():
    assert [default_lr("sgd", batch) for batch in (1, 4, 8, 64)] == pytest.approx([0.0025, 0.01, 0.02, 0.02])
    assert default_lr("adamw", 16) == pytest.approx(2e-4)
