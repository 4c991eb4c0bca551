"""The command line of check_dataset.py."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from utils.cli.parser import Parser, add_split_flags, image_size, words

CHECKS_ROOT, CONFIGS = Path("outputs/checks"), Path("data_configs")


def check_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the arguments of check_dataset.py."""
    parser = Parser(description="Find out what is wrong with a dataset, before training.")
    add = parser.add_argument
    add("-c", "--config", "--data", type=Path, help="dataset YAML, such as data_configs/ppe.yaml")
    add("--new", type=Path, metavar="FOLDER", help="write the YAML of a folder of images and annotations instead")
    add("-m", "--model", default="fasterrcnn_resnet50_fpn_v2", help="the model to be trained, for its anchors")
    add("-ims", "--img-size", "--imgsz", type=image_size, help="short side in pixels; default: the model's, mostly 640")
    add_split_flags(add)
    add("-o", "--output", type=Path,
        help="folder for report.html and report.json; default: outputs/checks/NAME; with --new, the YAML to write; "
        "default: data_configs/FOLDER.yaml")  # fmt: skip
    add("--fix-to", type=Path, metavar="DIR", help="write a repaired copy of the dataset there; yours stays as it is")
    add("-w", "--weights", type=Path, metavar="CHECKPOINT",
        help="list the labels that this model's detections contradict, as label_errors.csv in --output")  # fmt: skip
    add("--save", choices=("voc",), help="with --weights, write a copy with the likeliest errors corrected as VOC XML")
    args = parser.parse_args(words(argv))
    if (args.config is None) == (args.new is None):
        parser.error("one of --config YAML, to check a dataset, and --new FOLDER, to write the YAML of one, is needed")
    if args.save and not args.weights:
        parser.error("--save voc writes what a model suggests: give --weights CHECKPOINT, too")
    if args.new is not None:
        if args.fix_to or args.split_groups or args.weights:
            parser.error("--new only writes a YAML: give --fix-to, --split-groups and --weights to the check of it")
        args.output = args.output or CONFIGS / f"{args.new.resolve().name or 'dataset'}.yaml"
        if args.output.suffix.lower() not in (".yaml", ".yml"):
            parser.error(f"--output {args.output}: expected the YAML to write, such as data_configs/my_data.yaml")
        return args
    carried = args.config.stem in ("dataset", "data")  # beside its data: the folder has the name
    name = args.config.absolute().parent.name if carried else args.config.stem
    args.output = args.output or CHECKS_ROOT / (name or args.config.stem)
    return args
