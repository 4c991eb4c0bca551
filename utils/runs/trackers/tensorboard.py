"""`--log tensorboard`: event files in the run's folder."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from utils.runs.trackers.tracker import RunInfo, best_values, epoch_values, step_values


class TensorBoardTracker:
    """Event files `events.out.tfevents.*`, one for each time that the run is started or resumed.

    Written with TensorBoard's own package, which needs neither torch nor TensorFlow.
    """

    def __init__(self, info: RunInfo) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.plugins.text.metadata import create_summary_metadata
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event, self._summary = Event, Summary
        self._writer = EventFileWriter(str(info.folder))
        self.place = f"tensorboard --logdir {info.folder.parent}"
        self.keeps: dict[str, Any] = {}
        if info.first_step > 1:  # viewers drop what was written for later steps before the run was killed
            start = SessionLog(status=SessionLog.START)
            self._writer.add_event(Event(wall_time=time.time(), step=info.first_step, session_log=start))
        text = "".join(f"    {line}\n" for line in yaml.safe_dump(dict(info.settings), allow_unicode=True).splitlines())
        tensor = TensorProto(dtype="DT_STRING", string_val=[text.encode(errors="backslashreplace")])
        tensor.tensor_shape.dim.add(size=1)
        value = Summary.Value(tag="settings", metadata=create_summary_metadata("settings", ""), tensor=tensor)
        self._add([value], info.first_step - 1)
        self._writer.flush()

    def steps(self, records: list[dict[str, Any]]) -> None:
        for record in records:
            self._scalars(step_values(record), int(record["step"]))

    def epoch(self, record: dict[str, Any]) -> None:
        self._scalars(epoch_values(record), int(record["step"]))
        self._writer.flush()

    def images(self, paths: Sequence[Path], *, step: int) -> None:
        values = []
        for path in paths:
            with Image.open(path) as image:
                width, height = image.size
            encoded = self._summary.Image(
                height=height, width=width, colorspace=3, encoded_image_string=path.read_bytes()
            )
            values.append(self._summary.Value(tag=path.stem, image=encoded))
        self._add(values, step)
        self._writer.flush()

    def finish(self, best: Mapping[str, float], *, step: int) -> None:
        self._scalars(best_values(best), step)
        self.close()

    def close(self) -> None:
        self._writer.close()

    def _scalars(self, values: Mapping[str, float], step: int) -> None:
        self._add([self._summary.Value(tag=_text(key), simple_value=value) for key, value in values.items()], step)

    def _add(self, values: list, step: int) -> None:
        self._writer.add_event(self._event(wall_time=time.time(), step=step, summary=self._summary(value=values)))


def _text(key: str) -> str:
    return key.encode(errors="backslashreplace").decode()
