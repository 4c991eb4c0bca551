"""The loss on validation images against torchvision's own, and averaged weights worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from datasets import DetectionDataset, build_loader
from models.rcnn.sampler import seed_samplers
from support.training_parts import CPU, batches, new_model
from torch_utils.evaluation import SAMPLER_SEED, evaluate
from torch_utils.predictor import Predictor
from torch_utils.training.optim import Ema
from utils.annotations.annotation import Annotation
from utils.coco_eval import CocoEvaluator
from utils.images.io import read_image, write_image
from utils.img_size import long_side_limit, padded_hw


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
    found = evaluate(Predictor(model, CPU), data, evaluator)
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


def mixed_set(folder):
    """Twelve images of two orientations in turn, and one of a third shape, one object in each."""
    made = []
    for number in range(12):
        height, width = (60, 90) if number % 2 else (90, 60)
        if number == 5:
            height, width = 40, 120
        image = np.random.default_rng(number).integers(0, 255, (height, width, 3), np.uint8)
        path = folder / f"{number}.png"
        write_image(path, image)
        box = np.float32([[10, 10, 40, 35]])
        made.append(Annotation(path, width, height, box, np.ones(1, np.int64), np.zeros(1, bool)))
    return made


@pytest.mark.parametrize("size", [2, 4])
def test_an_image_is_evaluated_as_it_is_alone(tmp_path, size):
    """Batches are of images that the model pads alike, and those of one process whatever the number of processes."""
    annotations = mixed_set(tmp_path)
    model = new_model()
    model.roi_heads.score_thresh = 0.0
    data = DetectionDataset(annotations, img_size=64, training=False)
    found = []
    for batch_size in (1, size):
        loader = build_loader(data, batch_size=batch_size, workers=0)
        evaluator = CocoEvaluator(annotations, ("__background__", "a", "b"))
        metrics = evaluate(Predictor(model, CPU), loader, evaluator)
        found.append((evaluator.detections, metrics))
    for index in range(12):
        alone, together = (detections[index] for detections, _ in found)
        assert len(alone) == len(together) > 5
        assert np.allclose(alone.scores, together.scores, atol=1e-5)
        assert np.allclose(alone.boxes, together.boxes, atol=1e-2)
    loader = build_loader(data, batch_size=size, workers=0)
    shares = [list(build_loader(data, batch_size=size, workers=0, rank=r, size=3).batch_sampler) for r in range(3)]
    assert sorted(batch for share in shares for batch in share) == sorted(loader.batch_sampler)
    for batch in loader.batch_sampler:
        assert len({annotations[i].width for i in batch}) == 1
    assert sorted(i for batch in loader.batch_sampler for i in batch) == list(range(12))


def test_the_predictor_itself_keeps_unlike_images_apart(tmp_path):
    """Whoever gives it a mixed batch gets what one by one gives, in the order given."""
    model = new_model()
    model.roi_heads.score_thresh = 0.0
    predictor = Predictor(model, CPU)
    images = [read_image(a.image_path) for a in mixed_set(tmp_path)]
    for image, together in zip(images, predictor(images), strict=True):
        (alone,) = predictor([image])
        assert np.allclose(alone.scores, together.scores, atol=1e-5)
        assert np.allclose(alone.boxes, together.boxes, atol=1e-2)


def test_the_padded_size_is_the_one_that_the_model_makes():
    model = new_model().eval()
    rng = np.random.default_rng(0)
    for size in (64, 333, 640, 800):
        model.transform.min_size, model.transform.max_size = (size,), long_side_limit(size)
        for height, width in rng.integers(60, 1500, (40, 2)).tolist():
            batch, _ = model.transform([torch.zeros(3, height, width)])
            assert padded_hw((height, width), size, long_side_limit(size)) == tuple(batch.tensors.shape[-2:])


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
