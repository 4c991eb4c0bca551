"""A run that is killed, stopped or cannot write is resumed to the very end that an unbroken one has."""

import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
import torch
import yaml

from benchmarks.interrupted_runs import differences, kill_when, logged
from support import warm
from support.killing import SCRIPT, in_evaluation, mid_epoch, start, while_writing
from support.voc_sets import write_config, write_voc_set
from utils.runs.loggers import read_metrics

pytestmark = pytest.mark.slow

COMMON = (
    "--model fasterrcnn_resnet10_fpn_small --img-size 96 --device cpu --amp off --batch-size 1 --accumulate 3 "
    "--config shapes.yaml --seed 5 --ema 0.9 --use-train-aug --backbone-lr 0.5"
).split()
STEPS = 3  # an epoch


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resume")
    write_voc_set(folder / "train", 9, seed=1)
    write_voc_set(folder / "test", 9, seed=2)
    write_config(folder)
    return folder


def run_dir(workplace, name):
    return workplace / "outputs" / "training" / name


def train(folder, *arguments, env=None):
    return warm.run([sys.executable, SCRIPT, *arguments], cwd=folder, env={**os.environ, **(env or {})})


@pytest.fixture(scope="module")
def whole(workplace):
    done = train(workplace, *COMMON, "--epochs", "4", "--project-name", "whole")
    assert done.returncode == 0, done.stderr
    return run_dir(workplace, "whole")


def test_killed_in_an_epoch_in_evaluation_and_while_saving_it_ends_as_an_unbroken_run(workplace, whole):
    run = run_dir(workplace, "killed")
    again = ("--resume-training", "--project-name", "killed")
    process = start(workplace, *COMMON, "--epochs", "4", "--project-name", "killed", "--save-every", "0")
    assert kill_when(process, mid_epoch(run))
    moments = (
        (lambda: in_evaluation(run, STEPS), ()),
        (lambda: while_writing(run), ("--workers", "1")),  # workers change nothing
        (lambda: mid_epoch(run), ()),
        (lambda: while_writing(run, "best_model"), ()),
    )
    for moment, more in moments:
        log = (run / "train.log").read_bytes()
        killed = kill_when(start(workplace, *again, *more), moment())
        assert killed or moment is moments[-1][0]  # no later epoch need be the best
        assert (run / "train.log").read_bytes().startswith(log)
    if not (run / "last_model_state.pth").exists():
        done = train(workplace, *again)
        assert done.returncode == 0, done.stderr
    assert differences(whole, run) == []
    assert not list(run.glob(".*partial*"))
    steps, epochs = read_metrics(run / "metrics.jsonl")
    assert [r["step"] for r in steps] == list(range(1, 4 * STEPS + 1)) and [r["epoch"] for r in epochs] == [1, 2, 3, 4]
    assert logged(run, "step") > 4 * STEPS  # what was lost was done again, and stands in the log twice
    finished = train(workplace, *again)
    assert finished.returncode == 2 and "has finished 4 epochs: give --epochs more than that" in finished.stderr


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM))
def test_a_signal_ends_the_step_saves_and_says_how_to_resume(workplace, whole, number):
    name = signal.Signals(number).name
    run = run_dir(workplace, name)
    process = start(workplace, *COMMON, "--epochs", "4", "--project-name", name, "--workers", "1")
    while process.poll() is None and logged(run, "step") < STEPS + 1:
        pass
    process.send_signal(number)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 128 + number and "Traceback" not in out, out
    command = re.search(r"continue with: python train\.py (.*)", out)[1].split()
    assert "stopped" in out and "saved" in out
    assert logged(run, "step") < 4 * STEPS
    done = train(workplace, *command)
    assert done.returncode == 0, done.stderr
    assert differences(whole, run) == []


def test_patience_counts_on_after_a_kill(workplace):
    """At a rate of next to nothing no epoch is much better than the first."""
    options = (*COMMON, "--epochs", "9", "--lr", "1e-9", "--patience", "2")
    whole = train(workplace, *options, "--project-name", "patient")
    assert whole.returncode == 0 and "no better epoch in 2 (--patience)" in whole.stdout, whole.stderr
    process = start(workplace, *options, "--project-name", "impatient", "--save-every", "0")
    run = run_dir(workplace, "impatient")
    assert kill_when(process, lambda: logged(run, "epoch") == 2)
    done = train(workplace, "--resume-training", "--project-name", "impatient")
    assert done.returncode == 0 and "no better epoch in 2" in done.stdout, done.stderr
    assert differences(run_dir(workplace, "patient"), run) == []
    again = train(workplace, "--resume-training", "--project-name", "impatient")
    assert again.returncode == 2 and "give --patience more than 2" in again.stderr


@pytest.fixture(scope="module")
def one_epoch(workplace):
    done = train(workplace, *COMMON, "--epochs", "1", "--project-name", "copied")
    assert done.returncode == 0, done.stderr
    return run_dir(workplace, "copied").rename(workplace / "one epoch")


@pytest.fixture
def copy_of_whole(workplace, one_epoch):
    """A run that has finished one epoch, in its own folder."""
    run = run_dir(workplace, "copied")
    run.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(one_epoch, run)
    yield run
    shutil.rmtree(run)


