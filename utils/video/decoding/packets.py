"""Packets of a media file, each in its place in time, from the key frame on that a part begins with."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain
from statistics import median

import av

from utils.video.decoding.container import reason

FALL, LEAP = 1, 3600  # seconds that time stamps fall back or leap ahead by where another recording begins
NEAR = 5  # seconds between what is read of a video and of its sound, at most
RATE_PACKETS = 30  # from which the rate is measured, where a file states an impossible one
HELD = 1000  # packets that wait for a key frame at most: memory, where a file has few of them


class PacketReader:
    """Packets of one video stream and its sound; to be iterated once.

    Time continues where time stamps start anew, as in files that were joined with `cat`. Sound outside of the part is
    left out; the time stamps of what is yielded of it count from the file's beginning.

    Args:
        start, end: seconds of the part; end None: all of the rest.

    Attributes:
        rate: frames per second, about; to be set before the iteration.
        origin: of the file's beginning, in seconds by its own time stamps.
        unordered: the frames' time stamps mean nothing; they follow each other at the rate.
        before: frames before the start, once a frame after it came; None where all of them are to be decoded.
        sound_ends: seconds, end of the last packet of sound that was read. problem: what broke off the reading.
        count: packets of the video that were read.
    """

    def __init__(
        self,
        container: av.container.InputContainer,
        video: av.VideoStream,
        sound: Sequence[av.AudioStream],
        *,
        start: Fraction,
        end: Fraction | None,
    ):
        self._container, self._streams, self._video = container, [video, *sound], video
        self._start, self._end = start, end
        self.rate = Fraction(25)
        starts = [s.start_time * s.time_base for s in self._streams if s.start_time is not None and s.time_base]
        self.origin = min(starts, default=Fraction(0))
        self.before: int | None = 0
        # AVI knows no order of showing, and what is made up for it here is wrong.
        codec = video.codec_context
        self.unordered = "avi" in container.format.name and codec.name in ("h264", "hevc") and codec.has_b_frames
        self.sound_ends = Fraction(0)
        self.problem: str | None = None
        self._ends = Fraction(0)  # of everything that was read
        self.count = 0
        self._incoming: Iterator[av.Packet] = self._read()
        self._shift = Fraction(0)  # seconds, of the newest recording
        self._shifts: dict[int, Fraction] = {}  # stream: that of the recording it is in
        self._newest: dict[int, Fraction] = {}  # stream: its decoding time by the file

    def __iter__(self) -> Iterator[av.Packet]:
        return self._from_key_frame() if self._start else self._placed()

    def seconds(self, stamp: int, time_base: Fraction) -> Fraction:
        """Convert a time stamp to seconds since the file's beginning."""
        return stamp * time_base - self.origin

    def _times_of(self, packet: av.Packet) -> tuple[Fraction | None, Fraction | None]:
        """Return when a packet is shown and decoded, in seconds since the file's beginning; None where unknown."""
        shown, decoded = (
            None if stamp is None or packet.time_base is None else self.seconds(stamp, packet.time_base)
            for stamp in (packet.pts, packet.dts)
        )
        return shown, decoded

    def measure_rate(self) -> Fraction | None:
        """Return frames per second by the time stamps of the first RATE_PACKETS packets; None where these have none."""
        packets, stamps = [], []
        for packet in self._incoming:
            packets.append(packet)
            if packet.stream is self._video and packet.pts is not None:
                stamps.append(packet.pts * packet.time_base)
            if len(stamps) == RATE_PACKETS or len(packets) == HELD:
                break
        self._incoming = chain(packets, self._incoming)
        stamps.sort()
        steps = [after - before for before, after in zip(stamps, stamps[1:], strict=False) if after > before]
        # The mean is wrong by a pause, and the median by a unit of the clock.
        typical = median(steps) if steps else 0
        usual = [step for step in steps if step < 3 * typical]
        return len(usual) / sum(usual, Fraction(0)) if usual else None

    def _from_key_frame(self) -> Iterator[av.Packet]:
        """Leave out what comes before the last key frame at or before the start, undecoded but counted.

        Not by seeking: that ends after the start in some containers, and nowhere in joined files.
        """
        held, sound, packets = [], [], self._placed()
        for packet in packets:
            if packet.stream is not self._video:
                sound.append(packet)
                continue
            shown, decoded = self._times_of(packet)
            time = decoded if shown is None else shown
            # Without a time there is no way to know which frames come before the start.
            if self.unordered or self.before is None or (time is None and not self.before):
                self.before = None
                held = [packet]
                break
            if packet.is_keyframe and time is not None and time <= self._start:
                held = []
            held.append(packet)
            if time is not None:  # the last one has none, and only ends the decoder
                self.before += time < self._start and not packet.is_discard
                if decoded is not None and decoded >= self._start:
                    break
            if len(held) > HELD:
                yield from held
                held = []
        yield from sound
        yield from held
        yield from packets

    def _placed(self) -> Iterator[av.Packet]:
        for packet in self._incoming:
            self.count += packet.stream is self._video and packet.size > 0
            self._place(packet)
            if packet.stream is self._video or self._takes(packet):
                yield packet

    def _read(self) -> Iterator[av.Packet]:
        try:
            yield from self._container.demux(self._streams)
        except IndexError:
            pass  # PyAV's, after the last packet, where streams turned up in the middle
        except av.FFmpegError as error:
            self.problem = reason(error)
            ending = av.Packet()  # the decoder still has frames
            ending.stream = self._video
            yield ending

    def _place(self, packet: av.Packet) -> None:
        """Move the time stamps after what came before, where another recording begins."""
        stream = packet.stream_index
        shown, decoded = self._times_of(packet)
        shown = decoded if shown is None else shown
        if shown is None:
            return
        shift = self._shifts.get(stream, Fraction(0))
        if decoded is not None:
            if not -FALL <= decoded - self._newest.get(stream, decoded) <= LEAP:
                # The first stream that gets there says where it continues, and the others go with it.
                if shift == self._shift or abs(shown + self._shift - self._ends) > NEAR:
                    self._shift = self._ends - shown
                shift = self._shifts[stream] = self._shift
            self._newest[stream] = decoded
        ticks = round(shift / packet.time_base)
        if ticks:
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
        duration = packet.duration * packet.time_base if packet.duration else Fraction(0)
        ends = shown + shift + duration
        if packet.stream is self._video:
            self._ends = max(self._ends, ends if duration else ends + 1 / self.rate)
        else:
            self._ends = max(self._ends, ends)
            self.sound_ends = max(self.sound_ends, ends)

    def _takes(self, packet: av.Packet) -> bool:
        if packet.dts is None or packet.pts is None:
            return False
        ticks = round(self.origin / packet.time_base)
        packet.pts, packet.dts = packet.pts - ticks, packet.dts - ticks
        time = packet.pts * packet.time_base
        return (time >= self._start or not self._start) and (self._end is None or time < self._end)
