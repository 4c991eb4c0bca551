"""Renders templates of pages, and makes texts and numbers fit for a page, whatever people call their files."""

import base64
import hashlib
import json
import math
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

STYLE = Path(__file__).with_name("page.css")  # of all pages

# Control characters, marks that turn the direction of writing, and the lone surrogates by which Python has the bytes of
# a file name that is no UTF-8: no page can hold them, or they change how the rest of it reads.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]")


def environment(folder: Path) -> Environment:
    """Return the templates of a folder and the shared ones; values are escaped, what cannot be seen is spelled out."""
    made = Environment(
        loader=FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["flagged"] = flagged
    return made


def flagged(text: str) -> Markup:
    """Set the flags of commands, such as --img-size, as code; the rest of the text is escaped."""
    return Markup(re.sub(r"(?<!\S)--[a-z][a-z-]*", r'<code class="flag">\g<0></code>', str(escape(_visible(text)))))


def _visible(value: object) -> object:
    """Spell out what cannot be seen, unless the value is markup already."""
    return value if isinstance(value, Markup) else _UNSEEN.sub(_spelled, str(value))


def _spelled(match: re.Match) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return repr(match[0])[1:-1]


def short_path(path: Path) -> str:
    """Return the last folder and the name: `train/a.jpg` is another image than `test/a.jpg`."""
    return "/".join(path.parts[-2:])


def counted(count: int, one: str, several: str = "") -> str:
    """Return a count with its noun: `1 image`, `1,200 images`."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def share(value: float) -> str:
    """Return a fraction in percent: `12 %`, `0.4 %`, `–` for NaN."""
    if math.isnan(value):
        return "–"
    percent = 100 * value
    if 0 < percent < 0.1:
        return "< 0.1 %"
    exact = f"{percent:.1f}" if percent < 10 and round(percent, 1) % 1 else f"{percent:.0f}"
    return f"{'> 99' if exact == '100' and value < 1 else exact} %"


def json_for_script(value: Any) -> Markup:
    """Return JSON that no browser takes for the end of a script: `<`, `>` and `&` are escaped; NaN is null."""
    text = json.dumps(_without_nan(value), allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def script_digest(script: str) -> str:
    """Return the name of an inline script in a page's Content-Security-Policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
