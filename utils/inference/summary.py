"""The lines at the end of a run over images: how many, how fast, where the results are, what was skipped."""

import sys
from collections import Counter
from statistics import median

from utils.inference.image_run import ImageRun


def print_summary(run: ImageRun, *, stopped: bool) -> None:
    """Print the figures of a run, and on standard error what was skipped or could not be written."""
    count = len(run.results)
    if stopped or count + len(run.skipped) < len(run.sources):
        print(f"stopped after {count} of {len(run.sources)} images")
    speed = f", {1000 * median(run.network_seconds):.1f} ms per image in the network (median)" if count else ""
    print(f"{count} images{speed}")
    _print_objects(run)
    for line in run.outputs.summary(written=count > 0):
        print(line)
    _print_notes(run)
    if run.skipped:  # each is named above, when it came up
        print(f"{len(run.skipped)} of {len(run.sources)} images were skipped (see above)", file=sys.stderr)
    if run.unwritten:
        print(f"{len(run.unwritten)} files could not be written (see above)", file=sys.stderr)


def _print_objects(run: ImageRun) -> None:
    objects = Counter(label for result in run.results for label in result.detections.labels.tolist())
    per_class = ", ".join(f"{run.class_names[label]} {objects[label]}" for label in sorted(objects))
    total = sum(objects.values())
    print(f"{total} detections of {run.threshold:g} or more" + (f": {per_class}" if objects else ""))
    if run.predictor.capped:
        print(
            f"note: the limit of {run.predictor.max_detections} detections was reached {run.predictor.capped} times, "
            "so some objects may be missing: --max-detections N raises it"
        )


def _print_notes(run: ImageRun) -> None:
    if run.flat:
        more = f" (so in {len(run.flat) - 1} more images)" if len(run.flat) > 1 else ""
        pixel_range = run.predictor.pixel_range
        trained = f"with PIXEL_RANGE {list(pixel_range)}" if pixel_range else "without PIXEL_RANGE"
        print(f"note: {min(run.flat)}{more}; the checkpoint was trained {trained}")
    if run.animated:
        more = f" (so of {len(run.animated) - 1} more images)" if len(run.animated) > 1 else ""
        print(f"note: {min(run.animated)} was used{more}; inference_video.py takes animations")
