"""The command line of export.py."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from utils.cli.parser import Parser, image_size, positive, words

TARGETS = ("onnx", "openvino", "torch-export", "web")


def export_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the arguments of export.py."""
    parser = Parser(description="Write a checkpoint as a model for other engines, and check that it detects the same.")
    add = parser.add_argument
    add("-w", "--weights", type=Path, required=True, help="checkpoint, such as outputs/training/NAME/best_model.pth")
    add("--to", nargs="+", choices=TARGETS, metavar="TARGET", help=f"{', '.join(TARGETS)}; default: onnx")
    add("-o", "--output", type=Path, help="folder for the results; default: outputs/export/NAME")
    add("-ims", "--img-size", "--imgsz", type=image_size, help="short side in pixels; default: the checkpoint's")
    add("--max-detections", type=positive, metavar="N", help="the most objects of an image; default: the checkpoint's")
    add("--images", type=Path, help="folder of images to compare on, or to calibrate with")
    add("-m", "--model", help="model name, for a checkpoint that does not say")
    add("-c", "--config", "--data", type=Path, help="the dataset, for --int8, and for a checkpoint without classes")
    precision = parser.add_mutually_exclusive_group()
    precision.add_argument("--half", action="store_true", help="store the weights in fp16, of openvino")
    precision.add_argument(
        "--int8", action="store_true", help="compute in int8, of openvino, calibrated and checked on --config's images"
    )
    add(
        "--runtime",
        type=Path,
        metavar="DIR",
        help="npm's onnxruntime-web, for web; default: node_modules/onnxruntime-web",
    )
    args = parser.parse_args(words(argv))
    flag = "--int8" if args.int8 else "--half" if args.half else None
    args.to = args.to or ["openvino" if flag else "onnx"]
    if flag and args.to != ["openvino"]:
        parser.error(f"{flag} is for --to openvino alone: the others run in float32 on CPUs")
    if args.runtime and "web" not in args.to:
        parser.error("--runtime is for --to web alone")
    return args
