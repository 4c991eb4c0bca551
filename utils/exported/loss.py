"""The AP that an export of less precision loses against its checkpoint, and what it gains in speed."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from utils.annotations.annotation import Annotation
from utils.coco_eval import CocoEvaluator
from utils.detections import Detections
from utils.evaluation.bootstrap import Interval, summaries
from utils.evaluation.comparison import compare
from utils.evaluation.matching import average_precision, match

MOST_LOSS = 0.005  # of AP

Predict = Callable[[Sequence[np.ndarray]], list[Detections]]


@dataclass(frozen=True)
class Loss:
    """The AP of an export and of its checkpoint on the same images.

    difference: export - checkpoint, with its 95 % interval by paired resamples. seconds, checkpoint_seconds: of an
    image, median.
    """

    images: int
    ap: float
    checkpoint_ap: float
    difference: Interval
    seconds: float
    checkpoint_seconds: float

    @property
    def holds(self) -> bool:
        """Check that no more is lost than may be; without objects nothing is known."""
        return -self.difference.value <= MOST_LOSS

    def __str__(self) -> str:
        value, low, high = (100 * part for part in self.difference)
        return (
            f"AP {100 * self.ap:.1f}, the checkpoint's {100 * self.checkpoint_ap:.1f}, on {self.images} images: "
            f"{value:+.2f} ({low:+.2f} to {high:+.2f})"
        )

    def to_dict(self) -> dict:
        """Return plain types; NaN becomes None."""
        numbers = {"ap": self.ap, "checkpoint_ap": self.checkpoint_ap, "ap_difference": self.difference.value}
        numbers |= {"ap_low": self.difference.low, "ap_high": self.difference.high}
        numbers |= {"seconds": self.seconds, "checkpoint_seconds": self.checkpoint_seconds}
        found = {name: None if np.isnan(value) else float(value) for name, value in numbers.items()}
        return {"images": self.images, **found, "speed": self.checkpoint_seconds / self.seconds}


def measure_loss(
    annotations: Sequence[Annotation],
    class_names: Sequence[str],
    images: Iterable[np.ndarray],
    *,
    checkpoint: Predict,
    exported: Predict,
    max_detections: int = 100,
) -> Loss:
    """Detect on annotated images, RGB uint8 (H, W, 3), with both in turn, and compare their AP.

    `class_names` are those of annotations and detections, background first.
    """
    both = checkpoint, exported
    evaluators = [CocoEvaluator(annotations, class_names, max_detections=max_detections) for _ in both]
    seconds: list[list[float]] = [[], []]
    for index, image in enumerate(images):
        for which in (0, 1) if index % 2 else (1, 0):
            if not index:
                both[which]([image])
            started = time.perf_counter()
            (found,) = both[which]([image])
            seconds[which].append(time.perf_counter() - started)
            evaluators[which].add(index, found)
    matches = [match(*each.packed(), max_detections=max_detections, image_ids=each.ids) for each in evaluators]
    ap = [float(summaries(average_precision(each), each.class_names)["ap"]) for each in matches]
    difference = compare(*matches).differences["ap"]
    return Loss(len(annotations), ap[1], ap[0], difference, median(seconds[1]), median(seconds[0]))
