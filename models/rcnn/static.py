"""The detector in fixed sizes, for exporters: torchvision's results without a shape that depends on the data.

Where torchvision filters, a mask says what counts; the number of proposals and candidates is fixed. Greedy NMS is the
fixed point of "kept are the valid boxes that no better kept box overlaps" (as in Cluster-NMS, Zheng et al. 2020), which
is reached when a round changes nothing. RoIAlign runs once, on a sheet that shows all levels below each other.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._higher_order_ops.while_loop import while_loop
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import roi_align

from models.rcnn.box_ops import decode
from models.rcnn.faster_rcnn import SyncFreeFasterRCNN

MIN_SIDE = 1e-2  # pixels; torchvision's box head drops smaller detections
CANDIDATES = 10  # times the most detections, and 1000 at least: pairs of proposal and class that enter the last NMS


class FixedDetections(NamedTuple):
    """Detections of `StaticFasterRCNN` for B images, each with room for D detections, best first.

    boxes: (B, D, 4) float32 xyxy, pixels of the network's input. scores: (B, D) float32. labels: (B, D) int64.
    counts: (B,) int64, detections of each image; the rest of its rows is zero.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    counts: Tensor


class StaticFasterRCNN(nn.Module):
    """A trained detector with fixed sizes inside; it shares the layers of `model`, which is to be in evaluation mode.

    Args:
        model: the detector.
        candidates: pairs of proposal and class, best first, that enter the last NMS; None: ten for each detection that
            an image may have, and 1000 at least. The result differs from torchvision's only where more scores are
            above the model's threshold, and those that enter leave fewer detections than an image may have.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: SyncFreeFasterRCNN, *, candidates: int | None = None):
        super().__init__()
        self.backbone, self.rpn, self.roi_heads = model.backbone, model.rpn, model.roi_heads
        self.register_buffer("mean", model.transform.mean, persistent=False)
        self.register_buffer("std", model.transform.std, persistent=False)
        self.candidates = candidates or max(1000, CANDIDATES * model.roi_heads.detections_per_img)

    def forward(self, images: Tensor, sizes_hw: Tensor) -> FixedDetections:
        """Detect.

        Args:
            images: (B, 3, H, W) float32 RGB in 0..1, resized, and padded on the right and below with anything; H and W
                are multiples of 32.
            sizes_hw: (B, 2) float32, height and width of each image without its padding.
        """
        batch = (images - self.mean) / self.std
        rows, columns = (torch.arange(side, device=images.device) for side in images.shape[-2:])
        inside = (rows[:, None] < sizes_hw[:, 0, None, None]) & (columns < sizes_hw[:, 1, None, None])
        return self.detect(torch.where(inside[:, None], batch, 0), sizes_hw)

    def detect(self, batch: Tensor, sizes_hw: Tensor) -> FixedDetections:
        """Detect in images (B, 3, H, W) that are normalised, and padded with zeros."""
        features = self.backbone(batch)
        proposals, valid = self._proposals(batch, list(features.values()), sizes_hw)
        pooled = self._pool(features, proposals)
        logits, deltas = self.roi_heads.box_predictor(self.roi_heads.box_head(pooled))
        return self._detections(logits, deltas, proposals, valid, sizes_hw)

    def _proposals(self, batch: Tensor, features: list[Tensor], sizes_hw: Tensor) -> tuple[Tensor, Tensor]:
        """Return proposals (B, N, 4), best first, and which of them count (B, N); the others are zero."""
        rpn, boxes, kept_scores = self.rpn, [], []
        anchors = _anchors(rpn.anchor_generator, batch, features)
        start = 0
        for objectness, deltas in zip(*rpn.head(features), strict=True):
            kinds = objectness.shape[1]
            objectness = objectness.permute(0, 2, 3, 1).flatten(1)
            deltas = deltas.unflatten(1, (kinds, 4)).permute(0, 3, 4, 1, 2).flatten(1, 3)
            count = objectness.shape[1]
            best, index, there = _best(objectness, rpn.pre_nms_top_n())
            level_anchors = anchors[start : start + count]
            start += count
            found = decode(rpn.box_coder, deltas.gather(1, index[..., None].expand(-1, -1, 4)), level_anchors[index])
            found, best = clip(found, sizes_hw), torch.sigmoid(best)
            valid = there & large_enough(found, rpn.min_size) & (best >= rpn.score_thresh)
            kept = nms(found, valid, rpn.nms_thresh)
            boxes.append(found)
            kept_scores.append(torch.where(kept, best, -1))
        scores, order = torch.cat(kept_scores, 1).sort(dim=1, descending=True, stable=True)
        scores, order = scores[:, : rpn.post_nms_top_n()], order[:, : rpn.post_nms_top_n()]
        chosen = torch.cat(boxes, 1).gather(1, order[..., None].expand(-1, -1, 4))
        valid = scores >= 0
        return torch.where(valid[..., None], chosen, 0), valid

    def _pool(self, features: dict[str, Tensor], proposals: Tensor) -> Tensor:
        """Pool the proposals (B, N, 4): (B * N, C, *output_size), each from its level."""
        pool = self.roi_heads.box_roi_pool
        maps = [features[name] for name in pool.featmap_names if name in features]
        sheet, tops = _sheet(maps)
        boxes = proposals.flatten(0, 1)
        levels = pool.map_levels([boxes])
        heights, widths = ([feature.shape[side] for feature in maps] for side in (-2, -1))
        scale, top, height, width = (_row(values, boxes)[levels] for values in (pool.scales, tops, heights, widths))
        x1, y1, x2, y2 = (boxes * scale[:, None]).unbind(1)
        images = torch.arange(proposals.shape[0], device=boxes.device, dtype=boxes.dtype)
        images = images[:, None].expand(-1, proposals.shape[1]).flatten()
        rois = torch.stack((images, x1, y1 + top, x2, y2 + top), dim=1)
        pooled = roi_align(sheet, rois.to(sheet.dtype), pool.output_size, 1.0, pool.sampling_ratio)
        inside = _share_inside(y1, y2, height, pool.output_size[0], pool.sampling_ratio)[:, None, :, None]
        inside = inside * _share_inside(x1, x2, width, pool.output_size[1], pool.sampling_ratio)[:, None, None, :]
        return pooled * inside.to(pooled.dtype)

    def _detections(
        self, logits: Tensor, deltas: Tensor, proposals: Tensor, valid: Tensor, sizes_hw: Tensor
    ) -> FixedDetections:
        heads, (images, count) = self.roi_heads, valid.shape
        classes = logits.shape[-1]
        boxes = heads.box_coder.decode_single(deltas, proposals.flatten(0, 1)).view(images, count * classes, 4)
        boxes = clip(boxes, sizes_hw).unflatten(1, (count, classes))[:, :, 1:].flatten(1, 2)
        scores = torch.softmax(logits, -1).view(images, count, classes)[..., 1:]
        scores = torch.where(valid[..., None], scores, -1).flatten(1)
        wanted = (scores > heads.score_thresh) & large_enough(boxes, MIN_SIDE)
        scores, order = torch.where(wanted, scores, -1).sort(dim=1, descending=True, stable=True)
        scores, order = scores[:, : self.candidates], order[:, : self.candidates]
        boxes, labels = boxes.gather(1, order[..., None].expand(-1, -1, 4)), order % (classes - 1) + 1
        kept = nms(boxes, scores >= 0, heads.nms_thresh, labels)
        room = min(heads.detections_per_img, scores.shape[1])
        last = torch.arange(scores.shape[1], 0, -1, device=scores.device)
        rank, chosen = torch.where(kept, last, 0).topk(room, dim=1)
        there = rank > 0
        return FixedDetections(
            torch.where(there[..., None], boxes.gather(1, chosen[..., None].expand(-1, -1, 4)), 0),
            torch.where(there, scores.gather(1, chosen), 0),
            torch.where(there, labels.gather(1, chosen), 0),
            there.sum(dim=1),
        )


def _anchors(generator: AnchorGenerator, batch: Tensor, features: list[Tensor]) -> Tensor:
    """Return the anchors of all levels, (A, 4), as the generator makes them, from sizes that may be symbols."""
    (height, width), grids = batch.shape[-2:], [list(feature.shape[-2:]) for feature in features]
    generator.set_cell_anchors(torch.float32, batch.device)
    return torch.cat(generator.grid_anchors(grids, [[height // rows, width // columns] for rows, columns in grids]))


def _best(objectness: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the best of objectness (B, A), where they are, and which of them there are, (B, `most`) each.

    Where the number of anchors is known, no more than there are.
    """
    count = objectness.shape[1]
    if not exporting():
        best, index = objectness.topk(min(most, count), dim=1)
        return best, index, torch.ones_like(index, dtype=torch.bool)
    best, index = F.pad(objectness, (0, most), value=-math.inf).topk(most, dim=1)
    return best, index.clamp(max=count - 1), index < count


