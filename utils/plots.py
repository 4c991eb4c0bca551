"""PNGs made from `metrics.jsonl` alone, and a data set's label statistics."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import LogFormatter, MaxNLocator, PercentFormatter, StrMethodFormatter

from utils.colors import BLUE, GREEN, ORANGE, PURPLE, RED
from utils.figures import (
    DPI,
    GREY,
    INK,
    legend_above,
    legend_below,
    new_figure,
    plain_text,
    save,
    style,
    write_beside_heading,
)
from utils.loggers import METRICS_FILE, read_metrics
from utils.text import font_path, one_line

if TYPE_CHECKING:
    from utils.annotations import Annotation

Record = dict[str, float]
Splits = dict[str, list["Annotation"]]

COCO_AREAS = (32**2, 96**2)  # in pixels: small below the first, large from the second
MAX_CLASSES = 120


@plain_text
def plot_training(run_dir: Path, title: str = "") -> list[Path]:
    """Draw every curve that `run_dir/metrics.jsonl` has data for, and return the PNGs written, each replaced whole.

    `train_loss_iter.png`, `train_loss_epoch.png`, one `loss_*.png` for each component, `map.png`, `lr.png`. Validation
    losses (`val/loss*`) are drawn beside those of training.

    Raises:
        ToolkitError: there is no readable metric file.
    """
    run_dir = Path(run_dir)
    steps, epochs = read_metrics(run_dir / METRICS_FILE)
    components = [k for k in dict.fromkeys(k for r in (*steps[-1:], *epochs[-1:]) for k in r) if "train/loss_" in k]
    unit = f"loss (sum of {len(components)})" if components else "loss"
    plots = {
        "train_loss_iter.png": _by_step(steps, epochs, "train/loss", "Training loss", unit),
        "train_loss_epoch.png": _loss_by_epoch(epochs, unit),
        "map.png": _map(epochs),
        "lr.png": _by_step(steps, epochs, "lr", "Learning rate", "learning rate"),
    }
    for key in components:
        name = key.removeprefix("train/")
        words = {"rpn": "RPN", "reg": "regression"}
        unit = " ".join(words.get(word, word) for word in name.removeprefix("loss_").split("_")) + " loss"
        plots[f"{name}.png"] = _by_step(steps, epochs, key, unit[0].upper() + unit[1:], unit)
    written = {run_dir / name: figure for name, figure in plots.items() if figure is not None}
    for path, figure in written.items():
        write_beside_heading(figure, title)
        save(figure, path)
    return list(written)


def _by_step(steps: list[Record], epochs: list[Record], key: str, title: str, unit: str) -> Figure | None:
    x, y = _series(steps or epochs, "step", key)
    if not len(x):
        return None
    figure, ax = new_figure(title, "iteration", unit)
    tops = [y.max()]
    if key != "lr" and len(x) > 20:
        smooth = _smoothed(y)
        tops = [smooth.max(), np.percentile(y, 99)]  # a few wild first steps would flatten all that follows
        ax.plot(x, y, color=BLUE, alpha=0.32, lw=0.8)
        ax.plot(x, smooth, color=BLUE, lw=2, label="training, smoothed")
    else:
        _curve(ax, x, y, BLUE, "training")
    if key != "lr":
        val_x, val_y = _series(epochs, "step", key.replace("train/", "val/"))
        _curve(ax, val_x, val_y, ORANGE, "validation")
        tops.extend(val_y)
        legend_above(figure)
    ax.set_ylim(0, 1.08 * max(tops) or 1)
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    _mark_epochs(ax, epochs)
    return figure


def _mark_epochs(ax: Axes, epochs: list[Record]) -> None:
    """The ends of epochs as light lines, with their numbers along the top edge."""
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    every = math.ceil(len(epochs) / 12)
    ends = [(record["step"], record["epoch"]) for record in epochs if "step" in record and record["epoch"] % every == 0]
    if ends:
        top = ax.secondary_xaxis("top")
        top.set_xticks(*zip(*ends, strict=True), color=GREY, fontsize=8)
        top.tick_params(length=0, pad=2)
        top.spines["top"].set_visible(False)
        ax.vlines([x for x, _ in ends], 0, 1, transform=ax.get_xaxis_transform(), color=GREY, lw=0.6, ls=":", zorder=0)
        ax.text(-0.01, 1.012, "epoch", transform=ax.transAxes, ha="right", color=GREY, fontsize=8)


def _loss_by_epoch(epochs: list[Record], unit: str) -> Figure | None:
    figure, ax = new_figure("Loss per epoch", "epoch", unit)
    for name, key, color in (("training", "train/loss", BLUE), ("validation", "val/loss", ORANGE)):
        _curve(ax, *_series(epochs, "epoch", key), color, name)
    if not ax.lines:
        return None
    ax.set_ylim(0, 1.08 * max(line.get_ydata().max() for line in ax.lines) or 1)
    _epoch_axis(ax, epochs)
    legend_above(figure)
    return figure


def _map(epochs: list[Record]) -> Figure | None:
    if not any("val/map_50_95" in record for record in epochs):
        return None
    figure, ax = new_figure("Average precision on the validation images", "epoch", "average precision")
    curves = [("", "val", GREEN, BLUE), (" of averaged weights", "ema", PURPLE, ORANGE)]
    found = {}  # prefix -> AP over the epochs
    for words, prefix, half_color, color in curves:
        for name, key, line in (("AP@.50", "map_50", half_color), ("AP@[.50:.95]", "map_50_95", color)):
            x, y = _series(epochs, "epoch", f"{prefix}/{key}")
            found[prefix] = x[y >= 0], y[y >= 0]  # COCO writes -1 where AP is undefined
            _curve(ax, *found[prefix], line, name + words)
    top = max((line.get_ydata().max() for line in ax.lines), default=0)
    prefix = max(found, key=lambda name: found[name][1].max(initial=-1))  # of two that are equal the raw weights
    x, y = found[prefix]
    if len(x):
        best = int(y.argmax())
        half = next(r.get(f"{prefix}/map_50", -1) for r in epochs if r["epoch"] == x[best])
        text = f"best: epoch {x[best]:.0f}, {y[best]:.3f}" + (f" (AP@.50 {half:.3f})" if half >= 0 else "")
        ax.axvline(x[best], color=RED, lw=1, ls=":", zorder=0)
        ax.plot(x[best], y[best], color=RED, ls="", marker="*", ms=15, mec="white", zorder=5, label=text)
    if ax.lines:
        legend_above(figure)
    else:
        ax.text(0.5, 0.5, "undefined: no objects in the validation images", transform=ax.transAxes, ha="center")
    # From 0 to 1 a weak start would be a flat line at the bottom.
    ax.set_ylim(0, 1 if top > 0.7 or top == 0 else math.ceil(12 * top) / 10)
    _epoch_axis(ax, epochs)
    return figure


def _series(records: list[Record], x_key: str, y_key: str) -> tuple[np.ndarray, np.ndarray]:
    """The finite values of `y_key` over `x_key`, float64 (n,) each."""
    pairs = [(record.get(x_key, math.nan), record.get(y_key, math.nan)) for record in records]
    points = np.array(pairs, np.float64).reshape(-1, 2)
    return tuple(points[np.isfinite(points).all(axis=1)].T)


def _smoothed(y: np.ndarray) -> np.ndarray:
    """Centred mean under a Hann window of a thirtieth of the curve; at the ends, over the part of it that is there."""
    reach = max(1, len(y) // 60)
    window = np.hanning(2 * reach + 3)[1:-1]
    return np.convolve(y, window, "same") / np.convolve(np.ones_like(y), window, "same")


def _curve(ax: Axes, x: np.ndarray, y: np.ndarray, color: str, label: str) -> None:
    if len(x):
        marker_size = 5 if len(x) <= 40 else 2.5 if len(x) <= 150 else 0
        ax.plot(x, y, color=color, lw=2, marker="o", ms=marker_size, label=label)


def _epoch_axis(ax: Axes, epochs: list[Record]) -> None:
    ax.set_xlim(epochs[0]["epoch"] - 0.5, epochs[-1]["epoch"] + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


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
    total = sum(counts.values())[1:]
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
    """Each split and its counts, with offset, thickness and colour of its bar within a slot of width 1."""
    thickness = 0.8 / len(counts)
    for i, item in enumerate(counts.items()):
        yield item, (i - (len(counts) - 1) / 2) * thickness, thickness, (BLUE, ORANGE, GREEN, PURPLE)[i % 4]
