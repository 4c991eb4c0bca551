"""Frames in and out of files: numbers, time stamps, rotation, sound, and files with something wrong."""

import threading
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from support.clips import (
    CONSTANT,
    TONE_FROM,
    VARIABLE,
    number_of,
    numbered,
    read_clip,
    sound_of,
    write_clip,
    write_sound,
)
from utils.video.decoding.container import VideoError, put_index_first
from utils.video.decoding.reader import VideoReader
from utils.video.jsonl import FrameLines
from utils.video.live import Camera, LiveReader
from utils.video.pipeline import Pipeline
from utils.video.sources import open_source
from utils.video.writer import VideoWriter


def copy(source, target, **options):
    """All frames of `source` to `target`, unchanged; returns what the reader says is missing."""
    with VideoReader(source, **options) as reader:
        start = options.get("start", 0.0)
        sound = reader.audio_streams
        with VideoWriter(
            target, rate=reader.rate, time_base=reader.time_base, start=start, audio_streams=sound
        ) as writer:
            for frame in reader:
                writer.write(frame.image, frame)
            writer.write_audio(reader.tail)
        return reader.missing


@pytest.mark.parametrize("times", [CONSTANT, VARIABLE], ids=["constant", "variable"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_every_frame_keeps_its_place_and_time(tmp_path, times, suffix):
    clip = write_clip(tmp_path / f"clip{suffix}", times)
    assert copy(clip, tmp_path / "out.mp4") is None
    frames = read_clip(tmp_path / "out.mp4")
    assert [number_of(image) for _, image in frames] == list(range(60))
    np.testing.assert_allclose([time for time, _ in frames], np.array(times) / 1000, atol=1e-3)


def test_the_file_is_one_that_browsers_play(tmp_path):
    copy(write_clip(tmp_path / "clip.mp4", CONSTANT), tmp_path / "out.mp4")
    data = (tmp_path / "out.mp4").read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat") and b"moof" not in data
    with av.open(tmp_path / "out.mp4") as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == 25 and stream.frames == 60
        assert stream.duration * stream.time_base == Fraction(60, 25)


def test_colours_stay(tmp_path):
    source = tmp_path / "clip.mp4"
    copy(write_clip(source, CONSTANT[:5]), tmp_path / "out.mp4")
    with VideoReader(source) as before, VideoReader(tmp_path / "out.mp4") as after:
        for old, new in zip(before, after, strict=True):
            assert np.abs(old.image.astype(int) - new.image).mean() < 4
            left, right = new.image[40:80, 20:60].mean((0, 1)), new.image[40:80, 110:150].mean((0, 1))
            np.testing.assert_allclose(left, (200, 40, 40), atol=6)
            np.testing.assert_allclose(right, (40, 60, 200), atol=6)


@pytest.mark.skipif(not hasattr(av.VideoStream, "set_display_rotation"), reason="this PyAV cannot write a rotation")
@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_rotated_frames_stand_upright(tmp_path, degrees):
    clip = write_clip(tmp_path / "clip.mp4", CONSTANT[:4], rotation=degrees)
    copy(clip, tmp_path / "out.mp4")
    turned = np.rot90(numbered(3), round(degrees / 90) % 4)
    seen = cv2.VideoCapture(str(clip))  # a second opinion: OpenCV turns by itself
    expected = cv2.cvtColor(seen.read()[1], cv2.COLOR_BGR2RGB)
    seen.release()
    frames = read_clip(tmp_path / "out.mp4")
    assert frames[3][1].shape == turned.shape == expected.shape
    assert np.abs(frames[3][1].astype(int) - turned).mean() < 6
    assert np.abs(frames[0][1].astype(int) - expected).mean() < 8


def test_odd_sizes_grow_by_their_last_pixel(tmp_path):
    clip = write_clip(tmp_path / "clip.mkv", CONSTANT[:4], size_wh=(177, 97), codec="libx264")
    copy(clip, tmp_path / "out.mp4")
    image = read_clip(tmp_path / "out.mp4")[0][1]
    assert image.shape == (98, 178, 3)
    assert np.abs(image[40:80, 177].astype(int) - image[40:80, 176]).max() < 12
    assert np.abs(image[:97, :177].astype(int) - numbered(0, (177, 97))).mean() < 6


@pytest.mark.parametrize(
    ("suffix", "codec", "expected"),
    [(".mp4", "aac", "aac"), (".mkv", "libopus", "opus"), (".mkv", "pcm_s16le", "aac"), (".ts", "aac", "aac")],
)
def test_sound_is_kept_and_in_step(tmp_path, suffix, codec, expected):
    clip = write_clip(tmp_path / f"clip{suffix}", CONSTANT, audio=codec)
    copy(clip, tmp_path / "out.mp4")
    name, times = sound_of(tmp_path / "out.mp4")
    assert name == expected
    with av.open(tmp_path / "out.mp4") as container:
        rate = container.streams.audio[0].codec_context.sample_rate
        decoded = [(frame.time, frame.to_ndarray()[0]) for frame in container.decode(audio=0)]
    wave = np.concatenate([samples for _, samples in decoded])
    assert abs(len(wave) / rate - 2.4) < 0.1
    loud = np.flatnonzero(np.abs(wave) > np.abs(wave).max() / 4)  # the tone begins in the second second
    onset = decoded[0][0] + loud[0] / rate - read_clip(tmp_path / "out.mp4")[0][0]
    assert abs(onset - TONE_FROM) < 0.03 and abs(times[-1] - 2.4) < 0.1
    assert abs(int(np.abs(np.fft.rfft(wave[loud[0] :][:rate].astype(float))).argmax()) - 440) <= 1


def test_a_part_has_the_right_frames_and_its_sound(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", CONSTANT, audio="aac")
    with VideoReader(clip, start=0.8, end=1.6, every=2) as reader:
        frames = list(reader)
        assert reader.missing is None and reader.total == 10
    assert [frame.index for frame in frames] == list(range(20, 40, 2))
    assert [number_of(frame.image) for frame in frames] == list(range(20, 40, 2))
    assert [float(frame.time) for frame in frames] == pytest.approx([0.8 + 0.08 * i for i in range(10)])
    copy(clip, tmp_path / "out.mp4", start=0.8, end=1.6)
    times = sound_of(tmp_path / "out.mp4")[1]
    assert -0.03 < times[0] < 0.03 and 0.74 < times[-1] < 0.8
    assert read_clip(tmp_path / "out.mp4")[0][0] == 0


def test_files_without_a_video_say_what_they_are(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("these are\nonly words\n" * 20)
    named_mp4 = tmp_path / "words.mp4"
    named_mp4.write_bytes(text.read_bytes())
    empty = tmp_path / "empty.mp4"
    empty.touch()
    still = tmp_path / "still.png"
    cv2.imwrite(str(still), numbered(1))
    whole = write_clip(tmp_path / "whole.mp4", CONSTANT).read_bytes()
    headless = tmp_path / "headless.mp4"
    headless.write_bytes(whole[: whole.find(b"moov") - 4])  # the index comes last in it
    early = tmp_path / "early.mp4"  # its index comes first, and is not whole
    put_index_first(tmp_path / "whole.mp4", early)
    early.write_bytes(early.read_bytes()[: early.read_bytes().find(b"moov") + 60])
    noise = tmp_path / "noise.mkv"
    noise.write_bytes(np.random.default_rng(0).bytes(5000))
    for path, words in {
        text: "is a text file",
        named_mp4: "it is text that begins with 'these are",
        empty: "the file is empty",
        still: "is an image, expected a video; inference.py",
        write_sound(tmp_path / "song.m4a"): r"no video stream, found audio \(aac\)",
        headless: r"index \('moov'\) is missing .* cut short",
        early: "is cut short: .* Copy or download it again",
        noise: "5000 bytes that begin with",
        tmp_path: "is a folder",
        tmp_path / "nothing.mp4": "no such file",
    }.items():
        with pytest.raises(VideoError, match=words) as caught:
            open_source(str(path))
        assert str(path) in str(caught.value)


def test_a_start_behind_the_end_is_refused(tmp_path):
    with pytest.raises(VideoError, match="--start 9 is after its end at 2.40 seconds"):
        open_source(str(write_clip(tmp_path / "clip.mp4", CONSTANT)), start=9)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_file_that_ends_early_is_counted(tmp_path, suffix):
    copy(write_clip(tmp_path / "whole.mp4", CONSTANT), tmp_path / "first.mp4")  # its index comes first
    source = tmp_path / "first.mp4" if suffix == ".mp4" else write_clip(tmp_path / "whole.mkv", CONSTANT)
    data = source.read_bytes()
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(data[: len(data) * 2 // 3])
    missing = copy(cut, tmp_path / "out.mp4")
    count = len(read_clip(tmp_path / "out.mp4"))
    assert 5 < count < 60 and f"{count} of 60 frames" in missing and str(cut) in missing


def test_an_existing_file_is_not_overwritten(tmp_path):
    (tmp_path / "out.mp4").write_text("mine")
    with pytest.raises(VideoError, match="never overwritten"):
        VideoWriter(tmp_path / "out.mp4", rate=Fraction(25), time_base=Fraction(1, 25))
    assert (tmp_path / "out.mp4").read_text() == "mine"


def test_a_camera_that_is_not_there():
    with pytest.raises(VideoError, match="camera 99 cannot be opened"):
        open_source("99")


def test_a_camera_that_drops_is_opened_again_and_given_up_in_the_end(tmp_path, capsys):
    clip = write_clip(tmp_path / "clip.avi", CONSTANT[:6], codec="mpeg4")
    camera = Camera(str(clip))  # OpenCV opens a file like a device; it "drops" at its end
    with LiveReader(camera, every=1, start=0.0, end=None, reconnects=2) as reader:
        frames = []
        for frame in reader:
            frames.append(frame)
            if len(frames) == 9:
                clip.unlink()
        assert [number_of(frame.image) for frame in frames] == [*range(6), *range(6)]
        assert "given up after 2 tries" in reader.missing and "cannot be opened" in reader.missing
    times = [frame.time for frame in frames]
    assert times == sorted(times) and times[6] - times[5] > 0.9  # it waited a second
    assert "trying again in 1 s, 1 of 2" in capsys.readouterr().out


def test_stages_keep_order_and_count():
    def double(items):
        for item in items:
            yield 2 * item

    with Pipeline(range(500), double, double, capacity=3) as pipeline:
        out = []
        while (items := pipeline.take()) is not None:
            out += items
    assert out == [4 * i for i in range(500)] and pipeline.dropped == 0


def test_an_error_comes_behind_what_was_done_before_it():
    threads = threading.active_count()  # tqdm may have one of its own

    def fail_at_seven(items):
        for item in items:
            if item == 7:
                raise OSError("the disk is full")
            yield item

    with Pipeline(range(100), fail_at_seven, iter, capacity=2) as pipeline:
        out = []
        with pytest.raises(OSError, match="disk is full"):
            while (items := pipeline.take()) is not None:
                out += items
    assert out == list(range(7)) and threading.active_count() == threads


def test_queues_are_bounded_and_closing_ends_every_thread():
    threads = threading.active_count()
    made = []

    def endless():
        number = 0
        while True:
            made.append(number)
            yield number
            number += 1

    with Pipeline(endless(), iter, capacity=2) as pipeline:
        assert pipeline.take()[0] == 0
        threading.Event().wait(0.2)
        assert len(made) <= 2 + 2 + 2 + 4  # two queues, one in each stage's hand, what was taken
    assert threading.active_count() == threads


def test_the_newest_is_kept_for_who_is_late():
    handed = threading.Event()

    def source():
        yield from range(10)
        handed.set()

    def slow(items):
        for item in items:
            handed.wait(5)
            yield item

    with Pipeline(source(), slow, capacity=2, newest=True) as pipeline:
        out = []
        while (items := pipeline.take()) is not None:
            out += items
        assert out[-2:] == [8, 9] and len(out) + pipeline.dropped == 10 and pipeline.dropped >= 7


def test_frame_lines_refuse_to_overwrite(tmp_path):
    (tmp_path / "a.jsonl").write_text("mine")
    from utils.detections import Detections

    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    with FrameLines(tmp_path / "a.jsonl", ("background", "a")) as lines, pytest.raises(VideoError, match="a.jsonl"):
        lines.write(0, 0.0, (8, 6), nothing)
    assert (tmp_path / "a.jsonl").read_text() == "mine"
