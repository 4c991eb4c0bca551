"""torchvision's RoIAlign over several levels, for training.

On a CPU torchvision's kernel runs on one core, and strides over the channels of every pixel. Here a bin is a weighted
sum of rows of the (pixels, channels) table that a channels_last feature map is, which is what `embedding_bag` computes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import MultiScaleRoIAlign, roi_align
from torchvision.ops.poolers import _filter_input, _setup_scales

PROBE = 256  # pixels, a multiple of every stride


class SyncFreeRoIAlign(MultiScaleRoIAlign):
    """`pool` is `forward` for boxes that come as one tensor, with one wait for a GPU and none on a CPU."""

    @classmethod
    def from_torchvision(cls, part: MultiScaleRoIAlign, backbone: nn.Module) -> "SyncFreeRoIAlign":
        """Build it with the settings of `part`, for the maps of `backbone`."""
        made = cls(
            part.featmap_names,
            part.output_size,
            part.sampling_ratio,
            canonical_scale=part.canonical_scale,
            canonical_level=part.canonical_level,
        )
        made.set_scales(backbone)
        return made

    def set_scales(self, backbone: nn.Module) -> None:
        """Set the levels' scales to one over the backbone's strides, from an image of a known size.

        torchvision infers them once, from the first batch that comes, as the map's height over that of the largest
        image without its padding: a batch that is padded a lot would make them twice what they are, for good.
        """
        tensors = (*backbone.named_parameters(), *backbone.named_buffers())
        shapes_alone = {name: torch.empty_like(tensor, device="meta") for name, tensor in tensors}
        image = torch.empty(1, 3, PROBE, PROBE, device="meta")
        with torch.no_grad():
            features = torch.func.functional_call(backbone, shapes_alone, (image,))
        self.scales, self.map_levels = _setup_scales(
            _filter_input(features, self.featmap_names), [(PROBE, PROBE)], self.canonical_scale, self.canonical_level
        )

    def pool(self, x: dict[str, Tensor], rois: Tensor) -> Tensor:
        """Pool rois (K, 5), image index and box xyxy in the network's pixels: (K, C, *output_size)."""
        features = _filter_input(x, self.featmap_names)
        levels = self.map_levels([rois[:, 1:]])
        if rois.device.type == "cpu" and self.sampling_ratio > 0:
            return bag_roi_align(features, rois, levels, self.scales, self.output_size, self.sampling_ratio)
        order = levels.argsort(stable=True)
        counts = (levels == torch.arange(len(features), device=levels.device)[:, None]).sum(dim=1).tolist()
        pooled = [
            roi_align(feature, part, self.output_size, scale, self.sampling_ratio)
            for feature, part, scale in zip(features, rois[order].split(counts), self.scales, strict=True)
        ]
        return torch.cat(pooled)[order.argsort()]


def bag_roi_align(
    features: list[Tensor], rois: Tensor, levels: Tensor, scales: list[float], output_size: tuple[int, int], ratio: int
) -> Tensor:
    """`roi_align(aligned=False)` of each roi (K, 5) in `features[level]` (B, C, H, W): (K, C, *output_size).

    The result has the channels last in memory. Sums are made in float32 and in a fixed order.
    """
    channels = features[0].shape[1]
    pixels = torch.cat([feature.permute(0, 2, 3, 1).reshape(-1, channels) for feature in features]).float()
    heights, widths = (torch.tensor([f.shape[side] for f in features])[levels, None] for side in (2, 3))  # (K, 1)
    starts = torch.tensor([0, *(f[:, 0].numel() for f in features)]).cumsum(0)[levels]  # each level's first row
    images = starts[:, None] + rois[:, :1].long() * heights * widths
    boxes = rois[:, 1:] * torch.tensor(scales)[levels, None]
    y, y_weight = _taps(boxes[:, 1::2], heights, output_size[0], ratio)
    x, x_weight = _taps(boxes[:, 0::2], widths, output_size[1], ratio)
    rows = (images + y.flatten(1) * widths).view_as(y)
    rows = rows[:, :, None, :, None] + x[:, None, :, None]  # (K, bins y, bins x, taps y, taps x)
    weights = y_weight[:, :, None, :, None] * x_weight[:, None, :, None]
    pooled = _WeightedSums.apply(pixels, rows.flatten(0, 2).flatten(1), weights.flatten(0, 2).flatten(1))
    return pooled.to(features[0].dtype).view(-1, *output_size, channels).permute(0, 3, 1, 2)


class _WeightedSums(torch.autograd.Function):
    """Add up rows of `pixels` (P, C): row k of the result is the sum of weights[k, i] * pixels[rows[k, i]] over i.

    Backward, each pixel is such a sum of rows of the gradient: half the time of what `embedding_bag` does by itself.
    """

    @staticmethod
    def forward(ctx, pixels: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(rows, weights)
        ctx.pixels = len(pixels)
        return F.embedding_bag(rows, pixels, mode="sum", per_sample_weights=weights)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        rows, weights = ctx.saved_tensors
        in_turn, order = rows.flatten().sort(stable=True)
        starts = torch.searchsorted(in_turn, torch.arange(ctx.pixels))
        uses = order // rows.shape[1]
        weights = weights.flatten()[order]
        gradient = gradient.contiguous()
        return F.embedding_bag(uses, gradient, starts, mode="sum", per_sample_weights=weights), None, None


def _taps(interval: Tensor, size: Tensor, bins: int, ratio: int) -> tuple[Tensor, Tensor]:
    """Return the pixels that a bin is made of along one axis, and their weights: (K, bins, 2 * ratio) each.

    Args:
        interval: (K, 2), start and end of each roi in pixels of its level.
        size: (K, 1), int64, pixels of the level along this axis.
    """
    start, end = interval.split(1, dim=1)
    step = (end - start).clamp(min=1) / bins
    index, part = torch.arange(bins)[:, None], torch.arange(ratio) + 0.5
    at = start[..., None] + index * step[..., None] + part * step[..., None] / ratio  # (K, bins, ratio)
    size = size[..., None]
    inside = (at >= -1) & (at <= size)  # a sample further out counts as 0
    at = torch.minimum(at.clamp(min=0), size - 1)
    low = at.floor()
    rest = at - low
    low = low.long()
    weights = torch.cat((1 - rest, rest), dim=2) * inside.repeat(1, 1, 2) / ratio
    return torch.cat((low, torch.minimum(low + 1, size - 1)), dim=2), weights
