"""Checkpoints of a small model, and the arguments of a run resumed from one."""

import torch

from models import create_model
from torch_utils.runs.checkpoint import load_checkpoint, save_checkpoint
from utils.cli.settings import TrainSettings

SMALL = "fasterrcnn_resnet10_fpn_small"

CLASSES = ("__background__", "Mask")


def checkpoint_of(tmp_path, **training):
    torch.manual_seed(0)
    path = tmp_path / "last_model.pth"
    model = create_model(SMALL, 2, img_size=96, max_detections=training.get("max_detections"))
    content = {"toolkit": 1, "epoch": 1, "model_name": SMALL, "img_size": 96, "config": {"CLASSES": list(CLASSES)}}
    content |= {"max_detections": training["max_detections"]} if training else {}
    begun = {"lr": 0.01, "global_batch": None, **training}
    save_checkpoint(path, content | {"training": {"arguments": begun}, "model_state_dict": model.state_dict()})
    return load_checkpoint(path)


def resumed_settings(**changed):
    return TrainSettings(config="x.yaml", resume_training=True, **changed)
