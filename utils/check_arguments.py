"""The command line of check_dataset.py."""

import argparse
import difflib
from collections.abc import Sequence
from pathlib import Path

from utils.command_line import Parser, add_split_flags, image_size, words
from utils.doctor.anchors import ANCHORS
from utils.errors import ConfigError

CHECKS_ROOT = Path("outputs/checks")


def check_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Arguments of check_dataset.py, with the model's own --img-size where none is given.

    Raises ConfigError, with the known names, for an unknown model.
    """
    parser = Parser(description="Find out what is wrong with a data set, before training.")
    add = parser.add_argument
    add("-c", "--config", "--data", type=Path, required=True, help="data set YAML, such as data_configs/ppe.yaml")
    add("-m", "--model", default="fasterrcnn_resnet50_fpn_v2", help="the model to be trained, for its anchors")
    add("-ims", "--img-size", "--imgsz", type=image_size, help="short side in pixels; default: the model's, mostly 640")
    add_split_flags(add)
    add("-o", "--output", type=Path, help="folder for report.html and report.json; default: outputs/checks/NAME")
    add("--fix-to", type=Path, metavar="DIR", help="write a repaired copy of the data set there; yours stays as it is")
    args = parser.parse_args(words(argv))
    if args.model not in ANCHORS:
        close = difflib.get_close_matches(args.model, ANCHORS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ConfigError(f"unknown model {args.model!r}.{hint} Known models: {', '.join(ANCHORS)}")
    args.img_size = args.img_size or ANCHORS[args.model].img_size
    carried = args.config.stem in ("dataset", "data")  # beside its data: the folder has the name
    name = args.config.absolute().parent.name if carried else args.config.stem
    args.output = args.output or CHECKS_ROOT / (name or args.config.stem)
    return args
