"""Detect objects in images: a file, a folder, a pattern in quotes, or a text file with one path per line.

    python inference.py --weights outputs/training/NAME/best_model.pth --input data/inference_data --save json voc

Writes each image with its boxes, under its own name, to outputs/inference/res_N or to --output, and with --save:
predictions.json (COCO), predictions.csv, voc/*.xml for labelImg or CVAT, crops/CLASS/*. Exit
status: 0; 1 where something of an image could not be read or written (the rest is done); 2 for an error; 130 after
Ctrl-C, 143 after SIGTERM, 129 after SIGHUP, with the tables of what is done.
"""

import sys

from utils.cli.guard import NETWORK_PACKAGES, check_python

if __name__ == "__main__":  # before anything else is imported: this Python may lack it
    check_python(NETWORK_PACKAGES)

from utils.cli.inference_args import image_arguments, predictor_options
from utils.cli.script import ending

if __name__ == "__main__":  # before the imports that take seconds: --help and mistyped flags answer at once
    with ending():
        ARGS = image_arguments()

from collections import deque
from contextlib import closing, nullcontext, suppress
from pathlib import Path

import cv2

from models.predictors import build_predictor
from utils.drawing.window import display_problem, show_figures, show_images
from utils.errors import ToolkitError
from utils.inference.class_filter import class_filter
from utils.inference.image_run import ImageRun
from utils.inference.outputs import ImageOutputs
from utils.inference.sources import find_images
from utils.inference.summary import print_summary
from utils.runs.run_dir import output_dir
from utils.signals import Signals, Stopped

INFERENCE_ROOT = Path("outputs/inference")


def main(args) -> int:
    sys.stdout.reconfigure(errors="backslashreplace")  # names that the terminal cannot show
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # damaged files are reported by name instead
    signals = Signals()
    sources, notes = find_images(args.input, exclude=[INFERENCE_ROOT, *([args.output] if args.output else [])])
    for note in notes:
        print(f"note: {note}")
    outputs = ImageOutputs(sources, args.save)
    if args.output:
        outputs.check_free(args.output)
    show = choose_window(args)
    predictor, class_names, threshold = build_predictor(
        args.weights, threshold=args.threshold, **predictor_options(args)
    )
    run = ImageRun(
        sources,
        outputs,
        predictor,
        class_names,
        threshold=threshold,
        batch_size=args.batch_size,
        wanted_labels=class_filter(args.classes, class_names),
        show_labels=not args.no_labels,
    )
    with output_dir(args.output, INFERENCE_ROOT) as outputs.folder:
        failure = work_through(run, show, signals)
    with suppress(OSError) if signals.noted else nullcontext():  # a terminal that hung up takes no output
        print_summary(run, stopped=bool(signals.noted))
    if signals.noted:
        return 128 + signals.noted
    if failure:
        raise failure
    return 1 if run.skipped or run.unwritten else 0


def work_through(run: ImageRun, show, signals: Signals):
    """Detect on all images and write the tables of what is done, whatever ended it; return the error that did."""
    try:
        try:
            with closing(run.drawn_images(keep=bool(show))) as images:
                if show:
                    show(images)
                else:
                    deque(images, maxlen=0)
        finally:
            with signals.held():
                run.write_tables()
    except Stopped:
        pass
    except (ToolkitError, OSError) as error:  # a full disk: the rest would fail, too
        return error
    return None


def choose_window(args):
    """Return a function that shows images, or None; print why where a window is wanted and cannot be opened."""
    if args.show_image:
        problem = display_problem()
        if problem is None:
            print("keys in the window: q or Esc ends, any other shows the next image")
            return lambda images: show_images(args.input, images, seconds=0)
        print(f"note: no window: {problem}; the results are in files alone")
    return show_figures if args.mpl_show else None


if __name__ == "__main__":
    with ending():
        sys.exit(main(ARGS))
