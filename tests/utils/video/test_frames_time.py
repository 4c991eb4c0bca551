"""Time comes from time stamps, whatever rate a file or a camera claims."""

import shutil
import threading
from fractions import Fraction

import av
import numpy as np
import pytest

from support.clips import numbered, read_clip, write_clip
from support.tracks import detections
from utils.drawing.boxes import draw_boxes
from utils.video.decoding.reader import VideoReader
from utils.video.decoding.sequences import SequenceReader
from utils.video.frames import Frame, detect
from utils.video.pipeline import Pipeline
from utils.video.tracking import Tracker
from utils.video.writer import VideoWriter


def browser_webm(path, times_ms):
    """A WebM as browsers record it: 1000 frames per second claimed, the units of its clock."""
    with av.open(path, "w") as output:
        stream = output.add_stream("libvpx-vp9", rate=1000, options={"deadline": "realtime", "cpu-used": "8"})
        stream.width, stream.height, stream.pix_fmt = 176, 96, "yuv420p"
        for number, time in enumerate(times_ms):
            frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def key_times(path):
    with av.open(path) as container:
        return [float(packet.pts * packet.time_base) for packet in container.demux(video=0) if packet.is_keyframe]


def test_a_claimed_rate_is_not_believed(tmp_path):
    times = [round(k * 100 / 3) + k % 3 for k in range(240)]
    with VideoReader(browser_webm(tmp_path / "a.webm", times)) as reader:
        assert reader.rate == pytest.approx(30, rel=0.05) and 200 < reader.total < 280
        with VideoWriter(tmp_path / "out.mp4", rate=reader.rate, time_base=reader.time_base) as writer:
            frames = list(reader)
            for frame in frames:
                writer.write(frame.image, frame)
    assert [round(frame.time * 1000) for frame in frames] == times and reader.missing is None
    keys = key_times(tmp_path / "out.mp4")
    assert len(keys) >= 5 and max(np.diff([*keys, times[-1] / 1000])) <= 2


@pytest.mark.parametrize(
    ("claimed", "real", "live"), [(25, 25, False), (60, 60, False), (1, 1, False), (25, 1, True), (30, 5, True)]
)
@pytest.mark.parametrize("sound", [False, True])
def test_a_killed_run_keeps_all_but_two_seconds(tmp_path, claimed, real, live, sound):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (96, 176, 3), np.uint8)
    tone = VideoReader(write_clip(tmp_path / "tone.mkv", [0, 40], audio="aac", sound_ms=3000)) if sound else None
    seconds = 16
    with VideoWriter(
        tmp_path / "out.mp4",
        rate=Fraction(claimed),
        time_base=Fraction(1, 90_000),
        live=live,
        audio_streams=tone.audio_streams if tone else (),
    ) as writer:
        packets = [packet for frame in tone for packet in frame.audio] + list(tone.tail) if tone else ()
        for index in range(seconds * real):
            frame = Frame(np.roll(noise, index, 1), index, Fraction(index, real), Fraction(1, real), packets)
            writer.write(frame.image, frame)
            packets = ()
        shutil.copy(tmp_path / "out.mp4", tmp_path / "killed.mp4")
    left = [time for time, _ in read_clip(tmp_path / "killed.mp4")]
    assert left[0] == 0 and left[-1] + 1 / real >= seconds - 2
    assert len(read_clip(tmp_path / "out.mp4")) == seconds * real
    if tone:
        tone.close()


def test_live_frames_do_not_wait_for_a_batch():
    seen, changed = [], threading.Condition()

    def camera():
        for index in range(6):
            yield Frame(numbered(index), index, Fraction(index))
            if index in (0, 3):
                with changed:  # no other frame comes before this one was seen
                    assert changed.wait_for(lambda index=index: index in seen, 10)

    def stage(frames):
        for result in detect(frames, lambda images: [detections() for _ in images], batch_size=4, live=True):
            with changed:
                seen.append(result.frame.index)
                changed.notify_all()
            yield result

    with Pipeline(camera(), stage) as pipeline:
        while pipeline.take(20) is not None:
            pass
    assert seen == list(range(6))


def test_an_object_is_lost_after_a_second_of_time_not_of_frames():
    for claimed, real in ((1000, 30), (30, 4), (2, 30)):
        tracker, index = Tracker(claimed), 0
        for index in range(10):
            _, ids = tracker.update(detections((100, 100, 0.9, 1)), index / real)
        assert ids.tolist() == [1]
        for _ in range(round(0.5 * real)):  # half a second out of sight
            index += 1
            tracker.update(detections(), index / real)
        _, ids = tracker.update(detections((100, 100, 0.9, 1)), (index + 1) / real)
        assert ids.tolist() == [1], (claimed, real)
        index += 1
        for _ in range(round(1.5 * real)):
            index += 1
            tracker.update(detections(), index / real)
        for later in (1, 2):
            _, ids = tracker.update(detections((100, 100, 0.9, 1)), (index + later) / real)
        assert ids.tolist() == [2], (claimed, real)


def test_what_is_in_every_frame_keeps_its_number_however_seldom_they_come():
    tracker = Tracker(0.25)
    for index in range(5):
        _, ids = tracker.update(detections((100, 100, 0.9, 1)), index * 4.0)
        assert ids.tolist() == ([1] if index else [-1])
    tracker.update(detections(), 20.0)
    for time in (24.0, 28.0):
        _, ids = tracker.update(detections((100, 100, 0.9, 1)), time)
    assert ids.tolist() == [2]


def test_times_that_stand_still_or_go_back_do_no_harm(recwarn):
    tracker = Tracker(30)
    for time in (0.0, 0.0, 0.04, 0.02, 0.02, 0.08):
        _, ids = tracker.update(detections((100, 100, 0.9, 1)), time)
    assert ids.tolist() == [1] and not recwarn.list


@pytest.mark.parametrize(("claimed", "real"), [(1000, 30), (30, 30), (30, 5)])
def test_a_trail_is_two_seconds_long(claimed, real):
    tracker, frame = Tracker(claimed), np.full((240, 400, 3), 90, np.uint8)
    for index in range(4 * real + 1):
        found, ids = tracker.update(detections((60 + 60 * index / real, 120, 0.9, 1)), index / real)
    drawn = tracker.draw(frame, found, ids, ("background", "a"))
    plain = draw_boxes(frame, found.boxes, found.labels, ("background", "a"), scores=found.scores, track_ids=ids)
    changed = np.flatnonzero((drawn != plain).any(axis=(0, 2)))
    assert changed.max() - changed.min() == pytest.approx(120, abs=60 / real + 8)


def test_a_part_of_images_in_a_row():
    images = [(lambda n=n: numbered(n), Fraction(1, 2)) for n in range(8)]
    with SequenceReader("a", images, every=2, start=1.0, end=3.5) as reader:
        assert [(frame.index, frame.time) for frame in reader] == [(2, 1), (4, 2), (6, 3)]
