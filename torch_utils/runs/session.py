"""A training before it has a model: the processes, the settings so far, the run to resume, the data."""

import logging
from dataclasses import dataclass, field

import torch

from torch_utils.distributed import Group
from torch_utils.runs.checkpoint import Checkpoint
from torch_utils.runs.saver import RunState
from utils.cli.settings import TrainSettings
from utils.runs.data import TrainingData


@dataclass
class Session:
    """A training before it has a model; `data` is there once it has been read."""

    settings: TrainSettings
    group: Group
    amp_dtype: torch.dtype | None
    log: logging.Logger
    state: RunState
    resumed: Checkpoint | None
    started: float  # by time.perf_counter
    data: TrainingData = field(init=False)

    def log_data(self) -> None:
        """Report what the dataset holds."""
        for line in self.data.report(max_listed=5):
            self.log.info(line)