def exporting() -> bool:
    """Check whether the code runs for an exporter, where sizes may be symbols and loops take part in the graph."""
    return torch.compiler.is_exporting() or torch.compiler.is_compiling()


def clip(boxes: Tensor, sizes_hw: Tensor) -> Tensor:
    """Clip boxes (B, N, 4) xyxy to images of `sizes_hw` (B, 2)."""
    limit = sizes_hw.flip(1).repeat(1, 2)[:, None]
    return torch.minimum(boxes.clamp(min=0), limit)


def large_enough(boxes: Tensor, side: float) -> Tensor:
    """Return which of the boxes (B, N, 4) have two sides of at least `side` pixels, (B, N)."""
    return ((boxes[..., 2:] - boxes[..., :2]) >= side).all(dim=-1)


def nms(boxes: Tensor, valid: Tensor, threshold: float, labels: Tensor | None = None) -> Tensor:
    """Return which boxes greedy NMS keeps, (B, N) bool, as torchvision's, to the bit.

    Args:
        boxes: (B, N, 4) xyxy, best first. valid: (B, N), the others neither stay nor suppress.
        labels: (B, N), where only boxes of the same label suppress each other.
    """
    x1, y1, x2, y2 = boxes.unbind(-1)
    areas = (x2 - x1) * (y2 - y1)
    wide = torch.minimum(x2[:, :, None], x2[:, None]) - torch.maximum(x1[:, :, None], x1[:, None])
    high = torch.minimum(y2[:, :, None], y2[:, None]) - torch.maximum(y1[:, :, None], y1[:, None])
    inter = wide.clamp(min=0) * high.clamp(min=0)
    suppresses = inter / (areas[:, :, None] + areas[:, None] - inter) > _as_float32(threshold)
    places = torch.arange(boxes.shape[1], device=boxes.device)
    suppresses = suppresses & (places[:, None] < places)
    if labels is not None:
        suppresses = suppresses & (labels[:, :, None] == labels[:, None])
    suppresses = (suppresses & valid[:, :, None]).to(boxes.dtype)
    kept = valid.to(boxes.dtype)
    if exporting():
        return _fixed_point_exported(kept, suppresses)
    while True:
        now = _round(kept, suppresses, valid)
        if torch.equal(now, kept):
            return kept > 0
        kept = now


