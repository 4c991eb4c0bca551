"""The Python way to a trained detector: `Detector("best_model.pth")("photo.jpg", threshold=0.5)`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, overload

import numpy as np
import torch
from PIL import Image, ImageOps

from models.predictors import load_predictor
from torch_utils.device import pick_amp, pick_device
from torch_utils.predictor import Predictor
from torch_utils.runs.checkpoint import load_checkpoint
from utils.detections import Detections
from utils.drawing.boxes import draw_boxes
from utils.evaluation.verdict.stored import choose_threshold
from utils.exported.engines import is_exported
from utils.exported.loading import load_exported
from utils.exported.predictor import ExportedPredictor
from utils.images.io import read_image
from utils.images.pixel_range import PixelRange
from utils.runs.note import note

ImageLike = str | Path | np.ndarray | Image.Image


@dataclass(frozen=True, eq=False)
class ImageDetections(Detections):
    """Detections in one image, with the image and the names of the classes.

    Beside `boxes`, `scores` and `labels` of `Detections`: image: RGB uint8 (H, W, 3), upright. class_names: background
    first, so that a label is an index.
    """

    image: np.ndarray
    class_names: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """Return the class of each object, by name."""
        return [self.class_names[label] for label in self.labels.tolist()]

    def plot(self) -> np.ndarray:
        """Draw the boxes with names and scores on a copy of the image; returns RGB uint8 (H, W, 3)."""
        return draw_boxes(self.image, self.boxes, self.labels, self.class_names, scores=self.scores)

    def to_supervision(self):
        """Convert to `supervision.Detections`: `class_id` is the label, from 1; `data["class_name"]` has the names."""
        import supervision

        return supervision.Detections(
            xyxy=self.boxes,
            confidence=self.scores,
            class_id=self.labels.astype(int),
            data={"class_name": np.array(self.names, dtype=str)},
        )

    def to_coco(self, image_id: int) -> list[dict]:
        """Convert to COCO results: `image_id`, `category_id` (the label), `bbox` (xywh, pixels), `score`."""
        boxes_xywh = np.concatenate([self.boxes[:, :2], self.boxes[:, 2:] - self.boxes[:, :2]], axis=1)
        return [
            {"image_id": image_id, "category_id": label, "bbox": box, "score": score}
            for box, score, label in zip(boxes_xywh.tolist(), self.scores.tolist(), self.labels.tolist(), strict=True)
        ]


class Detector:
    """Finds objects in images; model, classes, image size and threshold come from the checkpoint.

    Args:
        weights: a checkpoint, such as outputs/training/NAME/best_model.pth, or what export.py made of it; None takes
            torchvision's COCO model, which is downloaded the first time.
        device: "auto", "cpu", "cuda" or "cuda:N".
        img_size: short side in pixels, where it is to differ from the checkpoint's.
        half: bf16 or fp16, where the device has it.
        batch_size: images per run of the network, where a list is given.

    Raises:
        CheckpointError: weights that cannot be read or are of another model. ConfigError: no such device.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        *,
        device: str = "auto",
        img_size: int | None = None,
        half: bool = False,
        batch_size: int = 4,
    ):
        if batch_size < 1:
            raise ValueError(f"expected a batch_size of 1 or more, got {batch_size}")
        self.batch_size = batch_size
        path = None if weights is None else Path(weights)
        self._predictor: Predictor | ExportedPredictor
        if path is not None and is_exported(path):
            self.device = torch.device("cpu")
            self._predictor, self.class_names = load_exported(path, device_name=device, half=half, img_size=img_size)
            stored = self._predictor.engine.metadata.stored_thresholds
        else:
            self.device = pick_device(device)
            checkpoint = None if path is None else load_checkpoint(path)
            self._predictor, self.class_names = load_predictor(
                checkpoint,
                self.device,
                img_size=img_size,
                amp_dtype=pick_amp(self.device) if half else None,
            )
            stored = checkpoint.thresholds if checkpoint else None
        self.threshold, line = choose_threshold(None, stored)
        if stored is None:
            note(line)

    @overload  # a path is a sequence of strings, too, which the first answers
    def __call__(  # type: ignore[overload-overlap]
        self, images: ImageLike, *, threshold: float | Literal["auto"] = "auto"
    ) -> ImageDetections: ...

    @overload
    def __call__(
        self, images: Sequence[ImageLike], *, threshold: float | Literal["auto"] = "auto"
    ) -> list[ImageDetections]: ...

    def __call__(
        self, images: ImageLike | Sequence[ImageLike], *, threshold: float | Literal["auto"] = "auto"
    ) -> ImageDetections | list[ImageDetections]:
        """Detect objects; one image gives one `ImageDetections`, a list gives a list.

        Args:
            images: a path, an RGB uint8 array (H, W, 3), a PIL image, or a list of them.
            threshold: the least score of what is returned, 0 to 1; "auto" takes `Detector.threshold`: the checkpoint's
                own, or else 0.3.

        Raises:
            DatasetError: a file that cannot be read as an image. ValueError: an array of another shape or type, a
            threshold outside of 0 to 1.
        """
        threshold = self.threshold if threshold == "auto" else threshold
        if not isinstance(threshold, (int, float)) or not 0 <= threshold <= 1:
            raise ValueError(f"expected a threshold from 0 to 1, or 'auto', got {threshold!r}")
        if isinstance(images, ImageLike):
            return self._detect([images], threshold)[0]
        return self._detect(images, threshold)

    def _detect(self, images: Sequence[ImageLike], threshold: float) -> list[ImageDetections]:
        self._predictor.detect_from(threshold)
        results: list[ImageDetections] = []
        for start in range(0, len(images), self.batch_size):
            batch = [_as_array(image, self._predictor.pixel_range) for image in images[start : start + self.batch_size]]
            for image, found in zip(batch, self._predictor(batch), strict=True):
                found = found.above(threshold)
                results.append(ImageDetections(found.boxes, found.scores, found.labels, image, self.class_names))
        return results


def _as_array(image: ImageLike, pixel_range: PixelRange | None) -> np.ndarray:
    """Return the image as RGB uint8 (H, W, 3)."""
    if isinstance(image, Image.Image):
        return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    if not isinstance(image, np.ndarray):
        return read_image(image, pixel_range=pixel_range)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            f"expected an RGB uint8 array of shape (H, W, 3), got {image.dtype} of shape {image.shape}; "
            "OpenCV's BGR becomes RGB by image[..., ::-1]"
        )
    return image
