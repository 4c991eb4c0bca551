"""The loss on validation images against torchvision's own, and averaged weights worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from test_engine import CPU, batches, new_model
from torch import nn

from torch_utils.coco_eval import CocoEvaluator
from torch_utils.ema import Ema
from torch_utils.evaluation import SAMPLER_SEED, evaluate
from torch_utils.predictor import Predictor
from torch_utils.sampling import seed_samplers
from utils.annotations import Annotation


def annotations_of(data):
    made = []
    for index, target in enumerate(target for _, targets in data for target in targets):
        boxes, labels = target["boxes"].numpy(), target["labels"].numpy()
        made.append(Annotation(Path(f"{index}.jpg"), 80, 64, boxes, labels, np.zeros(len(labels), bool)))
    return made


def test_validation_losses_are_those_of_training_with_the_batch_norms_at_rest():
    model, data = new_model(), batches(count=2, size=3)
    data[1] = (data[1][0][:1], data[1][1][:1])  # four images in batches of three and one
    evaluator = CocoEvaluator(annotations_of(data), ("__background__", "a", "b"))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = evaluate(Predictor(model, CPU), data, evaluator, title="")
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert not any(module.training for module in model.modules())

    model.train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    expected = {}
    for first, (images, targets) in zip((0, 3), data, strict=True):
        for sampler in seed_samplers(model):
            sampler.key, sampler.first = SAMPLER_SEED, first
        with torch.no_grad():
            losses = model(
                [image / 255 for image in images], [{"boxes": t["boxes"], "labels": t["labels"]} for t in targets]
            )
        for name, loss in losses.items():
            expected[name] = expected.get(name, 0) + float(loss) * len(images) / 4
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert found["loss"] == pytest.approx(sum(expected.values()), rel=1e-5)


def test_averaged_weights_by_hand():
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    model[0].weight.data.fill_(10.0)
    ema = Ema(model, decay=0.5)
    expected = 10.0
    for step, value in enumerate((4.0, 2.0, 8.0, 1.0, 1.0, 1.0, 1.0, 1.0, 5.0)):
        model[0].weight.data.fill_(value)
        model[1].num_batches_tracked.fill_(step)
        ema.update(step)
        kept = min(0.5, (1 + step) / (10 + step))
        expected = kept * expected + (1 - kept) * value
        assert ema.model[0].weight.item() == pytest.approx(expected)
        assert ema.model[1].num_batches_tracked == step
    assert kept == 0.5 and model[0].weight.item() == 5.0
    assert not any(parameter.requires_grad for parameter in ema.model.parameters())
