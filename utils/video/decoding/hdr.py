"""High dynamic range video (PQ and HLG, ITU-R BT.2100) in the standard range, with BT.709 primaries."""

from functools import cache

import av
import cv2
import numpy as np

PQ, HLG = 16, 18  # in FFmpeg's list of transfer characteristics
BT2020 = 9  # in FFmpeg's lists of primaries and matrices
BT2020_LUMA = (0.2627, 0.6780, 0.0593)
REFERENCE_WHITE = 203.0  # cd/m2 of a white sheet of paper (ITU-R BT.2408); it becomes nearly the standard white
PEAK = 1000.0  # cd/m2 that become the standard white
KNEE = 0.7  # share of the reference white up to which brightness stays as it is
LEVELS = 65_536  # of a table for 16-bit samples, so that no steps show in dark areas
TO_BT709 = np.array(  # linear RGB, ITU-R BT.2407
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
GAMMA = 2.4  # of a reference display of standard range (ITU-R BT.1886)


def is_hdr(frame: av.VideoFrame) -> bool:
    """Check whether the frame's brightness is coded by PQ or HLG."""
    return frame.color_trc in (PQ, HLG)


def name_of(transfer: int) -> str:
    """Return the transfer function's name for messages."""
    return {PQ: "PQ", HLG: "HLG"}[transfer]


def to_standard_range(frame: av.VideoFrame) -> np.ndarray:
    """Convert a frame to RGB uint8 (H, W, 3): brightness stays up to about the reference white, highlights shrink."""
    matrix = "BT2020" if frame.colorspace in (2, BT2020) else None  # untagged: as all of these are
    coded = frame.to_ndarray(format="rgb48le", src_colorspace=matrix)
    light = cv2.LUT(coded, _to_light(frame.color_trc))  # of a display, 1 at the reference white
    if frame.color_trc == HLG:
        # The system gamma of 1.2 belongs to luminance (BT.2100, table 5); scene light comes from the table.
        luminance = cv2.transform(light, np.array([BT2020_LUMA], np.float32))
        light = light * (cv2.pow(luminance, 0.2) * (PEAK / REFERENCE_WHITE))[..., None]
    if frame.color_primaries in (2, BT2020):
        light = cv2.transform(light, TO_BT709)
    steps = np.clip(light * ((LEVELS - 1) * REFERENCE_WHITE / PEAK), 0, LEVELS - 1).astype(np.uint16)
    return cv2.LUT(steps, _from_light())


@cache
def _to_light(transfer: int) -> np.ndarray:
    """Return linear light of each coded level, float32 (65536,): a display's for PQ, the scene's (0 to 1) for HLG."""
    coded = np.arange(LEVELS, dtype=np.float64) / (LEVELS - 1)
    if transfer == HLG:  # inverse OETF, BT.2100 table 5
        a = 0.17883277
        b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
        return np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12).astype(np.float32)
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128  # EOTF, BT.2100 table 4
    root = coded ** (1 / m2)
    light = (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
    return (10_000 / REFERENCE_WHITE * light).astype(np.float32)


@cache
def _from_light() -> np.ndarray:
    """Return standard samples, uint8 (65536,), of light from 0 to the peak: a straight line, then a shoulder.

    The shoulder is Reinhard's extended curve, which leaves the line without a bend and reaches 1 at the peak.
    """
    light = np.arange(LEVELS) / (LEVELS - 1) * (PEAK / REFERENCE_WHITE)
    over, top = (light - KNEE) / (1 - KNEE), (PEAK / REFERENCE_WHITE - KNEE) / (1 - KNEE)
    shoulder = KNEE + (1 - KNEE) * over * (1 + over / top**2) / (1 + np.maximum(over, 0))
    mapped = np.where(light <= KNEE, light, shoulder)
    return np.rint(255 * np.clip(mapped, 0, 1) ** (1 / GAMMA)).astype(np.uint8)
