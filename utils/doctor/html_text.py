"""Texts and numbers for an HTML page, whatever people call their files and classes."""

import html
import math
import re
from collections.abc import Sequence
from pathlib import Path

# Control characters, marks that turn the direction of writing, and the lone surrogates by which Python has the bytes of
# a file name that is no UTF-8: no page can hold them, or they change how the rest of it reads.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]")


def plain(text: object) -> str:
    """Text for the page, in an attribute or not: nothing in it is markup, and what cannot be seen is spelled out."""
    return html.escape(_UNSEEN.sub(_spelled, str(text)), quote=True)


def flagged(text: str) -> str:
    """`plain`, with the flags of commands, such as --img-size, set as code."""
    return re.sub(r"(?<!\S)--[a-z][a-z-]*", r'<code class="flag">\g<0></code>', plain(text))


def _spelled(match: re.Match) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return repr(match[0])[1:-1]


def short_path(path: Path) -> str:
    """The last folder and the name: enough to tell `train/a.jpg` from `test/a.jpg`."""
    return "/".join(path.parts[-2:])


def counted(count: int, one: str, several: str = "") -> str:
    """`1 image`, `1,200 images`."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def share(value: float) -> str:
    """`12 %`, `0.4 %`, `–` for NaN."""
    if math.isnan(value):
        return "–"
    percent = 100 * value
    if 0 < percent < 0.1:
        return "< 0.1 %"
    exact = f"{percent:.1f}" if percent < 10 and round(percent, 1) % 1 else f"{percent:.0f}"
    return f"{'> 99' if exact == '100' and value < 1 else exact} %"


def table(caption: str, heads: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]], *, kind: str = "") -> str:
    """A table with a column's and a row's head each; all texts are HTML already."""
    head = "".join(f'<th scope="col">{cell}</th>' for cell in heads)
    body = "\n".join(
        f'<tr><th scope="row">{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>' for name, cells in rows
    )
    title = f"<caption>{caption}</caption>" if caption else ""
    return (
        f'<div class="scroll" tabindex="0"><table class="{kind}">{title}\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )
