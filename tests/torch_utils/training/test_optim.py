"""Learning rates step by step, and which parameters are decayed."""

import pytest
import torch
from torch import nn

from torch_utils.training.optim import SCHEDULES, Schedule, build_optimizer, default_lr, parameter_groups, set_lr
from utils.cli.recipes import RECIPES


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


def test_the_backbone_has_groups_of_its_own_where_its_rate_differs():
    model = nn.Module()
    model.backbone = nn.Module()
    model.backbone.body, model.backbone.fpn = nn.Linear(2, 2), nn.Linear(2, 2)
    model.head = nn.BatchNorm1d(2)
    optimizer = build_optimizer("sgd", model, 0.1, backbone_lr=0.2)
    set_lr(optimizer, 0.5)
    rates = {id(p): (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    assert len(rates) == 6 and rates[id(model.backbone.body.weight)] == pytest.approx((0.1, 1e-4))
    assert rates[id(model.backbone.body.bias)] == pytest.approx((0.1, 0))
    assert rates[id(model.backbone.fpn.weight)] == (0.5, 1e-4) and rates[id(model.head.weight)] == (0.5, 0)
    assert len(build_optimizer("sgd", model, 0.1).param_groups) == 2
    everything = build_optimizer("sgd", model, 0.1, weight_decay=4e-5, decay_norms=True)
    assert {g["weight_decay"] for g in everything.param_groups if g["params"]} == {4e-5}


def test_the_long_recipe_has_its_steps_where_it_was_published():
    recipe = RECIPES["v2-paper"]
    schedule = Schedule("multistep", 400 * 1833, tuple(recipe["lr_steps"]), recipe["warmup_steps"])
    assert schedule.warmup_steps == 1000
    at = [schedule(epoch * 1833) for epoch in (351, 352, 383, 384)]
    assert at == pytest.approx([1, 0.1, 0.1, 0.01])
    lr = default_lr("sgd", 64, per_image=recipe["lr_per_image"], most=recipe["lr_most"])
    assert (lr, recipe["weight_decay"], recipe["sync_bn"], recipe["augment"]) == (0.1, 4e-5, True, ["lsj"])


def test_learning_rate_grows_with_the_batch_up_to_a_bound():
    assert [default_lr("sgd", batch) for batch in (1, 4, 8, 64)] == pytest.approx([0.0025, 0.01, 0.02, 0.02])
    assert default_lr("adamw", 16) == pytest.approx(2e-4)
