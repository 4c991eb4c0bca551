"""`--log mlflow`: a run of MLflow, in the store that the environment names."""

import os
import re
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from utils.runs.trackers.tracker import RunInfo, best_values, epoch_values, step_values

EXPERIMENT = "faster-rcnn"
MOST_METRICS, MOST_PARAMS = 1000, 100  # of a call of `log_batch`
LONGEST_KEY, LONGEST_PARAM = 250, 6000


class MlflowTracker:
    """A run of MLflow: settings as parameters, records as metrics, images as artifacts in `images`.

    The store is that of MLFLOW_TRACKING_URI, else MLflow's own default, `mlflow.db` in the current folder; the
    experiment that of MLFLOW_EXPERIMENT_NAME. A resumed run continues the one it has, without repeating steps.
    """

    def __init__(self, info: RunInfo) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # its 7 would hold a training up for minutes
        from mlflow.entities import Metric, Param
        from mlflow.tracking import MlflowClient

        self._metric = Metric
        self._client = client = MlflowClient(info.known.get("tracking_uri"))
        self._waiting: list = []
        self._sent = {"step": 0, "epoch": 0}
        if info.known:
            self._id = info.known["run_id"]
            client.update_run(self._id, status="RUNNING")
            for kind, key in (("step", "train_step/loss"), ("epoch", "train/loss")):
                history = client.get_metric_history(self._id, key)
                self._sent[kind] = max((metric.step for metric in history), default=0)
        else:
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
            found = client.get_experiment_by_name(name)
            experiment = found.experiment_id if found else client.create_experiment(name)
            self._id = client.create_run(experiment, run_name=info.folder.name).info.run_id
            params = [Param(key, str(value)[:LONGEST_PARAM]) for key, value in info.settings.items()]
            for start in range(0, len(params), MOST_PARAMS):
                client.log_batch(self._id, params=params[start : start + MOST_PARAMS])
        self.keeps: dict[str, Any] = {"run_id": self._id, "tracking_uri": client.tracking_uri}
        local = not client.tracking_uri.startswith("http")
        self.place = f"mlflow ui --backend-store-uri {client.tracking_uri}" if local else client.tracking_uri

    def steps(self, records: list[dict[str, Any]]) -> None:
        for record in records:
            self._add("step", step_values(record), int(record["step"]))
        if len(self._waiting) > MOST_METRICS // 2:  # a call of a server takes longer than a step
            self._send()

    def epoch(self, record: dict[str, Any]) -> None:
        self._add("epoch", epoch_values(record), int(record["step"]))
        self._send()

    def images(self, paths: Sequence[Path], *, step: int) -> None:
        for path in paths:
            self._client.log_artifact(self._id, str(path), "images")

    def finish(self, best: Mapping[str, float], *, step: int) -> None:
        self._add("best", best_values(best), step)
        self._end("FINISHED")

    def close(self) -> None:
        self._end("KILLED")

    def _add(self, kind: str, values: Mapping[str, float], step: int) -> None:
        if step > self._sent.get(kind, -1):
            now = int(time.time() * 1000)
            self._waiting += [self._metric(_key(key), value, now, step) for key, value in values.items()]

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), MOST_METRICS):
            self._client.log_batch(self._id, metrics=waiting[start : start + MOST_METRICS])

    def _end(self, status: str) -> None:
        self._send()
        self._client.set_terminated(self._id, status)


def _key(name: str) -> str:
    """Return a metric's name as MLflow takes it: what it refuses of a class's name is written as `_`, its code, `_`."""
    parts = [re.sub(r"[^\w\-. ]", lambda found: f"_{ord(found[0]):x}_", part) for part in name.split("/", 2)]
    key = "/".join(part if part.strip(".") else part.replace(".", "_2e_") for part in parts)
    return key if len(key) <= LONGEST_KEY else f"{key[: LONGEST_KEY - 9]}_{zlib.crc32(key.encode()):08x}"
