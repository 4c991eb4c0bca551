"""The progress of a run and its end: a bar on a terminal, a line a minute elsewhere."""

import logging
import sys
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from tqdm import tqdm

FIRST_STEPS = 10  # after which the first estimate is given
LINE_EVERY = 60.0  # seconds, where there is no terminal
RECENT = 100  # steps whose mean is the pace
LONG = 600.0  # seconds; of a run that takes longer, a lighter model is worth a hint
FORWARD = 1 / 3  # of a training step's work: a backward pass takes about twice as long as a forward one


class RunProgress:
    """The progress of a whole run, over all its epochs.

    `update` and `set_postfix_str` are tqdm's, for `train_one_epoch`; `validation` has an `update` for `evaluate`.

    Args:
        epochs, steps: of the whole run, and of an epoch.
        done: steps that a resumed run has behind it.
        val_steps: validation's images over those of a step, once for each set of weights that is scored.
        quiet: shows nothing, as in all processes of a group but the first.
        hint: a line to give with the first estimate of a long run.
    """

    def __init__(
        self,
        log: logging.Logger,
        *,
        epochs: int,
        steps: int,
        done: int = 0,
        val_steps: float = 0.0,
        quiet: bool = False,
        hint: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._log, self._clock, self._quiet, self._hint = log, clock, quiet, hint
        self.epochs, self.steps, self.done, self.val_steps = epochs, steps, done, val_steps
        self.epoch = min(done // steps + 1, epochs)
        self.validation = _Validation(self)
        self._durations: deque[float] = deque(maxlen=RECENT)
        self._between: deque[float] = deque(maxlen=5)  # from an epoch's last step to the next one's start
        self._own_steps, self._line_at, self._postfix = 0, clock(), ""
        self._last: float | None = None
        terminal = not quiet and sys.stderr is not None and sys.stderr.isatty()
        self._bar = tqdm(
            total=epochs * steps, initial=done, leave=False, dynamic_ncols=True, disable=not terminal,
            bar_format="{percentage:3.0f}%|{bar}| {desc}",
        )  # fmt: skip

    def begin_epoch(self, number: int) -> None:
        """Begin epoch `number`, from 1: the validation and the saving of the one before are over."""
        self.epoch, now = number, self._clock()
        if self._last is not None:
            self._between.append(now - self._last)
        self._last = now if self._own_steps else None  # the very first step warms up
        self.validation.batches = 0
        self._show(now)

    def update(self) -> None:
        """Count a step."""
        now = self._clock()
        if self._last is not None:
            self._durations.append(now - self._last)
        self._last, self._own_steps, self.done = now, self._own_steps + 1, self.done + 1
        self._bar.update()
        if self._own_steps == FIRST_STEPS:
            self._estimate()
        self._show(now)

    def set_postfix_str(self, text: str) -> None:
        """Show `text`, the latest loss and the like, beside the progress."""
        self._postfix = text

    def seconds_left(self) -> float | None:
        """Estimate the seconds until the end; None before there is anything to go by."""
        if not self._durations:
            return None
        step = sum(self._durations) / len(self._durations)
        between = sum(self._between) / len(self._between) if self._between else FORWARD * self.val_steps * step
        steps = self.epochs * self.steps - self.done
        return step * steps + between * -(-steps // self.steps)

    def close(self) -> None:
        """Take the bar off the screen."""
        self._bar.close()

    def _estimate(self) -> None:
        left = self.seconds_left()
        if self._quiet or not left:
            return
        self._log.info(f"time left: {duration_text(left)}, ends {end_text(left)}")
        if self._hint and left >= LONG:
            self._log.info(self._hint)

    def _show(self, now: float) -> None:
        left = self.seconds_left()
        rest = f"{duration_text(left)} left" if left is not None else ""
        place, number = f"epoch {self.epoch}/{self.epochs}", self.validation.batches
        validation = f"{place}, validation batch {number}" if number else ""
        if not self._bar.disable:
            text = (validation,) if validation else (place, self._postfix)
            self._bar.set_description_str(", ".join(filter(None, (*text, rest))), refresh=bool(validation))
        elif not self._quiet and now - self._line_at >= LINE_EVERY:
            self._line_at = now
            step = f"{place}, step {self.done - (self.epoch - 1) * self.steps}/{self.steps}"
            self._log.info(", ".join(filter(None, (validation or step, self._postfix, rest))))


class _Validation:
    """The batches of a validation, as tqdm counts them."""

    def __init__(self, run: RunProgress):
        self._run, self.batches = run, 0

    def update(self) -> None:
        """Count a batch."""
        self.batches += 1
        self._run._show(self._run._clock())


def duration_text(seconds: float) -> str:
    """Return "about 3 h 40 min"; of less than an hour minutes alone, of less than a minute seconds."""
    if seconds < 59.5:
        return f"about {max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"about {minutes} min"
    if minutes >= 600:
        minutes = round(minutes / 10) * 10  # no estimate is as good as that
    hours, rest = divmod(minutes, 60)
    return f"about {hours} h {rest:02d} min" if rest else f"about {hours} h"


def end_text(seconds: float, now: datetime | None = None) -> str:
    """Return the time of day `seconds` from now, "17:05", with the day where it is not today's."""
    now = now or datetime.now()
    end = now + timedelta(seconds=seconds)
    days = (end.date() - now.date()).days
    return end.strftime("%H:%M" if not days else "%A %H:%M" if days < 7 else "%Y-%m-%d %H:%M")
