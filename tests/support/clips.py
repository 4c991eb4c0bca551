"""Small video clips whose frames say their own number, in pixels that survive encoding."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from utils.video.decoding.reader import VideoReader
from utils.video.writer import VideoWriter

CONSTANT = [number * 40 for number in range(60)]

VARIABLE = np.cumsum(np.random.default_rng(3).integers(17, 140, 60)).tolist()

VARIABLE = [time - VARIABLE[0] for time in VARIABLE]


BITS, BLOCK = 10, 16
TONE_FROM = 1.0  # seconds of silence before the tone begins


def numbered(number: int, size_wh: tuple[int, int] = (176, 96)) -> np.ndarray:
    """An image, RGB uint8 (H, W, 3), with `number` as black and white blocks in its first row and colour below."""
    width, height = size_wh
    image = np.zeros((height, width, 3), np.uint8)
    image[BLOCK:, : width // 2] = (200, 40, 40)
    image[BLOCK:, width // 2 :] = (40, 60, 200)
    for bit in range(BITS):
        image[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 255 if number >> bit & 1 else 0
    return image


def number_of(image: np.ndarray) -> int:
    middles = image[BLOCK // 2, BLOCK // 2 : BITS * BLOCK : BLOCK].mean(axis=-1)
    return sum(1 << bit for bit, value in enumerate(middles) if value > 128)


def write_clip(
    path: Path,
    times_ms: Sequence[int],
    *,
    size_wh: tuple[int, int] = (176, 96),
    audio: str | None = None,
    codec: str = "libx264",
    rotation: int = 0,
    pixel_aspect: Fraction | None = None,
    sound_ms: int = 0,
    draw=numbered,
) -> Path:
    """Write one numbered frame per time stamp, and a tone encoded by `audio`, as long as they or `sound_ms`.

    AVI counts frames: there the clip must have a constant 25 frames per second.
    """
    clock = Fraction(1, 25) if path.suffix == ".avi" else Fraction(1, 90_000)
    options = {"preset": "ultrafast", "g": "12", "bf": "2"} if codec == "libx264" else {}
    with av.open(path, "w") as output:
        rate = 25
        video = output.add_stream(codec, rate=rate, options=options)
        video.width, video.height = size_wh
        video.pix_fmt = "yuv420p" if not any(side % 2 for side in size_wh) else "yuv444p"
        video.codec_context.time_base = clock if codec == "libx264" else Fraction(1, rate)
        if pixel_aspect:
            video.codec_context.sample_aspect_ratio = pixel_aspect
        if rotation:
            video.set_display_rotation(rotation)
        tone = output.add_stream(audio, rate=48_000) if audio else None
        if tone:
            tone.codec_context.layout = "mono"
        sample = 0
        for number, time in enumerate(times_ms):
            frame = av.VideoFrame.from_ndarray(draw(number, size_wh), format="rgb24")
            frame.time_base, frame.pts = (
                video.codec_context.time_base,
                round(time / 1000 / video.codec_context.time_base),
            )
            output.mux(video.encode(frame))
            while tone and sample < time * 48 + 1024:
                output.mux(tone.encode(_tone(sample)))
                sample += 1024
        output.mux(video.encode(None))
        while tone and sample < sound_ms * 48:
            output.mux(tone.encode(_tone(sample)))
            sample += 1024
        if tone:
            output.mux(tone.encode(None))
    return path


def write_sound(path: Path, codec: str = "aac", seconds: float = 1.0) -> Path:
    with av.open(path, "w") as output:
        tone = output.add_stream(codec, rate=48_000)
        tone.codec_context.layout = "mono"
        for sample in range(0, int(seconds * 48_000), 1024):
            output.mux(tone.encode(_tone(sample)))
        output.mux(tone.encode(None))
    return path


def read_clip(path: Path) -> list[tuple[float, np.ndarray]]:
    """(seconds, RGB image) of every frame."""
    with av.open(path) as container:
        return [(float(frame.time), frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def sound_of(path: Path) -> tuple[str, list[float]]:
    """(codec, seconds of every packet of sound)."""
    with av.open(path) as container:
        codec = container.streams.audio[0].codec_context.codec.canonical_name
        return codec, [float(p.pts * p.time_base) for p in container.demux(audio=0) if p.pts is not None]


def _tone(sample: int) -> av.AudioFrame:
    time = (sample + np.arange(1024)) / 48_000
    wave = np.sin(time * 440 * 2 * np.pi) * (time >= TONE_FROM)
    frame = av.AudioFrame.from_ndarray((wave * 8000).astype(np.int16)[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = 48_000, sample, Fraction(1, 48_000)
    return frame


def copy(source, target, **options) -> tuple[VideoReader, VideoWriter]:
    with (
        VideoReader(source, **options) as reader,
        VideoWriter(
            target,
            rate=reader.rate,
            time_base=reader.time_base,
            start=options.get("start", 0.0),
            audio_streams=reader.audio_streams,
        ) as writer,
    ):
        for frame in reader:
            writer.write(frame.image, frame)
        writer.write_audio(reader.tail)
    return reader, writer
