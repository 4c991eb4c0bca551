"""Runs a detector over many images: decoding, the network, drawing and writing at the same time."""

import sys
import time
from collections import deque
from collections.abc import Collection, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Protocol

import cv2
import numpy as np
from tqdm import tqdm

from utils.detections import Detections
from utils.drawing.boxes import draw_boxes
from utils.drawing.window import LARGEST_WINDOW
from utils.errors import DatasetError, ToolkitError, printable
from utils.images.fitting import shrink_to_fit
from utils.images.formats import frames_in
from utils.images.io import probe_image
from utils.images.pixel_range import DEEP_SUFFIXES, FLAT, PixelRange, problem_with
from utils.inference.outputs import ImageOutputs
from utils.inference.read_ahead import Decoded, Numbered, in_batches, in_order, read_ahead
from utils.inference.sinks.sink import ImageResult
from utils.inference.sources import SourceImage
from utils.system import cpu_count

THREADS = max(2, min(4, cpu_count()))  # for decoding, and as many for drawing and encoding
AHEAD_MEGAPIXELS = 150  # decoded images that wait for the network: 450 MB, or one that is larger
BATCH_MEGAPIXELS = 50  # images of one run of the network, which are 12 bytes per pixel there, and copied once
# What libraries raise for an image that they cannot take, as one that is too large for the memory.
IMAGE_ERRORS = (RuntimeError, ValueError, AssertionError, ArithmeticError, MemoryError, cv2.error)

Detected = tuple[int, ImageResult | None, np.ndarray | None]
Finished = Generator[tuple[int, np.ndarray | None], None, None]


class ImagePredictor(Protocol):
    """A detector as `models.predictors.build_predictor` returns it."""

    capped: int

    @property
    def pixel_range(self) -> PixelRange | None: ...

    @property
    def max_detections(self) -> int: ...

    def padded_hw(self, size_hw: tuple[int, int]) -> tuple[int, int]: ...

    def __call__(self, images: Sequence[np.ndarray]) -> list[Detections]: ...


