"""The statistics of a data set as sections of an HTML page."""

import math

from utils.doctor.anchors import RATIOS, REACHED
from utils.doctor.diagnosis import Diagnosis, Histogram, SplitStatistics
from utils.doctor.html_charts import histogram_svg, median, split_class
from utils.doctor.html_text import counted, plain, share, table

LOG_ABOVE = 50  # so many times as many objects of one class as of another: bars by the logarithm
IN_ORDER = 30  # classes; more are sorted by frequency
MOST_CLASSES, MOST_SIZES = 1500, 12

Splits = dict[str, SplitStatistics]


def statistics_html(diagnosis: Diagnosis) -> str:
    """Everything that was counted; "" where nothing was."""
    splits = diagnosis.statistics
    if not splits:
        return ""
    names = "".join(f'<span><i class="{split_class(i)}"></i>{plain(split)}</span>' for i, split in enumerate(splits))
    parts = [
        '<h2 id="statistics">What the data set holds</h2>',
        f'<p class="legend">{names}</p>',
        _classes(splits),
        *_charts(diagnosis),
        f'<div class="side-by-side">\n{_counts(splits)}\n{_sizes(splits)}\n</div>',
    ]
    return "\n".join(part for part in parts if part)


def _counts(splits: Splits) -> str:
    rows = {
        "images": [f"{s.images:,}" for s in splits.values()],
        "images without objects": [_part(s.negatives, s.images) for s in splits.values()],
        "objects": [f"{s.objects:,}" for s in splits.values()],
        "objects per image": [f"{s.objects / s.images:.1f}" if s.images else "–" for s in splits.values()],
        "difficult objects": [f"{s.difficult:,}" for s in splits.values()],
    }
    return table("Counts", ["", *map(plain, splits)], list(rows.items()), kind="numbers")


def _part(count: int, total: int) -> str:
    return f"{count:,}" + (f" ({share(count / total)})" if count and total else "")


def _classes(splits: Splits) -> str:
    """A row for each class: objects and images of each split as numbers and bars, and what no anchor reaches."""
    names = list(dict.fromkeys(name for s in splits.values() for name in s.objects_of_class))
    if not names:
        return ""
    total = {name: sum(s.objects_of_class.get(name, 0) for s in splits.values()) for name in names}
    order = ""
    if len(names) > IN_ORDER:
        names.sort(key=lambda name: -total[name])
        order = f", the most frequent first{_of(len(names), MOST_CLASSES)}"
    columns = {
        "objects": [s.objects_of_class for s in splits.values()],
        "images": [s.images_of_class for s in splits.values()],
    }
    rows, scales = [], {title: _Scale(counts) for title, counts in columns.items()}
    for name in names[:MOST_CLASSES]:
        cells = [_bars([of.get(name, 0) for of in counts], scales[title]) for title, counts in columns.items()]
        cells.append("<br>".join(share(s.unreached_of_class.get(name, math.nan)) for s in splits.values()))
        rows.append((plain(name), cells))
    notes = [f"Unreached: boxes that no anchor overlaps with IoU {REACHED:g}."]
    if any(scale.log for scale in scales.values()):
        notes.append("Bars are by the logarithm, for some classes are far more frequent than others.")
    heads = ["class", "objects", "images with it", "unreached"]
    caption = f"Classes{order}<small>{' '.join(notes)}</small>"
    return table(caption, heads, rows, kind="classes")


def _of(count: int, most: int) -> str:
    return f"; {most:,} of {count:,}" if count > most else ""


class _Scale:
    """Lengths of bars, 0 to 100, for the counts of several splits by class."""

    def __init__(self, counts: list[dict[str, int]]):
        values = [count for of_class in counts for count in of_class.values() if count]
        self.highest = max(values, default=1)
        self.log = self.highest > LOG_ABOVE * min(values, default=1)

    def __call__(self, count: int) -> float:
        if self.log:
            return 100 * math.log1p(count) / math.log1p(self.highest)
        return 100 * count / self.highest


def _bars(counts: list[int], scale: _Scale) -> str:
    rows = []
    for number, count in enumerate(counts):
        zero = "" if count else ' class="zero"'
        bar = f'<rect class="{split_class(number)}" width="{scale(count):.1f}" height="10"/>'
        rows.append(
            f'<span class="bar"><svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">{bar}</svg>'
            f"<span{zero}>{count:,}</span></span>"
        )
    return "".join(rows)


