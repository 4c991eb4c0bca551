"""Writes a detector as ONNX, OpenVINO and torch.export files."""

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models.rcnn.faster_rcnn import SyncFreeFasterRCNN
from models.rcnn.static import StaticFasterRCNN
from utils.exported.engines import METADATA_FILE, OUTPUTS, import_openvino, require
from utils.exported.metadata import ExportMetadata
from utils.files import write_text_atomically
from utils.img_size import STRIDE

OPSET = 20
MOST_STRIDES = 1024  # height and width of a batch at most: 32768 pixels
LEAST_SIDE = (
    3 * STRIDE
)  # of torch.export's files: below, a level of the pyramid has a single row, which is a case of its own


def export_graph(model: SyncFreeFasterRCNN) -> torch.export.ExportedProgram:
    """Return the graph of a detector in evaluation mode, for one image of any height and width.

    Its inputs and outputs are those of `models.rcnn.static.StaticFasterRCNN`.
    """
    sides = {2 + i: STRIDE * torch.export.Dim(f"side{i}", min=1, max=MOST_STRIDES) for i in range(2)}
    inputs = (torch.rand(1, 3, 96, 160), torch.tensor([[96.0, 150.0]]))
    with torch.no_grad(), _quiet():
        return torch.export.export(_AsTuple(StaticFasterRCNN(model)).eval(), inputs, dynamic_shapes=(sides, None))


def write_onnx(graph: torch.export.ExportedProgram, path: Path, metadata: ExportMetadata) -> None:
    """Write an ONNX file with the metadata among its properties."""
    require("onnx", "--to onnx")
    operators = require("onnxscript", "--to onnx").opset20

    def sort_stable(self, stable=True, dim=-1, descending=False):
        # ONNX has no sort; of equal values its TopK gives the one of the lower index first
        axis = operators.Constant(value_ints=[dim])
        count = operators.Gather(operators.Shape(self), axis)
        return operators.TopK(self, count, axis=dim, largest=int(descending), sorted=1)

    with torch.no_grad(), _quiet():
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


def write_openvino(onnx_path: Path, folder: Path, metadata: ExportMetadata) -> None:
    """Write model.xml, model.bin and the metadata beside them into a new folder, in float32."""
    openvino = import_openvino("--to openvino")
    folder.mkdir()
    model = openvino.Core().read_model(str(onnx_path))
    openvino.save_model(model, str(folder / "model.xml"), compress_to_fp16=False)
    write_text_atomically(folder / METADATA_FILE, json.dumps(metadata.to_strings(), indent=1))


def write_torch_export(graph: torch.export.ExportedProgram, path: Path, metadata: ExportMetadata) -> None:
    """Write torch.export's file, with the metadata as the extra file metadata.json."""
    with _quiet():
        torch.export.save(graph, str(path), extra_files={METADATA_FILE: json.dumps(metadata.to_strings())})


class _AsTuple(nn.Module):
    """The twin with a plain tuple as its result, which can be written into a file."""

    def __init__(self, twin: StaticFasterRCNN):
        super().__init__()
        self.twin = twin

    def forward(self, images: torch.Tensor, sizes_hw: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.twin(images, sizes_hw))


class TorchExportEngine:
    """The file of torch.export as a `utils.exported.engines.Engine`, to check it; no side is below LEAST_SIDE."""

    def __init__(self, path: Path):
        texts = {METADATA_FILE: ""}
        with _quiet():
            self._module = torch.export.load(str(path), extra_files=texts).module()
        self.metadata = ExportMetadata.from_strings(json.loads(texts[METADATA_FILE]))
        self.title = f"torch {torch.__version__}, CPU, float32"

    def run(self, images: np.ndarray, sizes_hw: np.ndarray) -> list[np.ndarray]:
        with torch.no_grad():
            return [part.numpy() for part in self._module(torch.from_numpy(images), torch.from_numpy(sizes_hw))]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' progress and warnings, which are for their developers, off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
