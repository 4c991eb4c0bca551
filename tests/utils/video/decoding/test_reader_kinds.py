"""Kinds of images: high dynamic range, fields, changing sizes, animations, and images in a row."""

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from support.clips import number_of, numbered, read_clip, write_clip
from utils.images.io import read_image
from utils.video.decoding.container import VideoError
from utils.video.decoding.hdr import HLG, PQ
from utils.video.decoding.reader import VideoReader
from utils.video.sources import open_source, output_stem
from utils.video.writer import VideoWriter

CONSTANT = list(range(0, 400, 40))


def written(source, target, **options):
    with (
        open_source(str(source), **options) as reader,
        VideoWriter(target, rate=reader.rate, time_base=reader.time_base, audio_streams=reader.audio_streams) as writer,
    ):
        for frame in reader:
            writer.write(frame.image, frame)
    return reader, writer


def coded(light, transfer):
    """Signal (0 to 1) of grey light in cd/m2, on a display of 1000 for HLG (ITU-R BT.2100)."""
    if transfer == PQ:
        root = (np.asarray(light) / 10_000) ** 0.1593017578125
        return ((0.8359375 + 18.8515625 * root) / (1 + 18.6875 * root)) ** 78.84375
    scene = (np.asarray(light) / 1000) ** (1 / 1.2)
    bright = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_high_dynamic_range_becomes_the_standard_one(tmp_path, transfer):
    light = np.array([2, 10, 36, 80, 203, 1000])  # 203: white paper
    samples = np.repeat(np.repeat(coded(light, transfer)[None], 64, 0), 32, 1)
    pixels = np.rint(np.dstack([samples] * 3) * 65_535).astype(np.uint16)
    with av.open(tmp_path / "a.mp4", "w") as output:
        stream = output.add_stream("libx265", rate=25, options={"x265-params": "log-level=none", "crf": "4"})
        stream.width, stream.height, stream.pix_fmt = 192, 64, "yuv420p10le"
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = 9, 9, transfer, 1
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb48le").reformat(
                format="yuv420p10le", dst_colorspace="BT2020", dst_color_range="MPEG"
            )
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    reader, _ = written(tmp_path / "a.mp4", tmp_path / "out.mp4")
    assert [note for note in reader.notes if "high dynamic range" in note and ("PQ", "HLG")[transfer == HLG] in note]
    with av.open(tmp_path / "out.mp4") as container:
        assert container.streams.video[0].codec_context.color_trc == 1
    seen = read_clip(tmp_path / "out.mp4")[1][1][32, 16::32]
    assert np.ptp(seen.astype(int), axis=1).max() <= 8  # grey stays grey
    means = seen.mean(axis=1)
    expected = 255 * (light[:4] / 203) ** (1 / 2.4)  # up to middle tones as on a display of standard range
    assert np.abs(means[:4] - expected).max() < 10, (means, expected)
    assert 228 < means[4] < 246 < means[5], means


@pytest.mark.parametrize("codec", ["mpeg2video", "libx264"])
def test_interlaced_images_are_made_whole(tmp_path, codec):
    def bar(moment):
        image = np.full((96, 192, 3), 40, np.uint8)
        image[:, 8 * moment : 8 * moment + 24] = 220
        return image

    path = tmp_path / "a.mkv"
    with av.open(path, "w") as output:
        stream = output.add_stream(codec, rate=25, options={"flags": "+ildct+ilme", "crf": "5", "x264-params": "tff=1"})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 192, 96, "yuv420p", 8_000_000
        for number in range(9):
            image = bar(2 * number)
            image[1::2] = bar(2 * number + 1)[1::2]
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with VideoReader(path) as reader:
        frames = list(reader)
    assert [frame.index for frame in frames] == list(range(9)) and reader.missing is None
    assert [round(frame.time * 1000) for frame in frames] == list(range(0, 360, 40))
    assert sum("deinterlaced" in note for note in reader.notes) == 1
    middle = frames[4].image.astype(int)[8:-8]
    assert np.abs(np.diff(middle, axis=0)).mean() < 3  # rows of two moments differ by 180 at the edges


def test_progressive_images_are_left_alone(tmp_path):
    with VideoReader(write_clip(tmp_path / "a.mp4", CONSTANT)) as reader:
        assert [number_of(frame.image) for frame in reader] == list(range(10)) and reader.notes == []


