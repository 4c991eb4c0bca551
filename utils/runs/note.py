"""Reports what was decided where two readings were possible."""

import logging
import os

from utils.errors import printable


def note(text: str) -> None:
    """Report what was decided where two readings were possible: in a training's log, else on standard error."""
    if os.environ.get("RANK", "0") == "0":  # one process of a group reports
        logging.getLogger("train").warning(f"note: {printable(text)}")  # it may hold names of files
