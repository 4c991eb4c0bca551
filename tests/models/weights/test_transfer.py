"""A new run from a checkpoint or a backbone of another depth: what fits is kept, and nothing random is ever fixed."""

import logging
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torchvision.models import resnet18, resnet34
from torchvision.ops import FrozenBatchNorm2d

from models import create_model
from models.rcnn.frozen import freeze_batch_norm
from models.training_model import start_model
from torch_utils.runs.checkpoint import save_checkpoint
from utils.cli.train_args import training_settings
from utils.errors import CheckpointError, ConfigError

CONFIG = SimpleNamespace(num_classes=3, class_names=("__background__", "Mask", "Gloves"))
DEPTHS = {depth: f"fasterrcnn_resnet{depth}_fpn" for depth in (18, 34, 50, 101)}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A checkpoint of each depth with fixed batch norms in the backbone, as all that began with trained weights."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for depth, name in DEPTHS.items():
        torch.manual_seed(depth)
        model = create_model(name, 3, img_size=64)
        for norm in (m for m in model.backbone.body.modules() if isinstance(m, nn.BatchNorm2d)):
            nn.init.uniform_(norm.running_var, 2, 3)  # no untrained one has that
        freeze_batch_norm(model.backbone.body)
        content = {"epoch": 1, "model_state_dict": model.state_dict(), "model_name": name, "img_size": 64, "toolkit": 1}
        save_checkpoint(folder / f"{depth}.pth", content | {"config": {"CLASSES": list(CONFIG.class_names)}})
    return folder


def started(*arguments, caplog=None):
    log = logging.getLogger("start")
    if caplog:
        caplog.set_level(logging.INFO, "start")
    return start_model(training_settings(["--config", "x.yaml", *map(str, arguments)]), CONFIG, log)


def assert_nothing_random_is_fixed(model, state):
    fixed = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
    norms = [name for name, m in model.named_modules() if isinstance(m, FrozenBatchNorm2d)]
    own = model.state_dict()
    for key in (k for k in own if k in fixed or k.rpartition(".")[0] in norms):
        assert key in state and torch.equal(own[key], state[key]), key
    for name in norms:  # and what such a batch norm follows is what its statistics are of
        convolution = name.replace("bn", "conv").replace("downsample.1", "downsample.0")
        assert torch.equal(own[f"{convolution}.weight"], state[f"{convolution}.weight"]), name
    return fixed


@pytest.mark.parametrize(
    ("source", "target", "stages"), [(18, 18, 2), (18, 34, 1), (34, 18, 1), (34, 50, 1), (50, 18, 1), (101, 50, 2)]
)
def test_a_checkpoint_of_another_depth_fixes_nothing_that_is_random(checkpoints, source, target, stages, caplog):
    path = checkpoints / f"{source}.pth"
    state = torch.load(path, weights_only=True)["model_state_dict"]
    for more in ((), ("--freeze-bn",)):
        model, settings = started("-w", path, "-m", DEPTHS[target], *more, caplog=caplog)
        fixed = assert_nothing_random_is_fixed(model, state)
        assert settings.freeze_layers == stages and "backbone.body.conv1.weight" in fixed
        assert any(isinstance(module, nn.BatchNorm2d) for module in model.modules()) == (
            target in (34, 50) and source != 101 or (source, target) == (50, 18)
        )
    message = caplog.text.replace("\n", " ")
    if source != target:
        assert "tensors fit" in message and f"trained as {DEPTHS[source]}" in message
        assert ("new, from random weights" in message) == (source < target or (source, target) == (50, 18))
        assert ("left out, because the model has no place for them" in message) == (source > target)
        assert max(len(record.getMessage()) for record in caplog.records) < 400
    else:
        assert "tensors fit" not in message


def test_counts_are_of_tensors_with_weights(checkpoints, caplog):
    started("-w", checkpoints / "18.pth", "-m", DEPTHS[34], caplog=caplog)
    assert "126 of 206 tensors fit the weights, trained as fasterrcnn_resnet18_fpn" in caplog.text
    assert "new, from random weights: backbone.body.layer1 (10 of 30), backbone.body.layer2" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "most"),
    [
        (("-w", "18.pth", "-m", DEPTHS[34], "--freeze-layers", "2"), 1),
        (("-w", "18.pth", "-m", DEPTHS[18], "--freeze-layers", "5"), None),
        (("--pretrained", "none", "-m", DEPTHS[18], "--freeze-layers", "1"), 0),
        (("--pretrained", "none", "-m", DEPTHS[18], "--freeze-layers", "0"), None),
    ],
)
def test_more_stages_than_are_trained_are_not_fixed(checkpoints, arguments, most):
    arguments = [checkpoints / a if a.endswith(".pth") else a for a in arguments]
    if most is None:
        model, _ = started(*arguments)
        fixed = [name for name, p in model.backbone.body.named_parameters() if not p.requires_grad]
        assert len(fixed) in (0, 20)  # the stages asked for, all of their convolutions
        return
    with pytest.raises(ConfigError, match=f"--freeze-layers [12]: only {most} of .* give at most {most}"):
        started(*arguments)


def test_a_backbone_file_of_another_depth_is_refused_in_few_words(tmp_path):
    """A deeper one has all that a shallower one needs, and more: cut short it is no trained network."""
    for depth, classifier in ((18, resnet18), (34, resnet34)):
        torch.save(classifier().state_dict(), tmp_path / f"{depth}.pth")
    for source, target, expected in (
        (34, 18, r"100 of whose 100 tensors are in it:\n  unknown layer1\.2"),
        (18, 34, r"100 of whose 180 tensors are in it:\n  missing layer1\.2"),
        (18, 50, r"\d+ of whose 265 tensors are in it"),
    ):
        with pytest.raises(CheckpointError, match=expected) as caught:
            create_model(DEPTHS[target], 3, backbone_weights=tmp_path / f"{source}.pth")
        assert str(tmp_path) in str(caught.value) and len(str(caught.value)) < 600
    model = create_model(DEPTHS[34], 3, backbone_weights=tmp_path / "34.pth")
    assert len([m for m in model.modules() if isinstance(m, FrozenBatchNorm2d)]) == 36
