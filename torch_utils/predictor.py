"""One way from images to detections, for evaluation, images and video alike."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from utils.detections import Detections
from utils.images.pixel_range import PixelRange
from utils.img_size import padded_hw, require_visible


class Predictor:
    """Runs a detector on batches of images; the model resizes them and gives boxes in original pixels.

    Args:
        model: torchvision-style detector; put in evaluation mode and on `device` by the caller's choice.
        device: where it runs.
        amp_dtype: autocast type, None for float32.
        threshold: the least score that is wanted, for `capped`.
        pixel_range: the range that its images were trained with, for whoever reads them with `read_image`.

    Attributes:
        capped: images so far that reached the model's limit of detections with wanted ones, and may hold more.
    """

    def __init__(
        self,
        model: nn.Module,
        device: torch.device,
        amp_dtype: torch.dtype | None = None,
        *,
        threshold: float = 0.0,
        pixel_range: PixelRange | None = None,
    ):
        self.model: Any = model  # with parts that the type of nn.Module does not have
        self.device = device
        self.amp_dtype = amp_dtype
        self.threshold = threshold
        self.pixel_range = pixel_range
        self.capped = 0
        self._lowest_score: float | None = None

    @property
    def img_size(self) -> int:
        """Return the short side, in pixels, that the model resizes images to."""
        return self.model.img_size

    @property
    def max_detections(self) -> int:
        """Return the most detections of an image."""
        return self.model.roi_heads.detections_per_img

    def detect_from(self, threshold: float) -> None:
        """Give detections from this score on, and from that which the model was built with where it is lower."""
        heads = self.model.roi_heads
        if self._lowest_score is None:
            self._lowest_score = float(heads.score_thresh)
        heads.score_thresh = min(self._lowest_score, threshold)

    def padded_hw(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        """Return height and width that the model pads an image of `size_hw` to; of like ones it makes one batch."""
        transform = self.model.transform
        return padded_hw(size_hw, transform.min_size[-1], transform.max_size)

    def __call__(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """Detect in RGB uint8 (H, W, 3) arrays; returns one `Detections` each."""
        return self.predict([torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1) for image in images])

    @torch.inference_mode()
    def predict(self, images: Sequence[Tensor]) -> list[Detections]:
        """Detect in uint8 (3, H, W) tensors; returns one `Detections` each.

        Images that the model would pad differently go through it one kind after the other, so that what is found in
        an image does not depend on its neighbours.
        """
        self.model.eval()
        kinds: dict[tuple[int, int], list[int]] = {}
        for index, image in enumerate(images):
            height, width = image.shape[-2:]
            self._check(height, width)
            kinds.setdefault(self.padded_hw((height, width)), []).append(index)
        found: dict[int, Detections] = {}
        for indices in kinds.values():
            batch = [to_float(images[index], self.device) for index in indices]
            with torch.autocast(self.device.type, self.amp_dtype, enabled=self.amp_dtype is not None):
                outputs = self.model(batch)
            found.update(zip(indices, self.to_detections(outputs), strict=True))
        self.capped += sum(
            len(one) >= self.max_detections and one.scores.min() >= self.threshold for one in found.values()
        )
        return [found[index] for index in range(len(images))]

    def _check(self, height: int, width: int) -> None:
        """Raise DatasetError for an image of whose short side the network would get less than a pixel."""
        transform = getattr(self.model, "transform", None)
        if transform is not None:
            require_visible((height, width), transform.min_size[-1], transform.max_size)

    @staticmethod
    def to_detections(outputs: Sequence[dict[str, Tensor]]) -> list[Detections]:
        """Convert torchvision's output dicts to NumPy arrays on the host."""
        return [
            Detections(
                boxes=output["boxes"].float().cpu().numpy(),
                scores=output["scores"].float().cpu().numpy(),
                labels=output["labels"].cpu().numpy(),
            )
            for output in outputs
        ]


def to_float(image: Tensor, device: torch.device) -> Tensor:
    """Convert uint8 (3, H, W) to float32 in 0..1 on `device`; the bytes travel, not the floats."""
    return image.to(device, non_blocking=True).float().div_(255)
