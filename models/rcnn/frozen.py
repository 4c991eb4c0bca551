"""Layers that stay as they are in training: stages of the backbone, and batch norms with fixed statistics."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from models.rcnn.faster_rcnn import SyncFreeFasterRCNN
from utils.errors import ConfigError


class SyncFreeFrozenBatchNorm2d(FrozenBatchNorm2d):
    """In 16 bits, one kernel instead of arithmetic that falls back to float32: on CPUs a tenth of the time."""

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype == torch.float32:
            return super().forward(x)
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)


def freeze_stages(model: SyncFreeFasterRCNN, count: int) -> list[str]:
    """Fix the first `count` stages of the backbone, parameters and batch statistics; returns their layers' names.

    Raises ConfigError where the backbone has fewer stages.
    """
    stages = model.backbone_stages
    if not 0 <= count <= len(stages):
        raise ConfigError(f"--freeze-layers {count}: expected 0 to {len(stages)}, the stages of this backbone")
    names = [name for stage in stages[:count] for name in stage]
    for name, child in list(model.backbone.body.named_children()):
        if name in names:
            if isinstance(child, nn.BatchNorm2d):
                setattr(model.backbone.body, name, _frozen(child))
            freeze_batch_norm(child)
            child.requires_grad_(False)
    return names


def freeze_batch_norm(module: nn.Module, *, only: set[str] | None = None, prefix: str = "") -> int:
    """Replace `BatchNorm2d` by torchvision's `FrozenBatchNorm2d` below `module`, or those in `only` by full name.

    The function computed in evaluation mode stays the same. Returns how many were replaced.
    """
    count = 0
    for name, child in list(module.named_children()):
        full_name = prefix + name
        if isinstance(child, nn.BatchNorm2d):
            if only is None or full_name in only:
                setattr(module, name, _frozen(child))
                count += 1
        else:
            count += freeze_batch_norm(child, only=only, prefix=full_name + ".")
    return count


def learns_batch_statistics(model: nn.Module) -> bool:
    """Check whether any batch norm of the model learns, one that shares its statistics included."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())


def _frozen(norm: nn.BatchNorm2d) -> FrozenBatchNorm2d:
    frozen = SyncFreeFrozenBatchNorm2d(norm.num_features, eps=norm.eps)
    frozen.load_state_dict({k: v for k, v in norm.state_dict().items() if k != "num_batches_tracked"})
    return frozen.to(norm.weight.device)
