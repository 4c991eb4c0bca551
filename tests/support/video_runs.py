"""Parts that tests of inference_video.py share: a checkpoint, its command line and its environment."""

import os
import sys
from pathlib import Path

import torch

from models import model_spec
from models.build import build_model
from support.paths import ROOT
from torch_utils.runs.checkpoint import save_checkpoint

SCRIPT = ROOT / "inference_video.py"
MODEL = "fasterrcnn_resnet10_fpn_small"
CLASSES = ["__background__", "Mask", "Gloves", "Goggles"]


def small_checkpoint(path: Path) -> Path:
    """Random weights: they see much at a low threshold, and nothing at 1.0."""
    torch.manual_seed(0)
    model = build_model(model_spec(MODEL), len(CLASSES))
    content = {"toolkit": 1, "epoch": 1, "model_name": MODEL, "img_size": 64, "config": {"CLASSES": CLASSES}}
    save_checkpoint(path, content | {"model_state_dict": model.state_dict()})
    return path


def command(checkpoint: Path, source: Path | str, *options: str) -> list[str]:
    return [sys.executable, str(SCRIPT), "-w", str(checkpoint), "-i", str(source), "-d", "cpu", *options]


def environment(display: str | None = None) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    return kept | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"} | ({"DISPLAY": display} if display else {})
