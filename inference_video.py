"""Detect objects in a video, a camera's images or a stream, on the screen and in a file.

    python inference_video.py --weights outputs/training/NAME/best_model.pth --input data/inference_data/video_1.mp4 \
        --show-image --threshold 0.9

Writes INPUT.mp4, with the time stamps and the sound of the input, to outputs/inference/res_N or to --output. In the
window q or Esc ends, space pauses, s saves the image. Exit status: 0; 1 where a part of the input could not be
read (what came before is in the file); 2 for an error; 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP, with the
file finished.
"""

import sys

from utils.cli.guard import NETWORK_PACKAGES, check_python

if __name__ == "__main__":  # before anything else is imported: this Python may lack it
    check_python(NETWORK_PACKAGES)

from utils.cli.inference_args import predictor_options, video_arguments
from utils.cli.script import ending

if __name__ == "__main__":  # before the imports that take seconds: --help and mistyped flags answer at once
    with ending():
        ARGS = video_arguments()

import re
import time
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path

import numpy as np
from tqdm import tqdm

from models.predictors import build_predictor
from utils.detections import class_filter
from utils.drawing.boxes import draw_boxes
from utils.drawing.window import VideoWindow, display_problem, show_figure
from utils.files import check_free, check_writable
from utils.images.io import write_image
from utils.runs.run_dir import output_dir
from utils.signals import Signals, Stopped
from utils.video.decoding.container import is_address
from utils.video.frames import Detected, detect
from utils.video.jsonl import FrameLines
from utils.video.live import open_source
from utils.video.pipeline import Pipeline
from utils.video.writer import VideoWriter

INFERENCE_ROOT = Path("outputs/inference")
FOLLOWED = 0.1  # least score of what helps --track to follow an object that is half hidden
LOOK_SECONDS = 0.02  # how long a key press waits at most for the window


def main(args) -> int:
    sys.stdout.reconfigure(errors="backslashreplace")  # names that the terminal cannot show
    Signals()  # each ends it with a finished file
    with open_source(
        args.input, every=args.every, start=args.start, end=args.end, reconnects=args.reconnect, fps=args.fps
    ) as source:
        stem = output_stem(args.input)
        if args.output:  # said before anything is computed
            check_free(args.output, (f"{stem}.mp4", f"{stem}.jsonl"))
        told = print_notes(source.notes)
        window = open_window(args, str(source.path))
        threshold = min(args.threshold, FOLLOWED) if args.track else args.threshold
        predict, class_names = build_predictor(args.weights, threshold=threshold, **predictor_options(args))
        labels = class_filter(args.classes, class_names)
        tracker = build_tracker(source.rate / args.every, args.threshold) if args.track else None
        with output_dir(args.output, INFERENCE_ROOT) as out_dir:
            check_writable(out_dir, [f"{stem}.mp4", *([f"{stem}.jsonl"] if "json" in args.save else [])])
            run = Run(args, source, out_dir, stem, class_names, labels, tracker)
            try:
                run.go(predict, window)
            except Stopped as stopped:
                with suppress(OSError):  # a terminal that hangs up shows nothing any more
                    tqdm.write("stopped")
                    run.report()
                return stopped.status
        run.report()
        print_notes(source.notes[told:])
        if args.mpl_show and run.last is not None:
            problem = show_figure(str(source.path), run.last)
            if problem:
                print(f"note: --mpl-show: {problem}")
        if run.writer.damaged_sound:
            print(f"note: {run.writer.damaged_sound} packets of its sound are damaged and left out")
        if source.missing:
            print(f"warning: {source.missing}", file=sys.stderr)
        return 1 if source.missing else 0


