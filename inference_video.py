"""Detect objects in a video, a camera's images or a stream, on the screen and in a file.

    python inference_video.py --weights outputs/training/NAME/best_model.pth --input data/inference_data/video_1.mp4 \
        --show-image --threshold 0.9

Writes INPUT.mp4, with the time stamps and the sound of the input, to outputs/inference/res_N or to --output. In the
window q or Esc ends, space pauses, s saves the image. Exit status: 0; 1 where a part of the input could not be
read (what came before is in the file); 2 for an error; 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP, with the
file finished.
"""

import sys

from utils.cli.guard import NETWORK_PACKAGES, check_python

if __name__ == "__main__":  # before anything else is imported: this Python may lack it
    check_python(NETWORK_PACKAGES)

from utils.cli.inference_args import predictor_options, video_arguments
from utils.cli.script import ending

if __name__ == "__main__":  # before the imports that take seconds: --help and mistyped flags answer at once
    with ending():
        ARGS = video_arguments()

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tqdm import tqdm

from models.predictors import build_predictor
from utils.drawing.window import VideoWindow, display_problem, show_figure
from utils.files import check_free, check_writable
from utils.inference.class_filter import class_filter
from utils.runs.run_dir import output_dir
from utils.signals import Signals, Stopped
from utils.video.jsonl import FrameLines
from utils.video.sources import open_source, output_stem
from utils.video.tracking import Tracker
from utils.video.video_run import VideoRun
from utils.video.writer import VideoWriter

INFERENCE_ROOT = Path("outputs/inference")
FOLLOWED = 0.1  # least score of detections that help --track to follow an object that is half hidden


def main(args) -> int:
    sys.stdout.reconfigure(errors="backslashreplace")  # names that the terminal cannot show
    Signals()  # each ends it with a finished file
    with open_source(
        args.input, every=args.every, start=args.start, end=args.end, reconnects=args.reconnect, fps=args.fps
    ) as source:
        stem = output_stem(args.input)
        if args.output:  # before anything is computed
            check_free(args.output, (f"{stem}.mp4", f"{stem}.jsonl"))
        printed = print_notes(source.notes)
        window = open_window(args, str(source.path))
        lowest = FOLLOWED if args.track else 1.0
        predict, class_names, threshold = build_predictor(
            args.weights, threshold=args.threshold, lowest=lowest, **predictor_options(args)
        )
        tracker = Tracker(float(source.rate / args.every), threshold=threshold) if args.track else None
        wanted_labels = class_filter(args.classes, class_names)
        with output_dir(args.output, INFERENCE_ROOT) as out_dir:
            check_writable(out_dir, [f"{stem}.mp4", *([f"{stem}.jsonl"] if "json" in args.save else [])])
            run = VideoRun(
                source,
                open_writer(args, source, out_dir / f"{stem}.mp4"),
                FrameLines(out_dir / f"{stem}.jsonl", class_names) if "json" in args.save else None,
                class_names,
                threshold=threshold,
                wanted_labels=wanted_labels,
                tracker=tracker,
                show_labels=not args.no_labels,
            )
            try:
                run.play(predict, batch_size=args.batch_size, window=window)
            except Stopped as stopped:
                with suppress(OSError):  # a terminal that hung up takes no output
                    tqdm.write("stopped")
                    run.print_summary()
                return stopped.status
        run.print_summary()
        print_notes(source.notes[printed:])
        if args.mpl_show and run.last is not None:
            problem = show_figure(str(source.path), run.last)
            if problem:
                print(f"note: --mpl-show: {problem}")
        if run.writer.damaged_sound:
            print(f"note: {run.writer.damaged_sound} packets of its sound are damaged and left out")
        if source.missing:
            print(f"warning: {source.missing}", file=sys.stderr)
        return 1 if source.missing else 0


def open_writer(args, source, path: Path) -> VideoWriter:
    """Return a writer for the frames of an open source; the file is made with the first one."""
    return VideoWriter(
        path,
        rate=source.rate / args.every,
        time_base=source.time_base,
        start=args.start,
        live=source.live,
        audio_streams=source.audio_streams,
    )


def print_notes(notes: Sequence[str]) -> int:
    """Print the notes on a source and return how many there are."""
    for note in notes:
        print(f"note: {note}")
    return len(notes)


def open_window(args, title: str) -> VideoWindow | None:
    """Return a window where --show-image asks for one; None, and print why, where none can be opened."""
    if not args.show_image:
        return None
    problem = display_problem()
    if problem:
        print(f"note: no window: {problem}; the result goes to the file alone")
        return None
    print("keys in the window: space pauses, s saves the image, q or Esc ends")
    return VideoWindow(title)


if __name__ == "__main__":
    with ending():
        sys.exit(main(ARGS))
