"""PNGs made from `metrics.jsonl` alone, and a dataset's label statistics."""

import math
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from utils.drawing.colors import BLUE, GREEN, ORANGE, PURPLE, RED
from utils.plots.figure import (
    GREY,
    legend_above,
    new_figure,
    plain_text,
    save,
    write_beside_heading,
)
from utils.runs.loggers import METRICS_FILE, read_metrics

Record = dict[str, float]


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
    """Draw the ends of epochs as light lines, with their numbers along the top edge."""
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
    ax.set_ylim(0, 1.08 * _highest(ax) or 1)
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
        for name, key, line in (("AP50", "map_50", half_color), ("AP", "map_50_95", color)):
            x, y = _series(epochs, "epoch", f"{prefix}/{key}")
            found[prefix] = x[y >= 0], y[y >= 0]  # COCO writes -1 where AP is undefined
            _curve(ax, *found[prefix], line, name + words)
    top = _highest(ax)
    prefix = max(found, key=lambda name: found[name][1].max(initial=-1))  # of two that are equal the raw weights
    x, y = found[prefix]
    if len(x):
        best = int(y.argmax())
        half = next(r.get(f"{prefix}/map_50", -1) for r in epochs if r["epoch"] == x[best])
        text = f"best: epoch {x[best]:.0f}, {y[best]:.3f}" + (f" (AP50 {half:.3f})" if half >= 0 else "")
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


def _highest(ax: Axes) -> float:
    """Return the largest value of all curves, 0 without any."""
    return max((float(np.asarray(line.get_ydata()).max()) for line in ax.lines), default=0.0)


def _series(records: list[Record], x_key: str, y_key: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the finite values of `y_key` over `x_key`, float64 (n,) each."""
    pairs = [(record.get(x_key, math.nan), record.get(y_key, math.nan)) for record in records]
    points = np.array(pairs, np.float64).reshape(-1, 2)
    x, y = points[np.isfinite(points).all(axis=1)].T
    return x, y


def _smoothed(y: np.ndarray) -> np.ndarray:
    """Return a centred mean under a Hann window of a thirtieth of the curve; at the ends, of what there is."""
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
