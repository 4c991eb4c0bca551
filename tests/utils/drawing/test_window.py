"""The window, on a virtual screen, with key presses of its own; skipped where Xvfb or xdotool is not installed."""

import ctypes
import json
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager

import cv2
import numpy as np
import pytest

from support.clips import number_of, read_clip, write_clip
from support.paths import ROOT
from support.video_runs import command, environment, small_checkpoint
from utils.images.io import read_image

SCREEN_WH = (1400, 900)

needs_screen = pytest.mark.skipif(
    not (shutil.which("Xvfb") and shutil.which("xdotool")), reason="needs Xvfb and xdotool (apt-get install)"
)

# Shows an image until a command ends it; prints what it was asked, and when it pauses.
SHOW = """
import sys, time
import numpy as np
from utils.drawing.window import VideoWindow, display_problem
assert display_problem() is None, display_problem()
window = VideoWindow("shown here")
image = np.full((240, 320, 3), (200, 40, 40), np.uint8)
until, paused = time.monotonic() + 120, False
while time.monotonic() < until:
    window.count(1)
    window.show(image)
    said = window.command(0.01)
    if window.paused != paused:
        paused = window.paused
        print("pause" if paused else "on", flush=True)
    if said:
        print(said, flush=True)
    if said == "quit":
        break
window.close()
"""


# Shows images until they are through or the user ends it.
IMAGES = """
import numpy as np
from utils.drawing.window import show_images
images = (np.full((240, 320, 3), shade, np.uint8) for shade in (50, 200))
show_images("shown here", images, seconds=30)
print("left", len(list(images)))
"""


@pytest.fixture(scope="module")
def screen(tmp_path_factory):
    """(DISPLAY, file with the screen's pixels) of a virtual screen."""
    folder = tmp_path_factory.mktemp("screen")
    size = "x".join(map(str, (*SCREEN_WH, 24)))
    words = ["Xvfb", "-displayfd", "1", "-screen", "0", size, "-fbdir", str(folder), "-nolisten", "tcp"]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield f":{server.stdout.readline().strip()}", folder / "Xvfb_screen0"
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return small_checkpoint(tmp_path_factory.mktemp("model") / "best_model.pth")


def xdotool(display, *words):
    done = subprocess.run(
        ["xdotool", *words], env=environment(display), capture_output=True, text=True, timeout=120, check=False
    )
    return done.stdout.split()


def press(display, window, key):
    """A key, through the X server, as from a keyboard; without a window manager the focus is set by hand."""
    xdotool(display, "windowfocus", "--sync", window, "key", key)


class ClientMessage(ctypes.Structure):
    """Xlib's XClientMessageEvent, padded to the size of XEvent."""

    _fields_ = [
        *(("type", ctypes.c_int), ("serial", ctypes.c_ulong), ("send_event", ctypes.c_int)),
        *(("display", ctypes.c_void_p), ("window", ctypes.c_ulong), ("message_type", ctypes.c_ulong)),
        *(("format", ctypes.c_int), ("data", ctypes.c_long * 5), ("padding", ctypes.c_long * 24)),
    ]


