"""Plots what is labelled: objects per class and image, and the sizes of the boxes."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import LogFormatter, MaxNLocator, PercentFormatter

from utils.annotations.annotation import Annotation
from utils.drawing.colors import BLUE, GREEN, ORANGE, PURPLE, RED
from utils.drawing.text import font_path, one_line
from utils.plots.figure import (
    DPI,
    INK,
    legend_below,
    plain_text,
    save,
    style,
)

Splits = dict[str, list[Annotation]]

COCO_AREAS = (32**2, 96**2)  # in pixels: small below the first, large from the second

MAX_CLASSES = 120


@plain_text
def plot_label_statistics(path: Path, class_names: Sequence[str], splits: Splits) -> None:
    """Draw what is labelled to the PNG `path`: objects per class and per image, and the sizes of the boxes.

    Args:
        class_names: index 0 is the background. Of more than 120 classes the most frequent 120 are drawn.
        splits: annotations of each split, such as `{"train": [...], "val": [...]}`; a split may be empty.
    """
    counts = {
        split: sum((np.bincount(a.labels, minlength=len(class_names)) for a in annotations), np.zeros(len(class_names)))
        for split, annotations in splits.items()
    }
    total = np.sum(list(counts.values()), axis=0)[1:]
    chosen = np.sort(np.argsort(-total, kind="stable")[:MAX_CLASSES]) + 1
    parts = np.array_split(chosen, 1 if len(chosen) <= 24 else 2 if len(chosen) <= 50 else 3)
    bars_height = 0.4 + len(parts[0]) * (0.12 + 0.16 * len(splits))  # in inches, as is all below but widths
    height = bars_height + 5.6
    figure = Figure(figsize=(13, height), dpi=DPI)
    note = "" if len(chosen) == len(total) else f" ({len(chosen)} most frequent of {len(total)} classes)"
    figure.text(0.02, 1 - 0.35 / height, f"Objects per class{note}", fontsize=14, weight="bold", color=INK)
    for i, part in enumerate(parts):
        names = [n if len(n) <= 28 else f"{n[:27]}…" for n in (one_line(class_names[c]) for c in part)]
        names_width = 0.015 + 0.0065 * max(map(len, names))
        left, width = 0.01 + i * 0.97 / len(parts) + names_width, 0.97 / len(parts) - names_width - 0.02
        ax = figure.add_axes((left, 5.15 / height, width, (bars_height - 0.15) / height))
        _class_bars(ax, names, {split: count[part] for split, count in counts.items()})
        ax.set_xlim(0, 1.15 * max(1, max(count[1:].max() for count in counts.values())))
    figure.legend(*ax.get_legend_handles_labels(), loc="upper right", ncols=len(splits), frameon=False)
    axes = [figure.add_axes((0.06 + i * 0.33, 1.0 / height, 0.26, 3.2 / height)) for i in range(3)]
    _objects_per_image(axes[0], splits)
    _box_sizes(axes[1], splits)
    _coco_sizes(axes[2], splits)
    save(figure, path)


def _class_bars(ax: Axes, names: list[str], counts: dict[str, np.ndarray]) -> None:
    style(ax, "", "")
    for (split, count), offset, thickness, color in _side_by_side(counts):
        bars = ax.barh(np.arange(len(names)) + offset, count, thickness, color=color, label=split)
        for text, n in zip(ax.bar_label(bars, fmt="%d", padding=3, fontsize=8), count, strict=True):
            text.set_color(INK if n else RED)
    ax.set_yticks(range(len(names)), names)
    for label in ax.get_yticklabels():
        label.set_fontproperties(FontProperties(fname=font_path(label.get_text()), size=9))
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    ax.grid(False, axis="y")


def _objects_per_image(ax: Axes, splits: Splits) -> None:
    style(ax, "objects in an image", "share of the split's images", "Objects per image")
    counts = {split: np.array([len(a.labels) for a in annotations], int) for split, annotations in splits.items()}
    most = max((count.max() for count in counts.values() if len(count)), default=0)
    wide = max(1, math.ceil(most / 25))
    edges = np.array([0, *range(1, most + wide + 1, wide)])  # images without objects have a bar of their own
    for (split, count), offset, thickness, color in _side_by_side(counts):
        share = np.histogram(count, edges)[0] / max(1, len(count))
        label = f"{split}: {len(count)} images, {(count == 0).sum()} without objects"
        ax.bar(np.arange(len(share)) + offset, share, thickness, color=color, label=label)
    every = math.ceil(len(edges) / (14 if wide == 1 else 7))
    names = [f"{a}" if b - a == 1 else f"{a}–{b - 1}" for a, b in zip(edges[:-1], edges[1:], strict=True)]
    ax.set_xticks(range(0, len(names), every), names[::every])
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    legend_below(ax)


def _box_sizes(ax: Axes, splits: Splits) -> None:
    style(ax, "box width / image width", "box height / image height", "Box sizes in their images")
    images = [a for annotations in splits.values() for a in annotations if len(a.boxes)]
    shares = [(a.boxes[:, 2:] - a.boxes[:, :2]) / (a.width, a.height) for a in images]
    width, height = np.clip(np.concatenate([*shares, np.zeros((0, 2))]), 0, 1).T
    bins = 25 if len(width) < 1000 else 50
    if len(width):
        *_, mesh = ax.hist2d(width, height, bins, range=((0, 1), (0, 1)), norm=LogNorm(), cmap="viridis_r", cmin=1)
        bar = ax.figure.colorbar(mesh, ax=ax, label="objects", pad=0.02, format=LogFormatter())
        bar.ax.yaxis.set_minor_formatter(LogFormatter())
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1))


def _coco_sizes(ax: Axes, splits: Splits) -> None:
    style(ax, "share of the split's objects", "", "Sizes after COCO (area in pixels)")
    for row, annotations in enumerate(splits.values()):
        areas = [(a.boxes[:, 2:] - a.boxes[:, :2]).prod(axis=1) for a in annotations]
        sizes = np.bincount(np.digitize(np.concatenate([*areas, []]), COCO_AREAS), minlength=3)
        share = sizes / max(1, sizes.sum())
        for size, (name, color) in enumerate((("small < 32²", ORANGE), ("medium < 96²", GREEN), ("large", BLUE))):
            left = share[:size].sum()
            ax.barh(row, share[size], 0.6, left=left, color=color, label="" if row else name)
            text = f"{share[size]:.0%}\n{sizes[size]}" if share[size] > 0.05 else ""
            ax.text(left + share[size] / 2, row, text, ha="center", va="center", color="white", fontsize=9)
    ax.set_yticks(range(len(splits)), splits)
    ax.set_ylim(len(splits) - 0.4, -0.6)
    ax.set_xlim(0, 1)
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.grid(False, axis="y")
    legend_below(ax, columns=3)


def _side_by_side(counts: dict[str, np.ndarray]) -> Iterator[tuple[tuple[str, np.ndarray], float, float, str]]:
    """Yield each split and its counts, with offset, thickness and colour of its bar within a slot of width 1."""
    thickness = 0.8 / len(counts)
    for i, item in enumerate(counts.items()):
        yield item, (i - (len(counts) - 1) / 2) * thickness, thickness, (BLUE, ORANGE, GREEN, PURPLE)[i % 4]
