"""torchvision's Faster R-CNN as it is, with a training step that hardly ever waits for the device.

On a GPU, every size that depends on the data, and every constant copied over, makes the host wait; torchvision's step
does both dozens of times. Here sizes are fixed and masks take their place, with the same results: what is left is one
wait per image, in NMS, and two per step, in the box head. In evaluation mode torchvision's own code runs.
"""

import math
from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from models.rcnn.roi_align import SyncFreeRoIAlign
from models.rcnn.roi_heads import SyncFreeRoIHeads
from models.rcnn.rpn import SyncFreeRPN
from models.rcnn.sampler import ImageSampler, seed_samplers
from utils.checks.anchors import Anchors
from utils.img_size import long_side_limit


def make_sync_free(model: FasterRCNN) -> "SyncFreeFasterRCNN":
    """Build the model below from torchvision's: the same layers, parameters, names, settings and hooks of layers."""
    return SyncFreeFasterRCNN(
        model.backbone,
        SyncFreeRPN.from_torchvision(model.rpn, SyncFreeAnchors.from_torchvision(model.rpn.anchor_generator)),
        SyncFreeRoIHeads.from_torchvision(
            model.roi_heads, SyncFreeRoIAlign.from_torchvision(model.roi_heads.box_roi_pool, model.backbone)
        ),
        SyncFreeTransform.from_torchvision(model.transform),
    )


