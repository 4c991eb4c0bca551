"""torchvision's region proposal network for training: the same losses and proposals, in fixed sizes."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.detection._utils import encode_boxes
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead, concat_box_prediction_layers
from torchvision.ops import boxes as box_ops

from models.rcnn.box_ops import decode, large_enough, match


def head_at(head: RPNHead, features: list[Tensor], drawn: Tensor) -> tuple[Tensor, Tensor]:
    """Return objectness (B, K) and offsets (B, K, 4), float32, of the anchors `drawn` (B, K).

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
    """Cut out the surroundings of `places` (B, K), pixels counted over all levels.

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
    table, starts, row_widths = torch.cat(tables, 1), torch.cat(centers), torch.cat(widths)
    steps = torch.arange(-depth, depth + 1, device=device)
    rows = starts[places][..., None, None] + steps[:, None] * row_widths[places][..., None, None] + steps
    image = torch.arange(len(places), device=device).view(-1, 1, 1, 1)
    # An embedding, whose gradient is added up in a fixed order; that of an index is not, on several CPU cores.
    pixels = F.embedding(rows + image * table.shape[1], table.flatten(0, 1)).flatten(0, 1).permute(0, 3, 1, 2)
    return pixels, torch.cat(inside)[rows].flatten(0, 1)


class SyncFreeRPN(RegionProposalNetwork):
    """In training, waits for a GPU once per image: in NMS. In evaluation mode it is torchvision's.

    What torchvision drops, for its size, its score or a NaN, stays in the list, last, as boxes without a side, which
    the box head leaves out.
    """

    @classmethod
    def from_torchvision(cls, part: RegionProposalNetwork, anchor_generator: AnchorGenerator) -> "SyncFreeRPN":
        """Build it around the head of `part`, with its settings."""
        return cls(
            anchor_generator,
            part.head,
            part.proposal_matcher.high_threshold,
            part.proposal_matcher.low_threshold,
            part.fg_bg_sampler.batch_size_per_image,
            part.fg_bg_sampler.positive_fraction,
            dict(part._pre_nms_top_n),
            dict(part._post_nms_top_n),
            part.nms_thresh,
            part.score_thresh,
        )

    def forward(self, images, features: dict[str, Tensor], targets: list[dict[str, Tensor]] | None = None):
        if not self.training:
            return super().forward(images, features, targets)
        assert targets is not None
        maps = list(features.values())
        anchors = self.anchor_generator(images, maps)[0]  # (N, 4), the same for every image
        gt_boxes = [target["boxes"] for target in targets]
        # Matching needs no output of the network, so a GPU gets it while it still works at the backbone.
        matches = [match(self.proposal_matcher, boxes, anchors) for boxes in gt_boxes]
        # First the losses: autocast keeps the 16-bit copy of a weight, which has to be one that gradients go through.
        losses = self._losses(maps, anchors, matches, gt_boxes)
        with torch.no_grad():
            proposals = self._proposals(maps, anchors, images.image_sizes)
        return proposals, losses

    def _losses(self, features, anchors, matches, gt_boxes) -> dict[str, Tensor]:
        indices, kinds = zip(*matches, strict=True)
        positive, negative = (torch.stack(masks).int() for masks in self.fg_bg_sampler(list(kinds)))
        count = min(self.fg_bg_sampler.batch_size_per_image, len(anchors))
        value, drawn = (2 * positive + negative).topk(count, dim=1)  # (B, count): positives, negatives, none
        is_object, is_drawn = value == 2, value > 0
        total = is_drawn.sum().clamp(min=1)

        objectness, deltas = head_at(self.head, features, drawn)
        entropy = F.binary_cross_entropy_with_logits(objectness, is_object.float(), reduction="none")
        boxes = anchors[drawn]
        wanted = boxes.clone()  # what is no object is to stay as it is, and its loss is left out
        for row, index, gt in zip(range(len(gt_boxes)), indices, gt_boxes, strict=True):
            if len(gt):
                wanted[row] = torch.where(is_object[row, :, None], gt[index[drawn[row]]], boxes[row])
        offsets = encode_boxes(wanted.view(-1, 4), boxes.view(-1, 4), self.box_coder.weights).view_as(boxes)
        distance = F.smooth_l1_loss(deltas, offsets, beta=1 / 9, reduction="none")
        return {
            "loss_objectness": torch.where(is_drawn, entropy, 0).sum() / total,
            "loss_rpn_box_reg": torch.where(is_object[..., None], distance, 0).sum() / total,
        }

    def _proposals(self, features, anchors, image_sizes) -> list[Tensor]:
        objectness, deltas = self.head(features)
        level_sizes = [level[0].numel() for level in objectness]
        objectness, deltas = concat_box_prediction_layers(objectness, deltas)
        objectness, deltas = (x.view(len(image_sizes), len(anchors), -1) for x in (objectness, deltas))
        objectness = objectness[..., 0]
        best = self._get_top_n_idx(objectness, level_sizes)  # (B, M), level after level, each by falling score
        scores = torch.sigmoid(objectness.gather(1, best))
        boxes = decode(self.box_coder, deltas.gather(1, best[..., None].expand(-1, -1, 4)), anchors[best])
        counts = [min(self.pre_nms_top_n(), size) for size in level_sizes]
        levels = torch.cat([scores.new_full((count,), level) for level, count in enumerate(counts)])
        proposals = []
        for image_boxes, image_scores, size in zip(boxes, scores, image_sizes, strict=True):
            image_boxes = box_ops.clip_boxes_to_image(image_boxes, size)
            valid = large_enough(image_boxes, self.min_size) & (image_scores >= self.score_thresh)
            keep = nms(image_boxes, image_scores, valid, levels, self.nms_thresh)[: self.post_nms_top_n()]
            proposals.append(torch.where(valid[keep, None], image_boxes[keep], 0))
        return proposals


def nms(boxes: Tensor, scores: Tensor, valid: Tensor, levels: Tensor, threshold: float) -> Tensor:
    """Apply torchvision's `batched_nms` over `levels`, as each box has one: indices by falling score.

    On a GPU those that are not valid come last, so that nothing waits for their number; on a CPU they do not come.
    """
    if boxes.device.type == "cpu":
        chosen = valid.nonzero()[:, 0]
        return chosen[box_ops.batched_nms(boxes[chosen], scores[chosen], levels[chosen], threshold)]
    return masked_nms(boxes, scores, valid, levels, threshold)


def masked_nms(boxes: Tensor, scores: Tensor, valid: Tensor, levels: Tensor, threshold: float) -> Tensor:
    """Apply `batched_nms` without a size that depends on the data; boxes that are not valid come last.

    (From 25,000 boxes on, torchvision takes another way on a GPU; there are never so many.)
    """
    boxes = torch.where(valid[:, None], boxes, 0)
    far_apart = boxes.max() + 1
    # Below every score: they suppress nothing that counts.
    return box_ops.nms(boxes + (levels * far_apart)[:, None], torch.where(valid, scores, -1), threshold)
