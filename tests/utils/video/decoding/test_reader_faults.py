"""Files with something wrong or unusual in them: parts, joined recordings, odd sound, damage, and a real clip."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from support.clips import CONSTANT, VARIABLE, copy, number_of, numbered, read_clip, sound_of, write_clip
from support.paths import SHARED
from utils.video.audio import AudioTrack
from utils.video.decoding.container import VideoError
from utils.video.decoding.reader import VideoReader
from utils.video.frames import Frame, exact
from utils.video.writer import VideoWriter

REAL_CLIP = SHARED / "video" / "person_walk.mp4"


def seen(path, **options) -> list[tuple[int, Fraction, int]]:
    with VideoReader(path, **options) as reader:
        return [(frame.index, frame.time, number_of(frame.image)) for frame in reader]


def writer_of(path) -> VideoWriter:
    return VideoWriter(path, rate=Fraction(25), time_base=Fraction(1, 90_000))


@pytest.mark.parametrize("audio", [None, "aac"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".flv"])
def test_a_start_gives_what_a_full_read_gives_from_there(tmp_path, suffix, audio):
    clip = write_clip(tmp_path / f"clip{suffix}", VARIABLE, audio=audio)
    whole = seen(clip)
    assert [number for _, _, number in whole] == list(range(60))
    for start in np.linspace(0.01, float(whole[-1][1]) - 0.01, 12):
        assert seen(clip, start=start) == [frame for frame in whole if frame[1] >= exact(start)]


@pytest.mark.parametrize(("suffix", "codec"), [(".avi", "libx264"), (".avi", "mpeg4"), (".h264", "libx264")])
def test_files_that_do_not_tell_the_order_of_their_frames(tmp_path, suffix, codec):
    clip = write_clip(tmp_path / f"clip{suffix}", CONSTANT, codec=codec)
    whole = [(number, Fraction(number, 25), number) for number in range(60)]
    assert seen(clip) == whole
    for start in (0.02, 0.5, 1.0, 2.35):
        assert seen(clip, start=start) == [frame for frame in whole if frame[1] >= exact(start)]


def test_the_sound_of_a_part_begins_with_it(tmp_path):
    for suffix in (".mkv", ".ts"):
        clip = write_clip(tmp_path / f"clip{suffix}", CONSTANT, audio="aac")
        copy(clip, tmp_path / f"{suffix[1:]}.mp4", start=1.0)
        times = sound_of(tmp_path / f"{suffix[1:]}.mp4")[1]
        assert -0.03 < times[0] < 0.03 and times[-1] > 1.3


def test_an_end_of_zero_and_a_start_behind_the_last_frame(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", CONSTANT)
    with VideoReader(clip, end=0.0) as reader:
        assert reader.total == 0 and list(reader) == [] and reader.missing is None
    with pytest.raises(VideoError, match="--start 2.38 is after its last frame at 2.36 seconds"):
        seen(clip, start=2.38)


@pytest.mark.parametrize("tag", [b"DURATION", b"NOTHINGS"])
@pytest.mark.parametrize("suffix", [".mkv", ".flv"])
def test_sound_may_outlast_the_image(tmp_path, suffix, tag):
    clip = write_clip(tmp_path / f"clip{suffix}", CONSTANT[:20], audio="aac", sound_ms=3000)
    data = clip.read_bytes().replace(b"DURATION", tag)
    clip.write_bytes(data)
    with VideoReader(clip) as reader:
        assert len(list(reader)) == 20 and reader.missing is None
    clip.write_bytes(data[: len(data) // 10])
    with VideoReader(clip) as reader:
        count = len(list(reader))
        assert 0 < count < 20 and f"ends early: {count} of" in reader.missing


def test_sound_that_cannot_be_decoded_is_left_out(tmp_path):
    clip = write_clip(tmp_path / "clip.mkv", CONSTANT[:9], audio="aac")
    clip.write_bytes(clip.read_bytes().replace(b"A_AAC", b"A_XYZ"))
    reader, writer = copy(clip, tmp_path / "out.mp4")
    assert writer.frames == 9 and reader.missing is None and not reader.audio_streams
    assert len(reader.notes) == 1 and "sound (stream 1) is left out" in reader.notes[0]


def test_a_damaged_header_of_the_sound_does_not_spoil_the_file(tmp_path):
    clip = write_clip(tmp_path / "clip.mkv", CONSTANT[:9], audio="libopus")
    data = bytearray(clip.read_bytes())
    data[data.index(b"OpusHead") + 18] = 255  # how its channels are laid out
    clip.write_bytes(data)
    _, writer = copy(clip, tmp_path / "out.mp4")
    assert len(read_clip(tmp_path / "out.mp4")) == writer.frames == 9


@pytest.mark.parametrize("audio", [None, "aac", "mp3"])
def test_time_goes_on_where_recordings_were_joined(tmp_path, audio):
    one = write_clip(tmp_path / "one.ts", CONSTANT, audio=audio)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(one.read_bytes() * 3)
    whole = seen(joined)
    assert [number for _, _, number in whole] == [*range(60)] * 3
    steps = np.diff([float(time) for _, time, _ in whole])
    assert steps.min() > 0.035 and steps.max() < 0.08
    for start in (2.39, 3.3, 6.5):
        assert seen(joined, start=start) == [frame for frame in whole if frame[1] >= exact(start)]
    reader, writer = copy(joined, tmp_path / "out.mp4")
    assert reader.missing is None and writer.damaged_sound == 0
    np.testing.assert_allclose(np.diff([time for time, _ in read_clip(tmp_path / "out.mp4")]), steps, atol=1e-3)
    if audio:
        copy(one, tmp_path / "one.mp4")
        times = sound_of(tmp_path / "out.mp4")[1]
        assert len(times) >= 3 * len(sound_of(tmp_path / "one.mp4")[1]) - 3
        assert np.diff(times).min() > 0 and np.diff(times).max() < 0.1 and times[-1] > 7


def test_sound_that_goes_back_is_left_out_and_counted(tmp_path):
    clip = write_clip(tmp_path / "clip.mkv", CONSTANT[:20], audio="libopus")
    with VideoReader(clip) as once, VideoReader(clip) as twice:
        again = [packet for frame in twice for packet in frame.audio]
        with VideoWriter(
            tmp_path / "out.mp4", rate=once.rate, time_base=once.time_base, audio_streams=once.audio_streams
        ) as writer:
            for frame in once:
                writer.write(frame.image, frame)
            writer.write_audio(again)
    assert writer.damaged_sound == len(again) > 5 and len(read_clip(writer.path)) == 20


def test_times_of_another_world_do_not_end_the_process(tmp_path):
    days = Fraction(10**6)
    with writer_of(tmp_path / "out.mp4") as writer:
        for index, time in enumerate([Fraction(0), days, Fraction(2, 25), Fraction(3, 25)]):
            writer.write(numbered(index), Frame(numbered(index), index, time, days))
    times = [time for time, _ in read_clip(writer.path)]
    assert len(times) == 4 and times[2:] == pytest.approx([0.08, 0.12])


def test_reading_that_breaks_off_ends_early(tmp_path):
    class Breaking:
        """A container whose file goes away."""

        def __init__(self, container):
            self._container = container

        def __getattr__(self, name):
            return getattr(self._container, name)

        def demux(self, streams):
            for count, packet in enumerate(self._container.demux(streams)):
                if count == 12:
                    raise av.error.OSError(5, "Input/output error")
                yield packet

    clip = write_clip(tmp_path / "clip.mp4", CONSTANT)
    with VideoReader(clip, container=Breaking(av.open(clip))) as reader:
        assert [number_of(frame.image) for frame in reader] == list(range(12))
    assert "ends early (Input/output error): 12 of 60 frames" in reader.missing


def test_a_disk_that_is_full_at_the_sound_is_said(tmp_path, monkeypatch):
    def fail(self, packet):
        raise av.error.OSError(28, "No space left on device")

    clip = write_clip(tmp_path / "clip.mp4", CONSTANT[:9], audio="aac")
    monkeypatch.setattr(AudioTrack, "_copy", fail)
    with pytest.raises(VideoError, match="out.mp4 cannot be written: .*No space left"):
        copy(clip, tmp_path / "out.mp4")


def test_a_first_frame_that_fails_says_why_and_leaves_nothing(tmp_path):
    wide = np.zeros((16, 20_000, 3), np.uint8)  # more than H.264 has
    with pytest.raises(VideoError, match="out.mp4 cannot be written"), writer_of(tmp_path / "out.mp4") as writer:
        writer.write(wide, Frame(wide, 0, Fraction(0)))
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
def test_a_file_of_which_nothing_could_be_written_is_not_said_to_play(tmp_path):
    path = tmp_path / "out.mp4"
    with pytest.raises(VideoError, match="out.mp4 cannot be written"), writer_of(path) as writer:
        path.symlink_to("/dev/full")
        writer.write(numbered(0), Frame(numbered(0), 0, Fraction(0)))
    assert not path.is_symlink() and Path("/dev/full").exists()


@pytest.mark.parametrize(("rotation", "expected"), [(0, Fraction(4, 3)), (90, Fraction(3, 4)), (180, Fraction(4, 3))])
def test_the_shape_of_pixels_stays(tmp_path, rotation, expected):
    if rotation and not hasattr(av.VideoStream, "set_display_rotation"):
        pytest.skip("this PyAV cannot write a rotation")
    clip = write_clip(tmp_path / "clip.mp4", CONSTANT[:4], pixel_aspect=Fraction(4, 3), rotation=rotation)
    copy(clip, tmp_path / "out.mp4")
    with av.open(tmp_path / "out.mp4") as container:
        assert container.streams.video[0].sample_aspect_ratio == expected


@pytest.mark.parametrize(
    ("suffix", "codec", "audio"),
    [
        (".mp4", "libx264", "aac"),
        (".mkv", "libx264", "libopus"),
        (".mkv", "libx264", "pcm_s16le"),
        (".ts", "libx264", "aac"),
        (".avi", "mpeg4", "mp3"),
        (".flv", "libx264", "aac"),
    ],
)
def test_damage_ends_in_words_or_a_file_that_plays(tmp_path, suffix, codec, audio):
    clip = write_clip(tmp_path / f"clip{suffix}", CONSTANT[:12], codec=codec, audio=audio)
    data = np.frombuffer(clip.read_bytes(), np.uint8)
    played = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        damaged = data.copy()
        count = rng.choice([1, 3, 20, 200])
        damaged[rng.integers(0, len(data), count)] = rng.integers(0, 256, count)
        clip.write_bytes(damaged.tobytes())
        target = tmp_path / f"{seed}.mp4"
        try:
            _, writer = copy(clip, target, start=0.2 if seed % 3 == 0 else 0.0)
        except VideoError:
            continue
        assert len(read_clip(target)) == writer.frames > 0
        played += 1
    assert played


@pytest.mark.skipif(not REAL_CLIP.exists(), reason="the real clip is not here")
def test_a_real_clip(tmp_path):
    with av.open(REAL_CLIP) as container:
        plain = [(frame.pts * frame.time_base, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
        first = container.streams.video[0].start_time * container.streams.video[0].time_base
        has_sound = bool(container.streams.audio)
    capture, count = cv2.VideoCapture(str(REAL_CLIP)), 0
    while capture.grab():
        count += 1
    capture.release()

    with VideoReader(REAL_CLIP) as reader:
        frames = list(reader)
        assert reader.missing is None and reader.notes == [] and bool(reader.audio_streams) == has_sound
    assert len(frames) == len(plain) == count
    times = [frame.time for frame in frames]
    assert times == [time - first for time, _ in plain] and all(np.diff(times) > 0)
    for frame, (_, image) in zip(frames, plain, strict=True):
        assert np.abs(frame.image.astype(int) - image).mean() < 3

    middle = float(times[-1]) / 2
    with VideoReader(REAL_CLIP, start=middle) as reader:
        part = list(reader)
    rest = [frame for frame in frames if frame.time >= exact(middle)]
    assert [frame.index for frame in part] == [frame.index for frame in rest]
    assert all(np.array_equal(one.image, other.image) for one, other in zip(part, rest, strict=True))

    copy(REAL_CLIP, tmp_path / "out.mp4")
    with av.open(tmp_path / "out.mp4") as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert bool(container.streams.audio) == has_sound
    written = read_clip(tmp_path / "out.mp4")
    np.testing.assert_allclose([time for time, _ in written], [float(time) for time in times], atol=1e-3)
    assert max(np.abs(a.astype(int) - f.image).mean() for (_, a), f in zip(written, frames, strict=True)) < 6
    if has_sound:
        assert len(sound_of(tmp_path / "out.mp4")[1]) == len(sound_of(REAL_CLIP)[1])
