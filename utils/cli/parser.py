"""The common part of the scripts' command lines: help, errors, the lone slash, numbers with their ranges."""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from utils.errors import printable
from utils.suggestions import suggestion


class Parser(argparse.ArgumentParser):
    """An argument parser with defaults in its help, a suggestion for a mistyped flag, and errors of one line."""

    def __init__(self, **options):
        super().__init__(**{"formatter_class": Formatter, **options})
        self._given: list[str] = []

    def error(self, message: str) -> NoReturn:
        """End the process with status 2 and the message, without the usage, which is longer than a screen."""
        if message.startswith("the following arguments are required") and (unknown := self._unknown_flags()):
            message += f"; unknown arguments: {self._with_suggestions(unknown)}"
        self.exit(2, f"error: {printable(message)} ({self.prog} --help lists the arguments)\n")

    def parse_known_args(self, args=None, namespace=None):
        """Parse as argparse does, but refuse an empty value, as of a shell's variable that is not set."""
        self._given = given = list(sys.argv[1:] if args is None else args)
        for before, word in zip(["", *given], given, strict=False):
            flag, sign, value = word.partition("=") if word.startswith("--") else (before, "=", word)
            if sign and not value.strip():
                self.error(f"{flag or 'the first argument'}: expected a value, got an empty one ({word!r})")
        return super().parse_known_args(args, namespace)

    def parse_args(self, args=None, namespace=None):
        """Parse as argparse does, with a suggestion for each flag that is not known."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.error(f"unknown arguments: {self._with_suggestions(unknown)}")
        return parsed

    def _flags(self) -> list[str]:
        return [flag for action in self._actions for flag in action.option_strings]

    def _unknown_flags(self) -> list[str]:
        """Return the long flags of the command line that are none, nor the beginning of one."""
        named = [word for word in self._given if word.startswith("--") and word != "--"]
        return [word for word in named if not any(flag.startswith(word.partition("=")[0]) for flag in self._flags())]

    def _with_suggestions(self, unknown: Sequence[str]) -> str:
        hints = []
        for word in unknown:
            close = suggestion(word.partition("=")[0], self._flags()) if word.startswith("-") else None
            hints.append(f"{word} (did you mean {close}?)" if close else word)
        return " ".join(hints)


class Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """A formatter of help that shows each default that says something."""

    def _get_help_string(self, action):
        if action.default in (None, False) or action.nargs == 0:
            return action.help
        if isinstance(action.default, (list, tuple)):
            return f"{action.help} (default: {' '.join(action.default)})"
        return super()._get_help_string(action)


def words(argv: Sequence[str] | None) -> list[str]:
    """Return the command line, or `argv`, without a lone trailing `/`, which some copies of the commands end with."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv[-1:] == ["/"]:
        print("note: the lone '/' at the end of the command is ignored", file=sys.stderr)
        argv.pop()
    return argv


def number(kind: type, least: float, expected: str, *, most: float = float("inf")):
    """Return an argparse type: a number of `kind` in least..most; `expected` says so in the error."""

    def convert(text: str):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most or value == float("inf"):
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
        return value

    return convert


positive = number(int, 1, "a whole number from 1 on")
count = number(int, 0, "a whole number from 0 on")
image_size = number(int, 64, "a number of pixels from 64 on")
rate = number(float, 1e-12, "a number above 0")
minutes = number(float, 0, "a number of minutes from 0 on")
share = number(float, 0, "a number from 0 to 1", most=1)
inner_share = number(float, 1e-6, "a number between 0 and 1", most=1 - 1e-6)
decay = number(float, 1e-6, "a number between 0 and 1", most=1 - 1e-9)
factor = number(float, 0, "a number from 0 to 10", most=10)
seed = number(int, 0, "a whole number from 0 to 2147483647", most=2**31 - 1)


class _Shares(argparse.Action):
    """An action that keeps one share as a number, and two as a tuple."""

    def __call__(self, parser, namespace, values, option_string=None):
        if len(values) > 2 or sum(values) >= 1:
            given = " ".join(f"{value:g}" for value in values)
            parser.error(f"{option_string}: expected one share or two, less than 1 together, got {given}")
        setattr(namespace, self.dest, values[0] if len(values) == 1 else tuple(values))


def add_split_flags(add) -> None:
    """Add the flags that divide one folder of images, for any script that reads a dataset."""
    add("--split", type=inner_share, nargs="+", action=_Shares, metavar="SHARE",
        help="validate on this share of the training folder's images; of two shares, test on the second")  # fmt: skip
    add("--split-groups", metavar="REGEX", help="keeps images whose names agree in its first group on one side")
