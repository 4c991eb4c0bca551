"""Images on the screen, where there is one."""

import ctypes
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from utils.images.fitting import fit_scale, shrink_to_fit

# An unusable display aborts the process inside Qt, which no `except` catches: so another process tries it first.
_PROBE = "import cv2; cv2.namedWindow('probe'); cv2.waitKey(1); cv2.destroyAllWindows()"

LARGEST_WINDOW = (1280, 720)  # width and height that fit nearly any screen; the user may pull it larger
SMALLEST_WINDOW = (320, 240)  # an image smaller than both is enlarged
ON_SCREEN = 0.9  # share of the screen that a window may take: it has a frame, and there are task bars
# Without Qt's tool bar, which takes room and keys from the image.
WINDOW_KIND = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL


def display_problem() -> str | None:
    """Return the reason why no window can be opened here, or None. Takes up to a third of a second."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)"
    try:
        probe = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return "the display does not answer"
    if probe.returncode == 0:
        return None
    if "not implemented" in probe.stderr:
        return "this OpenCV is the headless build; python -m utils.fix_opencv puts the one with windows in place"
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or ""
    if "could not connect to display" in probe.stderr or "cannot open display" in probe.stderr.lower():
        return f"cannot reach display {display}: is its server running, and may this user draw there (ssh -X, xhost)?"
    lines = probe.stderr.strip().splitlines()
    return f"OpenCV cannot open a window ({lines[-1] if lines else f'exit status {probe.returncode}'})"


@cache
def screen_wh() -> tuple[int, int] | None:
    """Return width and height of the screen in pixels, None where it does not say."""
    try:
        if sys.platform == "win32":
            return tuple(ctypes.windll.user32.GetSystemMetrics(side) for side in (0, 1))
        x11 = ctypes.CDLL("libX11.so.6")
        x11.XOpenDisplay.restype = ctypes.c_void_p
        if not (display := x11.XOpenDisplay(None)):
            return None
        display = ctypes.c_void_p(display)
        screen = x11.XDefaultScreen(display)
        size = x11.XDisplayWidth(display, screen), x11.XDisplayHeight(display, screen)
        x11.XCloseDisplay(display)
    except (OSError, AttributeError):  # macOS; a system without X
        return None
    return size


def window_wh(size_wh: tuple[int, int]) -> tuple[int, int]:
    """Return width and height of the window for an image of `size_wh`: its own, but readable and within the screen."""
    screen = screen_wh() or LARGEST_WINDOW
    largest = min(LARGEST_WINDOW[0], ON_SCREEN * screen[0]), min(LARGEST_WINDOW[1], ON_SCREEN * screen[1])
    scale = min(max(1.0, fit_scale(size_wh, SMALLEST_WINDOW)), fit_scale(size_wh, largest))
    return max(1, round(size_wh[0] * scale)), max(1, round(size_wh[1] * scale))


def show_images(title: str, images: Iterable[np.ndarray], *, seconds: float) -> None:
    """Show RGB images one after the other, each until a key is pressed or for `seconds`; q or Esc ends.

    Call it only where `display_problem()` is None.
    """
    _silence_font_warnings()
    cv2.namedWindow(title, WINDOW_KIND)
    for image in images:
        size = window_wh(image.shape[1::-1])
        cv2.resizeWindow(title, *size)
        shown = shrink_to_fit(image, size)  # the window itself would lose thin lines
        cv2.imshow(title, cv2.cvtColor(shown, cv2.COLOR_RGB2BGR))
        if _wait_key(title, seconds) in (ord("q"), 27) or _is_closed(title):
            break
    _destroy(title)


class VideoWindow:
    """A window for images that follow each other, and its keys: q or Esc ends, space pauses, s saves.

    Make it and call it in the main thread only, and only where `display_problem()` is None.
    """

    def __init__(self, title: str):
        self.paused = False
        self._title = title
        self._opened = False
        self._times: deque[float] = deque(maxlen=31)

    def count(self, frames: int) -> None:
        """Note that `frames` more are done: their rate over the last moments is shown in the image."""
        self._times.extend([time.perf_counter()] * frames)

    def show(self, image: np.ndarray) -> None:
        """Show an RGB uint8 (H, W, 3) image with the rate in its corner; `image` stays as it is."""
        if not self._opened:
            _silence_font_warnings()
            cv2.namedWindow(self._title, WINDOW_KIND)
            cv2.resizeWindow(self._title, *window_wh(image.shape[1::-1]))
            self._opened = True
        canvas = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        width, height = window_wh(image.shape[1::-1])
        if width > image.shape[1]:  # so that the rate does not hide the image
            canvas = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_LINEAR)
        _write_rate(canvas, self._rate())
        cv2.imshow(self._title, canvas)

    def command(self, seconds: float = 0.001) -> str | None:
        """Wait up to `seconds` for a key: "quit", also for a closed window, or "save", or None. Pauses by itself."""
        if not self._opened:
            return None
        key = cv2.waitKey(max(1, round(seconds * 1000))) & 0xFF
        if key == ord(" "):
            self.paused = not self.paused
            self._times.clear()
        if key in (ord("q"), 27) or _is_closed(self._title):
            return "quit"
        return "save" if key == ord("s") else None

    def close(self) -> None:
        if self._opened:
            _destroy(self._title)
        self._opened = False

    def _rate(self) -> float | None:
        if len(self._times) < 2 or self._times[-1] == self._times[0]:
            return None
        return (len(self._times) - 1) / (self._times[-1] - self._times[0])


def show_figure(title: str, image: np.ndarray) -> str | None:
    """Show an RGB image with matplotlib until its window is closed; returns why that cannot be done, or None."""
    import matplotlib.pyplot as plt
    from matplotlib.backends import BackendFilter, backend_registry

    figure, axes = plt.subplots(figsize=(12, 8))
    backend = plt.get_backend()
    if backend.lower() not in backend_registry.list_builtin(BackendFilter.INTERACTIVE):
        plt.close(figure)
        return f"matplotlib has no window here (its backend is {backend}): it needs a display, and tkinter or PyQt"
    if figure.canvas.manager is not None:
        figure.canvas.manager.set_window_title(title)
    axes.imshow(image)
    axes.set_axis_off()
    figure.tight_layout()
    plt.show()
    return None


def show_figures(images: Iterable[np.ndarray]) -> None:
    """Show RGB images with matplotlib, each until its window is closed; where that cannot be done, print why once."""
    problem = None
    for number, image in enumerate(images, 1):
        if problem is None:
            problem = show_figure(f"image {number}", image)
            if problem:
                print(f"note: --mpl-show: {problem}; the results are in files alone")


def _is_closed(title: str) -> bool:
    try:
        return cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) < 1
    except cv2.error:  # OpenCV 5 forgets a closed window altogether
        return True


def _destroy(title: str) -> None:
    if not _is_closed(title):
        cv2.destroyWindow(title)
        cv2.waitKey(1)


def _wait_key(title: str, seconds: float) -> int:
    """Return the key pressed within `seconds` (0: any time), or 255; at once where the window is closed."""
    until = time.monotonic() + (seconds or float("inf"))
    while True:  # asked again and again: a closed window ends no wait by itself
        key = cv2.waitKey(50) & 0xFF
        if key != 255 or time.monotonic() >= until or _is_closed(title):
            return key


def _write_rate(canvas: np.ndarray, rate: float | None) -> None:
    text = "FPS -" if rate is None else f"FPS {rate:.1f}"
    scale = max(0.5, canvas.shape[0] / 640)
    thick = max(1, round(scale * 2))
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
    margin = 2 * below
    cv2.rectangle(canvas, (0, 0), (width + 2 * margin, height + 2 * margin), (0, 0, 0), cv2.FILLED)
    at = (margin, height + margin)
    cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), thick, cv2.LINE_AA)


def _silence_font_warnings() -> None:
    # OpenCV points Qt at fonts that its wheel does not hold, and Qt says so on every start.
    if not Path(os.environ.get("QT_QPA_FONTDIR", ".missing")).is_dir():
        import matplotlib

        os.environ["QT_QPA_FONTDIR"] = str(Path(matplotlib.get_data_path(), "fonts", "ttf"))
