"""inference_video.py as a process: on files, a stream that drops, Ctrl-C and kill, with and without a display."""

import json
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from support import warm
from support.clips import number_of, numbered, read_clip, sound_of, write_clip
from support.paths import ROOT
from support.video_runs import command, environment, small_checkpoint

VARIABLE = np.cumsum(np.random.default_rng(5).integers(17, 140, 50)).tolist()
VARIABLE = [stamp - VARIABLE[0] for stamp in VARIABLE]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return small_checkpoint(tmp_path_factory.mktemp("model") / "best_model.pth")


def run(checkpoint, source, *options, cwd):
    return warm.run(command(checkpoint, source, *options), cwd=cwd, env=environment())


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_frame_arrives_once_in_order_and_in_time(checkpoint, tmp_path):
    clip = write_clip(tmp_path / "my.first clip.mp4", VARIABLE, audio="aac")
    flags = ["--threshold", "1.0", "--save", "json", "--batch-size", "3", "--show-image", "--mpl-show", "/"]
    done = run(checkpoint, clip, *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "outputs" / "inference" / "res_1"
    assert sorted(path.name for path in folder.iterdir()) == ["my.first clip.jsonl", "my.first clip.mp4"]
    frames = read_clip(folder / "my.first clip.mp4")
    assert [number_of(image) for _, image in frames] == list(range(50))
    np.testing.assert_allclose([stamp for stamp, _ in frames], np.array(VARIABLE) / 1000, atol=1e-3)
    codec, stamps = sound_of(folder / "my.first clip.mp4")
    assert codec == "aac" and abs(len(stamps) - len(sound_of(clip)[1])) <= 1
    lines = lines_of(folder / "my.first clip.jsonl")
    assert [line["frame"] for line in lines] == list(range(50))
    np.testing.assert_allclose([line["time"] for line in lines], np.array(VARIABLE) / 1000, atol=1e-3)
    assert all(line["detections"] == [] for line in lines)
    assert (
        "note: no window: there is no display" in done.stdout and "note: --mpl-show: matplotlib has no" in done.stdout
    )
    assert "50 frames in " in done.stdout and "(median)" in done.stdout and "(95th percentile)" in done.stdout
    assert "res_1/my.first clip.mp4" in done.stdout


def test_a_part_in_steps_with_chosen_classes(checkpoint, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", [40 * i for i in range(50)])
    part = ["--start", "0.4", "--end", "1.2", "--every", "4", "--classes", "gloves", "3", "--save", "json"]
    done = run(checkpoint, clip, "-th", "0.01", *part, "-o", "mine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = lines_of(tmp_path / "mine" / "clip.jsonl")
    assert [line["frame"] for line in lines] == [10, 14, 18, 22, 26]
    found = [entry for line in lines for entry in line["detections"]]
    assert found and {(e["class"], e["label"]) for e in found} <= {("Gloves", 2), ("Goggles", 3)}
    for entry in found:
        x1, y1, x2, y2 = entry["box"]
        assert 0 <= x1 < x2 <= 176 and 0 <= y1 < y2 <= 96 and 0.01 <= entry["score"] <= 1 and "track" not in entry
    assert [stamp for stamp, _ in read_clip(tmp_path / "mine" / "clip.mp4")] == pytest.approx(
        [0, 0.16, 0.32, 0.48, 0.64]
    )
    again = run(checkpoint, clip, "-o", "mine", cwd=tmp_path)
    assert again.returncode == 2 and again.stderr.startswith(
        "error: mine/clip.mp4 (and 1 more) is there already and is never"
    )
    assert not (tmp_path / "outputs").exists()


def test_a_file_that_ends_early_is_written_and_tracked_as_far_as_it_goes(checkpoint, tmp_path):
    data = write_clip(tmp_path / "whole.mkv", [40 * i for i in range(50)]).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) // 2])
    done = run(checkpoint, "cut.mkv", "-th", "0.01", "--track", "--save", "json", "-o", "out", cwd=tmp_path)
    count = len(read_clip(tmp_path / "out" / "cut.mp4"))
    assert done.returncode == 1 and 5 < count < 45
    assert f"warning: cut.mkv: it ends early: {count} of 50 frames could be read" in done.stderr
    tracks = [[entry["track"] for entry in line["detections"]] for line in lines_of(tmp_path / "out" / "cut.jsonl")]
    numbers = [[number for number in frame if number is not None] for frame in tracks]
    assert len(tracks) == count and all(len(set(frame)) == len(frame) for frame in numbers)
    assert set(numbers[3]) & set(numbers[4])  # a still scene: the same objects


def busy(number, size_wh):
    """An image with noise, so that a file grows while it is written."""
    image = numbered(number, size_wh)
    image[16:] = np.random.default_rng(number).integers(0, 255, image[16:].shape)
    return image


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_what_is_written_when_it_is_stopped_plays(checkpoint, tmp_path, how):
    clip = write_clip(tmp_path / "clip.mp4", [40 * i for i in range(1000)], draw=busy)
    words = command(checkpoint, clip, "-th", "1", "-o", "out")
    process = subprocess.Popen(
        words, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    target = tmp_path / "out" / "clip.mp4"
    try:
        deadline = time.monotonic() + 240
        while not (target.exists() and target.stat().st_size > 300_000):
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()
            time.sleep(0.02)
        process.send_signal(how)
        out, err = process.communicate(timeout=240)
    finally:
        process.kill()
    numbers = [number_of(image) for _, image in read_clip(target)]
    assert numbers == list(range(len(numbers))) and 20 < len(numbers) < 1000
    if how == signal.SIGKILL:
        assert process.returncode == -how
    else:
        assert process.returncode == 128 + how and "Traceback" not in err
        assert f"{len(numbers)} frames in" in out and b"moof" not in target.read_bytes()


def test_a_name_too_long_for_the_result_is_reported_before_anything_is_encoded(checkpoint, tmp_path):
    for stem, fits in (("a" * 251, True), ("b" * 252, False)):  # of 255 bytes with ".mp4", and of 256
        clip = write_clip(tmp_path / "clip.mp4", [40 * i for i in range(4)])
        source = clip.rename(tmp_path / f"{stem}.ts" if not fits else tmp_path / f"{stem}.mp4")
        done = run(checkpoint, source, "-th", "1", "-o", stem[0], cwd=tmp_path)
        assert "Traceback" not in done.stderr
        if fits:
            assert done.returncode == 0 and len(read_clip(tmp_path / "a" / source.name)) == 4, done.stderr
        else:
            assert done.returncode == 2 and "b.mp4: cannot be written: File name too long" in done.stderr
            assert "frames in" not in done.stdout and not (tmp_path / "b").exists()


class Dropping(BaseHTTPRequestHandler):
    """Motion JPEG as web cameras send it: connections break off after five images; beyond `most` they are refused."""

    connections = 0
    most = 2

    def do_GET(self):
        Dropping.connections += 1
        if Dropping.connections > Dropping.most:
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for number in range(5):
            data = cv2.imencode(".jpg", numbered(5 * Dropping.connections - 5 + number))[1].tobytes()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            self.wfile.write(head.encode() + data + b"\r\n")
            self.wfile.flush()
            time.sleep(0.1)

    def log_message(self, *_):
        """Nothing on the screen."""


def run_on_dropping(checkpoint, tmp_path, *options, most):
    Dropping.connections, Dropping.most = 0, most
    server = ThreadingHTTPServer(("127.0.0.1", 0), Dropping)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://guest:secret@127.0.0.1:{server.server_port}/gate.mjpg"
        return run(checkpoint, address, "-th", "1", "-o", "out", *options, cwd=tmp_path)
    finally:
        server.shutdown()
        server.server_close()


def test_a_stream_that_drops_is_reached_again(checkpoint, tmp_path):
    done = run_on_dropping(checkpoint, tmp_path, "--reconnect", "1", most=2)
    assert done.returncode == 1, done.stderr
    assert "trying again in 1 s, 1 of 1" in done.stdout and "given up after 1 tries" in done.stderr
    frames = read_clip(tmp_path / "out" / "gate.mp4")
    numbers = [number_of(image) for _, image in frames]
    assert numbers == sorted(set(numbers)) and len(numbers) >= 6 and numbers[-1] >= 8
    stamps = [stamp for stamp, _ in frames]
    pause = max(np.diff(stamps))
    assert pause > 0.9 and stamps[-1] > 1.2  # the wall clock, with the pause between two connections


def test_a_server_that_always_hangs_up_is_given_up(checkpoint, tmp_path):
    done = run_on_dropping(checkpoint, tmp_path, "--reconnect", "2", most=100)
    assert done.returncode == 1 and "given up after 2 tries" in done.stderr, done.stderr
    assert "://...@127.0.0.1" in done.stderr and "secret" not in done.stdout + done.stderr
    assert 3 <= Dropping.connections < 10  # FFmpeg itself may knock again


def test_help_and_mistakes_answer_before_torch_is_loaded(tmp_path):
    code = "import sys; sys.modules['torch'] = None; import runpy; sys.argv = ['inference_video.py', '--help'];"
    code += f"runpy.run_path({str(ROOT / 'inference_video.py')!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0 and "--show-image" in done.stdout
