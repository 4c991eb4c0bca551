"""Building and freezing: what every model here has in common."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torchvision.models import WeightsEnum
from torchvision.models.detection import FasterRCNN
from torchvision.ops import FrozenBatchNorm2d

from models.rcnn.faster_rcnn import SyncFreeFrozenBatchNorm2d, make_sync_free
from utils.errors import ConfigError
from utils.img_size import long_side_limit

RESNET_STAGES = (("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))


@dataclass(frozen=True)
class ModelSpec:
    """One `--model` value.

    build: `build(num_classes, min_size=, max_size=, ...)` -> an untrained FasterRCNN with ordinary batch norm.
    coco, imagenet: torchvision's trained weights, of the whole detector and of the backbone; None where there are none.
    stages: children of `model.backbone.body`, from the image upwards; what `--freeze-layers` counts.
    frozen_bn: True where trained weights come with fixed batch statistics (torchvision's `FrozenBatchNorm2d`).
    coco_bn_eps: epsilon of those frozen layers in the published COCO weights, where it is not the usual 1e-5.
    img_size: short side in pixels that the model is made for; from its row in `models.registry`.
    """

    build: Callable[..., FasterRCNN]
    coco: WeightsEnum | None
    imagenet: WeightsEnum | None
    stages: tuple[tuple[str, ...], ...]
    frozen_bn: bool = True
    coco_bn_eps: float = 1e-5
    img_size: int = 640


def build_model(
    spec: ModelSpec, num_classes: int, img_size: int | None = None, *, max_detections: int | None = None
) -> FasterRCNN:
    """Build an untrained model for `img_size` (None: its own), which it keeps as an attribute.

    So it keeps `max_detections`, the most that it gives for an image (None: torchvision's 100).
    """
    img_size = img_size or spec.img_size
    model = spec.build(num_classes, min_size=img_size, max_size=long_side_limit(img_size))
    model.img_size = img_size
    _limit_detections(model, max_detections or model.roi_heads.detections_per_img)
    model.backbone_stages = spec.stages
    # Under bf16 or fp16 autocast torchvision would decode boxes in that type: 8 bits of mantissa, up to 2 px at 640.
    # With float32 head outputs, boxes, scores and losses are computed in float32.
    for head in (model.rpn.head, model.roi_heads.box_predictor):
        head.register_forward_hook(_outputs_to_float32)
    return make_sync_free(model)


def _limit_detections(model: FasterRCNN, count: int) -> None:
    """Set how many detections an image may have; proposals, which are an object each at best, are as many at least."""
    model.max_detections = model.roi_heads.detections_per_img = count
    for proposals in (model.rpn._pre_nms_top_n, model.rpn._post_nms_top_n):
        for mode in proposals:
            proposals[mode] = max(proposals[mode], count)


def _outputs_to_float32(module: nn.Module, inputs: tuple, outputs):
    if isinstance(outputs, Tensor):
        return outputs.float()
    return type(outputs)(_outputs_to_float32(module, inputs, output) for output in outputs)


def freeze_stages(model: FasterRCNN, count: int) -> list[str]:
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


def _frozen(norm: nn.BatchNorm2d) -> FrozenBatchNorm2d:
    frozen = SyncFreeFrozenBatchNorm2d(norm.num_features, eps=norm.eps)
    frozen.load_state_dict({k: v for k, v in norm.state_dict().items() if k != "num_batches_tracked"})
    return frozen.to(norm.weight.device)
