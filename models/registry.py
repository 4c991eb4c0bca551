"""Lists every model in one table, without torch: the file that builds it, its image size, its anchors."""

from dataclasses import dataclass, replace
from importlib import import_module

from utils.checks.anchors import Anchors
from utils.errors import ConfigError
from utils.suggestions import suggestion

__all__ = ["DEFAULT_MODEL", "MODELS", "ModelRow", "anchors_of", "list_models", "model_row", "model_spec"]

DEFAULT_MODEL = "fasterrcnn_resnet50_fpn_v2"
LIGHTEST = "fasterrcnn_mobilenet_v3_large_320_fpn"  # to train and to run, of those with trained weights

_FPN = Anchors((4, 8, 16, 32, 64), ((32,), (64,), (128,), (256,), (512,)))
_FPN_SMALL = Anchors(_FPN.strides, ((16,), (32,), (64,), (128,), (256,)))
_MOBILENET = Anchors((32, 32, 64), ((32, 64, 128, 256, 512),) * 3)


@dataclass(frozen=True)
class ModelRow:
    """One `--model` value.

    file: the module of this folder that builds it; imported only when it is asked for.
    img_size: short side in pixels that the model is made for; the default of `--img-size`.
    anchors: what its `AnchorGenerator` makes; a test compares the two.
    """

    file: str
    img_size: int = 640
    anchors: Anchors = _FPN


MODELS = {
    "fasterrcnn_resnet50_fpn_v2": ModelRow("fasterrcnn_resnet50_fpn_v2"),
    "fasterrcnn_resnet50_fpn": ModelRow("fasterrcnn_resnet50_fpn"),
    "fasterrcnn_mobilenet_v3_large_fpn": ModelRow("fasterrcnn_mobilenet_v3_large_fpn", anchors=_MOBILENET),
    "fasterrcnn_mobilenet_v3_large_320_fpn": ModelRow("fasterrcnn_mobilenet_v3_large_fpn", 320, _MOBILENET),
    "fasterrcnn_resnet18_fpn": ModelRow("fasterrcnn_resnet_fpn"),
    "fasterrcnn_resnet34_fpn": ModelRow("fasterrcnn_resnet_fpn"),
    "fasterrcnn_resnet101_fpn": ModelRow("fasterrcnn_resnet_fpn"),
    "fasterrcnn_resnet152_fpn": ModelRow("fasterrcnn_resnet_fpn"),
    "fasterrcnn_resnet10_fpn_small": ModelRow("fasterrcnn_resnet_fpn", 320, _FPN_SMALL),
}


def list_models() -> list[str]:
    """Return the values that `--model` takes."""
    return list(MODELS)


def model_row(name: str) -> ModelRow:
    """Return a model's row. Raises ConfigError, with the known names, for an unknown one."""
    if name not in MODELS:
        close = suggestion(name, MODELS, numbers_matter=False)
        hint = f" Did you mean {close!r}?" if close else ""
        raise ConfigError(f"unknown model {name!r}.{hint} Known models: {', '.join(MODELS)}")
    return MODELS[name]


def anchors_of(name: str) -> Anchors:
    """Return a model's anchors. Raises ConfigError for an unknown one."""
    return model_row(name).anchors


def model_spec(name: str):
    """Import the file that builds a model and return its `ModelSpec`. Raises ConfigError for an unknown one."""
    row = model_row(name)
    return replace(import_module(f"models.{row.file}").MODELS[name], img_size=row.img_size)
