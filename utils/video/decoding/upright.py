"""Converts decoded video frames to upright RGB images."""

import struct
from typing import Any

import av
import numpy as np

from utils.video.decoding.hdr import is_hdr, to_standard_range

COLOR_RGB, COLOR_UNKNOWN = 0, 2  # in FFmpeg's list of matrices


def upright(frame: av.VideoFrame) -> np.ndarray:
    """Convert a frame to RGB uint8 (H, W, 3), turned and mirrored as the file says: phones store every image lying.

    High dynamic range (PQ, HLG) is mapped to the standard range that image files and detectors know.
    """
    # Untagged files follow the rule of televisions and players: high definition is BT.709.
    untagged = frame.colorspace in (COLOR_UNKNOWN, COLOR_RGB)
    matrix = ("ITU709" if frame.height >= 720 else "ITU601") if untagged else None
    image = to_standard_range(frame) if is_hdr(frame) else frame.to_ndarray(format="rgb24", src_colorspace=matrix)
    transposed, mirrored, flipped = orientation_of(frame)
    if transposed:
        image = image.swapaxes(0, 1)
    if mirrored:
        image = image[:, ::-1]
    if flipped:
        image = image[::-1]
    return np.ascontiguousarray(image)


def orientation_of(frame: av.VideoFrame) -> tuple[bool, bool, bool]:
    """Return what turns the stored image upright: (rows and columns swapped, then left-right, then top-bottom).

    From the display matrix [a b u; c d v; x y w] of ISO/IEC 14496-12, 8.3.2: a stored point (p, q) is shown at
    (a p + c q + x, b p + d q + y). PyAV's `frame.rotation` reads the angle alone, so that it loses mirrors.
    """
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return False, False, False
    a, b, _, c, d = struct.unpack_from("=5i", bytes(data))
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return False, a < 0, d < 0
    return True, c < 0, b < 0
