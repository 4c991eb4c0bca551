"""The command line of export.py."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from utils.cli.parser import Parser, image_size, positive, words

TARGETS = ("onnx", "openvino", "torch-export")


def export_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the arguments of export.py."""
    parser = Parser(description="Write a checkpoint as a model for other engines, and check that it detects the same.")
    add = parser.add_argument
    add("-w", "--weights", type=Path, required=True, help="checkpoint, such as outputs/training/NAME/best_model.pth")
    add("--to", nargs="+", choices=TARGETS, default=["onnx"], metavar="TARGET", help=f"{', '.join(TARGETS)}")
    add("-o", "--output", type=Path, help="folder for the results; default: outputs/export/NAME")
    add("-ims", "--img-size", "--imgsz", type=image_size, help="short side in pixels; default: the checkpoint's")
    add("--max-detections", type=positive, metavar="N", help="the most objects of an image; default: the checkpoint's")
    add("--images", type=Path, help="folder of images to compare on; default: drawn ones and data/inference_data")
    add("-m", "--model", help="model name, for a checkpoint that does not say")
    add("-c", "--config", "--data", type=Path, help="YAML with CLASSES, for a checkpoint that does not say")
    return parser.parse_args(words(argv))
