"""A detector that has learned a few images by heart, so that an evaluation of it has something to count."""

from pathlib import Path

import torch

from datasets import DetectionDataset
from models import create_model
from torch_utils.runs.checkpoint import save_checkpoint
from utils.config.config import load_config
from utils.dataset.scan import scan_splits

SMALL = "fasterrcnn_resnet10_fpn_small"


def train_by_heart(yaml: Path, path: Path, *, steps: int = 80, img_size: int = 64, seed: int = 0) -> Path:
    """Train a small model for a few seconds on all splits of a dataset, and write it as `path`, a checkpoint."""
    torch.manual_seed(seed)
    config = load_config(yaml)
    annotations = [a for scan in scan_splits(config, progress=False).values() for a in scan.annotations]
    data = DetectionDataset(annotations, img_size=img_size, training=False)
    model = create_model(SMALL, config.num_classes, img_size=img_size)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    batch = [data[index] for index in range(len(data))]
    for step in range(steps):
        chosen = [batch[step % len(batch)]]
        images = [image.float() / 255 for image, _ in chosen]
        targets = [{key: target[key] for key in ("boxes", "labels")} for _, target in chosen]
        optimizer.zero_grad()
        sum(model(images, targets).values()).backward()
        optimizer.step()
    content = {"toolkit": 1, "epoch": 1, "model_name": SMALL, "img_size": img_size, "config": config.as_dict()}
    save_checkpoint(path, content | {"model_state_dict": model.state_dict()})
    return path
