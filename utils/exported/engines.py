"""Engines that run an exported graph on the CPU: ONNX Runtime, OpenVINO, and torch, each loaded where it is needed."""

import contextlib
import importlib
import importlib.util
import io
import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from utils.errors import CheckpointError, ConfigError
from utils.exported.metadata import ExportMetadata
from utils.exported.pt2 import read_pt2
from utils.img_size import STRIDE
from utils.system import cpu_count

METADATA_FILE = "metadata.json"  # beside an OpenVINO model
LEAST_SIDE = (
    3 * STRIDE
)  # of torch.export's graph: below, a level of the pyramid has one row, which is a case of its own
OUTPUTS = ("boxes", "scores", "labels", "counts")


class Engine(Protocol):
    """A graph that is ready to run.

    metadata: what its file says. title: engine, version and precision, for people. least_side: of a padded image.
    """

    metadata: ExportMetadata
    title: str
    least_side: int

    def run(self, images: np.ndarray, sizes_hw: np.ndarray) -> list[np.ndarray]:
        """Return boxes, scores, labels and counts, as `models.rcnn.static.FixedDetections` has them."""
        ...


def is_exported(path: Path | None) -> bool:
    """Check by its name whether a file is one that an engine runs."""
    return path is not None and path.suffix.lower() in ENGINES


def open_engine(path: Path, *, half: bool = False) -> Engine:
    """Load an exported detector.

    Args:
        path: an .onnx file, the .xml of an OpenVINO model, or torch.export's .pt2.
        half: bfloat16, where the engine and the CPU have it.

    Raises:
        CheckpointError: no such file, one that cannot be read, or one that export.py did not write. ConfigError: the
        engine's package is not installed.
    """
    if not path.is_file():
        near = sorted(entry.name for entry in path.parent.glob("*") if is_exported(entry))
        found = f"in {path.parent} there are: {', '.join(near)}" if near else f"{path.parent} holds no exported model"
        raise CheckpointError(f"{path}: no such file; {found}")
    return ENGINES[path.suffix.lower()](path, half=half)


class OnnxEngine:
    """ONNX Runtime, in float32."""

    least_side = STRIDE

    def __init__(self, path: Path, *, half: bool = False):
        onnxruntime = require("onnxruntime", f"{path}")
        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = cpu_count()
        options.log_severity_level = 3
        with _reading(path):
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.metadata = _metadata(path, self._session.get_modelmeta().custom_metadata_map)
        _check_outputs(path, [output.name for output in self._session.get_outputs()])
        self.title = f"onnxruntime {onnxruntime.__version__}, CPU, float32"

    def run(self, images: np.ndarray, sizes_hw: np.ndarray) -> list[np.ndarray]:
        return self._session.run(list(OUTPUTS), {"images": images, "sizes_hw": sizes_hw})


class OpenVinoEngine:
    """OpenVINO, in float32, or bfloat16 where the CPU is fast at it."""

    least_side = STRIDE

    def __init__(self, path: Path, *, half: bool = False):
        openvino = import_openvino(f"{path}")
        beside = path.with_name(METADATA_FILE)
        try:
            texts = json.loads(beside.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise CheckpointError(f"{path}: no {METADATA_FILE} beside it, so it is not from export.py") from None
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{beside}: cannot be read: {error}") from None
        if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
            raise CheckpointError(f"{beside}: expected a dict of texts, as export.py writes it")
        self.metadata = _metadata(path, texts)
        core = openvino.Core()
        half = half and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        options = {
            "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
            "INFERENCE_NUM_THREADS": cpu_count(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        with _reading(path):
            self._model = core.compile_model(core.read_model(str(path)), "CPU", options)
        _check_outputs(path, [name for output in self._model.outputs for name in output.names])
        version = openvino.__version__.partition("-")[0]
        self.title = f"openvino {version}, CPU, {'bfloat16' if half else 'float32'}"

    def run(self, images: np.ndarray, sizes_hw: np.ndarray) -> list[np.ndarray]:
        found = self._model({"images": images, "sizes_hw": sizes_hw})
        return [np.array(found[name]) for name in OUTPUTS]


class TorchEngine:
    """torch with the graph of torch.export, in float32."""

    least_side = LEAST_SIDE

    def __init__(self, path: Path, *, half: bool = False):
        self._torch = require("torch", f"{path}")
        require("torchvision", f"{path}")  # it has the operator RoIAlign
        try:
            file = read_pt2(path)
        except ValueError as error:
            raise CheckpointError(f"{path}: {error}") from None
        self.metadata = _metadata(path, file.metadata)
        with _reading(path), quiet():
            self._torch.load(io.BytesIO(file.sample_inputs), weights_only=True)  # torch.export would run it, too
            self._module = self._torch.export.load(file.archive).module()
        self.title = f"torch {self._torch.__version__}, CPU, float32"

    def run(self, images: np.ndarray, sizes_hw: np.ndarray) -> list[np.ndarray]:
        with self._torch.inference_mode():
            found = self._module(self._torch.from_numpy(images), self._torch.from_numpy(sizes_hw))
        return [part.numpy() for part in found]


ENGINES: dict[str, Callable[..., Engine]] = {".onnx": OnnxEngine, ".xml": OpenVinoEngine, ".pt2": TorchEngine}


def require(name: str, what: str) -> Any:
    """Import an optional package. Raises ConfigError, with the remedy, where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        lacks = name if isinstance(error, ModuleNotFoundError) and error.name == name else f"a whole {name} ({error})"
        raise ConfigError(
            f"{what} needs {name}, and this Python lacks {lacks}: pip install -r requirements-export.txt"
        ) from None


def import_openvino(what: str) -> Any:
    """Import OpenVINO without its telemetry, which would report the import itself; raises as `require` does."""
    if "openvino" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    return require("openvino", what)


def missing(names: tuple[str, ...]) -> list[str]:
    """Return those of the packages that are not installed."""
    return [name for name in names if importlib.util.find_spec(name) is None]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep progress and warnings of exporters and engines, which are for their developers, off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the engines' own, of many types
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise CheckpointError(f"{path}: not a readable model (cut short?): {lines[-1].strip():.200}") from None


def _metadata(path: Path, texts: dict[str, str]) -> ExportMetadata:
    try:
        return ExportMetadata.from_strings(texts)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}; export.py makes one of a checkpoint") from None


def _check_outputs(path: Path, names: list[str]) -> None:
    lacking = [name for name in OUTPUTS if name not in names]
    if lacking:
        raise CheckpointError(f"{path}: its graph has no output {lacking[0]}, but {', '.join(names[:6])}")