def test_another_size_in_the_middle_is_fitted_into_the_first(tmp_path):
    wide = write_clip(tmp_path / "wide.ts", CONSTANT, size_wh=(320, 160))
    tall = write_clip(
        tmp_path / "tall.ts", CONSTANT, size_wh=(176, 176), draw=lambda *_: np.full((176, 176, 3), 200, np.uint8)
    )
    (tmp_path / "both.ts").write_bytes(wide.read_bytes() + tall.read_bytes())
    with VideoReader(tmp_path / "both.ts") as reader:
        sizes = [frame.image.shape[:2] for frame in reader]
    assert sizes == [(160, 320)] * 10 + [(176, 176)] * 10
    _, writer = written(tmp_path / "both.ts", tmp_path / "out.mp4")
    assert writer.fitted == 10 and writer.first_fitted == (10, 176, 176)
    frames = [image for _, image in read_clip(tmp_path / "out.mp4")]
    assert len(frames) == 20 and {image.shape for image in frames} == {(160, 320, 3)}
    row = frames[15][80].mean(axis=-1)
    assert (row[:70] < 30).all() and (row[90:230] > 180).all() and (row[250:] < 30).all()


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.apng", "a.png"])
def test_animations_are_videos_and_their_last_image_stands(tmp_path, name):
    images = [Image.fromarray(numbered(number)) for number in range(6)]
    form = {"a.gif": "GIF", "a.webp": "WEBP"}.get(name, "PNG")
    durations = [500] * 5 + [2220]
    images[0].save(tmp_path / name, form, save_all=True, append_images=images[1:], duration=durations)
    reader, _ = written(tmp_path / name, tmp_path / "out.mp4")
    assert reader.missing is None
    frames = read_clip(tmp_path / "out.mp4")
    assert [number_of(image) for _, image in frames] == list(range(6))
    assert [time for time, _ in frames] == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5], abs=1e-3)
    with av.open(tmp_path / "out.mp4") as container:
        assert container.duration / av.time_base == pytest.approx(4.72, abs=0.01)


def test_a_single_image_is_no_video(tmp_path):
    for name in ("a.webp", "a.png", "a.jpg"):
        Image.fromarray(numbered(1)).save(tmp_path / name)
        with pytest.raises(VideoError, match="is an image, expected a video"):
            open_source(str(tmp_path / name))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "shots").mkdir()
    for number in (0, 1, 2, 9, 10, 11):
        Image.fromarray(numbered(number)).save(tmp_path / "shots" / f"frame_{number}.png")
    return tmp_path / "shots"


@pytest.mark.parametrize(
    ("source", "stem"), [("shots", "shots"), ("shots/frame_%d.png", "frame"), ("shots/*.png", "shots")]
)
def test_images_in_a_row_are_a_video(folder, monkeypatch, source, stem):
    monkeypatch.chdir(folder.parent)
    assert output_stem(source) == stem
    reader, _ = written(source, folder.parent / "out.mp4")
    assert "6 images, taken as a video of 25 frames per second; --fps gives another rate" in reader.notes[0]
    assert len(reader.notes) == (2 if "%" in source else 1)
    frames = read_clip(folder.parent / "out.mp4")
    assert [number_of(image) for _, image in frames] == [0, 1, 2, 9, 10, 11]
    with open_source(source, fps=2.0, start=1.0, end=2.5) as part:
        assert [(frame.index, frame.time, number_of(frame.image)) for frame in part] == [
            (2, 1, 2), (3, Fraction(3, 2), 9), (4, 2, 10)
        ]  # fmt: skip


def test_images_in_a_row_that_are_not_there_or_damaged(folder):
    for source, words in {
        folder / "photo_%04d.jpg": "no image has such a name",
        folder.parent: "is a folder without images of its own.*shots",
        folder / "*.jpg": "matches nothing",
    }.items():
        with pytest.raises(VideoError, match=words):
            open_source(str(source))
    (folder / "frame_9.png").write_bytes(b"nothing")
    with open_source(str(folder)) as reader:
        assert [frame.index for frame in reader] == [0, 1, 2, 4, 5]
    assert "1 images cannot be read" in reader.missing and "frame_9.png" in reader.missing
    clip = write_clip(folder / "clip.mp4", CONSTANT)
    with pytest.raises(VideoError, match=r"6 images and 1 videos, such as clip.mp4"):
        open_source(str(folder))
    with pytest.raises(VideoError, match="--fps 10 is for images in a row"):
        open_source(str(clip), fps=10)
    assert read_image(folder / "frame_0.png").shape == (96, 176, 3)
