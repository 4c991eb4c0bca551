"""The colours of classes, splits and curves, computed as people without red or green cones see them."""

import itertools
import re

import numpy as np
import pytest

from support.paths import ROOT
from utils.drawing import colors
from utils.drawing.colors import class_color

# Linear RGB to linear RGB: Machado, Oliveira and Fernandes 2009 at full severity; Viénot, Brettel and Mollon 1999.
SIGHTS = {
    "usual": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "protanopia, 1999": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    "deuteranopia, 1999": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
STYLE = ROOT / "utils" / "html" / "page.css"


def linear(rgb):
    share = np.asarray(rgb, float) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def lab(rgb, sight):
    xyz = np.clip(linear(rgb) @ np.array(sight).T, 0, 1) @ TO_XYZ.T / TO_XYZ.sum(axis=1)
    x, y, z = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def ciede2000(one, other):
    (l1, a1, b1), (l2, a2, b2) = one, other
    mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    grey = 0.5 * (1 - np.sqrt(mean**7 / (mean**7 + 25**7)))
    a1, a2 = (1 + grey) * a1, (1 + grey) * a2
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    turn = (h2 - h1 + 180) % 360 - 180
    hue = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    h, c, lightness = (h1 + turn / 2) % 360, (c1 + c2) / 2, (l1 + l2) / 2
    cosines = [np.cos(np.radians(k * h + shift)) for k, shift in ((1, -30), (2, 0), (3, 6), (4, -63))]
    weight = 1 + np.dot((-0.17, 0.24, 0.32, -0.20), cosines)
    rotation = -2 * np.sqrt(c**7 / (c**7 + 25**7)) * np.sin(np.radians(60 * np.exp(-(((h - 275) / 25) ** 2))))
    light = (l2 - l1) / (1 + 0.015 * (lightness - 50) ** 2 / np.sqrt(20 + (lightness - 50) ** 2))
    chroma, hue = (c2 - c1) / (1 + 0.045 * c), hue / (1 + 0.015 * c * weight)
    return np.sqrt(light**2 + chroma**2 + hue**2 + rotation * chroma * hue)


def least(palette):
    """The least difference of any two colours, and with whose eyes they are which."""
    differences = [
        (ciede2000(lab(one, sight), lab(other, sight)), name, one, other)
        for name, sight in SIGHTS.items()
        for one, other in itertools.combinations(palette, 2)
    ]
    return min(differences)


def rgb(text):
    return tuple(bytes.fromhex(text.lstrip("#")))


def test_the_measure_itself():
    assert ciede2000((50, 2.6772, -79.7751), (50, 0, -82.7485)) == pytest.approx(2.0425, abs=1e-4)  # Sharma 2005
    assert ciede2000((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387)) == pytest.approx(1.2644, abs=1e-4)


def test_the_first_eight_classes_look_different_to_everybody():
    assert least([class_color(label) for label in range(1, 9)])[0] >= 15
    assert least([class_color(label) for label in range(9)])[0] >= 10  # and from the grey of the background


def test_curves_and_bars_look_different_to_everybody_and_are_seen_on_white():
    curves = [rgb(getattr(colors, name)) for name in ("BLUE", "ORANGE", "GREEN", "PURPLE", "RED")]
    assert least(curves)[0] >= 15
    for curve in curves:
        assert 1.05 / (linear(curve) @ TO_XYZ[1] + 0.05) >= 3, curve


def test_the_splits_of_the_report_look_different_to_everybody_in_light_and_in_dark():
    themes = re.findall(r"((?:--(?:split\d|mark): #\w+; ?)+)", STYLE.read_text(encoding="utf-8"))
    assert len(themes) == 2
    for theme in themes:
        palette = [rgb(text) for text in re.findall(r"#\w{6}", theme)]
        assert len(palette) == 5 and least(palette)[0] >= 15
