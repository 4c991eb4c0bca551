"""Checkpoints that other programs wrote, and files that are none: read as meant, or named for what they are."""

import argparse
import datetime
import logging
import os
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models.detection import fasterrcnn_resnet50_fpn
from torchvision.ops import FrozenBatchNorm2d

from models import create_model, load_model
from models.predictors import load_predictor
from support.foreign_checkpoints import CLASSES, SMALL, STATE, prefixed, read, same
from torch_utils.runs.checkpoint import load_checkpoint, save_checkpoint
from utils.errors import CheckpointError, ConfigError
from utils.runs.note import note


@pytest.mark.parametrize(
    "prefix",
    [
        *("module.", "_orig_mod.", "model.", "module.module.", "module._orig_mod.", "_orig_mod.module."),
        *("model._orig_mod.module.", "module.model.module._orig_mod.", "detector.", "net.detector.", "model.detector."),
        *("_fsdp_wrapped_module.", "_orig_mod._fsdp_wrapped_module.module."),
    ],
)
def test_prefixes_in_any_order_and_depth(tmp_path, prefix):
    for content in (prefixed(prefix), {"model_state_dict": prefixed(prefix)}, {"state_dict": prefixed(prefix)}):
        assert same(read(tmp_path, content).state_dict, STATE)


def test_wrapped_parts_of_a_model(tmp_path):
    """torch.compile, FSDP and checkpointed activations on a part put their names in the middle."""
    inner = {
        key.replace("backbone.", "backbone._orig_mod.").replace("rpn.", "rpn.module."): v for key, v in STATE.items()
    }
    assert same(read(tmp_path, inner).state_dict, STATE)


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda s: {"model": s, "optimizer": {"state": {0: {"exp_avg": torch.rand(3)}}, "param_groups": []}, "epoch": 3},
        lambda s: {"state_dict": prefixed("model.", s), "epoch": 3, "pytorch-lightning_version": "2.4.0"},
        lambda s: {"net": s},
        lambda s: {"module": prefixed("module.", s)},
        lambda s: {"checkpoint": {"model": s}, "epoch": 3},
        lambda s: {"model": {"state_dict": s}},
        lambda s: {"trained": s, "epoch": 3},
        lambda s: {"model": s, "model_ema": prefixed("module.", {k: v + 1 for k, v in s.items()})},
        lambda s: {"model": "fasterrcnn", "state_dict": s},
        lambda s: OrderedDict(s),
    ],
)
def test_where_the_weights_stand(tmp_path, wrapped):
    assert same(read(tmp_path, wrapped(STATE)).state_dict, STATE)


@pytest.mark.parametrize("key", ["model_ema", "ema", "ema_state_dict", "state_dict_ema"])
def test_averaged_weights_alone_are_used_and_reported(tmp_path, caplog, key):
    averaged = prefixed("module.") | {"n_averaged": torch.tensor(7)}
    with caplog.at_level(logging.WARNING):
        assert same(read(tmp_path, {key: averaged, "epoch": 2}).state_dict, STATE)
    assert "averaged weights alone" in caplog.text and key in caplog.text


def test_what_is_no_part_of_the_detector_is_left_out_and_reported(tmp_path, caplog):
    more = STATE | prefixed("ema.", {k: v + 1 for k, v in STATE.items()})
    with caplog.at_level(logging.WARNING):
        assert same(read(tmp_path, {"state_dict": prefixed("model.", more)}).state_dict, STATE)
        assert "left out" in caplog.text and "ema" in caplog.text
        caplog.clear()
        assert same(read(tmp_path, prefixed("detector.") | {"loss.weight": torch.rand(3)}).state_dict, STATE)
        assert "loss" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state_dict": STATE, "net": STATE}, "under state_dict and net"),
        ({"first": STATE, "second": STATE}, "under first and second"),
        (prefixed("student.") | prefixed("teacher."), "several models, student, teacher"),
        (prefixed("module.") | STATE, "two sets of weights"),
        ({"epoch": 3, "model": "resnet"}, "found keys epoch, model"),
        ({"model_state_dict": {}}, "no model_state_dict of tensors"),
    ],
)
def test_two_readings_are_an_error(tmp_path, content, message):
    with pytest.raises(CheckpointError, match=message):
        read(tmp_path, content)


