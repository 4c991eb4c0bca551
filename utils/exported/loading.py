"""Loads an exported detector as a predictor, without torch."""

import re
from pathlib import Path

from utils.errors import ConfigError
from utils.exported.engines import open_engine
from utils.exported.predictor import ExportedPredictor
from utils.runs.note import note


def load_exported(
    path: Path,
    *,
    device_name: str = "auto",
    half: bool = False,
    model_name: str | None = None,
    img_size: int | None = None,
    max_detections: int | None = None,
) -> tuple[ExportedPredictor, tuple[str, ...]]:
    """Load an exported detector; returns its predictor and its class names, background first.

    The arguments are those of `models.predictors.build_predictor`. Raises CheckpointError for a file that export.py
    did not write, and ConfigError for another device than the CPU, another model than the file's.
    """
    if device_name not in ("auto", "cpu"):
        expected = "exported models run on the CPU here, and the checkpoint on a GPU"
        known = re.fullmatch(r"mps|cuda(:[0-9]{1,4})?", device_name)
        raise ConfigError(f"--device {device_name}: {expected if known else 'expected auto or cpu'}")
    engine = open_engine(path, half=half)
    about = engine.metadata
    if half and "float32" in engine.title:
        note(f"--half: {engine.title.split(',')[0]} has no fast half precision here; using float32")
    if model_name and model_name != about.model_name:
        raise ConfigError(f"--model {model_name}: {path} is a {about.model_name}; leave --model out")
    return ExportedPredictor(engine, img_size=img_size, max_detections=max_detections), about.class_names
