"""inference.py where something goes wrong: one image's fault stays that image's, and what is done is not lost."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

import inference
from support.paths import ROOT
from support.video_runs import small_checkpoint
from utils.cli.inference_args import image_arguments
from utils.inference.image_run import ImageRun

SCRIPT = ROOT / "inference.py"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return small_checkpoint(tmp_path_factory.mktemp("weights") / "best_model.pth")


@pytest.fixture
def infer(weights, tmp_path, monkeypatch, capsys):
    """Run inference.py's main in this process; returns its exit status, output and error output."""
    monkeypatch.chdir(tmp_path)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def run(*words):
        words = ["--weights", str(weights), "--device", "cpu", "-th", "0.01", "-o", "out", *map(str, words)]
        status = inference.main(image_arguments(words))
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def write_image(path, width=60, height=40):
    path.parent.mkdir(exist_ok=True)
    image = np.random.default_rng(len(path.name)).integers(0, 255, (height, width, 3), np.uint8)
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
    return path


def names_in(out):
    return [image["file_name"] for image in json.loads((out / "predictions.json").read_text())["images"]]


@pytest.mark.parametrize("size", [(2000, 1), (1, 2000), (60000, 1)])
def test_a_image_too_thin_for_the_network_is_skipped_by_name(infer, tmp_path, size):
    for name in ("a.png", "z.png"):
        write_image(tmp_path / "in" / name)
    write_image(tmp_path / "in" / "thin.png", *size)
    status, out, err = infer("--input", "in", "--save", "json", "csv", "--batch-size", "3")
    assert status == 1 and "2 images" in out
    assert f"in/thin.png: {size[0]}x{size[1]} pixels" in err and "too thin for the network" in err
    assert "1 of 3 images were skipped (see above)" in err and "Traceback" not in err
    assert names_in(tmp_path / "out") == ["a.png", "z.png"]
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {"a.png", "z.png"}


@pytest.mark.parametrize("words", [(), ("--slice", "64")])
def test_the_smallest_images_are_answered(infer, tmp_path, words):
    for number, size in enumerate([(1, 1), (2, 1), (1, 9), (3, 200)]):
        write_image(tmp_path / "in" / f"{number}.png", *size)
    status, out, err = infer("--input", "in", "--save", "json", *words)
    assert status == 0 and "4 images" in out and len(names_in(tmp_path / "out")) == 4, err


def test_a_image_that_vanishes_is_skipped_by_name(infer, tmp_path):
    kept, gone = write_image(tmp_path / "in" / "a.png"), tmp_path / "in" / "gone.png"
    (tmp_path / "list.txt").write_text(f"{gone}\n{kept}\n")
    status, _, err = infer("--input", "list.txt", "--save", "json")
    assert status == 1 and "gone.png: " in err and names_in(tmp_path / "out") == ["a.png"]


def test_names_as_long_as_a_file_system_takes_are_written(infer, tmp_path):
    names = {"a" * 237 + ".png", "b" * 251 + ".png", "é" * 125 + ".png"}
    for name in names:
        write_image(tmp_path / "in" / name)
    status, _, err = infer("--input", "in", "--save", "json", "voc")
    assert status == 0 and {path.name for path in (tmp_path / "out").glob("*.png")} == names, err
    assert len(list((tmp_path / "out" / "voc").iterdir())) == 3


def test_a_file_that_cannot_be_written_is_reported_and_the_rest_goes_on(infer, tmp_path):
    write_image(tmp_path / "in" / "a.png")
    (tmp_path / "in" / ("b" * 251 + ".pgm")).write_bytes(b"P5 30 20 255\n" + bytes(600))  # its result: .pgm.png
    write_image(tmp_path / "in" / "c.png")
    status, out, err = infer("--input", "in", "--save", "json", "csv", "voc")
    assert status == 1 and "3 images" in out
    assert f"out/{'b' * 251}.pgm.png: cannot be written: File name too long" in err
    assert "1 files could not be written (see above)" in err and "Traceback" not in err
    assert names_in(tmp_path / "out") == ["a.png", "b" * 251 + ".pgm", "c.png"]  # it was looked at all the same
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == ["a.png", "c.png"]
    assert len(list((tmp_path / "out" / "voc").iterdir())) == 3


