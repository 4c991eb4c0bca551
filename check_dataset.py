"""Find out what is wrong with a dataset, before any training.

    python check_dataset.py --config data_configs/ppe.yaml --img-size 640

Reads both splits and reports, in the terminal, as report.json and as report.html with images: files that cannot be
read or do not belong together, boxes and classes that were probably not meant, images that are in both splits, objects
that the model's anchors do not reach; and what to do about each. It never changes the dataset: --fix-to DIR writes a
repaired copy. The last line is the command to type next.

    python check_dataset.py --new data/my_data --output data_configs/my_data.yaml

writes the YAML of a folder as it is: VOC XML, COCO, YOLO or LabelMe, with or without splits.

    python check_dataset.py --config data_configs/ppe.yaml --weights outputs/training/NAME/best_model.pth --save voc

lists the labels that a trained model contradicts in label_errors.csv, and writes a corrected copy.

Exit status: 0; 1 where it found errors, or class names are missing; 2 where it could not check; 130 after Ctrl-C, 143
after SIGTERM, 129 after SIGHUP.
"""

import json
import os
import sys
from functools import partial
from pathlib import Path

from utils.cli.guard import DATA_PACKAGES, NETWORK_PACKAGES, check_python

if __name__ == "__main__":  # before anything else is imported: this Python may lack it
    check_python(DATA_PACKAGES)

from utils.cli.dataset_args import check_arguments
from utils.cli.script import ending
from utils.errors import ConfigError, ToolkitError
from utils.errors import printable as escape

if __name__ == "__main__":  # before the imports that take time
    with ending():
        ARGS = check_arguments()

import cv2

from models.registry import DEFAULT_MODEL, model_spec
from utils.annotations.findings import ERROR
from utils.checks.diagnosis import diagnose
from utils.checks.next_step import next_step
from utils.checks.report.terminal import BARS, WRITTEN_BY, count_line, terminal_lines, write_json
from utils.cli.command import command
from utils.config.config import load_config
from utils.dataset.scan import scan_splits
from utils.signals import Signals

REPORTS = ("report.html", "report.json")


def main(args) -> int:
    Signals()
    sys.stdout.reconfigure(errors="backslashreplace")  # names that the terminal cannot show
    if args.new:
        return write_new(args.new, args.output, args.split)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # damaged files are reported by name, below
    model = model_spec(args.model)
    config = load_config(args.config, split=args.split, split_groups=args.split_groups)
    given = {"model": args.model if args.model != DEFAULT_MODEL else None, "img_size": args.img_size}
    division = {"split": args.split, "split_groups": args.split_groups}
    replaced = earlier_reports(args.output)
    scans = scan_splits(config)
    img_size = args.img_size or model.img_size
    diagnosis = diagnose(config, scans, model=args.model, anchors=model.anchors, img_size=img_size)
    write_reports(diagnosis, args.output)  # before the text, whose reader may go away

    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    for line in terminal_lines(diagnosis, colour=colour, plain=not printable(BARS)):
        print(line)
    print()
    print(count_line(diagnosis, colour=colour))
    print(f"reports: {args.output / REPORTS[0]}, {REPORTS[1]}" + (" (the earlier ones replaced)" if replaced else ""))
    if args.weights:
        for line in label_errors(config, scans, args.weights, args.output, save=bool(args.save)):
            print(line)
    if args.fix_to:
        from utils.checks.repair import repair
        from utils.dataset.writer import YAML_NAME

        for line in repair(config, scans, args.fix_to):
            print(line)
        print(f"next: {command('check_dataset.py', config=args.fix_to / YAML_NAME, **given)}")
    else:
        print(f"next: {next_step(diagnosis, scans, given | division)}")
    return 1 if diagnosis.count(ERROR) else 0


