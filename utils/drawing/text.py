"""Text as pixels, in a font that has its characters."""

import math
import warnings
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from utils.drawing.colors import Color
from utils.errors import printable

MOST_CHARACTERS = 300  # of one line: no image shows more


@lru_cache(maxsize=256)
def font_path(text: str) -> Path:
    """Return a font file that has every character of `text`: matplotlib's DejaVu Sans, or else one of the system's.

    Where none has them all, it warns once, and DejaVu Sans shows boxes for those it lacks.
    """
    # Imported when the first text is drawn: the font list costs start-up time that plain ASCII never needs.
    import matplotlib

    default = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    if text.isascii() or _covers(default, text):
        return default
    from matplotlib import font_manager

    for entry in sorted(font_manager.fontManager.ttflist, key=lambda e: (e.style != "normal", e.weight != 400)):
        if "Last Resort" not in entry.name and _covers(Path(entry.fname), text):
            return Path(entry.fname)
    warnings.warn(
        f"no installed font has every character of {text!r}; it will be drawn with gaps. "
        "A font such as Noto Sans CJK fixes that.",
        stacklevel=2,
    )
    return default


def _covers(path: Path, text: str) -> bool:
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(str(path))
    except (OSError, RuntimeError):  # a broken font file of the system's
        return False
    return font.scalable and all(font.get_char_index(ord(character)) for character in text if character.isprintable())


@lru_cache(maxsize=32)
def _font(path: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), size)


@lru_cache(maxsize=512)
def text_mask(text: str, size: int) -> np.ndarray:
    """Return the coverage of `text` in one line with a margin, uint8 (h, w); h depends on the size alone."""
    text = one_line(text)
    font = _font(font_path(text), size)
    margin_x, margin_y = max(2, round(size * 0.3)), max(1, round(size * 0.12))
    height = math.ceil(size * 1.17) + 2 * margin_y
    baseline = margin_y + round(size * 0.93)
    image = Image.new("L", (math.ceil(font.getlength(text)) + 2 * margin_x, height))
    ImageDraw.Draw(image).text((margin_x, baseline), text, fill=255, font=font, anchor="ls")
    return np.asarray(image)


def one_line(text: str) -> str:
    """Return text that any font can draw: one line, without control characters or bytes of a name that is no UTF-8."""
    return printable(" ".join(text.split()))[:MOST_CHARACTERS]


def paint_text(canvas: np.ndarray, text: str, size: int, at: tuple[int, int], ink: Color, paper: Color) -> None:
    """Write `text` to the RGB `canvas` with its upper left corner `at` (x, y), cut where the canvas ends."""
    x, y = at
    mask = text_mask(text, size)[: canvas.shape[0] - y, : canvas.shape[1] - x]
    canvas[y : y + mask.shape[0], x : x + mask.shape[1]] = blend(mask, ink, paper)


def blend(mask: np.ndarray, ink: Color, paper: Color) -> np.ndarray:
    """Convert a mask (h, w) to RGB uint8 (h, w, 3): `ink` where it is 255, `paper` where it is 0."""
    alpha = mask[..., None].astype(np.float32) / 255
    return np.rint(alpha * ink + (1 - alpha) * paper).astype(np.uint8)


def elide(text: str, size: int, width: int) -> str:
    """Shorten `text` to `width` pixels, with an ellipsis."""
    text = one_line(text)
    while len(text) > 1 and text_mask(text, size).shape[1] > width:
        text = text[:-2].rstrip() + "…"
    return text
