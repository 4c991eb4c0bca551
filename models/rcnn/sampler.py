"""Anchors and proposals for the losses, drawn at random for each image by itself."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler


class ImageSampler(BalancedPositiveNegativeSampler):
    """torchvision's sampler, with random numbers of its own for each image: of `key` and its place in the whole batch.

    So what is drawn for an image depends on no other image, and on nothing that happened before: a batch that is split
    between processes or in parts draws the same, and a resumed run needs no generator state. CPU and GPU draw the same.
    No size depends on the data, so a GPU is never waited for.

    Attributes:
        key: whole numbers, such as (seed, step). first: place of the first image that comes, in the whole batch; or
            a list of the places of all that come.
        drawn: int64 tensor, how many anchors or proposals were drawn in the last call.
    """

    def __init__(self, batch_size_per_image: int, positive_fraction: float, stage: int):
        super().__init__(batch_size_per_image, positive_fraction)
        self.key: tuple[int, ...] = ()
        self.first: int | list[int] = 0
        self.drawn: Tensor | None = None
        self._stage = stage

    def __call__(self, matched_idxs: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Draw from each image's labels (N,), positive from 1 on, negative at 0; returns two lists of masks (N,)."""
        labels = pad_sequence(matched_idxs, batch_first=True, padding_value=-1)  # (images, longest N)
        priority = self._priority(len(labels), labels.shape[1], labels.device)
        most = int(self.batch_size_per_image * self.positive_fraction)
        positive = _highest(priority, labels >= 1, most, torch.full_like(priority[:, :1], most))
        left = self.batch_size_per_image - positive.sum(dim=1, keepdim=True)
        negative = _highest(priority, labels == 0, self.batch_size_per_image, left)
        self.drawn = positive.sum() + negative.sum()
        lengths = [len(labels) for labels in matched_idxs]
        cut_positive, cut_negative = (
            [row[:n] for row, n in zip(mask, lengths, strict=True)] for mask in (positive, negative)
        )
        return cut_positive, cut_negative

    def _priority(self, images: int, length: int, device) -> Tensor:
        """Return a hash of key, stage, place and index: (images, length) int64 below 2**32, unique in an image."""
        seed = int(np.random.SeedSequence((*self.key, self._stage)).generate_state(1)[0])
        if isinstance(self.first, int):
            place = torch.arange(self.first, self.first + images, device=device)
        else:
            place = torch.tensor(self.first, device=device)
        place = _mix(place + seed)
        index = _mix(torch.arange(length, device=device))
        return _mix(index + place[:, None])


def _mix(x: Tensor) -> Tensor:
    """Map the numbers below 2**32 one to one to others whose bits look random; changes `x`, taken mod 2**32.

    Two rounds of xor-shift and multiply. The factor is below 2**31: no product leaves int64.
    """
    x &= 0xFFFFFFFF
    for _ in range(2):
        x ^= x >> 16
        x *= 0x119DE1F3
        x &= 0xFFFFFFFF
    x ^= x >> 16
    return x


def _highest(priority: Tensor, allowed: Tensor, count: int, limit: Tensor) -> Tensor:
    """Return a mask (images, N) of the allowed ones of highest priority: at most `count` and `limit` (images, 1)."""
    value, index = torch.where(allowed, priority, -1).topk(min(count, allowed.shape[1]), dim=1)
    rank = torch.arange(value.shape[1], device=value.device)
    return torch.zeros_like(allowed).scatter_(1, index, (value >= 0) & (rank < limit))


def seed_samplers(model: FasterRCNN) -> tuple[ImageSampler, ImageSampler]:
    """Give RPN and box head of `model` samplers with a seed per image, where they have none; returns both."""
    for stage, part in enumerate((model.rpn, model.roi_heads)):
        old = part.fg_bg_sampler
        if not isinstance(old, ImageSampler):
            part.fg_bg_sampler = ImageSampler(old.batch_size_per_image, old.positive_fraction, stage)
    return model.rpn.fg_bg_sampler, model.roi_heads.fg_bg_sampler
