"""Pictures on the screen, where there is one."""

import os
import subprocess
import sys
from collections.abc import Sequence

import cv2
import numpy as np

# An unusable display aborts the process inside Qt, which no `except` catches: so another process tries it first.
_PROBE = "import cv2; cv2.namedWindow('probe'); cv2.waitKey(1); cv2.destroyAllWindows()"


def display_problem() -> str | None:
    """Why no window can be opened here, or None. Takes up to a third of a second."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)"
    try:
        probe = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return "the display does not answer"
    if probe.returncode == 0:
        return None
    if "not implemented" in probe.stderr:
        return "this OpenCV is the headless build; python -m utils.mend_opencv puts the one with windows in place"
    lines = probe.stderr.strip().splitlines()
    return f"OpenCV cannot open a window ({lines[-1] if lines else f'exit status {probe.returncode}'})"


def show_pictures(title: str, pictures: Sequence[np.ndarray], *, seconds: float) -> None:
    """Show RGB pictures one after the other, each until a key is pressed or for `seconds`; q or Esc ends.

    Call it only where `display_problem()` is None.
    """
    cv2.namedWindow(title, cv2.WINDOW_NORMAL)
    for picture in pictures:
        cv2.resizeWindow(title, picture.shape[1], picture.shape[0])
        cv2.imshow(title, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        if cv2.waitKey(int(seconds * 1000)) & 0xFF in (ord("q"), 27):
            break
    cv2.destroyWindow(title)
    cv2.waitKey(1)