def _charts(diagnosis: Diagnosis) -> list[str]:
    splits, size = diagnosis.statistics, diagnosis.img_size
    anchor_sides = sorted({side for of_map in diagnosis.anchors.sizes for side in of_map})
    sides = {split: s.box_sides for split, s in splits.items()}
    aspects = {split: s.box_aspects for split, s in splits.items()}
    ious = {split: s.anchor_ious for split, s in splits.items()}
    per_image = {split: s.objects_per_image for split, s in splits.items()}
    charts = [
        _figure(
            "Objects per image",
            histogram_svg("Objects per image", "objects in an image, share of the images", per_image, whole=True),
            _per_image(splits),
        ),
        _figure(
            "Sizes of the boxes",
            histogram_svg(
                "Sizes of the boxes", f"square root of the area in pixels, at image size {size}", sides,
                log=True, marks=anchor_sides, mark_label="sizes of the anchors",
            ),
            _halves(sides, " px") + " Boxes left of the first anchor are harder to find; a larger "
            "<code class='flag'>--img-size</code> moves all of them right.",
        ),
        _figure(
            "Shapes of the boxes",
            histogram_svg(
                "Shapes of the boxes", "height / width", aspects, log=True, marks=RATIOS,
                mark_label="shapes of the anchors",
            ),
            "Left of 1 boxes are wide, right of it tall.",
        ),
        _figure(
            "How well anchors fit",
            histogram_svg(
                "How well anchors fit", "highest IoU of an anchor with the box", ious, marks=(REACHED,),
                mark_label=f"IoU {REACHED:g}", span=(0, 1),
            ),
            _unreached(splits),
        ),
    ]  # fmt: skip
    charts = [chart for chart in charts if chart]
    return ['<div class="charts">', *charts, "</div>"] if charts else []


def _figure(title: str, svg: str, caption: str) -> str:
    return f"<figure><h3>{title}</h3>\n{svg}\n<figcaption>{caption}</figcaption></figure>" if svg else ""


def _halves(histograms: dict[str, Histogram], unit: str) -> str:
    told = [f"{median(h):.0f}{unit} ({plain(split)})" for split, h in histograms.items() if sum(h.counts)]
    return f"Half of the boxes are below about {', '.join(told)}."


def _per_image(splits: Splits) -> str:
    told = [f"{s.objects / s.images:.1f} ({plain(split)})" for split, s in splits.items() if s.images]
    negatives = any(s.negatives for s in splits.values())
    return f"On average {', '.join(told)}." + (" The bar at 0 is images without objects." if negatives else "")


def _unreached(splits: Splits) -> str:
    told = [
        f"<b>{share(s.unreached)}</b> ({plain(split)})" for split, s in splits.items() if not math.isnan(s.unreached)
    ]
    if not any(s.unreached > 0 for s in splits.values()):
        return f"Every box has an anchor that reaches IoU {REACHED:g} with it."
    return (
        f"Of the boxes, {', '.join(told)} reach no anchor with IoU {REACHED:g}. Each of them is learned from the "
        "one anchor that fits it best, and badly: such objects are found less often and less exactly. A larger "
        "<code class='flag'>--img-size</code> helps those that are too small, not those that are too long and thin."
    )


def _sizes(splits: Splits) -> str:
    total: dict[str, int] = {}
    for s in splits.values():
        for size, count in s.image_sizes.items():
            total[size] = total.get(size, 0) + count
    sizes = sorted(total, key=lambda size: -total[size])
    rows = [
        (plain(size).replace("x", "×"), [f"{s.image_sizes.get(size, 0):,}" for s in splits.values()])
        for size in sizes[:MOST_SIZES]
    ]
    if more := sizes[MOST_SIZES:]:
        counts = [f"{sum(s.image_sizes.get(size, 0) for size in more):,}" for s in splits.values()]
        rows.append((counted(len(more), "other size"), counts))
    caption = "Sizes of the images<small>Width × height in pixels, as the files have them.</small>"
    return table(caption, ["", *map(plain, splits)], rows, kind="numbers") if rows else ""
