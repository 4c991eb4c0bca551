"""Compare engines on one image at a time: torch as it is and as inference runs it, ONNX Runtime, OpenVINO.

    python benchmarks/inference.py --models fasterrcnn_resnet50_fpn_v2 --sizes 320 640 --targets half onnx openvino

All take turns in one process, on the same weights (random: time does not depend on them, because the number of
proposals is fixed) and a drawn image of 4:3. Prints the median of each, and how many times as fast it is as `eager`,
the model in float32 as torchvision runs it. int8 is calibrated on drawn images: its time is right, its boxes are not.
Needs requirements-export.txt for all but eager, predictor and half.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from models import list_models, model_spec
from models.build import build_model
from models.exporting import export_graph, save_openvino, write_onnx, write_openvino
from models.quantising import quantise
from torch_utils.device import describe, pick_amp
from torch_utils.predictor import Predictor
from utils.exported.engines import open_engine
from utils.exported.metadata import ExportMetadata
from utils.exported.predictor import ExportedPredictor

CLASSES = ("__background__", "a", "b", "c", "d", "e")
MODELS = ("fasterrcnn_resnet50_fpn_v2", "fasterrcnn_resnet50_fpn", "fasterrcnn_mobilenet_v3_large_fpn")
TARGETS = {
    "predictor": "torch, Predictor as inference.py builds it",
    "half": "torch, Predictor with --half",
    "onnx": "ONNX Runtime, float32",
    "openvino": "OpenVINO, float32",
    "openvino-bf16": "OpenVINO, bfloat16",
    "openvino-int8": "OpenVINO, int8",
}
CALIBRATION_IMAGES = 8


def main(args) -> int:
    for line in describe(torch.device("cpu"), None):
        print(line)
    for name in args.models:
        for size in args.sizes:
            print(f"{name}, {size} px")
            with tempfile.TemporaryDirectory() as folder:
                runs = {"eager": eager(build(name, size))}
                runs |= {target: prepare(target, name, size, Path(folder)) for target in args.targets}
                report(measure(runs, drawn_image(size), args.repeats))
    return 0


def build(name: str, size: int) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_model(model_spec(name), len(CLASSES), size).eval()


def eager(model: torch.nn.Module) -> Callable:
    """Return a function that runs the model as torchvision's users do."""

    def run(image: np.ndarray):
        with torch.inference_mode():
            return model([torch.from_numpy(image).permute(2, 0, 1).float().div_(255)])

    return run


def prepare(target: str, name: str, size: int, folder: Path) -> Callable:
    """Return a function that detects in one image, RGB uint8 (H, W, 3)."""
    device = torch.device("cpu")
    model = build(name, size)
    if target in ("predictor", "half"):
        amp_dtype = pick_amp(device) if target == "half" else None
        if target == "half" and amp_dtype is None:
            print("  note: this CPU has no fast half precision")
        layout = torch.contiguous_format if amp_dtype is None else torch.channels_last
        predictor = Predictor(model.to(memory_format=layout), device, amp_dtype)
        return lambda image: predictor([image])
    metadata = ExportMetadata(
        model_name=name,
        class_names=CLASSES,
        img_size=size,
        long_side=model.transform.max_size,
        max_detections=model.roi_heads.detections_per_img,
        lowest_score=model.roi_heads.score_thresh,
    )
    onnx_path, as_float = folder / "model.onnx", folder / "float"
    if not onnx_path.exists():
        write_onnx(export_graph(model), onnx_path, metadata)
    if target == "onnx":
        exported = ExportedPredictor(open_engine(onnx_path))
        return lambda image: exported([image])
    if not as_float.exists():
        write_openvino(onnx_path, as_float, metadata)
    path = as_float / "model.xml"
    if target == "openvino-int8":
        inputs = ExportedPredictor(open_engine(path)).inputs
        images = [drawn_image(size, seed) for seed in range(CALIBRATION_IMAGES)]
        save_openvino(quantise(path, model, map(inputs, images)), folder / "int8", metadata)
        path = folder / "int8/model.xml"
    exported = ExportedPredictor(open_engine(path, half=target == "openvino-bf16"))
    return lambda image: exported([image])


def drawn_image(size: int, seed: int = 0) -> np.ndarray:
    """Return rectangles of all colours, RGB uint8 of 4:3 with a short side of `size` pixels."""
    rng = np.random.default_rng(seed)
    image = np.zeros((size, size * 4 // 3, 3), np.uint8)
    for _ in range(60):
        (y, x), (height, width) = rng.integers(0, size, 2), rng.integers(10, size // 2, 2)
        image[y : y + height, x : x + width] = rng.integers(0, 255, 3)
    return image


def measure(runs: dict[str, Callable], image: np.ndarray, repeats: int) -> dict[str, list[float]]:
    """Return the seconds of each run, one after the other in every round, without a first one of each."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(repeats + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            run(image)
            if number:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def report(seconds: dict[str, list[float]]) -> None:
    """Print median, and the median over the rounds of how many times as fast it is as eager."""
    for name, own in seconds.items():
        ratio = median(first / second for first, second in zip(seconds["eager"], own, strict=True))
        title = TARGETS.get(name, "torch, float32, torchvision's way")
        print(f"  {name:14s} {1000 * median(own):8.1f} ms  {ratio:5.2f} x  {title}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=list_models(), default=list(MODELS), metavar="NAME")
    parser.add_argument("--sizes", nargs="+", type=int, default=[320, 640], help="short sides in pixels")
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS), metavar="TARGET")
    parser.add_argument("--repeats", type=int, default=10, help="rounds")
    sys.exit(main(parser.parse_args()))
