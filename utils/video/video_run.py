"""Runs a detector over a video: decoding, the network, drawing and encoding at the same time, a window in front."""

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import numpy as np
from tqdm import tqdm

from utils.detections import Detections
from utils.drawing.boxes import draw_boxes
from utils.drawing.window import VideoWindow
from utils.images.io import write_image
from utils.video.decoding.reader import VideoReader
from utils.video.decoding.sequences import SequenceReader
from utils.video.frames import Detected, detect
from utils.video.jsonl import FrameLines
from utils.video.live import LiveReader
from utils.video.pipeline import Pipeline
from utils.video.tracking import Tracker
from utils.video.writer import VideoWriter

WAIT_SECONDS = 0.02  # how long the window's keys wait at most for a frame, and frames for a key

Drawn = tuple[int, np.ndarray, float]  # number of a frame, its drawn image, the network's seconds


class VideoRun:
    """One source on its way to the file and the window, and the figures of it for `print_summary`.

    Args:
        source: an open reader.
        writer: of the drawn frames.
        lines: of their detections; None for none.
        class_names: background first.
        threshold: the least score that is drawn and written.
        wanted_labels: the classes that are kept; None for all.
        tracker: numbers the objects; None for no numbers.
        show_labels: False draws boxes without names and scores.

    Attributes:
        last: the newest drawn image that was taken; None before the first.
    """

    def __init__(
        self,
        source: VideoReader | SequenceReader | LiveReader,
        writer: VideoWriter,
        lines: FrameLines | None,
        class_names: Sequence[str],
        *,
        threshold: float,
        wanted_labels: Collection[int] | None = None,
        tracker: Tracker | None = None,
        show_labels: bool = True,
    ):
        self.writer, self.lines = writer, lines
        self.last: np.ndarray | None = None
        self.dropped = 0  # frames of a camera that came too fast
        self._source, self._class_names, self._threshold = source, class_names, threshold
        self._wanted_labels, self._tracker, self._show_labels = wanted_labels, tracker, show_labels
        self._network_seconds: deque[float] = deque(maxlen=100_000)  # the last hour, of a camera that runs for days
        self._saved: set[int] = set()  # numbers of the frames that the user saved
        self._began = self._ended = time.perf_counter()

    def play(
        self,
        predict: Callable[[Sequence[np.ndarray]], list[Detections]],
        *,
        batch_size: int = 1,
        window: VideoWindow | None = None,
    ) -> None:
        """Work through the source; the calling thread has the window and the progress bar."""
        live = self._source.live
        with ExitStack() as stack:
            stack.enter_context(self.writer)
            if self.lines:
                stack.enter_context(self.lines)
            bar = stack.enter_context(tqdm(total=self._source.total, unit="frame", disable=None, dynamic_ncols=True))
            pipeline = stack.enter_context(
                Pipeline(
                    self._source,
                    lambda frames: detect(frames, predict, batch_size=batch_size, live=live),
                    self._draw_and_write,
                    capacity=max(4, 2 * batch_size),
                    newest=live,
                )
            )
            stack.callback(self._source.stop)
            if window:
                stack.callback(window.close)
            self._began = time.perf_counter()
            try:
                self._watch(pipeline, bar, window)
            finally:
                self._ended, self.dropped = time.perf_counter(), pipeline.dropped

    def _draw_and_write(self, results: Iterable[Detected]) -> Iterator[Drawn]:
        """Draw and encode: the last stage of the pipeline."""
        for result in results:
            image = self._draw(result)
            self.writer.write(image, result.frame)
            yield result.frame.index, image, result.seconds
        self.writer.write_audio(self._source.tail)

    def _draw(self, result: Detected) -> np.ndarray:
        """Choose and number the detections of a frame, write their line, and return the drawn image."""
        frame, track_ids = result.frame, None
        detections = result.detections.of(self._wanted_labels)
        if self._tracker:
            detections, track_ids = self._tracker.update(detections, float(frame.time))
            image = self._tracker.draw(
                frame.image, detections, track_ids, self._class_names, show_labels=self._show_labels
            )
        else:
            detections = detections.above(self._threshold)
            image = draw_boxes(
                frame.image,
                detections.boxes,
                detections.labels,
                self._class_names,
                scores=detections.scores,
                show_labels=self._show_labels,
            )
        if self.lines:
            height, width = frame.image.shape[:2]
            self.lines.write(frame.index, float(frame.time), (width, height), detections, track_ids)
        return image

    def _watch(self, pipeline: Pipeline, bar: tqdm, window: VideoWindow | None) -> None:
        """Take the results, show the newest, obey the keys; return after the last frame or when the user ends it."""
        index = 0
        while True:
            paused = window is not None and window.paused
            results: list[Drawn] | None = [] if paused else pipeline.take(WAIT_SECONDS)
            if results is None:
                return
            if results:
                index, self.last, _ = results[-1]
                self._network_seconds.extend(seconds for *_, seconds in results)
                bar.update(len(results))
            if window:
                if results and self.last is not None:
                    window.count(len(results))
                    window.show(self.last)
                command = window.command(WAIT_SECONDS if paused else 0.001)
                if command == "quit":
                    return
                if command == "save" and self.last is not None:
                    self._save(index, self.last)

    def _save(self, index: int, image: np.ndarray) -> None:
        """Write the frame on the screen as PNG, once, beside what an earlier run left under this name."""
        if index in self._saved:
            return
        self._saved.add(index)
        path, numbers = self._image_path(index), count(2)
        while path.exists():
            path = self._image_path(index, f"_{next(numbers)}")
        write_image(path, image)
        tqdm.write(f"saved {path}")

    def _image_path(self, index: int, suffix: str = "") -> Path:
        video = self.writer.path
        return video.with_name(f"{video.stem}_frame_{index:06d}{suffix}.png")

    def print_summary(self) -> None:
        """Print how many frames there are, how fast they were, and where they are."""
        if not self.writer.frames:
            print("no frame was written")
            return
        seconds = max(self._ended - self._began, 1e-9)
        print(f"{self.writer.frames} frames in {seconds:.1f} s, {self.writer.frames / seconds:.1f} frames/s")
        if self._network_seconds:
            median, slow = np.percentile(self._network_seconds, (50, 95)) * 1000
            print(f"network: {median:.1f} ms per frame (median), {slow:.1f} ms (95th percentile)")
        if self.dropped:
            print(f"{self.dropped} frames came faster than the network takes them and were left out")
        if self.writer.first_fitted:
            index, width, height = self.writer.first_fitted
            print(
                f"note: {self.writer.fitted} frames have another size than the first and were fitted into it, with "
                f"black borders, from frame {index} ({width}x{height}) on"
            )
        print(f"video: {self.writer.path}")
        if self.lines:
            print(f"detections: {self.lines.path}")
