"""Frames out of video files and into H.264 files. Every image is RGB uint8 (H, W, 3), upright."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from utils.audio import AudioTrack
from utils.containers import VideoError, find_video_stream, open_container, put_index_first
from utils.runs import atomic_path

DEFAULT_RATE = Fraction(25)  # frames per second, where a source does not tell
BT709 = 1  # in each of FFmpeg's lists: matrix, primaries, transfer
LIMITED_RANGE = 1
COLOR_RGB, COLOR_UNKNOWN = 0, 2  # in FFmpeg's list of matrices


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a source.

    image: RGB uint8 (H, W, 3). index: its number in the source, from 0. time: seconds from the source's beginning.
    duration: seconds, None where unknown. audio: the packets that came since the frame before it, in the same time.
    """

    image: np.ndarray
    index: int
    time: Fraction
    duration: Fraction | None = None
    audio: Sequence[av.Packet] = field(default=())


class VideoReader:
    """Frames of a video file with their own time stamps; a context manager, to be iterated once.

    Args:
        path: file, or address of one that a server holds whole.
        every: yield every Nth frame, from the first one on.
        start, end: seconds; frames with start <= time < end are yielded.
        container: of `path`, where it is open already.

    Attributes:
        rate: average frames per second, of the file. total: about how many frames will be yielded, or None.
        missing: after the last frame, what of the file could not be read, in words; None where all was there.

    Raises VideoError where the file is no video: missing, empty, text, a picture, sound only, cut before its index.
    """

    live = False

    def __init__(
        self,
        path: Path | str,
        *,
        every: int = 1,
        start: float = 0.0,
        end: float | None = None,
        container: av.container.InputContainer | None = None,
    ):
        self.path = path
        self.missing: str | None = None
        self._every, self._start = every, exact(start)
        self._end = None if end is None else exact(end)
        self._container = container or open_container(path)
        try:
            self._stream = find_video_stream(self._container, path)
        except VideoError:
            self._container.close()
            raise
        stream = self._stream
        stream.thread_type = "AUTO"
        self.rate = stream.average_rate or stream.guessed_rate or DEFAULT_RATE
        self.time_base = stream.time_base
        self.audio_streams = [s for s in self._container.streams.audio if s.codec_context.sample_rate]
        starts = [s.start_time * s.time_base for s in (stream, *self.audio_streams) if s.start_time is not None]
        self._origin = min(starts, default=Fraction(0))
        self._duration = Fraction(0)
        if stream.duration:
            self._duration = stream.duration * stream.time_base + (stream.start_time or 0) * stream.time_base
            self._duration -= self._origin
        elif self._container.duration:
            self._duration = Fraction(self._container.duration, av.time_base)
        self._frames = stream.frames or round(self._duration * self.rate)
        if self._duration and self._start >= self._duration:
            self._container.close()
            raise VideoError(f"{path}: --start {start:g} is behind its end at {float(self._duration):.2f} seconds")
        self.total = self._expected()

    def __iter__(self) -> Iterator[Frame]:
        index = self._skip_to_start()
        first, audio, ends, errors = index, [], self._start, 0
        stop = False
        for packet in self._container.demux([self._stream, *self.audio_streams]):
            if packet.stream.type == "audio":
                if packet.dts is not None and packet.pts is not None and self._takes(packet):
                    audio.append(packet)
                continue
            try:
                frames = packet.decode()
            except av.InvalidDataError:
                errors += 1
                continue
            for frame in frames:
                time = self._time(frame, ends)
                if time < self._start:
                    continue
                stop = self._end is not None and time >= self._end
                if stop:
                    break
                duration = frame.duration * frame.time_base if frame.duration else 1 / self.rate
                ends = time + duration
                if (index - first) % self._every == 0:
                    yield Frame(upright(frame), index, time, duration * self._every, tuple(audio))
                    audio = []
                index += 1
            if stop:
                break
        self.tail = audio
        if index == first:
            raise VideoError(f"{self.path}: no frame of it could be decoded: the file is damaged")
        # Counts alone mislead: an edit list hides frames that the container counts.
        early = not stop and index < self._frames and ends < self._duration - Fraction(1, 2) / self.rate
        if early or errors:
            damaged = f", {errors} packets are damaged" if errors else ""
            ending = f"it ends early: {index} of {self._frames} frames could be read" if early else "damaged in places"
            self.missing = f"{self.path}: {ending}{damaged}"

    tail: Sequence[av.Packet] = ()  # sound behind the last frame

    def stop(self) -> None:
        """Nothing to wake: a file never waits."""

    def close(self) -> None:
        self._container.close()

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _expected(self) -> int | None:
        frames = self._frames
        if self._start or self._end is not None:
            end = min(self._end, self._duration) if self._end is not None and self._duration else self._end
            frames = round(((end or self._duration) - self._start) * self.rate)
        return -(-frames // self._every) if frames > 0 else None

    def _skip_to_start(self) -> int:
        """Go to the key frame at or before the start; returns how many frames the start leaves out."""
        if not self._start:
            return 0
        skipped = 0
        for packet in self._container.demux(self._stream):  # counted, not decoded, so that numbers stay the file's
            if packet.dts is None or packet.dts * packet.time_base - self._origin >= self._start:
                break
            skipped += packet.pts is None or packet.pts * packet.time_base - self._origin < self._start
        self._container.seek(int((self._start + self._origin) * av.time_base))
        return skipped

    def _time(self, frame: av.VideoFrame, otherwise: Fraction) -> Fraction:
        stamp = frame.pts if frame.pts is not None else frame.dts
        return otherwise if stamp is None else stamp * frame.time_base - self._origin

    def _takes(self, packet: av.Packet) -> bool:
        """Whether a packet of sound is of the part that is asked for; its time then counts from the beginning, too."""
        ticks = round(self._origin / packet.time_base)
        packet.pts, packet.dts = packet.pts - ticks, packet.dts - ticks
        time = packet.pts * packet.time_base
        return (time >= self._start or not self._start) and (self._end is None or time < self._end)


class VideoWriter:
    """An H.264 MP4 with the time stamps it is given, for browsers and players; a context manager.

    While it is written the file is fragmented, so that it plays up to its last two seconds even when the process is
    killed. `close` puts the index in front (faststart), without touching the pictures. Nothing is written before the
    first frame; later frames of another size are scaled to the first's. Odd sizes grow by a repeated edge pixel.

    Args:
        path: file to write, ending in .mp4; refused where it exists.
        rate: frames per second, about. time_base: unit of the time stamps.
        start: seconds, time of the source that becomes 0.
        audio_streams: of the source, whose packets come with the frames.
    """

    def __init__(
        self,
        path: Path,
        *,
        rate: Fraction,
        time_base: Fraction,
        start: float = 0.0,
        audio_streams: Sequence[av.AudioStream] = (),
    ):
        self.path = Path(path)
        self.frames = 0
        if self.path.exists():
            raise VideoError(f"{self.path} is there already and is never overwritten: move it away, or give another -o")
        self._rate, self._time_base, self._start = rate, time_base, exact(start)
        self._audio_streams = audio_streams
        self._tracks: dict[int, AudioTrack] = {}
        self._output = self._stream = None
        self._last = -1

    def write(self, image: np.ndarray, frame: Frame) -> None:
        """Append `image`, RGB uint8 (H, W, 3), in the place of `frame`, and the sound before it."""
        try:
            if self._output is None:
                self._open(image)
            self.write_audio(frame.audio)
            self._mux(image, frame)
        except (av.FFmpegError, OSError) as error:
            raise VideoError(f"{self.path} cannot be written: {error}") from error
        self.frames += 1

    def write_audio(self, packets: Sequence[av.Packet]) -> None:
        """Append sound; before the first frame there is no file to append to, and it is left out."""
        if self._output is not None:
            for packet in packets:
                self._tracks[packet.stream_index].write(packet)

    def close(self) -> None:
        """Finish the file. Raises VideoError where the disk is full; what was written before plays nevertheless."""
        if self._output is None:
            return
        output, self._output = self._output, None
        try:
            output.mux(self._stream.encode(None))
            for track in self._tracks.values():
                track.finish()
            output.close()
            with atomic_path(self.path) as partial:
                put_index_first(self.path, partial)
        except (av.FFmpegError, OSError) as error:
            with suppress(av.FFmpegError):
                output.close()
            raise VideoError(f"{self.path} is not complete, its beginning plays: {error}") from error

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _open(self, image: np.ndarray) -> None:
        flags = {"movflags": "frag_keyframe+delay_moov+default_base_moof", "flush_packets": "1"}
        self._output = av.open(self.path, "w", format="mp4", options=flags)
        # A key frame every two seconds: where players can jump to, and what a killed process loses at most.
        options = {"preset": "veryfast", "crf": "20", "g": str(max(1, round(self._rate * 2))), "rc-lookahead": "10"}
        self._stream = stream = self._output.add_stream("libx264", rate=self._rate, options=options)
        stream.height, stream.width = (side + side % 2 for side in image.shape[:2])
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = self._time_base
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = LIMITED_RANGE
        for source in self._audio_streams:
            self._tracks[source.index] = AudioTrack(self._output, source, self._start)

    def _mux(self, image: np.ndarray, frame: Frame) -> None:
        size = (self._stream.width, self._stream.height)
        height, width = image.shape[:2]
        if (width + width % 2, height + height % 2) != size:  # a stream that came back with another camera
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        elif (width, height) != size:
            image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        picture = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
            format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
        )
        # Players refuse two frames at one instant, which damaged files and fast cameras give.
        self._last = max(round((frame.time - self._start) / self._time_base), self._last + 1)
        picture.pts, picture.time_base = self._last, self._time_base
        if frame.duration:
            picture.duration = round(frame.duration / self._time_base)
        self._output.mux(self._stream.encode(picture))


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