def test_what_has_changed_is_named(workplace, copy_of_whole):
    again = ("--resume-training", "--project-name", "copied", "--epochs", "2")
    before = {p.name: p.read_bytes() for p in copy_of_whole.iterdir()}
    for more, expected in (
        (("--recipe", "v2-paper"), "--recipe: the run has finetune, here it is v2-paper"),
        (("--ema", "0.5"), "--ema: the run has 0.9, here it is 0.5"),
        (("--accumulate", "1"), "processes): the run has 3, here it is 1"),
        (("--backbone-lr", "1"), "--backbone-lr: the run has 0.5, here it is 1.0"),
    ):
        done = train(workplace, *again, *more)
        assert done.returncode == 2 and expected in done.stderr and "Traceback" not in done.stderr, done.stderr
    kept = {path: path.read_bytes() for path in (workplace / "train").iterdir()}
    try:
        xml = workplace / "train" / "image 1.xml"
        xml.write_text(re.sub(r"<xmax>(\d+)", lambda found: f"<xmax>{int(found[1]) - 1}", xml.read_text(), count=1))
        (workplace / "train" / "image 2.xml").unlink()
        shutil.copy(workplace / "train" / "image 3.jpg", workplace / "train" / "image 99.jpg")
        shutil.copy(workplace / "train" / "image 3.xml", workplace / "train" / "image 99.xml")
        done = train(workplace, *again)
        assert done.returncode == 2 and "the dataset has changed" in done.stderr
        assert "train split: the run has 9 images, here are 9: 1 missing (image 2.jpg)" in done.stderr
        assert "1 new (image 99.jpg), 1 changed (image 1.jpg)" in done.stderr and "val split" not in done.stderr
    finally:
        shutil.rmtree(workplace / "train")
        (workplace / "train").mkdir()
        for path, content in kept.items():
            path.write_bytes(content)
    assert before == {p.name: p.read_bytes() for p in copy_of_whole.iterdir()}  # nothing was touched by any of them


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one_whole(workplace, copy_of_whole):
    """RLIMIT_FSIZE stands in for a full disk: the kernel refuses what goes beyond it."""
    before = (copy_of_whole / "last_model.pth").read_bytes()
    code = (
        "import resource, signal, sys, runpy; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) // 2},) * 2); "
        f"sys.argv[0] = {str(SCRIPT)!r}; sys.path.insert(0, {str(SCRIPT.parent)!r}); "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--resume-training", "--project-name", "copied", "--epochs", "2"],
        cwd=workplace, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert "could not be written" in done.stderr and "The previous one is still whole" in done.stderr
    assert (copy_of_whole / "last_model.pth").read_bytes() == before
    assert torch.load(copy_of_whole / "last_model.pth", weights_only=True)["epoch"] == 1
    assert not list(copy_of_whole.glob(".*partial*"))
    on = train(workplace, "--resume-training", "--project-name", "copied", "--epochs", "2")
    assert on.returncode == 0, on.stderr


def test_a_checkpoint_alone_knows_how_its_run_was_begun(workplace, copy_of_whole):
    """Moved away from its args.yaml, it continues as it was begun, but for what is given."""
    away = workplace / "elsewhere"
    away.mkdir()
    shutil.move(copy_of_whole / "last_model.pth", away)
    command = ("-r", "--weights", "elsewhere/last_model.pth", "--config", "shapes.yaml", "-d", "cpu", "-e", "2")
    done = train(workplace, *command, "--weight-decay", "0.5")
    assert done.returncode == 0, done.stderr
    args = yaml.safe_load((away / "args.yaml").read_text())
    assert (args["seed"], args["ema"], args["augment"], args["accumulate"]) == (5, 0.9, ["mosaic", "train"], 3)
    groups = torch.load(away / "last_model.pth", weights_only=True)["optimizer_state_dict"]["param_groups"]
    assert {group["weight_decay"] for group in groups} == {0.0, 0.5}


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_an_error_that_changes_nothing(workplace, copy_of_whole):
    copy_of_whole.chmod(0o555)
    try:
        done = train(workplace, "--resume-training", "--project-name", "copied", "--epochs", "2")
        assert done.returncode == 2 and "Traceback" not in done.stderr
    finally:
        copy_of_whole.chmod(0o755)


def test_best_model_is_the_better_of_raw_and_averaged_weights_and_says_which(whole):
    _, epochs = read_metrics(whole / "metrics.jsonl")
    best = max(epochs, key=lambda r: max(r["val/map_50_95"], r["ema/map_50_95"]))
    which = "ema" if best["ema/map_50_95"] > best["val/map_50_95"] else "raw"
    content = torch.load(whole / "best_model.pth", weights_only=True)
    assert (content["weights"], content["epoch"]) == (which, best["epoch"])
    assert content["metrics"]["val/map_50_95"] == max(best["val/map_50_95"], best["ema/map_50_95"])
    assert yaml.safe_load((whole / "args.yaml").read_text())["ema"] == 0.9
    last = torch.load(whole / "last_model.pth", weights_only=True)
    assert last["ema_state_dict"].keys() == last["model_state_dict"].keys()
    assert any(
        not torch.equal(value, last["ema_state_dict"][key])
        for key, value in last["model_state_dict"].items()
        if value.is_floating_point()
    )
