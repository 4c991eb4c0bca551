"""The start of a training: the processes, the log, and the run to resume."""

import time
from dataclasses import replace

from torch_utils.device import describe, pick_amp, pick_device
from torch_utils.distributed import join_group
from torch_utils.runs.resume import run_state_of, run_to_continue
from torch_utils.runs.session import Session
from utils.cli.settings import TrainSettings
from utils.runs.console import setup_logging
from utils.runs.trackers.trackers import check_trackers


def begin_session(settings: TrainSettings) -> Session:
    """Join the processes, open the log, and find the run to resume.

    Raises ToolkitError where there is none, or nothing is left to do in it.
    """
    started = time.perf_counter()
    group = join_group(pick_device(settings.device))
    log = setup_logging(warnings_only=not group.is_main)
    resumed, settings = group.on_rank_zero(lambda: run_to_continue(settings))
    group.on_rank_zero(lambda: check_trackers(settings.log))
    amp_dtype = pick_amp(group.device, settings.amp)
    for line in describe(group.device, amp_dtype):
        log.info(line)
    settings = replace(settings, global_batch=settings.batch_size * settings.accumulate * group.size)
    state = group.on_rank_zero(lambda: run_state_of(resumed, settings))
    return Session(settings, group, amp_dtype, log, state, resumed, started)
