"""Checkpoints: safe to read, whole or not there, older formats included."""

import os
import pickle

import numpy as np
import pytest
import torch

from torch_utils.runs.checkpoint import load_checkpoint, save_checkpoint
from utils.errors import CheckpointError

STATE = {"roi_heads.box_predictor.cls_score.weight": torch.rand(3, 4), "a.bias": torch.zeros(2)}


def test_round_trip(tmp_path):
    path = tmp_path / "m.pth"
    content = {"toolkit": 1, "epoch": 4, "model_name": "x", "img_size": 320, "model_state_dict": STATE}
    save_checkpoint(path, content | {"config": {"CLASSES": ["__background__", "a", "b"]}})
    read = load_checkpoint(path)
    assert (read.model_name, read.class_names, read.img_size, read.epoch, read.foreign) == (
        "x",
        ("__background__", "a", "b"),
        320,
        4,
        False,
    )
    assert read.num_classes == 3
    assert torch.equal(read.state_dict["a.bias"], STATE["a.bias"])
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("classes", (["a", "b"], ["__background__", "a", "b"]))
@pytest.mark.parametrize("key", ("config", "data"))
def test_older_last_model_with_numpy_scalars(tmp_path, key, classes):
    path = tmp_path / "last_model.pth"
    old = {
        "epoch": 2,
        "model_state_dict": {f"module.{k}": v for k, v in STATE.items()},
        "optimizer_state_dict": {},
        "train_loss_list": [np.float64(0.5), np.float32(0.25)],
        "train_loss_list_epoch": [np.float64(0.5)],
        "val_map": [np.float64(0.125)],
        "val_map_05": [np.float64(0.25)],
        key: {"CLASSES": classes, "NC": 3},
        "model_name": "fasterrcnn_resnet50_fpn_v2",
    }
    torch.save(old, path)
    read = load_checkpoint(path)
    assert read.class_names == ("__background__", "a", "b")
    assert set(read.state_dict) == set(STATE)
    assert read.content["train_loss_list"] == [0.5, 0.25]
    assert read.content["val_map_05"] == [0.25]


def test_numpy_names_of_version_1_are_read(tmp_path):
    """Files written under NumPy 1 name `numpy.core`; the same bytes with that name must load."""
    path = tmp_path / "last_model.pth"
    torch.save({"model_state_dict": STATE, "val_map": [np.float64(0.75)]}, path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    assert b"numpy._core.multiarray" in data
    path.write_bytes(data.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"))
    assert load_checkpoint(path).content["val_map"] == [0.75]


def test_a_bare_state_dict_is_one_without_name_and_classes(tmp_path):
    torch.save(STATE, tmp_path / "bare.pth")
    read = load_checkpoint(tmp_path / "bare.pth")
    assert read.model_name is None and read.class_names is None and read.num_classes == 3
    with pytest.raises(CheckpointError, match="--model"):
        read.require_model_name()


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harm_done",)


def test_code_in_a_file_is_refused_and_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model_state_dict": STATE, "x": Harmful()}, "evil.pth")
    with pytest.raises(CheckpointError, match=r"evil\.pth: refused"):
        load_checkpoint("evil.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps({"model_state_dict": Harmful()}))
    with pytest.raises(CheckpointError, match=r"plain\.pth"):
        load_checkpoint("plain.pth")
    assert not (tmp_path / "harm_done").exists()


def test_numpy_arrays_of_objects_are_refused(tmp_path):
    torch.save({"model_state_dict": STATE, "x": np.array([Harmful()], dtype=object)}, tmp_path / "o.pth")
    with pytest.raises(CheckpointError, match="refused"):
        load_checkpoint(tmp_path / "o.pth")


@pytest.mark.parametrize("keep", (0, 10, 200, -10))
def test_files_cut_short(tmp_path, keep):
    path = tmp_path / "m.pth"
    save_checkpoint(path, {"toolkit": 1, "model_state_dict": STATE})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"m\.pth"):
        load_checkpoint(path)


def test_what_is_no_checkpoint(tmp_path):
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    with pytest.raises(CheckpointError, match="expected a dict"):
        load_checkpoint(tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match="no model_state_dict"):
        load_checkpoint(tmp_path / "empty.pth")
    with pytest.raises(CheckpointError, match=r"no such file; in .* there are: empty\.pth, list\.pth"):
        load_checkpoint(tmp_path / "best_model.pth")
    torch.save({"model_state_dict": STATE, "config": {"CLASSES": "Mask"}}, tmp_path / "c.pth")
    with pytest.raises(CheckpointError, match="not a list of names"):
        load_checkpoint(tmp_path / "c.pth")
    torch.save({"model_state_dict": STATE, "config": {"CLASSES": ["Mask"]}}, tmp_path / "n.pth")
    with pytest.raises(CheckpointError, match="2 classes.*3 rows"):
        load_checkpoint(tmp_path / "n.pth")


def test_a_write_that_fails_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "m.pth"
    save_checkpoint(path, {"toolkit": 1, "epoch": 1, "model_state_dict": STATE})
    with pytest.raises(CheckpointError, match="previous one is still whole"):
        save_checkpoint(path, _Unwritable())
    assert load_checkpoint(path).epoch == 1
    assert list(tmp_path.iterdir()) == [path]


class _Unwritable(dict):
    def __reduce_ex__(self, protocol):
        raise OSError(28, "No space left on device")
