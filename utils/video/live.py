"""Frames of cameras and network streams, with the wall clock as their time. Every image is RGB uint8 (H, W, 3)."""

import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from tqdm import tqdm

from utils.video.decoding.container import VideoError, find_video_stream, open_container, reason, without_password
from utils.video.decoding.upright import upright
from utils.video.frames import DEFAULT_RATE, Frame

TIME_BASE = Fraction(1, 90_000)
TIMEOUT = 10.0  # seconds without a word from a server until it counts as gone
LONGEST_WAIT = 8.0  # seconds between two tries
STEADY = 10.0  # seconds that a connection must last until the tries are counted anew


class LiveReader:
    """Frames of a connection, which is opened anew when it drops; a context manager, to be iterated once.

    Args:
        connection: has `name`, `rate`, `open()`, `read() -> image or None` and `close()`; open already.
        every: yield every Nth frame.
        start, end: seconds from the first frame; frames with start <= time < end are yielded.
        reconnects: tries in a row, with growing pauses, until a connection that dropped is given up.

    Attributes: `missing` says, after the last frame, why there are no more; None where `end` was reached.
    """

    live = True
    total = None
    audio_streams = tail = notes = ()
    time_base = TIME_BASE

    def __init__(self, connection, *, every: int, start: float, end: float | None, reconnects: int):
        self.path = connection.name
        self.missing: str | None = None
        self.rate = connection.rate
        self._connection, self._reconnects = connection, reconnects
        self._every, self._start, self._end = every, start, end
        self._stopped = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        began, index, tries, opened = None, 0, 0, time.monotonic()
        while not self._stopped.is_set():
            try:
                image = self._connection.read()
            except VideoError as error:
                tries, image = tries + 1, None
                if not self._reconnect(str(error), tries):
                    return
                opened = time.monotonic()
            if image is None:
                continue
            now = time.monotonic()
            began = now if began is None else began
            if now - opened > STEADY:  # not at the first frame: a server may send one each time and hang up
                tries = 0
            seconds = now - began
            if self._end is not None and seconds >= self._end:
                return
            if index % self._every == 0 and seconds >= self._start:
                yield Frame(image, index, Fraction(round(seconds / TIME_BASE)) * TIME_BASE)
            index += 1

    def stop(self) -> None:
        """End the iteration, also from another thread and in the pause between two tries."""
        self._stopped.set()

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> "LiveReader":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _reconnect(self, problem: str, tries: int) -> bool:
        self._connection.close()
        if tries > self._reconnects:
            self.missing = f"{problem}; given up after {self._reconnects} tries to reconnect"
            return False
        wait = min(2.0 ** (tries - 1), LONGEST_WAIT)
        tqdm.write(f"{problem}; trying again in {wait:g} s, {tries} of {self._reconnects}")
        self._stopped.wait(wait)
        return True


class Camera:
    """A camera by its number, through OpenCV, which knows every system's own interface."""

    def __init__(self, number: int | str):
        self.name = f"camera {number}"
        self._number = number
        self._capture: cv2.VideoCapture | None = None
        # OpenCV's own lines about a missing camera say less than ours.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        rate = self._open().get(cv2.CAP_PROP_FPS)
        self.rate = Fraction(rate).limit_denominator(1001) if 0 < rate < 1000 else DEFAULT_RATE

    def read(self) -> np.ndarray | None:
        came, image = (self._capture or self._open()).read()
        if not came:
            raise VideoError(f"{self.name} sends no more images")
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _open(self) -> cv2.VideoCapture:
        self._capture = capture = cv2.VideoCapture(self._number)
        if not capture.isOpened():
            self.close()
            there = sorted(str(path) for path in Path("/dev").glob("video*"))
            seen = f"; the system has {', '.join(there) or 'no /dev/video*'}" if sys.platform == "linux" else ""
            raise VideoError(f"{self.name} cannot be opened: is it plugged in, and free of other programs?{seen}")
        return capture


class Address:
    """A network stream through FFmpeg."""

    def __init__(self, address: str, container: av.container.InputContainer):
        self.name = without_password(address)
        self._address = address
        self._container: av.container.InputContainer | None = None
        self._use(container)
        self.rate = self._stream.average_rate or self._stream.guessed_rate or DEFAULT_RATE

    def read(self) -> np.ndarray | None:
        if self._container is None:
            self._use(open_container(self._address, **network_options(self._address)))
        try:
            return next(self._images)
        except StopIteration:
            raise VideoError(f"{self.name}: the stream ended") from None
        except (av.FFmpegError, OSError) as error:
            raise VideoError(f"{self.name}: the stream dropped ({reason(error)})") from error

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None

    def _use(self, container: av.container.InputContainer) -> None:
        self._container = container
        try:
            self._stream: av.VideoStream = find_video_stream(container, self.name)
        except VideoError:
            self.close()
            raise
        self._images = self._decode(container)

    def _decode(self, container: av.container.InputContainer) -> Iterator[np.ndarray | None]:
        for packet in container.demux(self._stream):
            try:
                frames = packet.decode()
            except av.InvalidDataError:  # the first images after a connection often lack what they refer to
                frames = []
            yield from (upright(frame) for frame in frames)


def network_options(address: str) -> dict:
    """Return the options of `open_container` for an address: time limit, and what its protocol needs."""
    scheme = address.partition("://")[0].lower()
    options = {}
    if scheme.startswith("rtsp"):
        options = {"rtsp_transport": "tcp"}  # UDP loses packets, which decode as grey smears
    elif scheme in ("http", "https"):
        # For files: FFmpeg asks for the rest from where it broke off.
        options = {"reconnect": "1", "reconnect_max_retries": "5", "reconnect_delay_max": "4"}
    return {"timeout": TIMEOUT, "options": options}
