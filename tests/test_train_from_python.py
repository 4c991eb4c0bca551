"""The acts of train.py called from Python, and checkpoints as earlier versions wrote them."""

from pathlib import Path

import pytest
import torch
import yaml

from models import create_model
from support.voc_sets import write_config, write_voc_set
from torch_utils.runs.saver import check_room
from torch_utils.training.optim import build_optimizer
from train import finish, fit, open_run, prepare_data, prepare_model
from utils.cli.settings import TrainSettings
from utils.cli.train_args import training_settings
from utils.errors import CheckpointError, ConfigError, ToolkitError
from utils.runs.loggers import read_metrics
from utils.runs.read_data import read_data

SMALL = "fasterrcnn_resnet10_fpn_small"
RUNS = Path("outputs/training")


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_voc_set(tmp_path / "train", 6, seed=1)
    write_voc_set(tmp_path / "test", 3, seed=2)
    write_config(tmp_path)


def settings_of(name, **more):
    values = {"config": "shapes.yaml", "model": SMALL, "img_size": 64, "epochs": 1, "device": "cpu", "amp": "off"}
    return TrainSettings(**values | {"project_name": name} | more)


def test_a_training_in_a_few_lines_gives_its_metrics():
    run = open_run(prepare_model(prepare_data(settings_of("first"))))
    fit(run)
    metrics = finish(run)
    assert metrics["epoch"] == 1 and 0 <= metrics["val/map_50_95"] <= 1 and metrics["val/loss"] > 0
    assert run.folder == RUNS / "first" and (run.folder / "best_model.pth").is_file()
    settings = run.settings
    assert (settings.lr, settings.max_detections, settings.pretrained, settings.global_batch) == (0.01, 100, "none", 4)
    written = yaml.safe_load((run.folder / "args.yaml").read_text())
    assert written == settings.as_dict() and TrainSettings(**written) == settings


def test_a_disk_without_room_for_the_checkpoints_is_reported_before_the_training(monkeypatch):
    run = prepare_model(prepare_data(settings_of("full")))
    size = sum(tensor.nbytes for tensor in run.model.state_dict().values())
    monkeypatch.setattr("torch_utils.runs.saver.free_disk", lambda folder: 4 * size)
    with pytest.raises(ToolkitError, match=r"full has \d+ MiB of disk left, .* take up to \d+ MiB: make room"):
        open_run(run)
    assert not (RUNS / "full").exists()
    monkeypatch.setattr("torch_utils.runs.saver.free_disk", lambda folder: 5 * size)
    check_room(RUNS / "full", run.trainer, "sgd")


ARGUMENTS = {  # of `--ema 0.9 --use-train-aug --seed 3`, as args.yaml and the checkpoint have had them
    "accumulate": 1, "amp": "off", "augment": ["mosaic", "train"], "backbone_lr": 1.0, "backbone_weights": None,
    "batch_size": 4, "cache": "off", "clip_norm": 10.0, "close_mosaic": 0, "compile": False, "config": "shapes.yaml",
    "decay_norms": False, "device": "cpu", "ema": 0.9, "epochs": 1, "exist_ok": False, "find_batch_size": False,
    "find_lr": False, "freeze_bn": False, "freeze_layers": 0, "global_batch": 4, "img_size": 64, "lr": 0.02,
    "lr_most": 0.02, "lr_per_image": 0.0025, "lr_steps": [0.7, 0.9], "max_detections": 100, "model": SMALL,
    "momentum": "nesterov", "no_mosaic": False, "optimizer": "sgd", "patience": 0, "pretrained": "none",
    "project_name": "old", "recipe": "finetune", "repeat_rare": 0.0, "resume_training": False, "save_every": 15,
    "schedule": "multistep", "seed": 3, "skip_bad": False, "split": None, "split_groups": None, "sync_bn": False,
    "use_train_aug": True, "vis_transformed": False, "warmup_steps": 500, "weight_decay": None, "weights": None,
    "workers": None,
}  # fmt: skip


