"""Detect objects in images: a file, a folder, a pattern in quotes, or a text file with one path per line.

    python inference.py --weights outputs/training/NAME/best_model.pth --input data/inference_data --save json voc

Writes each image with its boxes, under its own name, to outputs/inference/res_N or to --output, and with --save:
predictions.json (COCO), predictions.csv, voc/*.xml for labelImg or CVAT, crops/CLASS/*. Exit
status: 0; 1 where something of an image could not be read or written (the rest is done); 2 for an error; 130 after
Ctrl-C, 143 after SIGTERM, 129 after SIGHUP, with the tables of what is done.
"""

import sys

from utils.cli.guard import NETWORK_PACKAGES, check_python

if __name__ == "__main__":  # before anything else is imported: this Python may lack it
    check_python(NETWORK_PACKAGES)

from utils.cli.inference_args import image_arguments, predictor_options
from utils.cli.script import ending

if __name__ == "__main__":  # before the imports that take seconds: --help and mistyped flags answer at once
    with ending():
        ARGS = image_arguments()

import time
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, nullcontext, suppress
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from models.predictors import build_predictor
from utils.detections import Detections, class_filter
from utils.drawing.boxes import draw_boxes
from utils.drawing.window import LARGEST_WINDOW, display_problem, fitted, show_figure, show_images
from utils.errors import DatasetError, ToolkitError, printable
from utils.images.formats import frames_in
from utils.images.io import probe_image
from utils.inference.exports import ImageResult
from utils.inference.outputs import ImageOutputs
from utils.inference.read_ahead import in_batches, in_order, read_ahead
from utils.inference.sources import SourceImage, find_images
from utils.pixel_range import DEEP_SUFFIXES, FLAT, problem_with
from utils.runs.run_dir import output_dir
from utils.signals import Signals, Stopped
from utils.system import cpu_count

INFERENCE_ROOT = Path("outputs/inference")
THREADS = max(2, min(4, cpu_count()))  # for decoding, and as many for drawing and encoding
AHEAD_MEGAPIXELS = 150  # decoded images that wait for the network: 450 MB, or one that is larger
BATCH_MEGAPIXELS = 50  # images of one run of the network, which are 12 bytes per pixel there, and copied once
# What libraries raise for an image that they cannot take, as one that is too large for the memory.
IMAGE_ERRORS = (RuntimeError, ValueError, AssertionError, ArithmeticError, MemoryError, cv2.error)


def main(args) -> int:
    sys.stdout.reconfigure(errors="backslashreplace")  # names that the terminal cannot show
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # damaged files are reported by name, below
    signals = Signals()
    sources, notes = find_images(args.input, exclude=[INFERENCE_ROOT, *([args.output] if args.output else [])])
    for note in notes:
        print(f"note: {note}")
    outputs = ImageOutputs(sources, args.save)
    if args.output:
        outputs.check_free(args.output)
    show = wanted_windows(args)
    predict, class_names = build_predictor(args.weights, threshold=args.threshold, **predictor_options(args))
    labels = class_filter(args.classes, class_names)
    run = Run(args, sources, outputs, predict, class_names, labels)
    failure = None
    with output_dir(args.output, INFERENCE_ROOT) as outputs.folder:
        try:
            try:
                with closing(run.pictures(keep=bool(show))) as pictures:
                    if show:
                        show(pictures)
                    else:
                        deque(pictures, maxlen=0)
            finally:  # whatever ended it, what is done is not lost
                with signals.held():
                    run.unwritten += outputs.write_tables(run.results, class_names)
        except Stopped:
            pass
        except (ToolkitError, OSError) as error:  # a disk that fills up: the rest would fail, too
            failure = error
    with suppress(OSError) if signals.noted else nullcontext():  # a terminal that hangs up shows nothing any more
        run.report(stopped=bool(signals.noted))
    if signals.noted:
        return 128 + signals.noted
    if failure:
        raise failure
    return 1 if run.skipped or run.unwritten else 0


