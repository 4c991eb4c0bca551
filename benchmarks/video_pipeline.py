"""Compare the video pipeline with its slowest stage: measured in turns, in one process, on the same frames.

    python benchmarks/video_pipeline.py --weights outputs/training/NAME/best_model.pth --frames 100 --rounds 3

Per round: all frames decoded alone; the network alone on decoded frames; drawing and encoding alone; one after the
other (the sum of these); the pipeline. Prints the medians and the pipeline's time over that of the slowest stage.
"""

import argparse
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from models.predictors import load_predictor
from torch_utils.device import describe, pick_amp, pick_device
from utils.drawing.boxes import draw_boxes
from utils.errors import ToolkitError, stop
from utils.video.decoding.reader import VideoReader
from utils.video.frames import detect
from utils.video.pipeline import Pipeline
from utils.video.writer import VideoWriter

ROOT = Path(__file__).resolve().parents[1]


def main(args) -> int:
    device = pick_device(args.device)
    amp_dtype = pick_amp(device) if args.half else None
    for line in describe(device, amp_dtype):
        print(line)
    predict, class_names = load_predictor(args.weights, device, img_size=args.img_size, amp_dtype=amp_dtype)
    bench = Bench(args, predict, class_names)
    frames = bench.decode()
    print(f"{args.input}: {len(frames)} frames of {frames[0].image.shape[1]}x{frames[0].image.shape[0]}")
    found = bench.network(frames[: args.batch_size]) and bench.network(frames)  # the first call warms up

    stages = {
        "decode": bench.decode,
        "network": lambda: bench.network(frames),
        "draw and encode": lambda: bench.encode(found),
        "pipeline": bench.pipeline,
    }
    seconds = {name: [] for name in stages}
    for _ in range(args.rounds):
        for name, stage in stages.items():
            seconds[name].append(timed(stage))
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    for name, median in medians.items():
        print(f"{name:<16} {median:7.2f} s  {1000 * median / len(frames):7.2f} ms per frame  {times_of(seconds[name])}")
    together = medians.pop("pipeline")
    slowest = max(medians, key=medians.get)
    print(f"one after the other: {sum(medians.values()) / medians[slowest]:.3f} of the slowest stage ({slowest})")
    print(f"pipeline:            {together / medians[slowest]:.3f} of the slowest stage ({slowest})")
    return 0


class Bench:
    """The stages of inference_video.py, each for itself and all together."""

    def __init__(self, args, predict, class_names):
        self.args, self.predict, self.class_names = args, predict, class_names

    def decode(self) -> list:
        with VideoReader(self.args.input) as reader:
            return list(islice(reader, self.args.frames))

    def network(self, frames) -> list:
        return list(detect(frames, self.predict, batch_size=self.args.batch_size))

    def encode(self, found) -> int:
        with (
            tempfile.TemporaryDirectory() as folder,
            VideoReader(self.args.input) as reader,
            self.writer(folder, reader) as writer,
        ):
            return sum(1 for _ in self.draw_and_write(found, writer))

    def pipeline(self) -> int:
        count = 0
        with (
            tempfile.TemporaryDirectory() as folder,
            VideoReader(self.args.input) as reader,
            self.writer(folder, reader) as writer,
            Pipeline(
                islice(reader, self.args.frames),
                lambda frames: detect(frames, self.predict, batch_size=self.args.batch_size),
                lambda found: self.draw_and_write(found, writer),
                capacity=max(4, 2 * self.args.batch_size),
            ) as pipeline,
        ):
            while (done := pipeline.take()) is not None:
                count += len(done)
        return count

    def writer(self, folder, reader) -> VideoWriter:
        return VideoWriter(Path(folder, "out.mp4"), rate=reader.rate, time_base=reader.time_base)

    def draw_and_write(self, results, writer):
        for result in results:
            found = result.detections.above(0.5)
            image = draw_boxes(result.frame.image, found.boxes, found.labels, self.class_names, scores=found.scores)
            writer.write(image, replace(result.frame, audio=()))  # its sound belongs to another reader
            yield result.frame.index


def timed(stage) -> float:
    """Return the seconds of a stage in a thread of its own, as in the pipeline: torch is slower there on some CPUs."""
    started = time.perf_counter()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(stage).result()
    return time.perf_counter() - started


def times_of(times: list[float]) -> str:
    return f"({min(times):.2f} to {max(times):.2f})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-i", "--input", type=Path, default=ROOT / "data" / "inference_data" / "video_1.mp4")
    parser.add_argument("-w", "--weights", type=Path, help="checkpoint; default: torchvision's COCO model")
    parser.add_argument("-d", "--device", default="auto")
    parser.add_argument("-ims", "--img-size", type=int)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--half", action="store_true")
    parser.add_argument("--frames", type=int, default=100, help="of the video, at most")
    parser.add_argument("--rounds", type=int, default=3)
    try:
        sys.exit(main(parser.parse_args()))
    except ToolkitError as error:
        stop(error)
