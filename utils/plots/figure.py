"""A figure as all plots here begin and end: drawn with Agg, never with pyplot, so no display is needed or touched."""

import warnings
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from utils.drawing.text import font_path, one_line
from utils.files import atomic_path

INK, GREY, PALE = "#333a42", "#8a939e", "#e4e7eb"
DPI = 110
MOST_TITLE = 48  # characters of a run's name beside the heading

# For every function that makes a figure: names come from users, and `$` in them begins no formula.
plain_text = matplotlib.rc_context({"text.parse_math": False, "text.usetex": False})


def new_figure(title: str, x_label: str, y_label: str) -> tuple[Figure, Axes]:
    """Make one pair of axes below a heading, with room for `legend_above`."""
    figure = Figure(figsize=(9, 5.4), dpi=DPI)
    ax = figure.add_axes((0.1, 0.1, 0.87, 0.71))
    figure.text(0.03, 0.945, title, fontsize=14, weight="bold", color=INK)
    style(ax, x_label, y_label)
    return figure, ax


def style(ax: Axes, x_label: str, y_label: str, title: str = "") -> None:
    """Set labels, grid and colours of the axes."""
    ax.set_title(title, loc="left", fontsize=11, weight="bold", color=INK)
    ax.set_xlabel(x_label, color=INK)
    ax.set_ylabel(y_label, color=INK)
    ax.grid(True, color=PALE, lw=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(color=GREY, labelcolor=INK)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GREY)


def legend_above(figure: Figure) -> None:
    """Add a legend of the curves, in rows of three between heading and axes, where it can cover none of them."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if handles:
        figure.legend(
            handles, labels, loc="upper left", bbox_to_anchor=(0.022, 0.94), ncols=3, fontsize=9, frameon=False
        )


def legend_below(ax: Axes, *, columns: int = 1) -> None:
    """Add a legend to one of several pairs of axes, below its label."""
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=columns, fontsize=8, frameon=False)


def write_beside_heading(figure: Figure, text: str) -> None:
    """Write the run's name, or its beginning, in the upper right corner."""
    text = one_line(text)
    text = text if len(text) <= MOST_TITLE else f"{text[: MOST_TITLE - 1]}…"
    figure.text(0.97, 0.945, text, ha="right", color=GREY, fontproperties=FontProperties(fname=font_path(text)))


def save(figure: Figure, path: Path) -> None:
    """Write a PNG, whole or not at all."""
    with atomic_path(path) as partial, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # font_path has said so
        FigureCanvasAgg(figure).print_png(partial)
