"""Plots of the trial runs."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.ticker import LogFormatter

from utils.drawing.colors import BLUE, ORANGE, RED
from utils.plots.figure import INK, legend_above, new_figure, plain_text, save


@plain_text
def plot_lr_trial(
    path: Path, rates: Sequence[float], losses: Sequence[float], smooth: Sequence[float], suggested: float | None
) -> Path:
    """Draw the loss over the learning rate, and the suggested rate."""
    figure, ax = new_figure("Loss while the learning rate rises", "learning rate", "loss")
    ax.plot(rates, losses, color=BLUE, alpha=0.35, lw=1)
    ax.plot(rates, smooth, color=BLUE, lw=2, label="smoothed")
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(LogFormatter())
    ax.xaxis.set_minor_formatter(LogFormatter())
    ax.set_ylim(0, 1.5 * max(smooth[: max(1, len(smooth) // 2)]))
    if suggested is not None:
        ax.axvline(suggested, color=ORANGE, lw=1.5, label=f"suggested: --lr {suggested:.2g}")
    legend_above(figure)
    save(figure, path)
    return path


@plain_text
def plot_batch_sizes(path: Path, trials: Sequence, limit: int, suggested: int) -> Path:
    """Draw images per second and memory over the batch size; each trial has `batch`, `rate` and `memory` in bytes."""
    known = f" (at the points: memory used, of {limit / 2**30:.0f} GiB)" if limit < 1 << 62 else ""
    figure, ax = new_figure("What a larger batch brings", f"images per step{known}", "images per second")
    sizes = [trial.batch for trial in trials]
    ax.plot(sizes, [trial.rate for trial in trials], color=BLUE, lw=2, marker="o", label="images per second")
    ax.axvline(suggested, color=ORANGE, lw=1.5, zorder=0, label=f"suggested: --batch-size {suggested}")
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes, [str(size) for size in sizes])
    ax.minorticks_off()
    ax.set_ylim(0, 1.25 * max(trial.rate for trial in trials))
    for trial in trials:
        full = trial.memory > 0.85 * limit
        ax.annotate(f"{trial.memory / 2**30:.1f} GiB", (trial.batch, trial.rate), xytext=(0, 9), fontsize=8,
                    textcoords="offset points", ha="center", color=RED if full else INK)  # fmt: skip
    legend_above(figure)
    save(figure, path)
    return path
