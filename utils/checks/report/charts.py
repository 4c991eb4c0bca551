"""Lays out histograms for SVG inside an HTML page, whose style has the colours for light and dark."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from utils.checks.statistics import Histogram
from utils.html.markup import share

WIDTH, HEIGHT = 440, 236
LEFT, TOP, RIGHT, BOTTOM = 44, 24, 12, 40  # around the plot


@dataclass(frozen=True)
class Chart:
    """The places of everything that a histogram draws, in units of its viewBox; the template has the markup.

    grid: (y, text). areas: (style, SVG path) of each split. labels: (x of the tick, x of the text, text). marks: x of
    each dashed line. tips: (x, width, text) of what is shown where the pointer rests.
    """

    title: str
    unit: str
    caption: str
    label: str
    grid: list[tuple[float, str]]
    areas: list[tuple[str, str]]
    labels: list[tuple[float, float, str]]
    marks: list[float]
    mark_label: str
    marks_at: float
    tips: list[tuple[float, float, str]]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    base: int = HEIGHT - BOTTOM

    @property
    def middle(self) -> float:
        """Return the middle of the plot's width."""
        return (self.left + self.right) / 2


def histogram(
    title: str,
    unit: str,
    histograms: dict[str, Histogram],
    caption: str,
    *,
    log: bool = False,
    whole: bool = False,
    marks: Sequence[float] = (),
    mark_label: str = "",
    span: tuple[float, float] | None = None,
) -> Chart | None:
    """Lay out one outline for each split, as the share of its values in each bin; None where there are no values.

    Args:
        unit: what stands below the axis.
        log: bins are spaced by their logarithm.
        whole: bins are whole numbers, so a number stands below the middle of its bin.
        marks: values with a dashed line, named by `mark_label`.
        span: first and last value of the axis; by default, as far as there are values and marks.
    """
    histograms = {split: _finite(h, log=log) for split, h in histograms.items() if sum(h.counts)}
    if not histograms:
        return None
    low, high = span or _span(histograms, marks)
    along: Callable[[float], float] = math.log if log else float
    plot_width, plot_height, base = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM, HEIGHT - BOTTOM

    def x(value: float) -> float:
        value = min(max(value, low), high)
        return round(LEFT + plot_width * (along(value) - along(low)) / (along(high) - along(low)), 1)

    shares = {split: [count / sum(h.counts) for count in h.counts] for split, h in histograms.items()}
    steps, top = _ticks(max(max(values) for values in shares.values()))

    def y(value: float) -> float:
        return round(base - plot_height * value / top, 1)

    areas = []
    for number, (split, h) in enumerate(histograms.items()):
        path = f"M{x(h.edges[0])} {base}"
        for edge, after, value in zip(h.edges[:-1], h.edges[1:], shares[split], strict=True):
            path += f"V{y(value)}H{x(after)}" if after > low and edge < high else ""
        areas.append((split_class(number), f"{path}V{base}Z"))
    ends = (marks[0], marks[-1]) if marks else (low, high)
    halves = "; ".join(f"{split}: half of the values below {_round(median(h))}" for split, h in histograms.items())
    return Chart(
        title,
        unit,
        caption,
        f"{title}, {unit}. {halves}",
        grid=[(y(step), share(step)) for step in steps],
        areas=areas,
        labels=[(x(v), x(place), text) for v, text, place in _x_labels(histograms, low, high, log=log, whole=whole)],
        marks=[x(mark) for mark in marks],
        mark_label=mark_label,
        marks_at=x(math.sqrt(ends[0] * ends[1]) if log else (ends[0] + ends[1]) / 2),
        tips=_tips(histograms, shares, x, low, high, whole=whole),
    )


def split_class(number: int) -> str:
    """Return the style's name for the colour of a split."""
    return f"split{number % 4}"


def median(histogram: Histogram) -> float:
    """Return about the median, as if values were spread evenly in their bin; NaN without values."""
    half, before = sum(histogram.counts) / 2, 0
    for edge, after, count in zip(histogram.edges[:-1], histogram.edges[1:], histogram.counts, strict=True):
        if count and before + count >= half:
            return edge + (after - edge) * (half - before) / count
        before += count
    return math.nan


def _finite(histogram: Histogram, *, log: bool) -> Histogram:
    """Return edges that can be drawn: a first edge of 0 has no logarithm, a last one may be infinite."""
    edges = list(histogram.edges)
    if log and edges[0] <= 0:
        edges[0] = edges[1] / (edges[2] / edges[1] if len(edges) > 2 and math.isfinite(edges[2]) else 2)
    if math.isinf(edges[-1]):
        edges[-1] = edges[-2] * 2 if log else edges[-2] + max(1, edges[-2] - edges[-3] if len(edges) > 2 else 1)
    return Histogram(tuple(edges), histogram.counts)


def _span(histograms: dict[str, Histogram], marks: Sequence[float]) -> tuple[float, float]:
    ends = list(marks)
    for h in histograms.values():
        filled = [i for i, count in enumerate(h.counts) if count]
        ends += [h.edges[filled[0]], h.edges[filled[-1] + 1]]
    low, high = min(ends), max(ends)
    return low, high if high > low else low + 1


def _ticks(highest: float) -> tuple[list[float], float]:
    """Return values for about four lines across, and the top of the axis."""
    rough = highest / 4
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * f for f in (1, 2, 2.5, 5, 10) if size * f >= rough * 0.999)
    if step * 100 < 1:
        step = 0.01 if highest > 0.02 else step
    return [i * step for i in range(1, int(highest / step + 1e-9) + 1)], highest * 1.06


def _x_labels(histograms, low: float, high: float, *, log: bool, whole: bool) -> list[tuple[float, str, float]]:
    """Return (value, text, place of the text) below the axis."""
    if log:  # powers of two, as anchors are
        powers = range(math.ceil(math.log2(low) - 1e-9), math.floor(math.log2(high) + 1e-9) + 1)
        every = math.ceil(len(powers) / 9)
        chosen = [power for power in powers if power % every == 0]
        return [(2.0**p, f"{2**p}" if p >= 0 else f"1/{2**-p}", 2.0**p) for p in chosen]
    edges = sorted({edge for h in histograms.values() for edge in h.edges if low <= edge <= high})
    if whole:
        bins = list(zip(edges[:-1], edges[1:], strict=True))
        every = math.ceil(len(bins) / (12 if high < 100 else 8))
        wide = [(a, b) for i, (a, b) in enumerate(bins) if i % every == 0]
        return [((a + b) / 2 if b - a <= 1 else a, f"{a:g}", (a + b) / 2 if b - a <= 1 else a) for a, b in wide]
    step = next(s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 10**9) if (high - low) / s <= 10.5)
    first = math.ceil(low / step - 1e-9)
    return [(i * step, f"{i * step:g}", i * step) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _tips(histograms, shares, x, low: float, high: float, *, whole: bool) -> list[tuple[float, float, str]]:
    """Return (x, width, text) of what each bin holds."""
    bins: dict[tuple[float, float], list[str]] = {}
    for split, h in histograms.items():
        for edge, after, count, part in zip(h.edges[:-1], h.edges[1:], h.counts, shares[split], strict=True):
            if count and after > low and edge < high:
                bins.setdefault((edge, after), []).append(f"{split} {count:,} ({share(part)})")
    tips = []
    for (edge, after), lines in bins.items():
        name = f"{edge:g}" if whole and after - edge <= 1 else f"{_round(edge)} to {_round(after)}"
        tips.append((x(edge), round(x(after) - x(edge), 1), f"{name}: {', '.join(lines)}"))
    return tips


def _round(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
