"""Lists every model in one table, without torch: what builds it, its weights, image size and anchors.

A new model is a file in this folder with a `create_model(num_classes, **options)`, and a row in `MODELS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from utils.checks.anchors import Anchors
from utils.errors import ConfigError
from utils.suggestions import suggestion

if TYPE_CHECKING:
    from torchvision.models import WeightsEnum
    from torchvision.models.detection import FasterRCNN

__all__ = ["DEFAULT_MODEL", "MODELS", "ModelSpec", "anchors_of", "list_models", "model_spec"]

DEFAULT_MODEL = "fasterrcnn_resnet50_fpn_v2"
LIGHTEST = "fasterrcnn_mobilenet_v3_large_320_fpn"  # to train and to run, of those with trained weights

_FPN = Anchors((4, 8, 16, 32, 64), ((32,), (64,), (128,), (256,), (512,)))
_FPN_SMALL = Anchors(_FPN.strides, ((16,), (32,), (64,), (128,), (256,)))
_MOBILENET = Anchors((32, 32, 64), ((32, 64, 128, 256, 512),) * 3)

_RESNET_STAGES = (("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))
# The blocks of `mobilenet_v3_large().features` between its strided convolutions, as torchvision counts its six stages.
_MOBILENET_STAGES = tuple(
    tuple(str(block) for block in range(start, stop))
    for start, stop in ((0, 2), (2, 4), (4, 7), (7, 13), (13, 16), (16, 17))
)


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """One `--model` value.

    builder: the module of this folder that builds it; imported only when it is asked for.
    options: keyword arguments of its `create_model`.
    img_size: short side in pixels that the model is made for; the default of `--img-size`.
    anchors: what its `AnchorGenerator` makes; a test compares the two.
    coco_weights, imagenet_weights: names of torchvision's trained weights, of the whole detector and of the backbone.
    stages: children of `model.backbone.body`, from the image upwards; what `--freeze-layers` counts.
    frozen_bn: True where trained weights come with fixed batch statistics (torchvision's `FrozenBatchNorm2d`).
    coco_bn_eps: epsilon of those frozen layers in the published COCO weights, where it is not the usual 1e-5.
    """

    builder: str
    options: Mapping[str, Any] = field(default_factory=dict)
    img_size: int = 640
    anchors: Anchors = _FPN
    coco_weights: str | None = None
    imagenet_weights: str | None = None
    stages: tuple[tuple[str, ...], ...] = _RESNET_STAGES
    frozen_bn: bool = True
    coco_bn_eps: float = 1e-5

    def build(self, num_classes: int, **kwargs) -> FasterRCNN:
        """Build torchvision's model, untrained, with ordinary batch norm; `kwargs` are `FasterRCNN`'s arguments."""
        return import_module(f"models.{self.builder}").create_model(num_classes, **self.options, **kwargs)

    @property
    def coco(self) -> WeightsEnum | None:
        """torchvision's trained weights of the whole detector; None where there are none."""
        return _weights(self.coco_weights)

    @property
    def imagenet(self) -> WeightsEnum | None:
        """torchvision's trained weights of the backbone; None where there are none."""
        return _weights(self.imagenet_weights)


def _weights(name: str | None) -> WeightsEnum | None:
    if name is None:
        return None
    from torchvision.models import get_weight

    return get_weight(name)


MODELS = {
    "fasterrcnn_resnet50_fpn_v2": ModelSpec(
        builder="fasterrcnn_resnet50_fpn_v2",
        coco_weights="FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1",
        imagenet_weights="ResNet50_Weights.IMAGENET1K_V2",
        frozen_bn=False,
    ),
    "fasterrcnn_resnet50_fpn": ModelSpec(
        builder="fasterrcnn_resnet50_fpn",
        coco_weights="FasterRCNN_ResNet50_FPN_Weights.COCO_V1",
        imagenet_weights="ResNet50_Weights.IMAGENET1K_V1",
        coco_bn_eps=0.0,  # torchvision overwrites it after loading: these weights were trained by an older library
    ),
    "fasterrcnn_mobilenet_v3_large_fpn": ModelSpec(
        builder="fasterrcnn_mobilenet_v3_large_fpn",
        anchors=_MOBILENET,
        coco_weights="FasterRCNN_MobileNet_V3_Large_FPN_Weights.COCO_V1",
        imagenet_weights="MobileNet_V3_Large_Weights.IMAGENET1K_V1",
        stages=_MOBILENET_STAGES,
    ),
    "fasterrcnn_mobilenet_v3_large_320_fpn": ModelSpec(
        builder="fasterrcnn_mobilenet_v3_large_fpn",
        options={"few_proposals": True},
        img_size=320,
        anchors=_MOBILENET,
        coco_weights="FasterRCNN_MobileNet_V3_Large_320_FPN_Weights.COCO_V1",
        imagenet_weights="MobileNet_V3_Large_Weights.IMAGENET1K_V1",
        stages=_MOBILENET_STAGES,
    ),
    "fasterrcnn_resnet18_fpn": ModelSpec(
        builder="fasterrcnn_resnet_fpn", options={"depth": 18}, imagenet_weights="ResNet18_Weights.IMAGENET1K_V1"
    ),
    "fasterrcnn_resnet34_fpn": ModelSpec(
        builder="fasterrcnn_resnet_fpn", options={"depth": 34}, imagenet_weights="ResNet34_Weights.IMAGENET1K_V1"
    ),
    "fasterrcnn_resnet101_fpn": ModelSpec(
        builder="fasterrcnn_resnet_fpn", options={"depth": 101}, imagenet_weights="ResNet101_Weights.IMAGENET1K_V2"
    ),
    "fasterrcnn_resnet152_fpn": ModelSpec(
        builder="fasterrcnn_resnet_fpn", options={"depth": 152}, imagenet_weights="ResNet152_Weights.IMAGENET1K_V2"
    ),
    "fasterrcnn_resnet10_fpn_small": ModelSpec(
        builder="fasterrcnn_resnet_fpn", options={"depth": 10, "small": True}, img_size=320, anchors=_FPN_SMALL
    ),
}


def list_models() -> list[str]:
    """Return the values that `--model` takes."""
    return list(MODELS)


def model_spec(name: str) -> ModelSpec:
    """Return a model's row. Raises ConfigError, with the known names, for an unknown one."""
    if name not in MODELS:
        close = suggestion(name, MODELS, numbers_matter=False)
        hint = f" Did you mean {close!r}?" if close else ""
        raise ConfigError(f"unknown model {name!r}.{hint} Known models: {', '.join(MODELS)}")
    return MODELS[name]


def anchors_of(name: str) -> Anchors:
    """Return a model's anchors. Raises ConfigError for an unknown one."""
    return model_spec(name).anchors
