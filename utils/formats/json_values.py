"""JSON files that others wrote, and their values: read with a limit, checked, and shown in messages."""

import json
import math
from pathlib import Path
from typing import Any

from utils.errors import DatasetError


def read_json(path: Path, *, max_bytes: int) -> Any:
    """Parse a JSON file. Raises DatasetError naming the file where it is too large, unreadable or not JSON."""
    try:
        if path.stat().st_size > max_bytes:
            raise DatasetError(f"{path}: {path.stat().st_size} bytes, more than the {max_bytes} that are read")
        return json.loads(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: not valid JSON: {error}") from error


def finite(value: object) -> bool:
    """Check whether a value is a number, neither a flag nor beyond what a float holds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond float's range
        return False


def image_size(width: Any, height: Any) -> tuple[float, float] | None:
    """Return (width, height) where both are numbers above 0."""
    return (width, height) if all(finite(value) and value > 0 for value in (width, height)) else None


def shown(value: object) -> str:
    """Return how a message shows a value: its beginning where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
