"""The sound of a video, taken along as it is, or as AAC where an MP4 in a browser could not play it."""

from fractions import Fraction

import av

COPIED = frozenset({"aac", "mp3", "opus", "flac"})  # what browsers play in an MP4
AAC_RATES = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000})


class AudioTrack:
    """One audio stream of a source in an output container.

    Args:
        output: container that is being written; the track adds its stream to it.
        source: stream that the packets come from; its container stays open as long as packets are written.
        offset: seconds to take from every time stamp.
    """

    def __init__(self, output: av.container.OutputContainer, source: av.AudioStream, offset: Fraction):
        self.damaged = 0  # packets that could not be decoded
        self._output = output
        self._offset = offset
        context = source.codec_context
        codec = context.codec.canonical_name
        headless = codec == "aac" and not context.extradata  # in transport streams; an MP4 needs its header
        self._encoded = codec not in COPIED or headless
        if self._encoded:
            rate = context.sample_rate
            self._stream = output.add_stream("aac", rate=rate if rate in AAC_RATES else 48000)
            self._stream.codec_context.layout = "mono" if context.layout.nb_channels == 1 else "stereo"
        else:
            self._stream = output.add_stream_from_template(source)

    def write(self, packet: av.Packet) -> None:
        """Mux one packet of the source stream."""
        if not self._encoded:
            ticks = round(self._offset / packet.time_base)
            packet.pts, packet.dts = packet.pts - ticks, packet.dts - ticks
            packet.stream = self._stream
            self._output.mux(packet)
            return
        try:
            frames = packet.decode()
        except av.InvalidDataError:
            self.damaged += 1
            return
        for frame in frames:
            if frame.pts is not None:
                frame.pts -= round(self._offset / frame.time_base)
            self._output.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Mux what the encoder holds back."""
        if self._encoded:
            self._output.mux(self._stream.encode(None))
