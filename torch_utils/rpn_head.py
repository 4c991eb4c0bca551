"""The RPN's head at some anchors only, for its gradient.

A few hundred anchors of an image count in the losses, out of a hundred thousand: the gradient of the head is zero
everywhere else. So the whole maps are computed without a gradient, and what was drawn once more with it, from the
pixels that it sees. That spares the larger part of the head's time, and the memory of its activations.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.detection.rpn import RPNHead


def head_at(head: RPNHead, features: list[Tensor], drawn: Tensor) -> tuple[Tensor, Tensor]:
    """Objectness (B, K) and offsets (B, K, 4), float32, of the anchors `drawn` (B, K).

    Anchors are counted as torchvision lays them out: level, row, column, kind; the same number of kinds everywhere.
    """
    images, count = drawn.shape
    kinds = head.cls_logits.out_channels
    pixels, inside = _patches(features, drawn // kinds, len(head.conv))
    for depth, (conv, activation) in enumerate(head.conv, 1):
        pixels = activation(F.conv2d(pixels, conv.weight, conv.bias))
        rim = slice(depth, -depth)
        if depth < len(head.conv):  # the next convolution sees zeros outside of the map, not what would be there
            pixels = pixels * inside[:, None, rim, rim]
    kind = (drawn % kinds)[..., None]
    objectness = head.cls_logits(pixels).float().view(images, count, kinds).gather(2, kind)[..., 0]
    offsets = head.bbox_pred(pixels).float().view(images, count, kinds, 4)
    return objectness, offsets.gather(2, kind[..., None].expand(-1, -1, 1, 4))[:, :, 0]


def _patches(features: list[Tensor], places: Tensor, depth: int) -> tuple[Tensor, Tensor]:
    """The surroundings of `places` (B, K), pixels counted over all levels.

    Returns (B * K, C, side, side) with side = 2 * depth + 1, zeros outside of the map, and (B * K, side, side), True
    inside of it.
    """
    device, pad = places.device, (depth,) * 4
    tables, inside, centers, widths, start = [], [], [], [], 0
    for feature in features:
        height, width = feature.shape[-2:]
        whole = (height + 2 * depth, width + 2 * depth)
        tables.append(F.pad(feature, pad).permute(0, 2, 3, 1).flatten(1, 2))
        inside.append(F.pad(torch.ones(height, width, dtype=torch.bool, device=device), pad).flatten())
        rows = torch.arange(start, start + whole[0] * whole[1], device=device).view(whole)
        centers.append(rows[depth:-depth, depth:-depth].flatten())
        widths.append(torch.full_like(centers[-1], whole[1]))
        start += whole[0] * whole[1]
    table, inside, centers, widths = torch.cat(tables, 1), torch.cat(inside), torch.cat(centers), torch.cat(widths)
    steps = torch.arange(-depth, depth + 1, device=device)
    rows = centers[places][..., None, None] + steps[:, None] * widths[places][..., None, None] + steps
    image = torch.arange(len(places), device=device).view(-1, 1, 1, 1)
    # An embedding, whose gradient is added up in a fixed order; that of an index is not, on several CPU cores.
    pixels = F.embedding(rows + image * table.shape[1], table.flatten(0, 1)).flatten(0, 1).permute(0, 3, 1, 2)
    return pixels, inside[rows].flatten(0, 1)
