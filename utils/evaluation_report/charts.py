"""Lays out line charts and stacked bars for SVG inside an HTML page, whose style has the colours for light and dark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 440, 300
LEFT, TOP, RIGHT, BOTTOM = 46, 14, 14, 42  # around the plot
MOST_POINTS = 160  # of a line

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """A line through points in the units of its chart; `style` is its class in CSS, `key` what scripts find it by."""

    name: str
    points: Points
    style: str
    key: str = ""
    dots: bool = False


@dataclass(frozen=True)
class Drawn:
    """A line as SVG has it."""

    name: str
    style: str
    key: str
    path: str
    dots: list[tuple[float, float, str]]


@dataclass(frozen=True)
class LineChart:
    """The places of everything that a chart draws, in units of its viewBox; the template has the markup.

    grid: (y, text). ticks: (x, text). marks: (x, text) of dashed lines from top to bottom.
    """

    title: str
    label: str
    x_name: str
    y_name: str
    grid: list[tuple[float, str]]
    ticks: list[tuple[float, str]]
    lines: list[Drawn]
    marks: list[tuple[float, str]]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    base: int = HEIGHT - BOTTOM


def line_chart(
    title: str,
    lines: Sequence[Line],
    *,
    x_name: str,
    y_name: str,
    label: str,
    x_span: tuple[float, float] = (0.0, 1.0),
    y_span: tuple[float, float] | None = (0.0, 1.0),
    marks: Sequence[tuple[float, str]] = (),
) -> LineChart:
    """Lay out lines; points that are not finite are left out.

    Args:
        label: what a screen reader says in place of the chart.
        y_span: None for 0 up to the highest value.
    """
    lines = [Line(one.name, _finite(one.points), one.style, one.key, one.dots) for one in lines]
    highest = max((y for one in lines for _, y in one.points), default=1.0)
    low, high = y_span or (0.0, (highest or 1.0) * 1.06)
    first, last = x_span if x_span[1] > x_span[0] else (x_span[0] - 0.5, x_span[0] + 0.5)

    def x(value: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (value - first) / (last - first), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / (high - low), 1)

    drawn = []
    for one in lines:
        points = [(x(a), y(b)) for a, b in _thinned(one.points)]
        path = "".join(f"{'L' if i else 'M'}{a} {b}" for i, (a, b) in enumerate(points))
        dots = [(x(a), y(b), f"{one.name}: {a:.3g}, {b:.3g}") for a, b in one.points] if one.dots else []
        drawn.append(Drawn(one.name, one.style, one.key, path, dots))
    return LineChart(
        title,
        label,
        x_name,
        y_name,
        [(y(value), f"{value:g}") for value in _steps(low, high, 5)],
        [(x(value), f"{value:g}") for value in _steps(first, last, 8) if first <= value <= last],
        drawn,
        [(x(value), text) for value, text in marks if math.isfinite(value)],
    )


def _finite(points: Points) -> list[tuple[float, float]]:
    return [(x, y) for x, y in points if x is not None and y is not None and math.isfinite(x) and math.isfinite(y)]


def _thinned(points: Points) -> list[tuple[float, float]]:
    """Return at most `MOST_POINTS`, both ends among them."""
    if len(points) <= MOST_POINTS:
        return list(points)
    step = (len(points) - 1) / (MOST_POINTS - 1)
    return [points[round(i * step)] for i in range(MOST_POINTS)]


def _steps(low: float, high: float, most: int) -> list[float]:
    """Return round numbers from `low` to `high`, about `most` of them at most."""
    rough = (high - low) / most
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * f for f in (1, 2, 2.5, 5, 10) if size * f >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


@dataclass(frozen=True)
class Bar:
    """A stacked bar of shares: (style, y, height, text) of each part, x and width of all."""

    name: str
    total: int
    x: float
    width: float
    parts: list[tuple[str, float, float, str]]


def stacked_bars(names: Sequence[str], counts: dict[str, list[int]]) -> list[Bar]:
    """Lay out one bar for each name, as high as the plot of a `LineChart`, of the shares of `counts[part][bar]`."""
    wide, tall = (WIDTH - LEFT - RIGHT) / len(names), HEIGHT - TOP - BOTTOM
    bars = []
    for i, name in enumerate(names):
        total, y, parts = sum(of_part[i] for of_part in counts.values()), float(HEIGHT - BOTTOM), []
        for part, of_part in counts.items():
            height = tall * of_part[i] / total if total else 0.0
            y -= height
            if height:
                text = f"{name}: {part} {of_part[i]:,} of {total:,}"
                parts.append((part, round(y, 1), round(height, 1), text))
        bars.append(Bar(name, total, round(LEFT + i * wide + 2, 1), round(wide - 4, 1), parts))
    return bars
