"""The end of every script: errors without a traceback, signals with their exit status, a reader that goes away."""

import contextlib
import os
import select
import sys
from collections.abc import Iterator

from utils.errors import ToolkitError, stop

READER_GONE = 141  # as a shell reports SIGPIPE, which ends any other program there


@contextlib.contextmanager
def ending() -> Iterator[None]:
    """Turn what ends a script into its exit status: 2 and a message for an error, 128 + N for signal N.

    Where nobody reads the output any more, as behind `| head`, it ends without a word: with 141 where that broke the
    work off, with its own status where only the last lines are not read.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        sys.exit(getattr(error, "status", 130))
    except (ToolkitError, OSError) as error:  # OSError: a disk that fills up, a folder that goes away
        if isinstance(error, OSError) and reader_gone():
            sys.exit(READER_GONE)
        stop(error)
    finally:
        _flush()


def reader_gone() -> bool:
    """Check whether the other end of standard output or of standard error is closed."""
    if not hasattr(select, "poll"):  # Windows
        return False
    poll = select.poll()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # closed, or none at all
            poll.register(stream.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _flush() -> None:
    """Write what is still held back; where nobody reads it, keep the interpreter from trying again and complaining."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
