"""Box arithmetic of a training step, to the bit torchvision's, in fixed sizes and without constants to be copied."""

import torch
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder, Matcher


def box_iou(a: Tensor, b: Tensor) -> Tensor:
    """Compute the IoU (G, N) of (G, 4) and (N, 4) boxes xyxy. Coordinates apart run at full width on CPUs."""
    ax1, ay1, ax2, ay2 = a[:, :, None].unbind(1)
    bx1, by1, bx2, by2 = b.t().contiguous().unbind(0)
    inter = torch.minimum(ax2, bx2).sub_(torch.maximum(ax1, bx1)).clamp_(min=0)
    inter *= torch.minimum(ay2, by2).sub_(torch.maximum(ay1, by1)).clamp_(min=0)
    union = ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1)).sub_(inter)
    return inter.div_(union)


def match(matcher: Matcher, gt_boxes: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Match as torchvision's `Matcher` does, with masks: for each of `boxes` (N, 4) its ground truth.

    Returns:
        index (N,) into `gt_boxes` (G, 4), of the one with the highest overlap; 0 where G is 0.
        kind (N,) int64: 1 an object, 0 background, -1 neither.
    """
    if not len(gt_boxes):
        nothing = torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device)
        return nothing, nothing
    iou = box_iou(gt_boxes, boxes)
    overlap, index = iou.max(dim=0)
    is_object = overlap >= matcher.high_threshold
    if matcher.allow_low_quality_matches:  # an object whose best box is poor keeps that box, and those that tie
        is_object |= (iou == iou.amax(dim=1, keepdim=True)).any(dim=0)
    return index, torch.where(is_object, 1, torch.where(overlap < matcher.low_threshold, 0, -1))


def decode(coder: BoxCoder, deltas: Tensor, boxes: Tensor) -> Tensor:
    """Decode (..., 4) offsets of (..., 4) boxes to boxes xyxy, as `BoxCoder.decode` with the RPN's weights of 1."""
    sizes = boxes[..., 2:] - boxes[..., :2]
    centers = deltas[..., :2] * sizes + (boxes[..., :2] + 0.5 * sizes)
    halves = 0.5 * (torch.exp(deltas[..., 2:].clamp(max=coder.bbox_xform_clip)) * sizes)
    return torch.cat((centers - halves, centers + halves), dim=-1)


def large_enough(boxes: Tensor, min_size: float) -> Tensor:
    """Return a mask (N,) of the (N, 4) boxes with both sides of at least `min_size` pixels; not of those with a NaN."""
    return ((boxes[:, 2:] - boxes[:, :2]) >= min_size).all(dim=1)
