"""The colours of classes and curves, distinct to people who see no red or no green, too."""

import colorsys
from functools import cache

Color = tuple[int, int, int]  # RGB, 0 to 255

BACKGROUND_COLOR: Color = (128, 128, 128)
BLACK: Color = (0, 0, 0)
WHITE: Color = (255, 255, 255)

# Chosen by computation: of the first eight any two are at least 19 apart in CIEDE2000, as everybody sees them and with
# protanopia or deuteranopia (after Machado 2009 and Viénot 1999). Each further one is the farthest, measured alike,
# from those before it; with usual eyes, all are at least 32 apart in CIELAB.
PALETTE = [
    *("ff632e", "2d87ff", "e1ff00", "870f2d", "00f0ff", "0000d2", "a5ffd2", "e13c78"),
    *("78005a", "e187b4", "a54b1e", "ffb487", "d24bb4", "69b4ff", "2d4b87", "1e784b"),
    *("f0b400", "fff096", "0fa51e", "783cc3", "87b45a", "f000f0", "3c4b00", "a5f05a"),
]

# Of curves and bars on white: any two at least 17 apart, measured alike, and 3 to 1 in contrast with their ground.
BLUE, ORANGE, GREEN, PURPLE, RED = "#2f6db3", "#e0702c", "#00a08c", "#3c008c", "#be0000"


@cache
def class_color(label: int) -> Color:
    """Return the RGB colour of a class, the same in every run; label 0, the background, is grey."""
    if label < 0:
        raise ValueError(f"expected a label from 0, got {label}")
    if label == 0:
        return BACKGROUND_COLOR
    if label <= len(PALETTE):
        red, green, blue = bytes.fromhex(PALETTE[label - 1])
        return red, green, blue
    # The golden ratio spreads hues evenly however many are drawn; the other two steps part neighbours in hue.
    shares = colorsys.hsv_to_rgb(label * 0.618034 % 1, (1.0, 0.75, 0.5)[label % 3], (1.0, 0.7)[label % 2])
    return round(shares[0] * 255), round(shares[1] * 255), round(shares[2] * 255)


def contrast_color(color: Color) -> Color:
    """Return black or white, whichever has the higher contrast ratio with `color` (WCAG 2, relative luminance)."""
    linear = [(c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4) for c in color]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return BLACK if luminance > 0.179 else WHITE