class ImageRun:
    """All images on their way from the disk to the results, and the figures of it for `print_summary`.

    Args:
        sources: the images.
        outputs: where their results go.
        predictor: list of RGB uint8 (H, W, 3) -> list of `Detections`.
        class_names: background first.
        threshold: the least score that is kept.
        batch_size: images per run of the network.
        wanted_labels: the classes that are kept; None for all.
        show_labels: False draws boxes without names and scores.

    Attributes:
        animated: names of images of several frames, of which only the first is used, each with their number.
        flat: names of images of more than eight bits that show next to nothing, and why.
        skipped: images that could not be read or that the network could not take, and why.
        unwritten: files that could not be written, and why.
        network_seconds: of each image, its part of its batch's time.
    """

    def __init__(
        self,
        sources: Sequence[SourceImage],
        outputs: ImageOutputs,
        predictor: ImagePredictor,
        class_names: Sequence[str],
        *,
        threshold: float,
        batch_size: int = 1,
        wanted_labels: Collection[int] | None = None,
        show_labels: bool = True,
    ):
        self.sources, self.outputs, self.predictor, self.class_names = sources, outputs, predictor, class_names
        self.threshold = threshold
        self.animated: list[str] = []
        self.flat: list[str] = []
        self.skipped: list[str] = []
        self.unwritten: list[str] = []
        self.network_seconds: list[float] = []
        self._batch_size, self._wanted_labels, self._show_labels = batch_size, wanted_labels, show_labels
        self._finished: dict[int, ImageResult] = {}  # by number, in the order in which they were finished
        self._bar = tqdm(total=len(sources), unit="image", disable=None, dynamic_ncols=True)

    @property
    def results(self) -> list[ImageResult]:
        """Return the results so far, in the order of the sources."""
        return [result for _, result in sorted(self._finished.items(), key=lambda item: item[0])]

    def write_tables(self) -> None:
        """Write the files about all images that are finished."""
        self._not_written(self.outputs.write_tables(self.results, self.class_names))

    def drawn_images(self, *, keep: bool = True) -> Generator[np.ndarray, None, None]:
        """Work through all images; yield each with its boxes in the order of the sources, no larger than a window.

        Without `keep` none is yielded. Images of like shape share a run of the network, so that the detections do not
        depend on the batch size. Decoding runs ahead of the network, drawing and encoding behind it; all stay within a
        few batches of it.
        """
        decoded = read_ahead(
            self.sources,
            threads=THREADS,
            ahead=max(THREADS, 2 * self._batch_size),
            megapixels=AHEAD_MEGAPIXELS,
            pixel_range=self.predictor.pixel_range,
        )
        with closing(decoded), self._bar, closing(self._worked_through(decoded, keep)) as finished:
            yield from (drawn for drawn in in_order(finished) if drawn is not None)

    def _worked_through(self, decoded: Iterable[Decoded], keep: bool) -> Finished:
        """Yield each image's number once it is finished or has failed, and the image as `_write` returns it."""
        batches = in_batches(
            decoded, size=self._batch_size, megapixels=BATCH_MEGAPIXELS, shape_of=self.predictor.padded_hw
        )
        writing: deque[tuple[int, ImageResult, Future]] = deque()
        with ThreadPoolExecutor(THREADS) as pool:
            try:
                for batch in batches:
                    behind = len(writing)
                    detected = self._detect(batch)
                    for number, result, image in detected:
                        if result is not None and image is not None:
                            writing.append((number, result, pool.submit(self._write, result, image, keep)))
                    for number, result, _ in detected:
                        if not result:
                            yield number, None
                    for _ in range(behind):
                        yield self._finish(*writing.popleft())
                while writing:
                    yield self._finish(*writing.popleft())
            finally:  # also where it was stopped: images that the network is done with are finished
                while writing:
                    with suppress(ToolkitError, OSError):
                        self._finish(*writing.popleft())

    def _detect(self, batch: Numbered) -> list[Detected]:
        """Return number, result and image of each; None for both where it could not be read or detected on."""
        readable: list[tuple[int, SourceImage, np.ndarray]] = []
        detected: list[Detected] = []
        for number, source, image in batch:
            if isinstance(image, DatasetError):
                self._skip(str(image))
                detected.append((number, None, None))
            else:
                readable.append((number, source, image))
        started = time.perf_counter()
        found = self._predict([(source, image) for _, source, image in readable])
        seconds = time.perf_counter() - started
        self.network_seconds += [seconds / len(found) for detections in found if detections is not None]
        for (number, source, image), detections in zip(readable, found, strict=True):
            if detections is None:
                detected.append((number, None, None))
                continue
            detections = detections.above(self.threshold).of(self._wanted_labels)
            height, width = image.shape[:2]
            detected.append((number, ImageResult(source.path, source.name, width, height, detections), image))
        return detected

    def _predict(self, images: list[tuple[SourceImage, np.ndarray]]) -> list[Detections | None]:
        """Run the network; where it fails on several images, on each alone, with None for those that fail again."""
        try:
            return [*self.predictor([image for _, image in images])] if images else []
        except (DatasetError, *IMAGE_ERRORS) as error:
            if len(images) > 1:
                return [self._predict([image])[0] for image in images]
            source, image = images[0]
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            self._skip(f"{source.path}: {image.shape[1]}x{image.shape[0]} pixels: {reason}")
            return [None]

    def _write(self, result: ImageResult, image: np.ndarray, keep: bool) -> tuple[list[str], np.ndarray | None]:
        """Draw and write one image; return what could not be written, and with `keep` the drawn image."""
        self._check_content(result, image)
        found = result.detections
        drawn = draw_boxes(
            image,
            found.boxes,
            found.labels,
            self.class_names,
            scores=found.scores,
            show_labels=self._show_labels,
        )
        unwritten = self.outputs.write(result, image, drawn, self.class_names)
        return unwritten, shrink_to_fit(drawn, LARGEST_WINDOW) if keep else None

    def _check_content(self, result: ImageResult, image: np.ndarray) -> None:
        """Note an image of several frames, and one of more than eight bits that shows next to nothing."""
        frames = frames_in(result.path)
        if frames > 1:
            self.animated.append(f"{result.name.as_posix()}: only the first of {frames} frames")
        if result.path.suffix.lower() in DEEP_SUFFIXES and int(image.max()) - int(image.min()) <= FLAT:
            used = probe_image(result.path).used
            problem = problem_with([used], self.predictor.pixel_range) if used else None
            if problem:
                self.flat.append(f"{result.name.as_posix()}: {problem}")

    def _finish(self, number: int, result: ImageResult, writing: Future) -> tuple[int, np.ndarray | None]:
        self._finished[number] = result  # whatever becomes of its files, it is in the tables
        self._bar.update()
        try:
            unwritten, drawn = writing.result()
        except IMAGE_ERRORS as error:
            unwritten, drawn = [f"{result.path}: cannot be drawn: {error}"], None
        self._not_written(unwritten)
        return number, drawn

    def _not_written(self, lines: list[str]) -> None:
        for line in lines:
            self.unwritten.append(line)
            tqdm.write(f"not written: {printable(line)}", file=sys.stderr)

    def _skip(self, line: str) -> None:
        self.skipped.append(line)
        self._bar.update()
        tqdm.write(f"skipped: {printable(line)}", file=sys.stderr)
