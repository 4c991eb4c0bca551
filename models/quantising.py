"""Quantises an OpenVINO model of a detector to int8, but for the parts that lose by it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from models.rcnn.faster_rcnn import SyncFreeFasterRCNN
from utils.exported.engines import import_openvino, quiet, require

LAYERS = ("Convolution", "GroupConvolution", "MatMul")
# Between two layers these cost nothing in int8, and would cost a conversion in float.
CARRIERS = ("Relu", "Clamp", "HSwish", "Swish", "HSigmoid", "MaxPool", "Interpolate", "AvgPool", "ReduceMean")


def quantise(
    path: Path, model: SyncFreeFasterRCNN, inputs: Iterable[tuple[np.ndarray, np.ndarray]], *, careful: bool = False
) -> Any:
    """Return the OpenVINO model of `path` with int8 layers, calibrated on `inputs` (images, sizes_hw) of its graph.

    Layers of the backbone, the pyramid and the box head become int8. In float stay the first layer, whose three
    channels are the image itself, the last ones of the RPN and of the box head, whose values are scores and boxes, all
    that decodes them, and sums of two branches. `careful` leaves the pyramid and the RPN in float, too.
    """
    nncf = require("nncf", "--int8")
    core = import_openvino("--int8").Core()
    graph = core.read_model(str(path))
    kept = _weight_shapes(model, careful=careful)
    float_parts = [node.get_friendly_name() for node in graph.get_ops() if not _is_quantised(node, kept)]
    samples = [{"images": images, "sizes_hw": sizes_hw} for images, sizes_hw in inputs]
    with quiet():
        return nncf.quantize(
            graph,
            nncf.Dataset(samples),
            subset_size=len(samples),
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(names=float_parts, validate=False),
        )


def _weight_shapes(model: SyncFreeFasterRCNN, *, careful: bool) -> set[tuple[int, ...]]:
    """Return the shapes of the weights of layers that stay in float, as sorted numbers: exporters transpose some."""
    head, predictor = model.rpn.head, model.roi_heads.box_predictor
    layers = [head.cls_logits, head.bbox_pred, predictor.cls_score, predictor.bbox_pred]
    if careful:
        layers += [part for of in (head, model.backbone.fpn) for part in of.modules() if isinstance(part, nn.Conv2d)]
    return {_sorted(layer.weight.shape) for layer in layers}


def _is_quantised(node: Any, kept: set[tuple[int, ...]]) -> bool:
    kind = node.get_type_name()
    if kind in LAYERS:
        shape = node.input(1).get_partial_shape()
        if shape.is_dynamic:  # a product of two computed tensors, as in NMS
            return False
        first = kind == "Convolution" and shape[1].get_length() == 3
        return not first and _sorted(shape.to_shape()) not in kept
    return kind in CARRIERS


def _sorted(shape: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(side for side in shape if side != 1))
