"""`--log wandb`: a run of Weights & Biases, online or offline as the environment says."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from utils.errors import ToolkitError
from utils.runs.trackers.tracker import RunInfo, best_values, epoch_values, step_values

PROJECT = "faster-rcnn"
WITHOUT_ACCOUNT = ("offline", "dryrun", "disabled")  # values of WANDB_MODE


def check_wandb() -> None:
    """Raise ToolkitError where runs are to be sent and no account is known, before W&B asks at a terminal."""
    import wandb

    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    settings = wandb.setup().settings
    if settings.mode not in WITHOUT_ACCOUNT and not (settings.api_key or wandb.api.api_key):
        raise ToolkitError(
            "--log wandb: no account is known. `wandb login` stores a key; WANDB_MODE=offline writes the run to its "
            "folder alone, for `wandb sync` later"
        )


class WandbTracker:
    """A run of Weights & Biases, whose own files are in `wandb` in the run's folder.

    Project and mode are those of WANDB_PROJECT and WANDB_MODE. A resumed run has the same id; values are sent with
    their step, and W&B leaves out those of a step that it has.
    """

    def __init__(self, info: RunInfo) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # crash reports to W&B's makers
        import wandb

        self._image = wandb.Image
        self._run = wandb.init(
            dir=str(info.folder),
            project=os.environ.get("WANDB_PROJECT") or info.known.get("project") or PROJECT,
            entity=os.environ.get("WANDB_ENTITY") or info.known.get("entity"),
            id=info.known.get("id"),
            name=info.folder.name,
            resume="allow" if info.known else None,
            config=dict(info.settings),
        )
        run = self._run
        self.keeps: dict[str, Any] = {"id": run.id, "project": run.project, "entity": run.entity or None}
        self.place = run.url or f"wandb sync {Path(run.dir).parent}"

    def steps(self, records: list[dict[str, Any]]) -> None:
        for record in records:
            self._run.log(step_values(record), step=int(record["step"]))

    def epoch(self, record: dict[str, Any]) -> None:
        self._run.log(epoch_values(record), step=int(record["step"]))

    def images(self, paths: Sequence[Path], *, step: int) -> None:
        self._run.log({path.stem: self._image(str(path)) for path in paths}, step=step)

    def finish(self, best: Mapping[str, float], *, step: int) -> None:
        self._run.summary.update(best_values(best))
        self._run.finish()

    def close(self) -> None:
        self._run.finish(exit_code=1)
