"""torchvision's box head for training: the same losses, with one wait for a GPU where proposals are sampled."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.detection._utils import encode_boxes
from torchvision.models.detection.roi_heads import RoIHeads

from models.rcnn.box_ops import large_enough, match
from models.rcnn.roi_align import SyncFreeRoIAlign

MIN_SIZE = 1e-3  # pixels; torchvision's RPN drops smaller proposals, ours passes boxes without a side in their place


class SyncFreeRoIHeads(RoIHeads):
    """In evaluation mode it is torchvision's. The box head gets as many proposals as torchvision gives it, never
    padding, which a batch norm would count."""

    @classmethod
    def from_torchvision(cls, part: RoIHeads, box_roi_pool: SyncFreeRoIAlign) -> "SyncFreeRoIHeads":
        """Build it around head and predictor of `part`, with its settings."""
        return cls(
            box_roi_pool,
            part.box_head,
            part.box_predictor,
            part.proposal_matcher.high_threshold,
            part.proposal_matcher.low_threshold,
            part.fg_bg_sampler.batch_size_per_image,
            part.fg_bg_sampler.positive_fraction,
            part.box_coder.weights,
            part.score_thresh,
            part.nms_thresh,
            part.detections_per_img,
        )

    def forward(self, features, proposals, image_shapes, targets=None):
        if not self.training:
            return super().forward(features, proposals, image_shapes, targets)
        rois, labels, offsets = self._sample(proposals, targets)
        pooled = self.box_roi_pool.pool(features, rois)
        logits, deltas = self.box_predictor(self.box_head(pooled))
        deltas = deltas.view(len(labels), deltas.shape[1] // 4, 4)
        deltas = deltas.gather(1, labels[:, None, None].expand(-1, 1, 4))[:, 0]  # those of its own class
        distance = F.smooth_l1_loss(deltas, offsets, beta=1 / 9, reduction="none")
        count = max(1, len(labels))  # where nothing was drawn, for want of objects and proposals, the losses are 0
        losses = {
            "loss_classifier": F.cross_entropy(logits, labels, reduction="sum") / count,
            "loss_box_reg": torch.where(labels[:, None] > 0, distance, 0).sum() / count,
        }
        return [], losses

    @torch.no_grad()
    def _sample(self, proposals: list[Tensor], targets) -> tuple[Tensor, Tensor, Tensor]:
        """Concatenate over the images: rois (K, 5) = image index and box, labels (K,), offsets wanted (K, 4)."""
        parts: list[tuple[Tensor, Tensor]] = []  # of each image, rois and the boxes that are wanted
        kinds: list[Tensor] = []
        for image, (boxes, target) in enumerate(zip(proposals, targets, strict=True)):
            gt_boxes = target["boxes"].to(boxes.dtype)
            valid = F.pad(large_enough(boxes, MIN_SIZE), (0, len(gt_boxes)), value=True)
            boxes = torch.cat((boxes, gt_boxes))
            index, kind = match(self.proposal_matcher, gt_boxes, boxes)
            if len(gt_boxes):
                kind = torch.where(kind > 0, target["labels"][index], kind)
            kinds.append(torch.where(valid, kind, -1))
            parts.append((F.pad(boxes, (1, 0), value=image), gt_boxes[index] if len(gt_boxes) else boxes))
        positive, negative = self.fg_bg_sampler(kinds)
        drawn = (torch.cat(positive) | torch.cat(negative)).nonzero()[:, 0]
        rois, wanted = (torch.cat(tensors)[drawn] for tensors in zip(*parts, strict=True))
        labels = torch.cat(kinds)[drawn]
        wanted = torch.where(labels[:, None] > 0, wanted, rois[:, 1:])
        return rois, labels, encode_boxes(wanted, rois[:, 1:], self.box_coder.weights)
