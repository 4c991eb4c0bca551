"""The gradients of one optimizer step: a batch that may be split between processes and into micro-batches."""

import contextlib
import logging
import math

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from torch_utils.predictor import to_float
from utils.dataset.batch_sampler import Shard
from utils.errors import TrainingError

# Which sampler, RPN's or the box head's, drew what a loss is the mean over.
STAGE_OF = {"loss_objectness": 0, "loss_rpn_box_reg": 0, "loss_classifier": 1, "loss_box_reg": 1}


class ForwardBackward:
    """Forward and backward passes over micro-batches of at most `micro_batch` images.

    The gradient is that of the whole batch's loss, whatever it is split into: torchvision's losses are means over the
    anchors or proposals that were drawn, so each part counts by its number of those, over the full number of the whole
    batch; and each part is padded to the size that the whole batch would have. A batch that is not split gives
    torchvision's losses as they are. (The two differ only where an image has fewer proposals than are to be drawn, on
    images of about 100 pixels.)

    Where a GPU has too little memory for a micro-batch, `micro_batch` is halved for good and the step done again.
    """

    def __init__(self, model, device: torch.device, amp_dtype: torch.dtype | None, seed: int, group, micro_batch: int):
        self.model = model
        self.device, self.amp_dtype, self.seed, self.group = device, amp_dtype, seed, group
        self.micro_batch = micro_batch
        self.samplers = model.samplers
        # Such batch norms exchange numbers in each pass: all processes need as many, and none can do one again.
        self._syncs_batch_norm = any(isinstance(module, nn.SyncBatchNorm) for module in model.modules())
        self.net = model if group.size == 1 else _distributed(model, device)

    def __call__(self, images, targets, *, step: int, shard: Shard, backward) -> dict[str, Tensor]:
        """Leave gradients in the parameters and return the losses, detached; over all processes, their mean counts.

        Args:
            images, targets: this process's part of the batch, on the device: uint8 (3, H, W), and what torchvision's
                detectors want. Where its shard is empty, one image that counts nothing.
            step: from 0; with the seed it decides what is drawn.
            backward: what to call on a loss.
        """
        pad_to = None
        if self.group.size > 1 or self.micro_batch < len(images):
            pad_to = self._whole_size(images, targets)
        while True:
            self.model.transform.pad_to = pad_to
            try:
                return self._passes(images, targets, step, shard, backward)
            except torch.OutOfMemoryError as error:
                largest = min(self.micro_batch, len(images))
                if largest == 1 or self._synchronised or self._syncs_batch_norm:
                    raise
                self.micro_batch = (largest + 1) // 2
                reason = str(error).split(". ")[0]
            finally:
                self.model.transform.pad_to = None
            # Outside of the handler, where the traceback no longer holds on to the tensors of the failed pass.
            pad_to = pad_to or self._whole_size(images, targets)
            self.model.zero_grad(set_to_none=True)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            logging.getLogger("train").warning(
                f"step {step + 1}: out of GPU memory ({reason}). From here on {self.micro_batch} images at a time; "
                "gradients are added up, so that a step still counts the whole batch."
            )

    def _whole_size(self, images, targets) -> list[int]:
        """Return the largest height and width, after resizing, of all of the batch's images in all processes."""
        resized = self.model.transform.resized_hw
        sizes = [resized(tuple(i.shape[-2:]), t) for i, t in zip(images, targets, strict=True)]
        return self.group.all_max(*map(max, zip(*sizes, strict=True)))

    def _passes(self, images, targets, step: int, shard: Shard, backward) -> dict[str, Tensor]:
        total: dict[str, Tensor] = {}
        self._synchronised = False
        passes = -(-len(images) // self.micro_batch)
        if self._syncs_batch_norm:
            passes = -(-self.group.largest_shard(shard.whole) // self.micro_batch)
        for number in range(passes):
            start = number * self.micro_batch
            part = slice(start, start + self.micro_batch) if start < len(images) else slice(0, 1)
            counts = start < shard.count  # else it is there to keep step with other processes
            last = number == passes - 1
            for sampler in self.samplers:
                sampler.key, sampler.first = (self.seed, step), shard.first + start
            # Processes add up their gradients once, in the last backward pass.
            with contextlib.nullcontext() if last or self.group.size == 1 else self.net.no_sync():
                losses = self._forward(images[part], targets[part])
                if passes > 1 or self.group.size > 1:
                    losses = {k: v * (self._weight(STAGE_OF[k], shard) if counts else 0.0) for k, v in losses.items()}
                self._synchronised = last and self.group.size > 1
                whole = sum(losses.values())
                # An infinite loss may have finite gradients, which would change the weights.
                backward(whole * torch.where(whole.isfinite(), 1.0, math.nan))
            for name, loss in losses.items():
                total[name] = total[name] + loss.detach() if name in total else loss.detach()
        return total

    def _forward(self, images, targets) -> dict[str, Tensor]:
        batch = [to_float(image, self.device) for image in images]
        with torch.autocast(self.device.type, self.amp_dtype, enabled=self.amp_dtype is not None):
            losses = self.net(batch, list(targets))
        unknown = losses.keys() - STAGE_OF.keys()
        if unknown:
            raise TrainingError(f"the model gives losses of unknown kind: {', '.join(sorted(unknown))}")
        return losses

    def _weight(self, stage: int, shard: Shard) -> Tensor:
        """Return the weight of a part's loss; times the number of processes, because gradients are averaged."""
        sampler = self.samplers[stage]
        return sampler.drawn * (self.group.size / (sampler.batch_size_per_image * shard.whole))


def _distributed(model, device: torch.device) -> DistributedDataParallel:
    ids = [device.index] if device.type == "cuda" else None
    # Batch statistics stay each process's own, as everywhere; --sync-bn shares them.
    return DistributedDataParallel(model, device_ids=ids, forward_sync_buffers=False, gradient_as_bucket_view=True)
