"""Frames out of video files. Every image is RGB uint8 (H, W, 3), upright."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from utils.containers import VideoError, duration_of, find_video_stream, open_container, without_password
from utils.packets import PacketReader

DEFAULT_RATE = Fraction(25)  # frames per second, where a source does not tell
COLOR_RGB, COLOR_UNKNOWN = 0, 2  # in FFmpeg's list of matrices
SLOWEST, FASTEST = Fraction(1, 3600), 10_000  # frames per second; beyond them the file's header is damaged
SOUND_SLACK = Fraction(1, 10)  # seconds that containers count more than the last packets of sound last


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a source.

    image: RGB uint8 (H, W, 3). index: its number in the source, from 0. time: seconds from the source's beginning.
    duration: seconds, None where unknown. audio: the packets that came since the frame before it, in the same time.
    pixel_aspect: width of a pixel as it is to be shown, over its height.
    """

    image: np.ndarray
    index: int
    time: Fraction
    duration: Fraction | None = None
    audio: Sequence[av.Packet] = field(default=())
    pixel_aspect: Fraction = Fraction(1)


class VideoReader:
    """Frames of a video file with their own time stamps; a context manager, to be iterated once.

    Args:
        path: file, or address of one that a server holds whole.
        every: yield every Nth frame, from the first one on.
        start, end: seconds; frames with start <= time < end are yielded.
        container: of `path`, where it is open already.

    Attributes:
        rate: average frames per second, of the file. total: about how many frames will be yielded, or None.
        audio_streams: whose packets come with the frames. notes: what of the file is left out, in words.
        missing: after the last frame, what of the file could not be read, in words; None where all was there.
        tail: after the last frame, the sound behind it.

    Raises VideoError where the file is no video: missing, empty, text, a picture, sound only, cut before its index.
    """

    live = False
    tail: Sequence[av.Packet] = ()

    def __init__(
        self,
        path: Path | str,
        *,
        every: int = 1,
        start: float = 0.0,
        end: float | None = None,
        container: av.container.InputContainer | None = None,
    ):
        self.path = without_password(path)
        self.missing: str | None = None
        self._every, self._start = every, exact(start)
        self._end = None if end is None else exact(end)
        self._container = container or open_container(path)
        try:
            self._prepare()
        except VideoError:
            self.close()
            raise

    def __iter__(self) -> Iterator[Frame]:
        index, skipped, errors, stop, audio = 0, 0, 0, False, []
        newest, ends = None, Fraction(0)
        for packet in self._packets:
            if packet.stream is not self._stream:
                audio.append(packet)
                continue
            try:
                frames = packet.decode()
            except av.FFmpegError:
                errors += 1
                continue
            for frame in frames:
                stamp = frame.pts if frame.pts is not None else frame.dts
                counted = stamp is None or self._packets.unordered
                time = ends if counted else self._packets.seconds(stamp, self.time_base)
                duration = frame.duration * self.time_base if frame.duration else 1 / self.rate
                newest, ends = time, time + duration
                if time < self._start:
                    skipped += 1
                    continue
                if self._packets.before is not None:
                    skipped = self._packets.before
                stop = self._end is not None and time >= self._end
                if stop:
                    break
                if index % self._every == 0:
                    try:
                        image, aspect = upright(frame), self._pixel_aspect(frame)
                    except (av.FFmpegError, ValueError):
                        errors += 1
                    else:
                        yield Frame(image, skipped + index, time, duration * self._every, tuple(audio), aspect)
                        audio = []
                index += 1
            if stop:
                break
        self.tail = audio
        if newest is None:
            raise VideoError(f"{self.path}: no frame of it could be decoded: the file is damaged")
        if not index and not stop:
            raise VideoError(
                f"{self.path}: --start {float(self._start):g} is behind its last frame at {float(newest):.2f} seconds"
            )
        early = not stop and self._ends_early(skipped + index, ends)
        self.missing = self._missing(skipped + index, early, errors)

    def stop(self) -> None:
        """Nothing to wake: a file never waits."""

    def close(self) -> None:
        self._container.close()

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _prepare(self) -> None:
        """Choose the streams and learn how long they are."""
        self._stream = stream = find_video_stream(self._container, self.path)
        stream.thread_type = "AUTO"
        rate = stream.average_rate or stream.guessed_rate or DEFAULT_RATE
        self.rate = rate if SLOWEST <= rate <= FASTEST else DEFAULT_RATE
        self.time_base = stream.time_base
        sound = self._container.streams.audio
        self.audio_streams = [s for s in sound if s.codec_context and s.codec_context.sample_rate]
        self.notes = [
            f"{self.path}: its sound (stream {s.index}) is left out: of a kind that this FFmpeg cannot decode"
            for s in sound
            if s not in self.audio_streams
        ]
        self._packets = PacketReader(
            self._container, stream, self.audio_streams, rate=self.rate, start=self._start, end=self._end
        )
        duration = duration_of(stream)
        self._knows_duration = duration is not None
        if duration is None:
            duration = Fraction(self._container.duration or 0, av.time_base)
        self._duration = max(duration - self._packets.origin, Fraction(0)) if duration else Fraction(0)
        self._frames = stream.frames or round(self._duration * self.rate)
        # A second more: containers do not count how long the last frames stand. MPEG's length is a guess.
        if self._duration and self._start >= self._duration + 1 and not self._container.format.name.startswith("mpeg"):
            raise VideoError(
                f"{self.path}: --start {float(self._start):g} is behind its end at {float(self._duration):.2f} seconds"
            )
        self.total = self._expected()

    def _expected(self) -> int | None:
        frames = self._frames
        if self._start or self._end is not None:
            end = self._end
            if self._duration:
                end = self._duration if end is None else min(end, self._duration)
            if end is None:
                return None
            return -(-max(round((end - self._start) * self.rate), 0) // self._every)
        return -(-frames // self._every) if frames > 0 else None

    def _ends_early(self, count: int, ends: Fraction) -> bool:
        """Whether the file tells of more than `count` frames up to `ends`."""
        if self._packets.problem:
            return True
        told = self._duration - Fraction(1, 2) / self.rate
        if not self._knows_duration and self.audio_streams:  # then it is that of the longest stream
            ends = max(ends, self._packets.sound_ends + SOUND_SLACK)
        # Counts alone mislead: an edit list hides frames that the container counts.
        return count < self._frames and ends < told

    def _missing(self, count: int, early: bool, errors: int) -> str | None:
        if not early and not errors:
            return None
        problem = f" ({self._packets.problem})" if self._packets.problem else ""
        ending = f"it ends early{problem}: {count} of {self._frames} frames could be read"
        damaged = f", {errors} packets are damaged" if errors else ""
        return f"{self.path}: {ending if early else 'damaged in places'}{damaged}"

    def _pixel_aspect(self, frame: av.VideoFrame) -> Fraction:
        aspect = self._stream.sample_aspect_ratio
        if not aspect or aspect < 0:
            return Fraction(1)
        return 1 / aspect if round(frame.rotation / 90) % 2 else aspect


def exact(seconds: float) -> Fraction:
    """The decimal number that was meant: 0.8 as 4/5, so that a frame at 4/5 s is not before it."""
    return Fraction(seconds).limit_denominator(1_000_000)


def upright(frame: av.VideoFrame) -> np.ndarray:
    """RGB uint8 (H, W, 3), turned as the file says: phones store every picture lying."""
    # Untagged files follow the rule of televisions and players: high definition is BT.709.
    untagged = frame.colorspace in (COLOR_UNKNOWN, COLOR_RGB)
    matrix = ("ITU709" if frame.height >= 720 else "ITU601") if untagged else None
    image = frame.to_ndarray(format="rgb24", src_colorspace=matrix)
    turns = round(frame.rotation / 90) % 4  # counterclockwise
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image
