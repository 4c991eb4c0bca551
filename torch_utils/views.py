"""What the network sees, as pictures."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from torch_utils.predictor import to_float
from torch_utils.upload import uploaded


@torch.no_grad()
def network_view(
    model: nn.Module, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]]
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """A batch after the model's own normalisation, resizing and padding, turned back into pictures.

    Returns one (RGB uint8 (H, W, 3), boxes (N, 4) xyxy in its pixels, labels (N,)) per image; padding is black.
    """
    transform = model.transform
    device = next(model.parameters()).device
    (uploads,) = uploaded([(images, targets)], device)
    batch, moved = transform([to_float(image, device) for image in images], list(uploads.targets))
    mean, std = (torch.tensor(v, device=device).view(3, 1, 1) for v in (transform.image_mean, transform.image_std))
    views = []
    for tensor, (height, width), target in zip(batch.tensors, batch.image_sizes, moved, strict=True):
        picture = (tensor * std + mean).mul_(255).round_().clamp_(0, 255)
        picture[:, height:], picture[:, :, width:] = 0, 0  # padding is added after normalisation
        boxes, labels = target["boxes"].cpu().numpy(), target["labels"].cpu().numpy()
        views.append((picture.byte().permute(1, 2, 0).contiguous().cpu().numpy(), boxes, labels))
    return views
