"""The command line of evaluate.py."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from utils.cli.parser import Parser, image_size, inner_share, number, positive, share, words

_overlap = number(float, 0, "a number from 0 to 0.9", most=0.9)
_iou = number(float, 0.05, "an overlap from 0.05 to 1", most=1)
# What detecting takes, and files of results do not.
_OF_A_MODEL = (
    "weights", "pretrained", "model", "config", "slice", "img_size", "half", "max_detections", "skip_bad",
    "save_thresholds", "label_errors",
)  # fmt: skip


def evaluation_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the arguments of evaluate.py."""
    parser = Parser(description="Say how good a detector is, how sure that is, and at what threshold to use it.")
    add = parser.add_argument
    add("-w", "--weights", type=Path, help="checkpoint, such as outputs/training/NAME/best_model.pth")
    add("-c", "--config", "--data", type=Path, help="dataset YAML; default: config.yaml beside the checkpoint")
    add("--split", choices=("val", "test", "train"), default="val", help="images to evaluate on")
    add("--pretrained", choices=("coco",), help="evaluate torchvision's published detector instead of --weights")
    add("-m", "--model", help="model name, for --pretrained and for a checkpoint that does not say")
    add("--predictions", type=Path, metavar="JSON", help="score these COCO results, of any detector, instead")
    add("--ground-truth", type=Path, metavar="JSON", help="the COCO annotations that --predictions belong to")
    add("--against", type=Path, metavar="OTHER", help="a checkpoint to compare with; with --predictions, COCO results")
    add("--iou", type=_iou, default=0.5, help="overlap from which a box is right; AP has its own ten")
    add("-th", "--threshold", type=share, help="say what this score finds, instead of the one of the best F1")
    add("--min-precision", type=inner_share, metavar="P", help="find the threshold from which this precision is sure")
    add("--min-recall", type=inner_share, metavar="R", help="find the threshold up to which this recall is sure")
    add("--save-thresholds", type=Path, metavar="FILE", help="write a copy of the checkpoint that has the thresholds")
    add("--label-errors", action="store_true", help="list labels that the detections contradict: label_errors.csv")
    add("-o", "--output", type=Path, help="folder for the results; default: outputs/evaluation/res_N, the next free N")
    add("--skip-bad", action="store_true", help="leave out images and annotations that cannot be used")
    add("--batch-size", type=positive, default=4, help="images per run of the network")
    add("-d", "--device", default="auto", help="auto, cpu, cuda, cuda:N, or mps on a Mac")
    add("-ims", "--img-size", "--imgsz", type=image_size, help="short side in pixels; default: the checkpoint's")
    add("--max-detections", type=positive, metavar="N", help="the most objects of an image; default: the checkpoint's")
    add("--half", action="store_true", help="half precision: bf16 or fp16, whichever the device has")
    add("--slice", type=image_size, metavar="SIZE", help="detect in windows of SIZE pixels, for small objects")
    add("--overlap", type=_overlap, default=0.2, help="share of a window that the next one repeats, with --slice")
    args = parser.parse_args(words(argv))
    if (args.predictions is None) != (args.ground_truth is None):
        parser.error("--predictions JSON and --ground-truth JSON belong together")
    if args.predictions:
        if given := [name for name in _OF_A_MODEL if getattr(args, name)]:
            flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            parser.error(f"--predictions are scored as they stand: leave out {flags}")
    elif (args.weights is None) == (args.pretrained is None):
        parser.error("expected one of --weights CHECKPOINT, --pretrained coco, and --predictions with --ground-truth")
    elif args.pretrained and (args.config is None or args.save_thresholds):
        parser.error("--pretrained coco needs --config, and has no checkpoint to copy for --save-thresholds")
    return args