class Run:
    """All images on their way from the disk to the results, and what is to be said of them afterwards."""

    def __init__(self, args, sources, outputs: ImageOutputs, predict, class_names, labels):
        self.args, self.sources, self.outputs = args, sources, outputs
        self.predict, self.class_names, self.labels = predict, class_names, labels
        self.finished: dict[int, ImageResult] = {}  # by number, in the order in which they were done
        self.animated: list[str] = []
        self.flat: list[str] = []  # images of more than eight bits that show next to nothing, and why
        self.skipped: list[str] = []  # images that could not be read or taken by the network, and why
        self.unwritten: list[str] = []  # files that could not be written, and why
        self.network_seconds = 0.0
        self.bar = tqdm(total=len(sources), unit="image", disable=None, dynamic_ncols=True)

    @property
    def results(self) -> list[ImageResult]:
        """What is done so far, in the order of the sources."""
        return [result for _, result in sorted(self.finished.items(), key=lambda item: item[0])]

    def pictures(self, *, keep: bool) -> Iterator[np.ndarray]:
        """Work through all; yields the annotated images in the order of the sources, none unless they are to be kept.

        Images of like shape share a run of the network, so that what is found does not depend on --batch-size.
        Decoding runs ahead of the network, drawing and encoding behind it; all stay within a few batches of it.
        """
        batch_size = self.args.batch_size
        decoded = read_ahead(
            self.sources,
            threads=THREADS,
            ahead=max(THREADS, 2 * batch_size),
            megapixels=AHEAD_MEGAPIXELS,
            pixel_range=self.predict.pixel_range,
        )
        with closing(decoded), self.bar, closing(self.done(decoded, keep=keep)) as done:
            for picture in in_order(done):
                if picture is not None:
                    yield picture

    def done(self, decoded, *, keep: bool) -> Iterator[tuple[int, np.ndarray | None]]:
        """Each image's number once all of it is done or has failed, and what `write` gave for it."""
        batches = in_batches(
            decoded, size=self.args.batch_size, megapixels=BATCH_MEGAPIXELS, shape_of=self.predict.padded_hw
        )
        writing: deque[tuple[int, ImageResult, Future]] = deque()
        with ThreadPoolExecutor(THREADS) as pool:
            try:
                for batch in batches:
                    behind = len(writing)
                    found = self.detect(batch)
                    for number, result, image in found:
                        if result:
                            writing.append((number, result, pool.submit(self.write, result, image, keep)))
                    for number, result, _ in found:
                        if not result:
                            yield number, None
                    for _ in range(behind):
                        yield self.written(*writing.popleft())
                while writing:
                    yield self.written(*writing.popleft())
            finally:  # where it was stopped: what has been detected belongs to what is done
                while writing:
                    with suppress(ToolkitError, OSError):
                        self.written(*writing.popleft())

    def detect(self, batch) -> list[tuple[int, ImageResult | None, np.ndarray | None]]:
        """Number, result and image of each one in a batch; None for both where it could not be read or detected on."""
        readable, done = [], []
        for number, source, image in batch:
            if isinstance(image, DatasetError):
                self.skip(str(image))
                done.append((number, None, None))
            else:
                readable.append((number, source, image))
        started = time.perf_counter()
        found = self.predict_each([(source, image) for _, source, image in readable])
        self.network_seconds += time.perf_counter() - started
        for (number, source, image), detections in zip(readable, found, strict=True):
            if detections is None:
                done.append((number, None, None))
                continue
            detections = detections.above(self.args.threshold).of(self.labels)
            height, width = image.shape[:2]
            done.append((number, ImageResult(source.path, source.name, width, height, detections), image))
        return done

    def predict_each(self, pictures: list[tuple[SourceImage, np.ndarray]]) -> list[Detections | None]:
        """The network's answers; where it fails on several, each alone, and None for those on which it fails then."""
        try:
            return self.predict([image for _, image in pictures]) if pictures else []
        except (DatasetError, *IMAGE_ERRORS) as error:
            if len(pictures) > 1:
                return [self.predict_each([picture])[0] for picture in pictures]
            source, image = pictures[0]
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            self.skip(f"{source.path}: {image.shape[1]}x{image.shape[0]} pixels: {reason}")
            return [None]

    def write(self, result: ImageResult, image: np.ndarray, keep: bool) -> tuple[list[str], np.ndarray | None]:
        """Everything of one image; returns what could not be written, and, where it is to be kept, the image
        annotated, at the size of a window."""
        found = result.detections
        frames = frames_in(result.path)
        if frames > 1:
            self.animated.append(f"{result.name.as_posix()}: the first of {frames} frames")
        if result.path.suffix.lower() in DEEP_SUFFIXES and int(image.max()) - int(image.min()) <= FLAT:
            used = probe_image(result.path).used
            problem = problem_with([used], self.predict.pixel_range) if used else None
            if problem:
                self.flat.append(f"{result.name.as_posix()}: {problem}")
        drawn = draw_boxes(
            image,
            found.boxes,
            found.labels,
            self.class_names,
            scores=found.scores,
            show_labels=not self.args.no_labels,
        )
        unwritten = self.outputs.write(result, image, drawn, self.class_names)
        return unwritten, fitted(drawn, LARGEST_WINDOW) if keep else None

    def written(self, number: int, result: ImageResult, writing: Future) -> tuple[int, np.ndarray | None]:
        self.finished[number] = result  # whatever becomes of its files, it is in the tables
        self.bar.update()
        try:
            unwritten, picture = writing.result()
        except IMAGE_ERRORS as error:
            unwritten, picture = [f"{result.path}: cannot be drawn: {error}"], None
        for line in unwritten:
            self.unwritten.append(line)
            tqdm.write(f"not written: {printable(line)}", file=sys.stderr)
        return number, picture

    def skip(self, line: str) -> None:
        self.skipped.append(line)
        self.bar.update()
        tqdm.write(f"skipped: {printable(line)}", file=sys.stderr)

    def report(self, *, stopped: bool) -> None:
        """What was found, how fast, where it is, and what was skipped."""
        results = self.results
        count = len(results)
        if stopped or count + len(self.skipped) < len(self.sources):
            print(f"stopped after {count} of {len(self.sources)} images")
        speed = f", {1000 * self.network_seconds / count:.1f} ms per image in the network" if count else ""
        print(f"{count} images{speed}")
        objects = Counter(label for result in results for label in result.detections.labels.tolist())
        per_class = ", ".join(f"{self.class_names[label]} {objects[label]}" for label in sorted(objects))
        print(
            f"{objects.total()} detections of {self.args.threshold:g} or more" + (f": {per_class}" if objects else "")
        )
        if self.predict.capped:
            print(
                f"note: the limit of {self.predict.max_detections} detections was reached {self.predict.capped} times, "
                "so some objects may be missing: --max-detections N raises it"
            )
        for line in self.outputs.summary(written=bool(results)):
            print(line)
        if self.flat:
            more = f" (so in {len(self.flat) - 1} more images)" if len(self.flat) > 1 else ""
            given = self.predict.pixel_range
            print(
                f"note: {min(self.flat)}{more}; the checkpoint was trained "
                + (f"with PIXEL_RANGE {list(given)}" if given else "without one")
            )
        if self.animated:
            more = f" (so of {len(self.animated) - 1} more images)" if len(self.animated) > 1 else ""
            print(f"note: {min(self.animated)} was looked at{more}; inference_video.py takes animations")
        for lines, head in (
            (self.skipped, f"{len(self.skipped)} of {len(self.sources)} images were skipped:"),
            (self.unwritten, f"{len(self.unwritten)} files could not be written:"),
        ):
            if lines:
                print(head, *(f"  {printable(line)}" for line in lines), sep="\n", file=sys.stderr)


def wanted_windows(args):
    """What takes the annotated images and shows them, or None; says so where a window cannot be had."""
    if args.show_image:
        problem = display_problem()
        if problem is None:
            print("keys in the window: q or Esc ends, any other shows the next image")
            return lambda pictures: show_images(args.input, filter(is_drawn, pictures), seconds=0)
        print(f"note: no window: {problem}; the results are in files alone")
    return show_figures if args.mpl_show else None


def is_drawn(picture: np.ndarray | None) -> bool:
    """False for one whose drawing failed, which has been told."""
    return picture is not None


def show_figures(pictures) -> None:
    """Each image in a matplotlib window, until that is closed."""
    problem = None
    for number, picture in enumerate(filter(is_drawn, pictures), 1):
        if problem is None:
            problem = show_figure(f"image {number}", picture)
            if problem:
                print(f"note: --mpl-show: {problem}; the results are in files alone")


if __name__ == "__main__":
    with ending():
        sys.exit(main(ARGS))