class Run:
    """One source on its way to the file and the window, and what is to be said of it afterwards."""

    def __init__(self, args, source, out_dir: Path, stem: str, class_names, labels, tracker):
        self.args, self.source, self.out_dir, self.stem = args, source, out_dir, stem
        self.class_names, self.labels, self.tracker = class_names, labels, tracker
        self.writer = VideoWriter(
            out_dir / f"{stem}.mp4",
            rate=source.rate / args.every,
            time_base=source.time_base,
            start=args.start,
            live=source.live,
            audio_streams=source.audio_streams,
        )
        self.lines = None
        self.last: np.ndarray | None = None
        self.network_seconds: deque[float] = deque(maxlen=100_000)  # the last hour, of a camera that runs for days
        self.saved: set[int] = set()  # numbers of the frames that the user kept
        self.dropped = 0
        self.began = self.ended = time.perf_counter()

    def go(self, predict, window: VideoWindow | None) -> None:
        """Decode, detect, and draw and encode at the same time; this thread has the window and the progress bar."""
        args = self.args
        with ExitStack() as stack:
            stack.enter_context(self.writer)
            if "json" in args.save:
                self.lines = stack.enter_context(FrameLines(self.out_dir / f"{self.stem}.jsonl", self.class_names))
            bar = stack.enter_context(tqdm(total=self.source.total, unit="frame", disable=None, dynamic_ncols=True))
            pipeline = stack.enter_context(
                Pipeline(
                    self.source,
                    lambda frames: detect(frames, predict, batch_size=args.batch_size, live=self.source.live),
                    self.draw_and_write,
                    capacity=max(4, 2 * args.batch_size),
                    newest=self.source.live,
                )
            )
            stack.callback(self.source.stop)
            if window:
                stack.callback(window.close)
            self.began = time.perf_counter()
            try:
                self.watch(pipeline, bar, window)
            finally:
                self.ended, self.dropped = time.perf_counter(), pipeline.dropped

    def draw_and_write(self, results):
        """The last stage: choose, number, draw, encode; yields (frame number, annotated image, network's seconds)."""
        for result in results:
            image, frame = self.draw(result), result.frame
            self.writer.write(image, frame)
            yield frame.index, image, result.seconds
        self.writer.write_audio(self.source.tail)

    def draw(self, result: Detected) -> np.ndarray:
        frame, show_labels = result.frame, not self.args.no_labels
        detections, track_ids = result.detections, None
        if self.labels is not None:
            detections = detections.of(self.labels)
        if self.tracker:
            detections, track_ids = self.tracker.update(detections, float(frame.time))
            image = self.tracker.draw(frame.image, detections, track_ids, self.class_names, show_labels=show_labels)
        else:
            detections = detections.above(self.args.threshold)
            image = draw_boxes(
                frame.image,
                detections.boxes,
                detections.labels,
                self.class_names,
                scores=detections.scores,
                show_labels=show_labels,
            )
        if self.lines:
            height, width = frame.image.shape[:2]
            self.lines.write(frame.index, float(frame.time), (width, height), detections, track_ids)
        return image

    def watch(self, pipeline: Pipeline, bar, window: VideoWindow | None) -> None:
        """Take the results, show the newest, obey the keys; returns behind the last frame or when the user ends it."""
        index = 0
        while True:
            paused = window is not None and window.paused
            results = [] if paused else pipeline.take(LOOK_SECONDS)
            if results is None:
                return
            if results:
                index, self.last, _ = results[-1]
                self.network_seconds.extend(seconds for *_, seconds in results)
                bar.update(len(results))
            if window:
                if results:
                    window.count(len(results))
                    window.show(self.last)
                command = window.command(LOOK_SECONDS if paused else 0.001)
                if command == "quit":
                    return
                if command == "save":
                    self.save_image(index)

    def save_image(self, index: int) -> None:
        """The frame on the screen as PNG, once, beside what an earlier run left under this name."""
        if index in self.saved:
            return
        self.saved.add(index)
        stem, numbers = f"{self.stem}_frame_{index:06d}", count(2)
        path = self.out_dir / f"{stem}.png"
        while path.exists():
            path = self.out_dir / f"{stem}_{next(numbers)}.png"
        write_image(path, self.last)
        tqdm.write(f"saved {path}")

    def report(self) -> None:
        """How many frames, how fast, and where they are."""
        if not self.writer.frames:
            print("no frame was written")
            return
        seconds = max(self.ended - self.began, 1e-9)
        print(f"{self.writer.frames} frames in {seconds:.1f} s, {self.writer.frames / seconds:.1f} frames/s")
        if self.network_seconds:
            median, slow = np.percentile(self.network_seconds, (50, 95)) * 1000
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


def output_stem(source: str) -> str:
    """The name that the files of a source begin with."""
    if source.isdecimal():
        return f"camera_{source}"
    if is_address(source):
        parts = source.partition("://")[2].partition("?")[0].rstrip("/").split("/")
        return Path(parts[-1]).stem.replace(":", "_") if len(parts) > 1 else "stream"
    path = Path(source).expanduser()
    if path.is_dir():
        return path.resolve().name or "images"
    if path.exists():
        return path.stem
    # Of a pattern for images: its letters, else the folder's name.
    letters = re.sub(r"%0?\d*d|\[[^]]*\]|[*?%]", "", path.stem).strip("_-. ")
    return letters or path.parent.resolve().name or "images"


def print_notes(notes: Sequence[str]) -> int:
    """Print what is to be said of a source; returns how much that was."""
    for note in notes:
        print(f"note: {note}")
    return len(notes)


def open_window(args, title: str) -> VideoWindow | None:
    """A window where --show-image asks for one and one can be opened; else the file is all, and it says why."""
    if not args.show_image:
        return None
    problem = display_problem()
    if problem:
        print(f"note: no window: {problem}; the result goes to the file alone")
        return None
    print("keys in the window: space pauses, s saves the image, q or Esc ends")
    return VideoWindow(title)


def build_tracker(rate, threshold: float):
    from utils.video.tracking import Tracker

    return Tracker(float(rate), threshold=threshold)


if __name__ == "__main__":
    with ending():
        sys.exit(main(ARGS))
