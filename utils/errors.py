"""Errors whose message is written for the person at the keyboard.

A script prints them without a traceback and exits with status 2. The message names the file and the thing, what was
expected, what was found, and the remedy.
"""

import contextlib
import sys
from typing import NoReturn


class ToolkitError(Exception):
    """Base of every error that is the user's to fix. `reported`: another process prints it."""

    reported = False


class ConfigError(ToolkitError):
    """A dataset YAML, or an argument, that cannot be used."""


class DatasetError(ToolkitError):
    """Images or annotations that cannot be used."""


class CheckpointError(ToolkitError):
    """A checkpoint or weights file that cannot be read, written or fitted to the model."""


class TrainingError(ToolkitError):
    """Training that cannot continue, such as a loss that is no longer finite."""


def stop(error: Exception) -> NoReturn:
    """End the process with status 2 and the message, without a traceback: how every script answers a ToolkitError."""
    if not getattr(error, "reported", False):
        with contextlib.suppress(OSError):  # the terminal may be gone
            print(f"error: {printable(str(error))}", file=sys.stderr, flush=True)
    sys.exit(2)


def printable(text: str) -> str:
    """Escape what a terminal might obey instead of show, such as the control codes of a file's name, as \\x1b."""
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)
