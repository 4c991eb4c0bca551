"""Reads the dataset that a training's settings name."""

from utils.cli.settings import TrainSettings
from utils.config.config import load_config
from utils.config.dataset_config import DatasetConfig
from utils.dataset.folds import fold_scans
from utils.dataset.scan import raise_for_errors, scan_splits
from utils.errors import ConfigError
from utils.images.cache import CACHE_ROOT
from utils.runs.data import TrainingData


def read_data(settings: TrainSettings, config: DatasetConfig | None = None) -> TrainingData:
    """Read and scan the training and the validation split of the dataset that the settings name.

    `config` is the dataset's YAML, if it has been read. With `fold`, all images of all splits are divided anew: that
    part of `folds` is for validation.
    Raises ConfigError where its YAML is at fault, and DatasetError, with every file, where images or annotations are.
    """
    if settings.fold:
        whole = _read(settings, config, None)
        folds = fold_scans(whole.scans, settings.folds, whole.config.split_groups)
        return TrainingData(whole.config, folds[settings.fold - 1])
    return _read(settings, config, ("train", "val"))


def read_whole_data(settings: TrainSettings) -> TrainingData:
    """Read and scan all splits of the dataset that the settings name, the test split, too; raises as `read_data`."""
    return _read(settings, None, None)


def read_config(settings: TrainSettings) -> DatasetConfig:
    """Read the dataset's YAML and find its folders, before their files are read; raises ConfigError as `read_data`."""
    if settings.config is None:
        raise ConfigError("--config: which dataset? For example data_configs/ppe.yaml")
    return load_config(settings.config, split=settings.split, split_groups=settings.split_groups)


def _read(settings: TrainSettings, config: DatasetConfig | None, splits: tuple[str, ...] | None) -> TrainingData:
    config = config or read_config(settings)
    scans = scan_splits(config, splits, skip_bad=settings.skip_bad, cache=CACHE_ROOT)
    raise_for_errors(scans)
    return TrainingData(config, scans)
