"""Collects the statistics of a dataset for the report's template."""

import math

from utils.checks.anchors import RATIOS, REACHED
from utils.checks.diagnosis import Diagnosis
from utils.checks.report.charts import Chart, histogram, median, split_class
from utils.checks.statistics import Histogram, SplitStatistics
from utils.html.markup import counted, share

LOG_ABOVE = 50  # so many times as many objects of one class as of another: bars by the logarithm
IN_ORDER = 30  # classes; more are sorted by frequency
MOST_CLASSES, MOST_SIZES = 1500, 12

Splits = dict[str, SplitStatistics]


def statistics_view(diagnosis: Diagnosis) -> dict | None:
    """Collect everything that was counted for the template `statistics.html`; None where nothing was."""
    splits = diagnosis.statistics
    if not splits:
        return None
    return {
        "legend": [(split_class(number), split) for number, split in enumerate(splits)],
        "heads": ["", *splits],
        "classes": _classes(splits),
        "charts": [chart for chart in _charts(diagnosis) if chart],
        "counts": list(_counts(splits).items()),
        "sizes": _sizes(splits),
    }


def _counts(splits: Splits) -> dict[str, list[str]]:
    return {
        "images": [f"{s.images:,}" for s in splits.values()],
        "images without objects": [_part(s.negatives, s.images) for s in splits.values()],
        "objects": [f"{s.objects:,}" for s in splits.values()],
        "objects per image": [f"{s.objects / s.images:.1f}" if s.images else "–" for s in splits.values()],
        "difficult objects": [f"{s.difficult:,}" for s in splits.values()],
    }


def _part(count: int, total: int) -> str:
    return f"{count:,}" + (f" ({share(count / total)})" if count and total else "")


def _classes(splits: Splits) -> dict | None:
    """Return a row for each class: objects and images of each split as numbers and bars, and what no anchor reaches."""
    names = list(dict.fromkeys(name for s in splits.values() for name in s.objects_of_class))
    if not names:
        return None
    total = {name: sum(s.objects_of_class.get(name, 0) for s in splits.values()) for name in names}
    order = ""
    if len(names) > IN_ORDER:
        names.sort(key=lambda name: -total[name])
        order = f", the most frequent first{_of(len(names), MOST_CLASSES)}"
    objects = [s.objects_of_class for s in splits.values()]
    images = [s.images_of_class for s in splits.values()]
    scales = _Scale(objects), _Scale(images)
    rows = [
        {
            "name": name,
            "objects": _bars([of.get(name, 0) for of in objects], scales[0]),
            "images": _bars([of.get(name, 0) for of in images], scales[1]),
            "unreached": [share(s.unreached_of_class.get(name, math.nan)) for s in splits.values()],
        }
        for name in names[:MOST_CLASSES]
    ]
    notes = f"Unreached: boxes that no anchor overlaps with IoU {REACHED:g}."
    if any(scale.log for scale in scales):
        notes += " Bars are by the logarithm, because some classes are far more frequent than others."
    return {"caption": f"Classes{order}", "notes": notes, "rows": rows}


def _of(count: int, most: int) -> str:
    return f"; {most:,} of {count:,}" if count > most else ""


class _Scale:
    """The lengths of bars, 0 to 100, for the counts of several splits by class."""

    def __init__(self, counts: list[dict[str, int]]):
        values = [count for of_class in counts for count in of_class.values() if count]
        self.highest = max(values, default=1)
        self.log = self.highest > LOG_ABOVE * min(values, default=1)

    def __call__(self, count: int) -> float:
        if self.log:
            return 100 * math.log1p(count) / math.log1p(self.highest)
        return 100 * count / self.highest


def _bars(counts: list[int], scale: _Scale) -> list[dict]:
    return [
        {"split": split_class(number), "count": count, "width": scale(count)} for number, count in enumerate(counts)
    ]


def _charts(diagnosis: Diagnosis) -> list[Chart | None]:
    splits, size = diagnosis.statistics, diagnosis.img_size
    anchor_sides = sorted({side for of_map in diagnosis.anchors.sizes for side in of_map})
    sides = {split: s.box_sides for split, s in splits.items()}
    aspects = {split: s.box_aspects for split, s in splits.items()}
    ious = {split: s.anchor_ious for split, s in splits.items()}
    per_image = {split: s.objects_per_image for split, s in splits.items()}
    smaller = "Boxes left of the first anchor are harder to find; a larger --img-size moves all of them right."
    return [
        histogram(
            "Objects per image", "objects in an image, share of the images", per_image, _per_image(splits), whole=True
        ),
        histogram(
            "Sizes of the boxes", f"square root of the area in pixels, at image size {size}", sides,
            f"{_halves(sides, ' px')} {smaller}", log=True, marks=anchor_sides, mark_label="sizes of the anchors",
        ),
        histogram(
            "Shapes of the boxes", "height / width", aspects, "Left of 1 boxes are wide, right of it tall.", log=True,
            marks=RATIOS, mark_label="shapes of the anchors",
        ),
        histogram(
            "How well anchors fit", "highest IoU of an anchor with the box", ious, _unreached(splits),
            marks=(REACHED,), mark_label=f"IoU {REACHED:g}", span=(0, 1),
        ),
    ]  # fmt: skip


def _halves(histograms: dict[str, Histogram], unit: str) -> str:
    halves = [f"{median(h):.0f}{unit} ({split})" for split, h in histograms.items() if sum(h.counts)]
    return f"Half of the boxes are below about {', '.join(halves)}."


def _per_image(splits: Splits) -> str:
    means = [f"{s.objects / s.images:.1f} ({split})" for split, s in splits.items() if s.images]
    negatives = any(s.negatives for s in splits.values())
    return f"On average {', '.join(means)}." + (" The bar at 0 is images without objects." if negatives else "")


def _unreached(splits: Splits) -> str:
    shares = [f"{share(s.unreached)} ({split})" for split, s in splits.items() if not math.isnan(s.unreached)]
    if not any(s.unreached > 0 for s in splits.values()):
        return f"Every box has an anchor that reaches IoU {REACHED:g} with it."
    return (
        f"Of the boxes, {', '.join(shares)} reach no anchor with IoU {REACHED:g}. Each of them is learned from the "
        "one anchor that fits it best, and badly: such objects are found less often and less exactly. A larger "
        "--img-size helps those that are too small, not those that are too long and thin."
    )


def _sizes(splits: Splits) -> list[tuple[str, list[str]]]:
    total: dict[str, int] = {}
    for s in splits.values():
        for size, count in s.image_sizes.items():
            total[size] = total.get(size, 0) + count
    sizes = sorted(total, key=lambda size: -total[size])
    rows = [
        (size.replace("x", "×"), [f"{s.image_sizes.get(size, 0):,}" for s in splits.values()])
        for size in sizes[:MOST_SIZES]
    ]
    if more := sizes[MOST_SIZES:]:
        counts = [f"{sum(s.image_sizes.get(size, 0) for size in more):,}" for s in splits.values()]
        rows.append((counted(len(more), "other size"), counts))
    return rows