def write_old_run(*, args_yaml: bool, middle: bool = False) -> Path:
    """A run of one epoch, or one that was stopped in its second, with the files and keys of an earlier version."""
    folder = RUNS / "old"
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    model = create_model(SMALL, 3, img_size=64)
    data = read_data(settings_of("old")).fingerprints
    metrics = {"epoch": 1, "step": 2, "train/loss": 1.5, "val/map_50_95": 0.0, "val/loss": 1.0, "ema/map_50_95": 0.0}
    others = "map_50 map_75 map_small map_medium map_large mar_1 mar_10 mar_100"
    metrics |= {f"val/{key}": 0.0 for key in others.split()}
    weights = {
        "toolkit": 1, "epoch": 1, "model_name": SMALL, "img_size": 64, "max_detections": 100, "metrics": metrics,
        "config": {"CLASSES": ["__background__", "Mask", "Gloves"]}, "model_state_dict": model.state_dict(),
    }  # fmt: skip
    progress = {"steps": 1, "sums": {"train/loss": 1.5}, "skipped": 0, "seconds": 2.0, "waited": 0.5}
    training = {
        "arguments": ARGUMENTS, "best": metrics, "best_weights": "raw", "last": metrics, "last_bad_step": -1,
        "progress": progress if middle else {"steps": 0, "sums": {}, "skipped": 0, "seconds": 0.0, "waited": 0.0},
        "data": {"train": data["train"], "valid": data["val"]},
    }  # fmt: skip
    state = {"optimizer_state_dict": build_optimizer("sgd", model, 0.02).state_dict(), "scaler_state_dict": {}}
    averages = {"ema_state_dict": model.state_dict()}
    torch.save(weights | averages | state | {"training": training}, folder / "last_model.pth")
    torch.save(weights | {"weights": "raw"}, folder / "best_model.pth")
    if args_yaml:
        (folder / "args.yaml").write_text(yaml.safe_dump(ARGUMENTS))
    return folder


@pytest.mark.parametrize("args_yaml", [True, False])
@pytest.mark.parametrize("middle", [True, False])
def test_a_run_of_an_earlier_version_is_resumed(args_yaml, middle):
    folder = write_old_run(args_yaml=args_yaml, middle=middle)
    words = ["--resume-training", "--weights", str(folder / "last_model.pth"), "--epochs", "2", "--device", "cpu"]
    run = open_run(prepare_model(prepare_data(training_settings([*words, "--config", "shapes.yaml"]))))
    assert (run.settings.ema, run.settings.seed, run.settings.lr) == (0.9, 3, 0.02)
    assert run.settings.augment == ("mosaic", "train") and run.folder == folder
    fit(run)
    finish(run)
    steps, (epoch,) = read_metrics(folder / "metrics.jsonl")
    assert [record["step"] for record in steps] == ([4] if middle else [3, 4]) and epoch["epoch"] == 2
    content = torch.load(folder / "last_model.pth", weights_only=True)
    assert content["epoch"] == 2 and content["training"]["arguments"].keys() >= ARGUMENTS.keys()
    assert yaml.safe_load((folder / "args.yaml").read_text()).keys() >= ARGUMENTS.keys()


def test_a_run_of_an_earlier_version_must_agree_with_its_beginning():
    folder = write_old_run(args_yaml=False)
    settings = TrainSettings(
        config="missing.yaml", resume_training=True, weights=folder / "last_model.pth", epochs=2, device="cpu",
        ema=0.5, img_size=96, freeze_bn=True,
    )  # fmt: skip
    with pytest.raises(ConfigError, match="cannot be resumed") as caught:  # before any data is read
        prepare_data(settings)
    for line in ("--ema: the run has 0.9, here it is 0.5", "--img-size: the run has 64, here it is 96", "--freeze-bn"):
        assert line in str(caught.value)


@pytest.mark.parametrize("flag", ["weights", "backbone_weights"])
def test_weights_of_another_architecture_are_reported_before_the_data_is_read(flag):
    torch.save(create_model("fasterrcnn_mobilenet_v3_large_fpn", 3).state_dict(), "other.pth")
    with pytest.raises(CheckpointError, match=r"other.pth.* fit"):
        prepare_data(settings_of("other", config="missing.yaml", **{flag: "other.pth"}))
    torch.save(create_model(SMALL, 3).backbone.body.state_dict(), "own.pth")
    with pytest.raises(ConfigError, match=r"missing.yaml"):
        prepare_data(settings_of("own", config="missing.yaml", backbone_weights="own.pth"))


def test_a_resumed_checkpoint_that_does_not_fit_is_reported_before_the_data_is_read():
    folder = write_old_run(args_yaml=False)
    content = torch.load(folder / "last_model.pth", weights_only=True)
    content["model_state_dict"].pop("rpn.head.bbox_pred.bias")
    torch.save(content, folder / "last_model.pth")
    words = ["--resume-training", "--weights", str(folder / "last_model.pth"), "--epochs", "2", "--device", "cpu"]
    with pytest.raises(CheckpointError, match="missing rpn.head.bbox_pred.bias"):
        prepare_data(training_settings([*words, "--config", "missing.yaml"]))
