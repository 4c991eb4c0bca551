"""Display matrices of every kind, and names that FFmpeg would take for something else."""

import os
import struct
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from support.clips import copy, number_of, read_clip, write_clip
from utils.video.decoding.container import is_address
from utils.video.sources import open_source

QUARTERS = np.array([[(220, 30, 30), (30, 200, 30)], [(30, 30, 220), (230, 230, 230)]], np.uint8)
MATRICES = [  # a, b, c, d
    *((1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (-1, 0, 0, -1)),
    *((0, 1, 1, 0), (0, 1, -1, 0), (0, -1, 1, 0), (0, -1, -1, 0)),
]


def quarters(_, size_wh):
    return np.kron(QUARTERS, np.ones((size_wh[1] // 2, size_wh[0] // 2, 1), np.uint8))


def with_matrix(path: Path, matrix) -> Path:
    """Write a, b, c, d of the display matrix into the header of the track."""
    data = bytearray(path.read_bytes())
    a, b, c, d = (value << 16 for value in matrix)
    struct.pack_into(">9i", data, data.index(b"tkhd") + 44, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def shown(matrix) -> np.ndarray:
    """Find the four quarters: the points (p, q) at (a p + c q, b p + d q)."""
    a, b, c, d = matrix
    expected = np.zeros_like(QUARTERS)
    for p in (0, 1):
        for q in (0, 1):
            x, y = a * p + c * q, b * p + d * q
            expected[y + (b + d < 0 or (b, d) in ((-1, 0), (0, -1))), x + (a + c < 0)] = QUARTERS[q, p]
    return expected


def as_matroska(source: Path) -> Path:
    with av.open(source) as old, av.open(source.with_suffix(".mkv"), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    return source.with_suffix(".mkv")


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mp4", "libx264"), (".mov", "libx264"), (".mp4", "libx265"), (".mkv", "libx264")]
)
def test_turned_and_mirrored_frames_stand_upright(tmp_path, matrix, suffix, codec):
    first = tmp_path / ("clip.mov" if suffix == ".mov" else "clip.mp4")
    clip = with_matrix(write_clip(first, [0, 40, 80], size_wh=(128, 64), codec=codec, draw=quarters), matrix)
    copy(as_matroska(clip) if suffix == ".mkv" else clip, tmp_path / "out.mp4")
    frames = read_clip(tmp_path / "out.mp4")
    assert len(frames) == 3
    image = frames[1][1]
    height, width = image.shape[:2]
    assert (width, height) == ((128, 64) if matrix[0] else (64, 128))
    middles = image[[height // 4, 3 * height // 4]][:, [width // 4, 3 * width // 4]]
    assert np.abs(middles.astype(int) - shown(matrix)).max() < 40, middles


NAMES = "12:30:00.mp4 file:a.mp4 http:a.mp4 concat:a|b.mp4 a%03d.mp4 100%.mp4 #1_é€.mp4 -i.mp4 pipe:0".split()


@pytest.mark.skipif(sys.platform == "win32", reason="names that Windows refuses")
@pytest.mark.parametrize("name", NAMES)
def test_names_are_names(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "clip.mp4", [0, 40, 80]).rename(name)
    Path("res:1").mkdir()
    target = Path("res:1") / f"{name}.mp4"
    assert not is_address(name)
    with open_source(name) as reader:
        assert [number_of(frame.image) for frame in reader] == [0, 1, 2] and reader.missing is None
    copy(Path(name), target)
    assert len(read_clip(target.absolute())) == 3
    assert sorted(path.name for path in Path("res:1").iterdir()) == [target.name]


@pytest.mark.skipif(sys.platform != "linux", reason="names are UTF-8 elsewhere")
def test_names_that_are_no_utf8(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", [0, 40, 80])
    source, target = (Path(os.fsdecode(os.fsencode(tmp_path) + name)) for name in (b"/\xff.mp4", b"/\xfe.mp4"))
    clip.rename(source)
    copy(source, target)
    assert target.stat().st_size > 500
