"""The command line of check_dataset.py."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from utils.cli.parser import Parser, add_split_flags, image_size, words

CHECKS_ROOT = Path("outputs/checks")


def check_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the arguments of check_dataset.py."""
    parser = Parser(description="Find out what is wrong with a dataset, before training.")
    add = parser.add_argument
    add("-c", "--config", "--data", type=Path, required=True, help="dataset YAML, such as data_configs/ppe.yaml")
    add("-m", "--model", default="fasterrcnn_resnet50_fpn_v2", help="the model to be trained, for its anchors")
    add("-ims", "--img-size", "--imgsz", type=image_size, help="short side in pixels; default: the model's, mostly 640")
    add_split_flags(add)
    add("-o", "--output", type=Path, help="folder for report.html and report.json; default: outputs/checks/NAME")
    add("--fix-to", type=Path, metavar="DIR", help="write a repaired copy of the dataset there; yours stays as it is")
    args = parser.parse_args(words(argv))
    carried = args.config.stem in ("dataset", "data")  # beside its data: the folder has the name
    name = args.config.absolute().parent.name if carried else args.config.stem
    args.output = args.output or CHECKS_ROOT / (name or args.config.stem)
    return args
