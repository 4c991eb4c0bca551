"""Reads the dataset that a training's settings name."""

from utils.cli.settings import TrainSettings
from utils.config.config import load_config
from utils.dataset.scan import raise_for_errors, scan_splits
from utils.errors import ConfigError
from utils.runs.data import TrainingData


def read_data(settings: TrainSettings) -> TrainingData:
    """Read and scan the training and the validation split of the dataset that the settings name.

    Raises ConfigError where its YAML is at fault, and DatasetError, with every file, where images or annotations are.
    """
    if settings.config is None:
        raise ConfigError("--config: which dataset? For example data_configs/ppe.yaml")
    config = load_config(settings.config, split=settings.split, split_groups=settings.split_groups)
    scans = scan_splits(config, ("train", "val"), skip_bad=settings.skip_bad)
    raise_for_errors(scans)
    return TrainingData(config, scans)