def write_new(folder: Path, output: Path, share: float | tuple[float, float] | None) -> int:
    """Write the YAML of a dataset as it lies in `folder`; returns 1 where class names are missing in it."""
    from utils.discovery.dataset_yaml import check_new, summary_lines, write_dataset_yaml
    from utils.discovery.discover import discover
    from utils.discovery.layout import SHARE

    check_new(output)  # before the search, which may take a while
    found = discover(folder)
    write_dataset_yaml(found, output, share=share or SHARE)
    print("\n".join(escape(line) for line in summary_lines(found)))
    print(f"written: {output}")
    if not found.classes.names:
        print(f"to do: no file has the names of the class numbers; fill in CLASSES in {output}, in their order")
    print(f"next: {command('check_dataset.py', config=output)}")
    return 0 if found.classes.names else 1


def label_errors(config, scans, weights: Path, folder: Path, *, save: bool) -> list[str]:
    """Write the labels that a model's detections contradict to `folder`; return lines on them.

    With `save` also a copy of the dataset with the likeliest ones corrected, `folder / "corrected"`.
    """
    check_python(NETWORK_PACKAGES)
    from models import Detector
    from utils.evaluation.packed import PackedDetections, PackedTruth
    from utils.files import check_free
    from utils.label_errors.correction import LEAST_SCORE, write_corrected
    from utils.label_errors.detections import LEAST_DETECTED, detect_on
    from utils.label_errors.find import find_label_errors
    from utils.label_errors.table import CSV_NAME, error_lines, error_rows, write_csv

    if save:
        check_free(folder, ["corrected"])  # before minutes of work
    detector = Detector(weights)
    if tuple(detector.class_names) != tuple(config.class_names):
        raise ConfigError(
            f"{weights}: its classes are {', '.join(detector.class_names[1:])}, those of the dataset "
            f"{', '.join(config.class_names[1:])}: give a checkpoint that was trained on this dataset"
        )
    splits = {name: scan.annotations for name, scan in scans.items()}
    annotations = [annotation for part in splits.values() for annotation in part]
    found = PackedDetections.of_detections(detect_on(annotations, partial(detector, threshold=LEAST_DETECTED)))
    errors = find_label_errors(PackedTruth.of_annotations(annotations, config.class_names), found)
    rows = error_rows(errors, [a.image_path for a in annotations], config.class_names)
    write_csv(folder / CSV_NAME, rows)
    lines = [*error_lines(rows, images=len(annotations)), f"written: {folder / CSV_NAME}"]
    lines.append(
        "errors in images that the model was trained on may be hidden: train.py --folds 5 judges each image by a model "
        "that did not learn it"
    )
    if save:
        likely = sum(error.score >= LEAST_SCORE for error in errors)
        path = write_corrected(folder / "corrected", splits, errors, config.class_names)
        lines.append(f"written: {path}: a copy with {likely} labels as the model suggests; yours stay as they are")
    return lines


def earlier_reports(folder: Path) -> list[Path]:
    """Return the reports of an earlier check in `folder`, to be replaced. Raises ToolkitError for files of others."""
    there = [folder / name for name in REPORTS if (folder / name).exists()]
    if there:
        try:
            written_by = json.loads((folder / REPORTS[1]).read_bytes())["written_by"]
        except (OSError, ValueError, LookupError, TypeError):
            written_by = None
        if written_by != WRITTEN_BY:
            raise ToolkitError(
                f"{there[0]} is there already and was not written by a check: give another --output, or move it away"
            )
    return there


def write_reports(diagnosis, folder: Path) -> None:
    """Write report.json and report.html to `folder`, which is made. Raises ToolkitError where it cannot be."""
    from utils.checks.report.html import write_html

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ToolkitError(f"the folder {folder} cannot be made: {error.strerror or error}") from error
    write_json(diagnosis, folder / REPORTS[1])  # first: it says whose the other one is
    write_html(diagnosis, folder / REPORTS[0])


def printable(text: str) -> bool:
    """Check whether the terminal can show `text`."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


if __name__ == "__main__":
    with ending():
        sys.exit(main(ARGS))
