"""A predictor on an exported detector, without torch."""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from utils.detections import Detections
from utils.errors import ConfigError
from utils.exported.engines import Engine
from utils.images.pixel_range import PixelRange
from utils.img_size import long_side_limit, padded_hw, require_visible
from utils.runs.note import note


class ExportedPredictor:
    """Runs an exported detector, image by image; it takes and gives what `torch_utils.predictor.Predictor` does.

    Args:
        engine: the graph.
        img_size: short side in pixels, where it is to differ from the graph's own; it takes any.
        max_detections: the most of an image, at most the graph's.

    Attributes:
        device: where it runs, "cpu".
        class_names: background first.
        threshold: the least score that is wanted, for `capped`.
        capped: images so far that reached the limit of detections with wanted ones, and may hold more.

    Raises ConfigError where more detections are wanted than the graph has room for.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        img_size: int | None = None,
        max_detections: int | None = None,
    ):
        about = engine.metadata
        if max_detections and max_detections > about.max_detections:
            raise ConfigError(
                f"--max-detections {max_detections}: the exported model has room for {about.max_detections}; "
                "export.py --max-detections makes one with more"
            )
        self.engine = engine
        self.device = "cpu"
        self.class_names = about.class_names
        self.img_size = img_size or about.img_size
        self.long_side = long_side_limit(img_size) if img_size else about.long_side
        self.max_detections = max_detections or about.max_detections
        self.threshold = 0.0
        self.pixel_range: PixelRange | None = about.pixel_range
        self.capped = 0
        self._noted = False

    def padded_hw(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        """Return height and width that an image of `size_hw` is padded to."""
        height, width = padded_hw(size_hw, self.img_size, self.long_side)
        return max(height, self.engine.least_side), max(width, self.engine.least_side)

    def detect_from(self, threshold: float) -> None:
        """Say once where the graph, in which that is fixed, gives none of the detections below some higher score."""
        self.threshold = threshold
        if threshold < self.engine.metadata.lowest_score and not self._noted:
            self._noted = True
            note(f"the exported model gives no detection with a score below {self.engine.metadata.lowest_score:g}")

    def __call__(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """Detect in RGB uint8 (H, W, 3) arrays; returns one `Detections` each."""
        return [self._detect(image) for image in images]

    def inputs(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what the graph takes of an image: `images` (1, 3, H, W), and `sizes_hw` (1, 2) without padding."""
        size_hw = image.shape[0], image.shape[1]
        require_visible(size_hw, self.img_size, self.long_side)
        resized = resize(image, self.img_size, self.long_side)
        padded = np.zeros((1, 3, *self.padded_hw(size_hw)), np.float32)
        padded[0, :, : resized.shape[0], : resized.shape[1]] = resized.transpose(2, 0, 1)
        return padded, np.array([resized.shape[:2]], np.float32)

    def _detect(self, image: np.ndarray) -> Detections:
        padded, sizes_hw = self.inputs(image)
        boxes, scores, labels, counts = self.engine.run(padded, sizes_hw)
        count = min(int(counts[0]), self.max_detections)
        factor = np.array([image.shape[1] / sizes_hw[0, 1], image.shape[0] / sizes_hw[0, 0]] * 2, np.float32)
        found = Detections(
            boxes[0, :count].astype(np.float32) * factor,
            scores[0, :count].astype(np.float32),
            labels[0, :count].astype(np.int64),
        )
        self.capped += len(found) >= self.max_detections and found.scores.min() >= self.threshold
        return found


def resize(image: np.ndarray, short_side: int, long_side: int) -> np.ndarray:
    """Resize RGB uint8 (H, W, 3) as the model does: bilinear, without antialiasing; returns float32 in 0..1."""
    height, width = image.shape[:2]
    scale = min(short_side / min(height, width), long_side / max(height, width))
    size_wh = math.floor(width * scale), math.floor(height * scale)
    return cv2.resize(image.astype(np.float32) / 255, size_wh, interpolation=cv2.INTER_LINEAR)