def test_a_crop_and_an_xml_that_cannot_be_written_are_reported_by_name(infer, tmp_path):
    write_image(tmp_path / "in" / ("d" * 251 + ".png"))  # its crops would be NAME_1.png
    (tmp_path / "in" / ("e" * 250 + ".pgm")).write_bytes(b"P5 30 20 255\n" + bytes(600))
    status, _, err = infer("--input", "in", "--save", "csv", "crops", "voc", "--threshold", "0")
    assert status == 1 and err.count("File name too long") >= 2 and "Traceback" not in err
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        assert {row["image"][0] for row in csv.DictReader(file)} == {"d", "e"}


def test_a_folder_in_place_of_a_table_is_reported_and_the_other_table_is_written(infer, tmp_path, monkeypatch):
    write_image(tmp_path / "in" / "a.png")

    drawn_images = ImageRun.drawn_images

    def and_meanwhile(self, *, keep):  # after the start, which looks whether the names are free
        (tmp_path / "out" / "predictions.json").mkdir()
        return drawn_images(self, keep=keep)

    monkeypatch.setattr(ImageRun, "drawn_images", and_meanwhile)
    status, _, err = infer("--input", "in", "--save", "json", "csv")
    assert status == 1 and "predictions.json" in err and (tmp_path / "out" / "predictions.csv").is_file()


def start(weights, cwd, *words, **more):
    words = [sys.executable, str(SCRIPT), "--weights", str(weights), "--device", "cpu", *map(str, words)]
    return subprocess.Popen(words, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_the_tables_of_what_is_done(weights, tmp_path, number):
    one = write_image(tmp_path / "in" / "0.png", 300, 200)
    for index in range(1, 4000):
        (tmp_path / "in" / f"{index}.png").symlink_to(one)
    process = start(weights, tmp_path, "--input", "in", "-o", "out", "--save", "json", "csv", "-th", "0.01")
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "out").glob("*.png")) if (tmp_path / "out").exists() else []) < 9:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.02)
    process.send_signal(number)
    if number == signal.SIGHUP:
        process.send_signal(number)  # as a terminal and its shell do
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number and "Traceback" not in err, err
    written = {path.name for path in (tmp_path / "out").glob("*.png")}
    assert set(names_in(tmp_path / "out")) == written and 9 <= len(written) < 4000
    assert f"stopped after {len(written)} of 4000 images" in out
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        assert {row["image"] for row in csv.DictReader(file)} <= written
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
@pytest.mark.parametrize(("unbuffered", "status"), [("", 0), ("1", 141)])
def test_a_reader_that_goes_away_ends_it_without_a_word(weights, tmp_path, unbuffered, status):
    """At once where that is noticed; where only the last lines are not read, everything is done."""
    write_image(tmp_path / "in" / "a.png")
    more = {"env": os.environ | {"PYTHONUNBUFFERED": unbuffered}}
    process = start(weights, tmp_path, "--input", "in", "-o", "out", "--save", "json", **more)
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait(60) == status
    if status == 0:
        assert names_in(tmp_path / "out") == ["a.png"]


@pytest.mark.skipif(not sys.platform.startswith("linux") or not shutil.which("unshare"), reason="mounts of its own")
def test_a_disk_that_fills_up_ends_it_with_the_reason(weights, tmp_path):
    for number in range(40):
        write_image(tmp_path / "in" / f"{number}.png", 200, 200)
    (tmp_path / "small").mkdir()
    words = [sys.executable, SCRIPT, "--weights", weights, "--device cpu --input in -o small/out --save json"]
    command = " ".join(map(str, words))
    script = f"mount -t tmpfs -o size=600k none small && {command}; echo status $?"
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    if "status" not in done.stdout or "permission" in done.stderr.lower():
        pytest.skip(f"no mounts here: {done.stderr}")
    assert "status 2" in done.stdout and "No space left on device" in done.stderr, done.stdout + done.stderr
    assert "Traceback" not in done.stderr and "stopped after" in done.stdout
