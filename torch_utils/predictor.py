"""One way from images to detections, for evaluation, pictures and video alike."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from utils.detections import Detections
from utils.errors import DatasetError


class Predictor:
    """Runs a detector on batches of images; the model resizes them and gives boxes in original pixels.

    Args:
        model: torchvision-style detector; put in evaluation mode and on `device` by the caller's choice.
        device: where it runs.
        amp_dtype: autocast type, None for float32.
    """

    def __init__(self, model: nn.Module, device: torch.device, amp_dtype: torch.dtype | None = None):
        self.model = model
        self.device = device
        self.amp_dtype = amp_dtype

    def __call__(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """RGB uint8 (H, W, 3) arrays in, one `Detections` each out."""
        return self.predict([torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1) for image in images])

    @torch.inference_mode()
    def predict(self, images: Sequence[Tensor]) -> list[Detections]:
        """uint8 (3, H, W) tensors in, one `Detections` each out."""
        self.model.eval()
        for image in images:
            self._check(*image.shape[-2:])
        batch = [to_float(image, self.device) for image in images]
        with torch.autocast(self.device.type, self.amp_dtype, enabled=self.amp_dtype is not None):
            outputs = self.model(batch)
        return self.to_detections(outputs)

    def _check(self, height: int, width: int) -> None:
        """Raise DatasetError for a picture of whose short side the network would get less than a pixel."""
        transform = getattr(self.model, "transform", None)
        if transform is None:
            return
        short, long = min(height, width), max(height, width)
        seen = short * min(transform.min_size[-1] / short, transform.max_size / long)
        if seen < 1:
            raise DatasetError(
                f"too thin for the network: of its short side {seen:.2g} pixels would be left, where its long side is "
                f"shrunk to {transform.max_size}; cut it into parts of at most 10 times their width"
            )

    @staticmethod
    def to_detections(outputs: Sequence[dict[str, Tensor]]) -> list[Detections]:
        """torchvision's output dicts as NumPy arrays on the host."""
        return [
            Detections(
                boxes=output["boxes"].float().cpu().numpy(),
                scores=output["scores"].float().cpu().numpy(),
                labels=output["labels"].cpu().numpy(),
            )
            for output in outputs
        ]


def to_float(image: Tensor, device: torch.device) -> Tensor:
    """uint8 (3, H, W) to float32 in 0..1 on `device`; the bytes travel, not the floats."""
    return image.to(device, non_blocking=True).float().div_(255)
