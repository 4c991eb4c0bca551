"""Plots of the trial runs."""

from collections.abc import Sequence
from pathlib import Path

from utils.plots import BLUE, GREY, INK, ORANGE, RED, _figure, _save


def plot_lr_trial(
    path: Path, rates: Sequence[float], losses: Sequence[float], smooth: Sequence[float], suggested: float | None
) -> Path:
    """Loss over learning rate, and the rate to take."""
    figure, ax = _figure("Loss while the learning rate rises", "learning rate", "loss")
    ax.plot(rates, losses, color=BLUE, alpha=0.35, lw=1)
    ax.plot(rates, smooth, color=BLUE, lw=2, label="smoothed")
    ax.set_xscale("log")
    ax.set_ylim(0, 1.5 * max(smooth[: max(1, len(smooth) // 2)]))
    if suggested is not None:
        ax.axvline(suggested, color=ORANGE, lw=1.5, label=f"suggested: --lr {suggested:.2g}")
    ax.legend(loc="upper left", frameon=False)
    _save(figure, path)
    return path


def plot_batch_sizes(path: Path, trials: Sequence, limit: int, suggested: int) -> Path:
    """Images per second and memory over the batch size; each trial has `batch`, `rate` and `memory` in bytes."""
    figure, ax = _figure("What a larger batch brings", "images per step", "images per second")
    sizes = [trial.batch for trial in trials]
    ax.plot(sizes, [trial.rate for trial in trials], color=BLUE, lw=2, marker="o", label="images per second")
    ax.axvline(suggested, color=ORANGE, lw=1.5, zorder=0, label=f"suggested: --batch-size {suggested}")
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes, [str(size) for size in sizes])
    ax.set_ylim(0, 1.25 * max(trial.rate for trial in trials))
    for trial in trials:
        full = trial.memory > 0.85 * limit
        ax.annotate(f"{trial.memory / 2**30:.1f} GiB", (trial.batch, trial.rate), xytext=(0, 9), fontsize=8,
                    textcoords="offset points", ha="center", color=RED if full else INK)  # fmt: skip
    if limit < 1 << 62:
        ax.text(0.01, 0.02, f"memory: {limit / 2**30:.0f} GiB in all", transform=ax.transAxes, color=GREY, fontsize=8)
    ax.legend(loc="lower center", frameon=False)
    _save(figure, path)
    return path
