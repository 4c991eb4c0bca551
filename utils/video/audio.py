"""The sound of a video, taken along as it is, or as AAC where an MP4 in a browser could not play it."""

from contextlib import suppress
from fractions import Fraction
from io import BytesIO

import av

COPIED = frozenset({"aac", "mp3", "opus", "flac"})  # what browsers play in an MP4
AAC_RATES = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000})
LONGEST = 3600  # seconds of a pause; at longer ones than it can count, FFmpeg's MP4 writer ends the process


class AudioTrack:
    """One audio stream of a source in an output container.

    Args:
        output: container that is being written; the track adds its stream to it.
        source: stream that the packets come from; its container stays open as long as packets are written.
        offset: seconds to take from every time stamp.
    """

    def __init__(self, output: av.container.OutputContainer, source: av.AudioStream, offset: Fraction):
        self.damaged = 0  # packets that could not be decoded, or whose time is not after the one before
        self._output = output
        self._offset = offset
        self._newest: Fraction | None = None  # seconds
        context = source.codec_context
        codec = context.codec.canonical_name
        headless = codec == "aac" and not context.extradata  # in transport streams; an MP4 needs its header
        self._encoded = codec not in COPIED or headless or not _fits_mp4(source)
        if self._encoded:
            rate = context.sample_rate
            self._stream = output.add_stream("aac", rate=rate if rate in AAC_RATES else 48000)
            self._stream.codec_context.layout = "mono" if context.layout.nb_channels == 1 else "stereo"
        else:
            self._stream = output.add_stream_from_template(source)

    def write(self, packet: av.Packet) -> None:
        """Mux one packet of the source stream; one that is damaged is counted and left out."""
        try:
            if self._encoded:
                self._encode(packet)
            else:
                self._copy(packet)
        except ValueError:  # invalid data or argument, in FFmpeg's words; a disk that is full is neither
            self.damaged += 1

    def _copy(self, packet: av.Packet) -> None:
        unit = packet.time_base
        assert unit is not None and packet.pts is not None and packet.dts is not None  # PacketReader leaves others out
        ticks = round(self._offset / unit)
        packet.pts, packet.dts = packet.pts - ticks, packet.dts - ticks
        self._check(packet.dts * unit)
        if (packet.duration or 0) * unit > LONGEST:
            raise ValueError("a duration that cannot be")
        packet.stream = self._stream
        self._output.mux(packet)

    def _encode(self, packet: av.Packet) -> None:
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            raise ValueError("cannot be decoded") from error
        for frame in frames:
            assert isinstance(frame, av.AudioFrame)
            if frame.pts is not None and frame.time_base is not None:
                frame.pts -= round(self._offset / frame.time_base)
                self._check(frame.pts * frame.time_base)
            self._output.mux(self._stream.encode(frame))

    def _check(self, time: Fraction) -> None:
        """Raise ValueError where `time` does not follow the one before."""
        if self._newest is not None and not 0 < time - self._newest <= LONGEST:
            raise ValueError("out of order")
        self._newest = time

    def finish(self) -> None:
        """Mux what the encoder holds back."""
        if self._encoded:
            with suppress(ValueError):  # of an encoder that no sound ever reached
                self._output.mux(self._stream.encode(None))


def _fits_mp4(source: av.AudioStream) -> bool:
    """Check whether an MP4 with this stream can be read: a damaged header of its sound makes the whole file useless."""
    try:
        with BytesIO() as file:
            with av.open(file, "w", format="mp4", options={"movflags": "empty_moov"}) as output:
                output.add_stream_from_template(source)
                output.start_encoding()
            file.seek(0)
            with av.open(file) as written:
                return bool(written.streams.audio)
    except (av.FFmpegError, ValueError):
        return False
