"""Writes a detector as ONNX, OpenVINO and torch.export files."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models.rcnn.faster_rcnn import SyncFreeFasterRCNN
from models.rcnn.static import StaticFasterRCNN
from utils.exported.engines import METADATA_FILE, OUTPUTS, import_openvino, quiet, require
from utils.exported.metadata import ExportMetadata
from utils.files import write_text_atomically
from utils.img_size import STRIDE

OPSET = 20
MOST_STRIDES = 1024  # height and width of a batch at most: 32768 pixels


def export_graph(model: SyncFreeFasterRCNN) -> torch.export.ExportedProgram:
    """Return the graph of a detector in evaluation mode, for one image of any height and width.

    Its inputs and outputs are those of `models.rcnn.static.StaticFasterRCNN`.
    """
    sides = {2 + i: STRIDE * torch.export.Dim(f"side{i}", min=1, max=MOST_STRIDES) for i in range(2)}
    inputs = (torch.rand(1, 3, 96, 160), torch.tensor([[96.0, 150.0]]))
    with torch.no_grad(), quiet():
        graph = torch.export.export(_AsTuple(StaticFasterRCNN(model)).eval(), inputs, dynamic_shapes=(sides, None))
    for part in graph.graph_module.modules():
        for node in part.graph.nodes if isinstance(part, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)  # paths of this machine
    return graph


def write_onnx(graph: torch.export.ExportedProgram, path: Path, metadata: ExportMetadata) -> None:
    """Write an ONNX file with the metadata among its properties."""
    require("onnx", "--to onnx")
    operators = require("onnxscript", "--to onnx").opset20

    def sort_stable(self, stable=True, dim=-1, descending=False):
        # ONNX has no sort; of equal values its TopK gives the one of the lower index first
        axis = operators.Constant(value_ints=[dim])
        count = operators.Gather(operators.Shape(self), axis)
        return operators.TopK(self, count, axis=dim, largest=int(descending), sorted=1)

    with torch.no_grad(), quiet():
        program: Any = torch.onnx.export(
            graph,
            dynamo=True,
            opset_version=OPSET,
            input_names=["images", "sizes_hw"],
            output_names=list(OUTPUTS),
            custom_translation_table={torch.ops.aten.sort.stable: sort_stable},
            verbose=False,
        )
        program.model.metadata_props.update(metadata.to_strings())
        program.save(str(path))


def write_openvino(onnx_path: Path, folder: Path, metadata: ExportMetadata, *, half: bool = False) -> None:
    """Write model.xml, model.bin and the metadata beside them into a new folder; weights in float32, or in fp16."""
    model = import_openvino("--to openvino").Core().read_model(str(onnx_path))
    save_openvino(model, folder, metadata, half=half)


def save_openvino(model: Any, folder: Path, metadata: ExportMetadata, *, half: bool = False) -> None:
    """Write an OpenVINO model as `write_openvino` does."""
    folder.mkdir()
    import_openvino("--to openvino").save_model(model, str(folder / "model.xml"), compress_to_fp16=half)
    write_text_atomically(folder / METADATA_FILE, json.dumps(metadata.to_strings(), indent=1))


def write_torch_export(graph: torch.export.ExportedProgram, path: Path, metadata: ExportMetadata) -> None:
    """Write torch.export's file, with the metadata as the extra file metadata.json."""
    with quiet():
        torch.export.save(graph, str(path), extra_files={METADATA_FILE: json.dumps(metadata.to_strings())})


class _AsTuple(nn.Module):
    """The twin with a plain tuple as its result, which can be written into a file."""

    def __init__(self, twin: StaticFasterRCNN):
        super().__init__()
        self.twin = twin

    def forward(self, images: torch.Tensor, sizes_hw: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.twin(images, sizes_hw))