class Config(dict):
    """As yacs and EasyDict have it: a dict with fields of its own."""


class Slotted:
    __slots__ = ("size",)

    def __init__(self):
        self.size = 3


@pytest.mark.parametrize("old_format", [False, True])
@pytest.mark.parametrize(
    "beside",
    [
        argparse.Namespace(lr=0.02, weights=None, path=Path("/data"), since=datetime.date(2024, 1, 2)),
        argparse.Namespace(inner=argparse.Namespace(a=1), pure=PurePosixPath("x"), names={"a"}),
        Config(lr=0.1),
        {"rng": np.random.default_rng(0).integers(0, 9, 5), "slots": Slotted()},
        [OrderedDict(a=1), argparse.Namespace()],
    ],
)
def test_objects_beside_the_weights_are_left_unread(tmp_path, beside, old_format):
    """torchvision's reference training keeps `args`, an argparse.Namespace."""
    path = tmp_path / "model_25.pth"
    content = {"model": STATE, "args": beside, "epoch": 25}
    torch.save(content, path, _use_new_zipfile_serialization=not old_format)
    checkpoint = load_checkpoint(path)
    assert same(checkpoint.state_dict, STATE) and checkpoint.epoch == 25 and checkpoint.foreign


class Runs:
    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


class LoggedOnBuild:
    """A class whose own code would leave a trace, were it ever run."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return LoggedOnBuild, (self.path,), {"path": self.path}

    def __setstate__(self, state):
        Path(state["path"]).write_text("ran")


@pytest.mark.parametrize("old_format", [False, True])
def test_nothing_of_the_file_is_run(tmp_path, old_format):
    path, trace = tmp_path / "m.pth", tmp_path / "trace"
    torch.save({"model": STATE, "x": LoggedOnBuild(str(trace))}, path, _use_new_zipfile_serialization=not old_format)
    assert same(load_checkpoint(path).state_dict, STATE)
    for call, arguments in ((os.mkdir, (str(trace),)), (eval, ("1",)), (os.system, ("true",)), (print, ("x",))):
        content = {"model": STATE, "args": argparse.Namespace(), "x": Runs(call, *arguments)}
        torch.save(content, path, _use_new_zipfile_serialization=not old_format)
        with pytest.raises(CheckpointError, match="refused.*calls for .*(mkdir|eval|system|print).*could run code"):
            load_checkpoint(path)
    assert not trace.exists()


def test_a_whole_model_says_how_to_save_its_weights(tmp_path):
    model = nn.Sequential(nn.Conv2d(1, 1, 1))
    for content, message in ((model, "a whole model"), ({"epoch": 1, "model": model}, "whole model under 'model'")):
        torch.save(content, tmp_path / "m.pth")
        with pytest.raises(CheckpointError, match=message) as caught:
            load_checkpoint(tmp_path / "m.pth")
        assert "model.state_dict()" in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_weights_that_are_not_finite_are_refused_by_name(tmp_path, value, dtype):
    broken = STATE["rpn.head.cls_logits.bias"].clone().to(dtype)
    broken[1] = value
    with pytest.raises(CheckpointError, match=r"not finite.*\n  rpn\.head\.cls_logits\.bias has 1 of 3 values"):
        read(tmp_path, {"model": {**STATE, "rpn.head.cls_logits.bias": broken}})


def test_large_values_and_averaged_weights(tmp_path):
    """A sum that overflows is no fault; NaN in the averaged weights beside the others is one."""
    large = {**STATE, "rpn.head.cls_logits.bias": torch.full((3,), 3e38)}
    assert same(read(tmp_path, large).state_dict, large)
    averaged = {**STATE, "rpn.head.cls_logits.bias": torch.full((3,), float("nan"))}
    with pytest.raises(CheckpointError, match=r"ema_state_dict: rpn\.head\.cls_logits\.bias has 3 of 3"):
        read(tmp_path, {"model_state_dict": STATE, "ema_state_dict": averaged})
    with pytest.raises(CheckpointError, match="has a shape, but no values"):
        read(tmp_path, {**STATE, "rpn.head.cls_logits.bias": torch.empty(3, device="meta")})


def test_a_changed_byte_anywhere_in_a_part_is_found(tmp_path):
    path = tmp_path / "m.pth"
    save_checkpoint(path, {"toolkit": 1, "model_state_dict": STATE})
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        records = [record for record in archive.infolist() if record.file_size]
    for record in records:
        for place in (0, record.file_size // 2, record.file_size - 1):
            start = record.header_offset + 30 + sum(struct.unpack_from("<HH", data, record.header_offset + 26))
            changed = bytearray(data)
            changed[start + place] ^= 1
            path.write_bytes(changed)
            with pytest.raises(CheckpointError, match=r"m\.pth: damaged: .*copy or download it again"):
                load_checkpoint(path)
    path.write_bytes(data)
    assert same(load_checkpoint(path).state_dict, STATE)


def test_a_file_saved_without_checksums_is_read(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(STATE, tmp_path / "m.pth")
    finally:
        torch.serialization.set_crc32_options(True)
    assert same(load_checkpoint(tmp_path / "m.pth").state_dict, STATE)


@pytest.mark.parametrize("key", ["epoch", "img_size", "model_name"])
def test_other_programs_mean_other_things_by_our_keys(tmp_path, key):
    checkpoint = read(tmp_path, {"model": STATE, key: ["x"]})
    assert (checkpoint.epoch, checkpoint.img_size, checkpoint.model_name) == (0, 800, None)


# --- into models


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    return create_model(SMALL, num_classes=3, img_size=64)


def test_every_way_in_reads_them(tmp_path, model):
    """load_model, inference, and both of training."""
    wrapped = {"model": prefixed("module._orig_mod.", model.state_dict()), "args": argparse.Namespace(lr=1)}
    path = tmp_path / "model_9.pth"
    torch.save(wrapped, path)
    assert same(load_model(path, model_name=SMALL).state_dict(), model.state_dict())
    (tmp_path / "d.yaml").write_text("CLASSES: [Mask, Gloves]\n")
    found, names = load_predictor(path, torch.device("cpu"), model_name=SMALL, config=tmp_path / "d.yaml")
    assert names == CLASSES and same(found.model.state_dict(), model.state_dict())
    backbone = create_model(SMALL, num_classes=2, backbone_weights=path).backbone.body.state_dict()
    kept = {key: model.backbone.body.state_dict()[key] for key in backbone}
    assert same(backbone, kept)


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "encoder.", "backbone.body.", "module.backbone.body."])
def test_backbone_weights_under_any_prefix(tmp_path, model, prefix):
    body = model.backbone.body.state_dict()
    torch.save({"state_dict": prefixed(prefix, body) | {"fc.weight": torch.rand(2)}}, tmp_path / "b.pth")
    loaded = create_model(SMALL, num_classes=2, backbone_weights=tmp_path / "b.pth").backbone.body.state_dict()
    assert all(torch.equal(value, body[key]) for key, value in loaded.items())


def test_two_backbones_in_one_file_are_an_error(tmp_path, model):
    body = model.backbone.body.state_dict()
    torch.save(prefixed("encoder_q.", body) | prefixed("encoder_k.", body), tmp_path / "b.pth")
    with pytest.raises(CheckpointError, match=r"several backbones, encoder_k\., encoder_q\."):
        create_model(SMALL, num_classes=2, backbone_weights=tmp_path / "b.pth")
    nan = {**body, "conv1.weight": torch.full_like(body["conv1.weight"], float("nan"))}
    torch.save(nan, tmp_path / "b.pth")
    with pytest.raises(CheckpointError, match=r"conv1\.weight has .* NaN"):
        create_model(SMALL, num_classes=2, backbone_weights=tmp_path / "b.pth")


def test_a_model_name_given_by_hand_wins_and_is_reported(tmp_path, model, caplog):
    content = {"toolkit": 1, "epoch": 1, "config": {"CLASSES": list(CLASSES)}, "img_size": 64}
    path = tmp_path / "m.pth"
    save_checkpoint(path, content | {"model_name": "my_own_name", "model_state_dict": model.state_dict()})
    with pytest.raises(ConfigError, match="unknown model 'my_own_name'"):
        load_predictor(path, torch.device("cpu"))
    with caplog.at_level(logging.WARNING):
        load_predictor(path, torch.device("cpu"), model_name=SMALL)
        assert f"read as {SMALL}" in caplog.text and "the file itself says my_own_name" in caplog.text
        assert load_model(path, model_name=SMALL).img_size == 64
    with pytest.raises(CheckpointError, match="does not fit the model"):
        load_predictor(path, torch.device("cpu"), model_name="fasterrcnn_resnet18_fpn")


def test_a_config_of_other_classes_is_not_ignored(tmp_path, model):
    content = {"toolkit": 1, "model_name": SMALL, "config": {"CLASSES": list(CLASSES)}, "img_size": 64}
    save_checkpoint(tmp_path / "m.pth", content | {"model_state_dict": model.state_dict()})
    (tmp_path / "d.yaml").write_text("CLASSES: [Gloves, Mask]\n")
    with pytest.raises(ConfigError, match=r"d\.yaml has the classes Gloves, Mask; .*m\.pth has Mask, Gloves"):
        load_predictor(tmp_path / "m.pth", torch.device("cpu"), config=tmp_path / "d.yaml")
    (tmp_path / "d.yaml").write_text("CLASSES: [Mask, Gloves]\n")
    assert load_predictor(tmp_path / "m.pth", torch.device("cpu"), config=tmp_path / "d.yaml")[1] == CLASSES


@pytest.mark.parametrize(
    ("args", "eps", "message"),
    [
        (None, 0.0, "taken as begun with torchvision's COCO weights"),
        (
            argparse.Namespace(weights="FasterRCNN_ResNet50_FPN_Weights.COCO_V1"),
            0.0,
            "say that it began with FasterR",
        ),
        (argparse.Namespace(weights=None, weights_backbone="ResNet50_Weights.IMAGENET1K_V1"), 1e-5, "with no detector"),
        (argparse.Namespace(pretrained=False), 1e-5, "with no detector"),
    ],
)
def test_version_1_from_elsewhere_says_which_epsilon_was_read(tmp_path, caplog, args, eps, message):
    torch.manual_seed(0)
    theirs = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=3)
    state = {k: v for k, v in theirs.state_dict().items() if not k.endswith("num_batches_tracked")}
    norm = "backbone.body.layer1.0.bn1"
    state[f"{norm}.running_var"] = torch.rand(64) * 1e-4
    torch.save({"model": state} | ({"args": args} if args else {}), tmp_path / "v1.pth")
    with caplog.at_level(logging.WARNING):
        mine = load_model(tmp_path / "v1.pth", model_name="fasterrcnn_resnet50_fpn")
    assert f"epsilon {'1e-5' if eps else 0}" in caplog.text and message in caplog.text
    reference = FrozenBatchNorm2d(64, eps=eps)
    reference.load_state_dict({k.removeprefix(norm + "."): v for k, v in state.items() if k.startswith(norm + ".")})
    image = torch.rand(1, 64, 5, 5)
    torch.testing.assert_close(mine.backbone.body.layer1[0].bn1(image), reference(image), rtol=1e-4, atol=1e-4)


def test_a_note_is_reported_once_in_a_group(caplog, monkeypatch):
    with caplog.at_level(logging.WARNING):
        note("first")
        monkeypatch.setenv("RANK", "1")
        note("second")
    assert "note: first" in caplog.text and "second" not in caplog.text
