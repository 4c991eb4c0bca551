"""Behaviour of all scripts: empty arguments, devices that are not there, readers that go away, signals."""

import json
import os
import shlex
import signal
import subprocess
import sys

import pytest
import torch

from convert_dataset import arguments as convert_arguments
from support.clean_sets import write_clean_set
from support.paths import ROOT
from torch_utils.device import pick_device
from utils.cli.dataset_args import check_arguments
from utils.cli.evaluate_args import evaluation_arguments
from utils.cli.inference_args import image_arguments, video_arguments
from utils.cli.train_args import training_settings
from utils.errors import ConfigError


@pytest.mark.parametrize(
    ("parse", "words"),
    [
        (image_arguments, ["-i", ""]),
        (image_arguments, ["--input="]),
        (image_arguments, ["-i", "a.jpg", "--output", " "]),
        (image_arguments, ["-i", "a.jpg", "--classes", "Mask", ""]),
        (video_arguments, ["-i", "", "--track"]),
        (check_arguments, ["--config", ""]),
        (evaluation_arguments, ["--weights", ""]),
        (evaluation_arguments, ["--predictions=", "--ground-truth", "a.json"]),
        (convert_arguments, ["--config", "a.yaml", "--to", "voc", "-o", ""]),
        (training_settings, ["--config", "a.yaml", "--project-name", ""]),
        (training_settings, ["--config=", "--epochs", "1"]),
    ],
)
def test_an_empty_value_is_an_error(parse, words, capsys):
    with pytest.raises(SystemExit) as ended:
        parse(words)
    message = capsys.readouterr().err
    assert ended.value.code == 2 and "expected a value, got an empty one" in message
    assert (words[words.index("") - 1] if "" in words else words[0].rstrip("=")) in message or " " in words


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ("mps", "--device mps: torch .* has no Metal here; use --device auto or cpu"),
        ("cuda:7", "sees [0-7] CUDA GPUs here"),
        ("cuda:99999", "expected auto, cpu, cuda, cuda:N"),
        ("cuda:-1", "expected auto"),
        ("cuda:", "expected auto"),
        ("xpu", "--device xpu: expected auto, cpu, cuda, cuda:N or, on a Mac, mps"),
        ("meta", "expected auto"),
        ("CUDA", "expected auto"),
        ("0", "expected auto.*; cuda:0 is a GPU"),
        ("cpu,cuda", "expected auto"),
        ("gpu\n", "expected auto"),
    ],
)
def test_a_device_that_is_not_there_is_reported_in_one_line(request_, words):
    if request_ == "mps" and torch.backends.mps.is_available():
        request_, words = "cuda:7", "sees 0 CUDA GPUs"
    with pytest.raises(ConfigError, match=words) as error:
        pick_device(request_)
    assert len(str(error.value).splitlines()) <= 1 + request_.count("\n")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a machine without a GPU")
def test_cuda_without_a_gpu():
    with pytest.raises(ConfigError, match="sees 0 CUDA GPUs here; use --device cpu"):
        pick_device("cuda")
    assert pick_device("auto") == pick_device("cpu") == torch.device("cpu")


def run(script, *words, cwd, unbuffered="1", **more):
    command = [sys.executable, *script.split(), *map(str, words)]
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    )


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("script", "words"),
    [
        (ROOT / "check_dataset.py", ["--config", "set/shapes.yaml"]),
        (ROOT / "inference.py", ["--help"]),
        (ROOT / "convert_dataset.py", ["--config", "set/shapes.yaml", "--to", "yolo", "-o", "out"]),
        (ROOT / "evaluate.py", ["--help"]),
        (ROOT / "evaluate.py", ["--predictions", "found.json", "--ground-truth", "truth.json"]),
        ("-m utils.fix_opencv", []),
        (ROOT / "data/make_sample.py", ["--out", "drawn", "--train", "2", "--test", "1"]),
    ],
)
def test_a_reader_that_goes_away_is_no_error(tmp_path, script, words, unbuffered):
    write_clean_set(tmp_path / "set")
    (tmp_path / "found.json").write_text("[]")
    truth = {"images": [{"id": 1}], "annotations": [], "categories": [{"id": 1, "name": "Mask"}]}
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    process = run(str(script), *words, cwd=tmp_path, unbuffered=unbuffered)
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(60) in (0, 141)
    assert "Traceback" not in err and "BrokenPipe" not in err and "error" not in err and "failed" not in err, err


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
def test_a_training_that_nobody_reads_ends_once(tmp_path):
    write_clean_set(tmp_path / "set")
    flags = "--config set/shapes.yaml --model fasterrcnn_resnet10_fpn_small --img-size 64 --device cpu --epochs 1"
    process = run(str(ROOT / "train.py"), *shlex.split(flags), cwd=tmp_path)
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(120) == 141, err
    assert "Logging error" not in err and "Traceback" not in err and "error:" not in err, err


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    ("script", "words", "reader"),
    [
        ("check_dataset.py", "--config set/shapes.yaml", "dataset.scan.scan_splits"),
        ("convert_dataset.py", "--config set/shapes.yaml --to voc -o out", "dataset.scan.scan_splits"),
        ("evaluate.py", "--predictions p --ground-truth t -o out", "evaluation.verdict.source.read_source"),
    ],
)
def test_a_signal_ends_a_script_with_its_status(tmp_path, script, words, reader, number):
    write_clean_set(tmp_path / "set")
    module, _, name = reader.rpartition(".")
    wait = f"import os, sys, time, utils.{module} as a; "
    wait += f"a.{name} = lambda *_, **__: (print('reading', flush=True), time.sleep(60)); "
    wait += "import runpy; sys.argv = sys.argv[1:]; "
    wait += "runpy.run_path(sys.argv[0], run_name='__main__')"
    process = subprocess.Popen(
        [sys.executable, "-c", wait, str(ROOT / script), *words.split()], cwd=tmp_path, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout.readline() == "reading\n"
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number and "Traceback" not in err, err
    assert not (tmp_path / "out").exists()
