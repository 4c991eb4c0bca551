"""Ctrl-C, SIGTERM and SIGHUP: an exception as a rule, a note while something must not be torn apart."""

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator

ASKING_TO_STOP = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if hasattr(signal, name)  # Windows has no SIGHUP
)
HANG_UP = getattr(signal, "SIGHUP", None)
# torchrun passes a signal on to processes that a terminal has sent it to already: twice is no second request there.
PATIENT = "TORCHELASTIC_RUN_ID" in os.environ
NOTICE = "stopping after the current step, then saving"
IMPATIENCE = "" if PATIENT else "; once more stops at once, without saving"
SPEAKS = os.environ.get("RANK", "0") == "0"


class Stopped(KeyboardInterrupt):
    """A signal asked the process to end; `status` is what to exit with, such as 143 for SIGTERM."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number


class Signals:
    """Answers SIGINT, SIGTERM and SIGHUP from now on: they raise `Stopped`, wherever the program is.

    Within `held()` the first is only noted, for `check()` to raise at a moment that suits; a second ends the process
    there and then, unless torchrun is at work or it is SIGHUP, which the shell and the terminal send both. A signal
    that the process was started to ignore, as nohup and `&` do, stays ignored.
    """

    def __init__(self, answered: Iterable[int] = ASKING_TO_STOP):
        self.noted = 0
        self._holding = False
        for number in answered:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._answer)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Note signals while this lasts; one that `check` has not raised by the end is raised then."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
        self.check()

    def check(self) -> None:
        """Raise `Stopped` if a signal has been noted."""
        if self.noted:
            raise Stopped(self.noted)

    def _answer(self, number: int, frame) -> None:
        if self.noted:
            if PATIENT or number == HANG_UP:
                return
            os._exit(128 + number)  # no clean-up: a full queue or a dead disk may be why it was asked twice
        self.noted = number
        if not self._holding:
            raise Stopped(number)
        if SPEAKS:
            with contextlib.suppress(OSError):  # the terminal may be gone
                # print() may be what was interrupted, and cannot be entered twice.
                os.write(2, f"\n{NOTICE}{IMPATIENCE}\n".encode())


def end_at_once() -> None:
    """Let Ctrl-C end the process without a traceback, for the imports that take seconds; `Signals` takes over."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def ignore_signals() -> None:
    """Ignore signals in a helper process: they are sent to the whole group, and only the main one answers."""
    for number in ASKING_TO_STOP:
        signal.signal(number, signal.SIG_IGN)
