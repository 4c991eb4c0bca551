"""A dataset in another format, as a copy; the original stays as it is.

python convert_dataset.py --config data_configs/ppe.yaml --to yolo --output data/ppe_yolo
"""

import argparse
import sys
from pathlib import Path

from utils.cli.guard import DATA_PACKAGES, check_python

if __name__ == "__main__":  # before anything else is imported: this Python may lack it
    check_python(DATA_PACKAGES)

from utils.annotations.scan_result import format_findings
from utils.cli.parser import Parser, add_split_flags, words
from utils.cli.script import ending
from utils.config.config import load_config
from utils.dataset.scan import raise_for_errors, scan_splits
from utils.dataset.writer import write_dataset
from utils.formats.formats import FORMATS
from utils.signals import Signals


def arguments(argv=None) -> argparse.Namespace:
    parser = Parser(description="Copy a dataset into another format.")
    parser.add_argument("-c", "--config", "--data", type=Path, required=True, help="dataset YAML")
    parser.add_argument("--to", choices=tuple(FORMATS), required=True, help="the new format")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="new folder: images, annotations, dataset.yaml"
    )
    add_split_flags(parser.add_argument)
    parser.add_argument("--skip-bad", action="store_true", help="leave out the files that have faults")
    return parser.parse_args(words(argv))


def main(args: argparse.Namespace) -> int:
    Signals()
    sys.stdout.reconfigure(errors="backslashreplace")  # names that the terminal cannot show
    config = load_config(args.config, split=args.split, split_groups=args.split_groups)
    scans = scan_splits(config, skip_bad=args.skip_bad)
    raise_for_errors(scans)
    changed = [line for scan in scans.values() for line in format_findings(scan.findings)]
    for line in changed[:10]:
        print(f"note: {line}", file=sys.stderr)
    if len(changed) > 10:
        print(f"note: … and {len(changed) - 10} more; check_dataset.py lists them all", file=sys.stderr)
    annotations = {name: scan.annotations for name, scan in scans.items()}
    for line in FORMATS[args.to].notes([annotation for part in annotations.values() for annotation in part]):
        print(f"note: {line}", file=sys.stderr)
    path = write_dataset(
        args.output, annotations, config.class_names, args.to, source=config.source, pixel_range=config.pixel_range
    )
    counts = ", ".join(f"{len(part)} {name}" for name, part in annotations.items())
    print(f"{counts} images in {args.to} format; train with: python train.py --config {path}")
    return 0


if __name__ == "__main__":
    with ending():
        sys.exit(main(arguments()))
