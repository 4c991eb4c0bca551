"""Frames into H.264 files."""

from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.frame import PictureType

from utils.files import atomic_path
from utils.images.fitting import fit_into
from utils.video.audio import LONGEST, AudioTrack
from utils.video.decoding.container import VideoError, for_ffmpeg, put_index_first
from utils.video.frames import Frame, exact

BT709 = 1  # in each of FFmpeg's lists: matrix, primaries, transfer
LIMITED_RANGE = 1
FRAME_DURATION = 1 << 8  # FFmpeg's flag: the last image keeps its duration, too
KEY_EVERY = Fraction(3, 2)  # seconds; with what the encoder holds back, a killed process loses less than two
MOST_BETWEEN_KEYS = 600  # frames
SLOW = 10  # frames per second, below which a few frames are much time
FINEST = Fraction(1, 90_000)  # seconds; in finer units an MP4 holds no pause of hours


class VideoWriter:
    """An H.264 MP4 with the time stamps it is given, for browsers and players; a context manager.

    While it is written the file is fragmented, so that it plays up to its last two seconds even when the process is
    killed. `close` puts the index in front (faststart), without touching the images. Nothing is written before the
    first frame; later frames of another size are fitted into the first's, with black borders, and counted in `fitted`.
    Odd sizes grow by a repeated edge pixel.

    Args:
        path: file to write, ending in .mp4; refused where it exists.
        rate: frames per second, about. time_base: unit of the time stamps.
        start: seconds, time of the source that becomes 0.
        live: frames come when they come, whatever the rate says.
        audio_streams: of the source, whose packets come with the frames.
    """

    def __init__(
        self,
        path: Path,
        *,
        rate: Fraction,
        time_base: Fraction,
        start: float = 0.0,
        live: bool = False,
        audio_streams: Sequence[av.AudioStream] = (),
    ):
        self.path = Path(path)
        self.frames = 0
        self.fitted = 0
        self.first_fitted: tuple[int, int, int] | None = None  # index, width, height
        if self.path.exists():
            raise VideoError(f"{self.path} is there already and is never overwritten: move it away, or give another -o")
        self._rate, self._start = rate, exact(start)
        # An encoder with lookahead holds frames back: a fifth of a second of most videos, but seconds of a slow one.
        self._waits = not live and rate >= SLOW
        self._time_base = time_base if FINEST <= time_base <= 1 else FINEST
        self._audio_streams = audio_streams
        self._tracks: dict[int, AudioTrack] = {}
        self._output: av.container.OutputContainer | None = None
        self._stream: av.VideoStream | None = None
        self._last = -1
        self._key_at: Fraction | None = None  # seconds
        self._pixel_aspect = Fraction(1)

    def write(self, image: np.ndarray, frame: Frame) -> None:
        """Append `image`, RGB uint8 (H, W, 3), in the place of `frame`, and the sound before it."""
        try:
            if self._output is None:
                self._open(image, frame.pixel_aspect)
            self.write_audio(frame.audio)
            self._mux(image, frame)
        except (av.FFmpegError, OSError, OverflowError) as error:  # overflow: the time stamps of damaged files
            raise VideoError(f"{self.path} cannot be written: {error}") from error
        self.frames += 1

    @property
    def damaged_sound(self) -> int:
        """Return how many packets of sound were left out because they could not be decoded, or came out of order."""
        return sum(track.damaged for track in self._tracks.values())

    def write_audio(self, packets: Sequence[av.Packet]) -> None:
        """Append sound; before the first frame there is no file to append to, and it is left out."""
        if self._output is None:
            return
        try:
            for packet in packets:
                self._tracks[packet.stream_index].write(packet)
        except (av.FFmpegError, OSError) as error:
            raise VideoError(f"{self.path} cannot be written: {error}") from error

    def close(self) -> None:
        """Finish the file. Raises VideoError where the disk is full; what was written before plays nevertheless."""
        if self._output is None:
            return
        output, self._output = self._output, None
        if not self.frames:  # the first frame failed, and its error is the one to be seen
            with suppress(av.FFmpegError, OSError):
                output.close()
            self.path.unlink(missing_ok=True)
            return
        assert self._stream is not None
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
            if not self.path.exists() or not self.path.stat().st_size:
                self.path.unlink(missing_ok=True)
                raise VideoError(f"{self.path} cannot be written: {error}") from error
            raise VideoError(f"{self.path} is not complete, its beginning plays: {error}") from error

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _open(self, image: np.ndarray, pixel_aspect: Fraction) -> None:
        flags = {
            "movflags": "frag_keyframe+delay_moov+default_base_moof",
            "max_interleave_delta": "500000",  # microseconds: sound that pauses does not hold images back
            "flush_packets": "1",
        }
        self._output = av.open(for_ffmpeg(self.path), "w", format="mp4", options=flags)
        # Key frames, where players can jump to, come by time stamp: the rate may be claimed.
        options = {"preset": "veryfast", "g": str(MOST_BETWEEN_KEYS), "forced-idr": "1"}
        if self._waits:
            options |= {"crf": "20", "x264-params": "rc-lookahead=4:sync-lookahead=0:sliced-threads=1"}
        else:
            options |= {"crf": "22", "tune": "zerolatency"}
        self._stream = stream = self._output.add_stream("libx264", rate=self._rate, options=options)
        stream.height, stream.width = (side + side % 2 for side in image.shape[:2])
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = self._time_base
        context.flags |= FRAME_DURATION
        context.sample_aspect_ratio = self._pixel_aspect = pixel_aspect
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = LIMITED_RANGE
        for source in self._audio_streams:
            self._tracks[source.index] = AudioTrack(self._output, source, self._start)

    def _mux(self, image: np.ndarray, frame: Frame) -> None:
        assert self._output is not None and self._stream is not None
        size = (self._stream.width, self._stream.height)
        height, width = image.shape[:2]
        if (width + width % 2, height + height % 2) != size:
            self.fitted += 1
            self.first_fitted = self.first_fitted or (frame.index, width, height)
            image = fit_into(image, size, pixel_aspect=float(frame.pixel_aspect / self._pixel_aspect))
        elif (width, height) != size:
            image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        encoded = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
            format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
        )
        # Damaged files and fast cameras give two frames at one instant, which players refuse, and pauses of days, at
        # which FFmpeg ends the process.
        ticks, longest = round((frame.time - self._start) / self._time_base), round(LONGEST / self._time_base)
        self._last = ticks if 0 < ticks - self._last <= longest else self._last + 1
        encoded.pts, encoded.time_base = self._last, self._time_base
        now = self._last * self._time_base
        if self._key_at is None or now - self._key_at >= KEY_EVERY:
            encoded.pict_type, self._key_at = PictureType.I, now
        if frame.duration:
            encoded.duration = min(round(frame.duration / self._time_base), longest)
        self._output.mux(self._stream.encode(encoded))
