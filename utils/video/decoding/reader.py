"""Frames out of video files. Every image is RGB uint8 (H, W, 3), upright."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av

from utils.video.decoding.container import (
    VideoError,
    duration_of,
    find_video_stream,
    is_address,
    open_container,
    without_password,
)
from utils.video.decoding.deinterlace import Deinterlacer
from utils.video.decoding.hdr import is_hdr, name_of
from utils.video.decoding.packets import PacketReader
from utils.video.decoding.truncation import is_cut_short
from utils.video.decoding.upright import orientation_of, upright
from utils.video.frames import DEFAULT_RATE, Frame, exact

SLOWEST, FASTEST = Fraction(1, 3600), Fraction(120)  # frames per second of a header that are believed unseen
FASTEST_MEASURED = Fraction(10_000)
HEADER_SLACK = Fraction(1, 2)  # seconds that a header may count too much
RECKONED = frozenset({"mpegts", "mpeg", "ogg", "gif", "apng"})  # formats that state no duration; FFmpeg reckons one
SOUND_SLACK = Fraction(1, 10)  # seconds that containers count more than the last packets of sound last


class VideoReader:
    """Frames of a video file with their own time stamps; a context manager, to be iterated once.

    Args:
        path: file, or address of one that a server holds whole.
        every: yield every Nth frame, from the first one on.
        start, end: seconds; frames with start <= time < end are yielded.
        container: of `path`, where it is open already.

    Attributes:
        rate: average frames per second, of the file. total: about how many frames will be yielded, or None.
        audio_streams: whose packets come with the frames. notes: what of the file is left out or altered, in words;
        some turn up with the first frames.
        missing: after the last frame, what of the file could not be read, in words; None where all was there.
        tail: after the last frame, the sound that follows it.

    Raises VideoError where the file is no video: missing, empty, text, an image, sound only, cut before its index.
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
        self._audio: list[av.Packet] = []
        self._newest: Fraction | None = None  # seconds, when the newest image begins
        self._ends = Fraction(0)  # and when it ends
        self._damaged = 0  # packets that could not be decoded
        try:
            self._prepare()
        except VideoError:
            self.close()
            raise

    def __iter__(self) -> Iterator[Frame]:
        index, skipped, stop, spoiled = 0, 0, False, 0
        for decoded, time, duration in self._images():
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
                    image, aspect = upright(decoded), self._pixel_aspect(decoded)
                except (av.FFmpegError, ValueError):
                    spoiled += 1
                else:
                    audio, self._audio = tuple(self._audio), []
                    yield Frame(image, skipped + index, time, duration * self._every, audio, aspect)
            index += 1
        self.tail = self._audio
        if self._newest is None:
            raise VideoError(f"{self.path}: no frame of it could be decoded: {self._why_nothing()}")
        if not index and not stop:
            raise VideoError(
                f"{self.path}: --start {float(self._start):g} is after its last frame "
                f"at {float(self._newest):.2f} seconds"
            )
        early = not stop and self._ends_early(skipped + index)
        self.missing = self._missing(skipped + index, early, self._damaged + spoiled)

    def _images(self) -> Iterator[tuple[av.VideoFrame, Fraction, Fraction]]:
        """Yield (decoded image, time, duration in seconds) of the part and of what the decoder needs before it."""
        deinterlacer = Deinterlacer()
        for packet in self._packets:
            if packet.stream is not self._stream:
                self._audio.append(packet)
                continue
            if not packet.size and packet.pts is not None:
                # Theora's and AVI's way to show the image before for longer.
                self._ends = max(self._ends, self._packets.seconds(packet.pts + (packet.duration or 0), self.time_base))
                continue
            try:
                frames = packet.decode()
            except av.FFmpegError:
                # Where a part was cut out without encoding it, what comes before the first key frame has no base.
                self._damaged += (self._newest is not None or packet.is_keyframe) and not packet.is_discard
                continue
            for frame in frames:
                stamp = frame.pts if frame.pts is not None else frame.dts
                time = (
                    self._ends
                    if stamp is None or self._packets.unordered
                    else self._packets.seconds(stamp, self.time_base)
                )
                duration = frame.duration * self.time_base if frame.duration else 1 / self.rate
                self._newest, self._ends = time, time + duration
                self._note_kind(frame)
                yield from deinterlacer.put(frame, time, duration)
        yield from deinterlacer.finish()

    def stop(self) -> None:
        """Do nothing: a file never waits."""

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
        assert stream.time_base is not None
        self.time_base = stream.time_base
        sound = self._container.streams.audio
        self.audio_streams = [s for s in sound if s.codec_context and s.codec_context.sample_rate]
        self.notes = [
            f"{self.path}: its sound (stream {s.index}) is left out: of a kind that this FFmpeg cannot decode"
            for s in sound
            if s not in self.audio_streams
        ]
        self._packets = PacketReader(self._container, stream, self.audio_streams, start=self._start, end=self._end)
        rate = stream.average_rate or stream.guessed_rate or DEFAULT_RATE
        if not SLOWEST <= rate <= FASTEST:  # browsers' WebM claims 1000, the units of its clock
            rate = self._packets.measure_rate() or DEFAULT_RATE
        self.rate = self._packets.rate = min(max(rate, SLOWEST), FASTEST_MEASURED)
        duration = duration_of(stream)
        self._knows_duration = duration is not None
        if duration is None:
            duration = Fraction(self._container.duration or 0, av.time_base)
        self._duration = max(duration - self._packets.origin, Fraction(0)) if duration else Fraction(0)
        self._frames = stream.frames or round(self._duration * self.rate)
        # A second more: containers do not count how long the last frames are shown. MPEG's length is a guess.
        if self._duration and self._start >= self._duration + 1 and not self._container.format.name.startswith("mpeg"):
            raise VideoError(
                f"{self.path}: --start {float(self._start):g} is after its end at {float(self._duration):.2f} seconds"
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

    def _ends_early(self, count: int) -> bool:
        """Check whether something after the last of `count` frames is missing."""
        ends, stated = self._ends, self._duration - Fraction(1, 2) / self.rate
        if not self._knows_duration and self.audio_streams:  # then it is that of the longest stream
            ends = max(ends, self._packets.sound_ends + SOUND_SLACK)
        # Either number alone misleads: an edit list hides frames that the container counts.
        if (self._duration and ends >= stated) or (self._stream.frames and count >= self._stream.frames):
            return False
        if self._packets.problem:
            return True
        cut = None if is_address(self.path) else is_cut_short(Path(self.path))
        if cut is not None:
            return cut
        if self._container.format.name in RECKONED or not self._duration:
            return False
        entries = len(self._stream.index_entries) if "mov" in self._container.format.name else 0
        if entries and entries == self._stream.frames:
            return self._packets.count < entries
        return count < self._frames and ends + HEADER_SLACK < stated

    def _missing(self, count: int, early: bool, damaged: int) -> str | None:
        if not early and not damaged:
            return None
        problem = f" ({self._packets.problem})" if self._packets.problem else ""
        of = f" of {self._frames}" if self._frames > count else ""
        ending = f"it ends early{problem}: {count}{of} frames could be read"
        packets = f", {damaged} packets are damaged" if damaged else ""
        return f"{self.path}: {ending if early else 'damaged in places'}{packets}"

    def _why_nothing(self) -> str:
        if is_address(self.path) and not self._damaged:
            return (
                "an index at its end needs a server that sends parts of files (byte ranges), "
                "or it is damaged; download it and give the file"
            )
        return "the file is damaged, or was cut out without a key frame"

    def _note_kind(self, frame: av.VideoFrame) -> None:
        """Note once what is done to its images."""
        if frame.interlaced_frame:
            self._note("interlaced: each image is made whole from its two fields (deinterlaced)")
        if is_hdr(frame):
            self._note(f"high dynamic range ({name_of(frame.color_trc)}): brightness is mapped to the standard range")

    def _note(self, words: str) -> None:
        if (note := f"{self.path}: {words}") not in self.notes:
            self.notes.append(note)

    def _pixel_aspect(self, frame: av.VideoFrame) -> Fraction:
        aspect = self._stream.sample_aspect_ratio
        if not aspect or aspect < 0:
            return Fraction(1)
        return 1 / aspect if orientation_of(frame)[0] else aspect