class SyncFreeFasterRCNN(FasterRCNN):
    """Faster R-CNN that in training does not search for degenerate boxes, which the dataset has done.

    Attributes:
        samplers: draw anchors and proposals for the losses, those of the RPN and of the box head.
        img_size: short side in pixels that images are resized to. max_detections: the most that an image gets.
        backbone_stages: children of `backbone.body`, from the image upwards, stage by stage.
        anchors: those of its RPN, as the dataset is checked against.
    """

    transform: "SyncFreeTransform"
    rpn: SyncFreeRPN
    roi_heads: SyncFreeRoIHeads
    img_size: int
    max_detections: int
    backbone_stages: tuple[tuple[str, ...], ...]
    anchors: Anchors

    def __init__(
        self,
        backbone: nn.Module,
        rpn: SyncFreeRPN,
        roi_heads: SyncFreeRoIHeads,
        transform: "SyncFreeTransform",
    ):
        # FasterRCNN's own constructor, which is left out, would make new heads.
        GeneralizedRCNN.__init__(self, backbone, rpn, roi_heads, transform)
        self.samplers: tuple[ImageSampler, ImageSampler] = seed_samplers(self)

    def forward(self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None):
        if not self.training:
            return super().forward(images, targets)
        batch, targets = self.transform(images, targets)
        features = self.backbone(batch.tensors)
        proposals, rpn_losses = self.rpn(batch, features, targets)
        _, losses = self.roi_heads(features, proposals, batch.image_sizes, targets)
        return losses | rpn_losses

    def detect_with_losses(
        self, images: list[Tensor], targets: list[dict[str, Tensor]]
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        """Return detections and the four training losses from one pass through the backbone, in evaluation mode.

        torchvision's detectors give losses in training mode alone, where batch norms would take the batch's own
        statistics and change the running ones. Here they stay as in detection; only RPN and box head are set to train.
        """
        sizes_hw = [tuple(image.shape[-2:]) for image in images]
        batch, targets = self.transform(images, targets)
        features = self.backbone(batch.tensors)
        proposals, _ = self.rpn(batch, features)
        outputs, _ = self.roi_heads(features, proposals, batch.image_sizes)
        outputs = self.transform.postprocess(outputs, batch.image_sizes, sizes_hw)
        # The layers in them, which may have batch norms, stay as they are.
        self.rpn.training = self.roi_heads.training = True
        try:
            proposals, rpn_losses = self.rpn(batch, features, targets)
            _, losses = self.roi_heads(features, proposals, batch.image_sizes, targets)
        finally:
            self.rpn.training = self.roi_heads.training = False
        return outputs, losses | rpn_losses


class SyncFreeTransform(GeneralizedRCNNTransform):
    """Constants stay on the device, and nothing is drawn at random.

    In training a target may carry `short_side`, an int or a tensor on the CPU: the pixels that the short side of its
    image is resized to, instead of `min_size`; the long side's limit follows from it. `pad_to`, height and width, is
    the least size that a batch is padded to.
    """

    pad_to: Sequence[int] | None = None
    mean: Tensor
    std: Tensor

    def __init__(self, min_size, max_size: int, image_mean: list[float], image_std: list[float], **options):
        super().__init__(min_size, max_size, image_mean, image_std, **options)
        for name, values in (("mean", image_mean), ("std", image_std)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    @classmethod
    def from_torchvision(cls, part: GeneralizedRCNNTransform) -> "SyncFreeTransform":
        return cls(
            part.min_size,
            part.max_size,
            part.image_mean,
            part.image_std,
            size_divisible=part.size_divisible,
            fixed_size=part.fixed_size,
            _skip_resize=part._skip_resize,
        )

    def normalize(self, image: Tensor) -> Tensor:
        return (image - self.mean.to(image.dtype)) / self.std.to(image.dtype)

    def resize(self, image: Tensor, target: dict | None = None) -> tuple[Tensor, dict | None]:
        if not self.training:
            return super().resize(image, target)
        assert target is not None
        height, width = size_hw = image.shape[-2:]
        scale = self._scale((height, width), target)
        image = F.interpolate(image[None], scale_factor=scale, mode="bilinear", recompute_scale_factor=True)[0]
        # Numbers, not tensors, and the sides apart: so nothing is copied to the device.
        x, y = (target["boxes"][:, i::2] * (image.shape[-1 - i] / size_hw[1 - i]) for i in (0, 1))
        return image, target | {"boxes": torch.stack((x, y), dim=2).flatten(1)}

    def resized_hw(self, size_hw: tuple[int, int], target: dict) -> tuple[int, int]:
        """Return height and width in training of an image of `size_hw`: rounded down, as torch's interpolation does."""
        scale = self._scale(size_hw, target)
        return math.floor(size_hw[0] * scale), math.floor(size_hw[1] * scale)

    def _scale(self, size_hw: tuple[int, int], target: dict) -> float:
        short_side, limit = self.min_size[-1], self.max_size
        if "short_side" in target:
            short_side = int(target["short_side"])
            limit = long_side_limit(short_side)
        return min(short_side / min(size_hw), limit / max(size_hw))

    def batch_images(self, images: list[Tensor], size_divisible: int = 32) -> Tensor:
        if self.pad_to is None:
            return super().batch_images(images, size_divisible)
        sizes = [self.pad_to, *(image.shape[-2:] for image in images)]
        height, width = (math.ceil(max(sides) / size_divisible) * size_divisible for sides in zip(*sizes, strict=True))
        return torch.stack([F.pad(i, (0, width - i.shape[-1], 0, height - i.shape[-2])) for i in images])


class SyncFreeAnchors(AnchorGenerator):
    """Anchors are made once per size of the batch, and in float32 whatever the type of the features.

    In bfloat16, which autocast gives the features, whole pixels past 256 are lost.
    """

    CACHED = 16  # sizes; at 800 pixels one takes 4 MB

    def __init__(self, sizes, aspect_ratios):
        super().__init__(sizes, aspect_ratios)
        self.cache: OrderedDict[tuple, Tensor] = OrderedDict()

    @classmethod
    def from_torchvision(cls, part: AnchorGenerator) -> "SyncFreeAnchors":
        return cls(part.sizes, part.aspect_ratios)

    def forward(self, image_list, feature_maps: list[Tensor]) -> list[Tensor]:
        feature_maps = [features[:1, :1].float() for features in feature_maps]  # only sizes and type are read
        if torchvision._is_tracing():
            return super().forward(image_list, feature_maps)
        sizes = (image_list.tensors, *feature_maps)
        key = (feature_maps[0].device, *(tuple(tensor.shape[-2:]) for tensor in sizes))
        if key not in self.cache:
            while len(self.cache) >= self.CACHED:
                self.cache.popitem(last=False)
            # A tensor made in inference mode could not take part in a later training step.
            with torch.inference_mode(False), torch.no_grad():
                self.cache[key] = super().forward(image_list, feature_maps)[0]
        self.cache.move_to_end(key)
        return [self.cache[key]] * len(image_list.image_sizes)