def _round(kept: Tensor, suppresses: Tensor, valid: Tensor) -> Tensor:
    return (valid & ((kept[:, None] @ suppresses)[:, 0] == 0)).to(kept.dtype)


def _fixed_point_exported(valid: Tensor, suppresses: Tensor) -> Tensor:
    def changing(kept: Tensor, changes: Tensor) -> Tensor:
        return changes > 0

    def again(kept: Tensor, changes: Tensor) -> tuple[Tensor, Tensor]:
        now = valid * ((kept[:, None] @ suppresses)[:, 0] == 0).to(kept.dtype)
        return now, (now != kept).sum()

    changes = torch.ones((), dtype=torch.int64, device=valid.device)
    return while_loop(changing, again, (torch.ones_like(valid), changes))[0] > 0


def _as_float32(threshold: float) -> float:
    """Return the largest float32 that is not above `threshold`: `>` in float32 is then as torchvision's, in double."""
    near = np.float32(threshold)
    return float(near if float(near) <= threshold else np.nextafter(near, np.float32(-math.inf)))


def _sheet(maps: list[Tensor]) -> tuple[Tensor, list[int]]:
    """Put feature maps (B, C, H, W) below each other, each with its last row and column twice more.

    Returns the sheet, and the row at which each begins. RoIAlign reads a sample within a pixel of the right and the
    lower border as the border's own value, and so it is here.
    """
    width = maps[0].shape[-1] + 2  # the finest map's
    rows, tops = [], []
    top = 0
    for feature in maps:
        tops.append(top)
        padded = F.pad(feature, (0, 2, 0, 2), mode="replicate")
        rows.append(F.pad(padded, (0, width - padded.shape[-1])))
        top += padded.shape[-2]
    return torch.cat(rows, dim=2), tops


def _row(values: Sequence[float], like: Tensor) -> Tensor:
    """Return numbers, which may be symbols, as a tensor."""
    return torch.cat([like.new_full((1,), value) for value in values])


def _share_inside(start: Tensor, end: Tensor, size: Tensor, bins: int, ratio: int) -> Tensor:
    """Return the share of each bin's samples along one axis that RoIAlign takes from the map, (K, bins).

    It makes a box at least a pixel long, so that one at the very border has samples beyond the map, which count as 0.
    All samples of such a box read the border's value on the sheet, so that the share is the factor between the two.
    """
    step = (end - start).clamp(min=1) / bins
    sample = (torch.arange(bins * ratio, device=start.device, dtype=start.dtype) + 0.5) / ratio
    at = start[:, None] + sample * step[:, None]
    return (at <= size[:, None]).to(start.dtype).unflatten(1, (bins, ratio)).mean(2)