def click_close(display, window):
    """Send what a window manager sends to the window when its X is clicked."""
    x11 = ctypes.CDLL("libX11.so.6")
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XInternAtom.restype = ctypes.c_ulong
    server = ctypes.c_void_p(x11.XOpenDisplay(display.encode()))
    kind, delete = (x11.XInternAtom(server, name, 0) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW"))
    message = ClientMessage(type=33, window=int(window), message_type=kind, format=32)
    message.data[0] = delete
    x11.XSendEvent(server, ctypes.c_ulong(int(window)), 0, ctypes.c_long(0), ctypes.byref(message))
    x11.XCloseDisplay(server)


def window_named(display, name, process):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if found := xdotool(display, "search", "--onlyvisible", "--name", name):
            return found[-1]
        time.sleep(0.05)
    raise AssertionError(f"no window {name}: {process.communicate(timeout=10)}")


@contextmanager
def started(words, display, cwd):
    process = subprocess.Popen(
        words, cwd=cwd, env=environment(display), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def pixels(dump):
    """The virtual screen as RGB uint8 (H, W, 3), from its file in the format of xwd."""
    width, height = SCREEN_WH
    data = np.frombuffer(dump.read_bytes(), np.uint8)
    return data[-width * height * 4 :].reshape(height, width, 4)[:, :, 2::-1]


@needs_screen
@pytest.mark.parametrize("how", ["q", "Escape", "close"])
def test_keys_and_closing_end_it(screen, how):
    display, dump = screen
    with started([sys.executable, "-c", SHOW], display, ROOT) as process:
        window = window_named(display, "shown here", process)
        press(display, window, "space")
        assert process.stdout.readline() == "pause\n"
        press(display, window, "space")
        assert process.stdout.readline() == "on\n"
        press(display, window, "s")
        assert process.stdout.readline() == "save\n"
        deadline = time.monotonic() + 60  # the screen shows the frame when the server has painted it
        while True:
            shown = pixels(dump)
            red = (shown == (200, 40, 40)).all(axis=2)
            if red.sum() > 40_000 or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        assert 40_000 < red.sum() < 320 * 240  # the image, without the corner that holds the rate
        y, x = np.argwhere(red.any(axis=1))[0, 0], np.argwhere(red.any(axis=0))[0, 0]
        corner = shown[y : y + 20, x : x + 60]
        assert (corner == 0).all(axis=2).any() and (corner == 255).all(axis=2).any()
        if how == "close":
            click_close(display, window)
        else:
            press(display, window, how)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0 and out == "quit\n" and "Traceback" not in err and "QFont" not in err


@needs_screen
@pytest.mark.parametrize(("how", "left"), [("q", 1), ("close", 1), ("x", 0)])
def test_images_one_after_the_other(screen, how, left):
    display, _ = screen
    with started([sys.executable, "-c", IMAGES], display, ROOT) as process:
        window = window_named(display, "shown here", process)
        time.sleep(0.3)
        if how == "close":
            click_close(display, window)
        else:
            press(display, window, how)
            if how == "x":
                time.sleep(0.3)
                press(display, window, "q")
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0 and out == f"left {left}\n" and "Traceback" not in err, err


SHEETS = """
import numpy as np, sys
from utils.drawing.window import screen_wh, show_images, window_wh
print(screen_wh(), window_wh((1472, 1550)), flush=True)
width, height = map(int, sys.argv[1:])
show_images("shown here", [np.full((height, width, 3), (200, 40, 40), np.uint8)], seconds=30)
"""


@needs_screen
@pytest.mark.parametrize("size", [(1472, 1550), (4000, 90), (12, 9), (640, 480)])
def test_a_window_fits_the_screen_and_shows_all_of_the_image(tmp_path, size):
    words = ["Xvfb", "-displayfd", "1", "-screen", "0", "1024x600x24", "-nolisten", "tcp"]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        display = f":{server.stdout.readline().strip()}"
        with started([sys.executable, "-c", SHEETS, *map(str, size)], display, ROOT) as process:
            window = window_named(display, "shown here", process)
            deadline = time.monotonic() + 10
            seen = None
            while time.monotonic() < deadline:
                lines = xdotool(display, "getwindowgeometry", "--shell", window)
                found = dict(line.split("=") for line in lines)
                if seen == (seen := (int(found["WIDTH"]), int(found["HEIGHT"]))) and seen[0] > 200:
                    break
                time.sleep(0.3)
            press(display, window, "q")
            out, err = process.communicate(timeout=20)
    finally:
        server.terminate()
        server.wait(10)
    assert process.returncode == 0 and out.startswith("(1024, 600)"), err
    assert seen[0] <= 1024 * 0.9 + 2 and seen[1] <= 600 * 0.9 + 2
    if size == (640, 480):
        assert seen == size
    if size == (12, 9):
        assert seen[0] >= 300 and seen[1] >= 200
    if size == (1472, 1550):
        assert seen[0] / seen[1] == pytest.approx(1472 / 1550, abs=0.02)


@needs_screen
def test_the_counts_after_q_are_those_of_what_is_done(screen, checkpoint, tmp_path):
    display, _ = screen
    (tmp_path / "in").mkdir()
    for number in range(40):
        cv2.imwrite(str(tmp_path / "in" / f"{number}.png"), np.full((60, 80, 3), 90, np.uint8))
    words = [sys.executable, str(ROOT / "inference.py"), "-w", str(checkpoint), "-d", "cpu", "-i", "in", "-o", "out"]
    with started([*words, "--show-image", "--save", "json"], display, tmp_path) as process:
        window = window_named(display, "in", process)
        time.sleep(0.5)
        press(display, window, "q")
        out, err = process.communicate(timeout=60)
    written = len(list((tmp_path / "out").glob("*.png")))
    images = json.loads((tmp_path / "out" / "predictions.json").read_text())["images"]
    assert process.returncode == 0 and out.count("keys in the window") == 1, err
    assert f"stopped after {written} of 40 images" in out and f"\n{written} images" in out
    assert len(images) == written < 40


@needs_screen
def test_a_video_is_shown_paused_saved_and_ended(screen, checkpoint, tmp_path):
    display, _ = screen
    clip = write_clip(tmp_path / "clip.mp4", [40 * i for i in range(1000)])
    words = command(checkpoint, "clip.mp4", "-th", "1", "--show-image", "-o", "out")
    with started(words, display, tmp_path) as process:
        window = window_named(display, "clip.mp4", process)
        press(display, window, "space")
        time.sleep(1)  # for what was on its way to the screen
        for _ in range(2):
            press(display, window, "s")
        deadline = time.monotonic() + 120
        while not (saved := list((tmp_path / "out").glob("clip*.png"))):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.5)
        assert list((tmp_path / "out").glob("clip*.png")) == saved and len(saved) == 1  # paused: the same frame twice
        press(display, window, "space")
        time.sleep(0.5)
        press(display, window, "s")
        while len(saved) < 2:
            assert process.poll() is None and time.monotonic() < deadline
            saved = sorted((tmp_path / "out").glob("clip*.png"))
        press(display, window, "q")
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0 and "Traceback" not in err and "keys in the window" in out
    names = [f"clip_frame_{number_of(read_image(path)):06d}.png" for path in saved]
    assert names == [path.name for path in saved]
    numbers = [number_of(image) for _, image in read_clip(tmp_path / "out" / "clip.mp4")]
    assert numbers == list(range(len(numbers))) and int(saved[-1].stem[-6:]) < len(numbers) < 1000
    assert clip.exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="displays of X11")
@pytest.mark.parametrize(("display", "words"), [(None, "there is no display"), (":987", "cannot reach display :987")])
def test_no_usable_display_is_found_out_without_a_crash(display, words):
    code = "from utils.drawing.window import display_problem; print(display_problem())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment(display),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0 and words in done.stdout
