"""Histograms as SVG inside an HTML page: colours come from the page's style, so they suit light and dark."""

import math
from collections.abc import Callable, Sequence

from utils.doctor.diagnosis import Histogram
from utils.doctor.html_text import plain, share

WIDTH, HEIGHT = 440, 236
LEFT, TOP, RIGHT, BOTTOM = 44, 24, 12, 40  # around the plot


def histogram_svg(
    title: str,
    unit: str,
    histograms: dict[str, Histogram],
    *,
    log: bool = False,
    whole: bool = False,
    marks: Sequence[float] = (),
    mark_label: str = "",
    span: tuple[float, float] | None = None,
) -> str:
    """One outline for each split, as the share of its values in each bin; "" where there are no values at all.

    Args:
        unit: what stands below the axis.
        log: bins are spaced by their logarithm.
        whole: bins are whole numbers, so a number stands below the middle of its bin.
        marks: values with a dashed line, told by `mark_label`.
        span: first and last value of the axis; by default, as far as there are values and marks.
    """
    histograms = {split: _finite(h, log=log) for split, h in histograms.items() if sum(h.counts)}
    if not histograms:
        return ""
    low, high = span or _span(histograms, marks)
    along: Callable[[float], float] = math.log if log else float
    plot_width, plot_height, base = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM, HEIGHT - BOTTOM

    def x(value: float) -> float:
        value = min(max(value, low), high)
        return LEFT + plot_width * (along(value) - along(low)) / (along(high) - along(low))

    shares = {split: [count / sum(h.counts) for count in h.counts] for split, h in histograms.items()}
    steps, top = _ticks(max(max(values) for values in shares.values()))

    def y(value: float) -> float:
        return base - plot_height * value / top

    parts = []
    for step in steps:
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(step):.1f}" y2="{y(step):.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(step) + 4:.1f}" text-anchor="end">{share(step)}</text>')
    for number, (split, histogram) in enumerate(histograms.items()):
        path = f"M{x(histogram.edges[0]):.1f} {base}"
        for edge, after, value in zip(histogram.edges[:-1], histogram.edges[1:], shares[split], strict=True):
            path += f"V{y(value):.1f}H{x(after):.1f}" if after > low and edge < high else ""
        parts.append(f'<path class="area {split_class(number)}" d="{path}V{base}Z"/>')
    for value, label, place in _x_labels(histograms, low, high, log=log, whole=whole):
        parts.append(f'<text x="{x(place):.1f}" y="{base + 16}" text-anchor="middle">{label}</text>')
        parts.append(f'<line class="tick" x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{base}" y2="{base + 4}"/>')
    for mark in marks:
        parts.append(f'<line class="mark" x1="{x(mark):.1f}" x2="{x(mark):.1f}" y1="{TOP}" y2="{base}"/>')
    if marks:
        middle = x(math.sqrt(marks[0] * marks[-1]) if log else (marks[0] + marks[-1]) / 2)
        parts.append(
            f'<text class="mark-label" x="{middle:.1f}" y="14" text-anchor="middle">{plain(mark_label)}</text>'
        )
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}"/>')
    parts.append(f'<text x="{LEFT + plot_width / 2}" y="{HEIGHT - 5}" text-anchor="middle">{plain(unit)}</text>')
    parts += _tips(histograms, shares, x, low, high, whole=whole)
    told = "; ".join(f"{split}: half of the values below {_round(median(h))}" for split, h in histograms.items())
    label = plain(f"{title}, {unit}. {told}")
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">\n' + "\n".join(parts) + "\n</svg>"


def split_class(number: int) -> str:
    """The style's name for the colour of a split."""
    return f"split{number % 4}"


def median(histogram: Histogram) -> float:
    """About: as if values were spread evenly in their bin; NaN without values."""
    half, before = sum(histogram.counts) / 2, 0
    for edge, after, count in zip(histogram.edges[:-1], histogram.edges[1:], histogram.counts, strict=True):
        if count and before + count >= half:
            return edge + (after - edge) * (half - before) / count
        before += count
    return math.nan


def _finite(histogram: Histogram, *, log: bool) -> Histogram:
    """Edges that can be drawn: a first edge of 0 has no logarithm, a last one may be infinite."""
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
    """Values for about four lines across, and the top of the axis."""
    rough = highest / 4
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * f for f in (1, 2, 2.5, 5, 10) if size * f >= rough * 0.999)
    if step * 100 < 1:
        step = 0.01 if highest > 0.02 else step
    return [i * step for i in range(1, int(highest / step + 1e-9) + 1)], highest * 1.06


def _x_labels(histograms, low: float, high: float, *, log: bool, whole: bool) -> list[tuple[float, str, float]]:
    """(value, label, where the label stands) below the axis."""
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


def _tips(histograms, shares, x, low: float, high: float, *, whole: bool) -> list[str]:
    """What each bin holds, shown where the pointer rests on it."""
    bins: dict[tuple[float, float], list[str]] = {}
    for split, h in histograms.items():
        for edge, after, count, part in zip(h.edges[:-1], h.edges[1:], h.counts, shares[split], strict=True):
            if count and after > low and edge < high:
                bins.setdefault((edge, after), []).append(f"{split} {count:,} ({share(part)})")
    tips = []
    for (edge, after), lines in bins.items():
        name = f"{edge:g}" if whole and after - edge <= 1 else f"{_round(edge)} to {_round(after)}"
        place = f'x="{x(edge):.1f}" width="{x(after) - x(edge):.1f}" y="{TOP}" height="{HEIGHT - TOP - BOTTOM}"'
        tips.append(f'<rect class="tip" {place}><title>{plain(name + ": " + ", ".join(lines))}</title></rect>')
    return tips


def _round(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
