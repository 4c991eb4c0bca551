"""`--find-lr` and `--find-batch-size`: short trials that leave a plot and a suggestion, and nothing else."""

import re
import sys

import cv2
import pytest

from support import warm
from support.paths import ROOT
from support.voc_sets import write_config, write_voc_set
from torch_utils.training.trials import BatchTrial, smoothed, suggest_batch, suggest_lr

SCRIPT = ROOT / "train.py"
OPTIONS = "--model fasterrcnn_resnet10_fpn_small --img-size 96 --device cpu --amp off --config shapes.yaml".split()


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trial")
    write_voc_set(folder / "train", 8, seed=1)
    write_voc_set(folder / "test", 3, seed=2)
    write_config(folder)
    return folder


def trial(workplace, *arguments):
    return warm.run([sys.executable, SCRIPT, *OPTIONS, *arguments], cwd=workplace)


def test_find_lr_suggests_a_rate_below_where_it_diverges(workplace):
    done = trial(workplace, "--find-lr", "--project-name", "later")
    assert done.returncode == 0, done.stderr
    suggested = float(re.search(r"suggested: --lr ([\d.e-]+) \(without it: 0\.01\)", done.stdout)[1])
    assert 1e-4 < suggested < 0.3
    diverged = re.search(r"diverges at a learning rate of ([\d.e-]+)", done.stdout)
    assert diverged is None or suggested < float(diverged[1])
    plot = cv2.imread(str(workplace / re.search(r"written to (\S+find_lr\.png)", done.stdout)[1]))
    assert plot.shape[0] > 400 and plot.std() > 5
    assert not (workplace / "outputs" / "training").exists()  # the run's name is still free


def test_find_batch_size_tries_powers_of_two_up_to_the_dataset(workplace):
    done = trial(workplace, "--find-batch-size")
    assert done.returncode == 0, done.stderr
    tried = [
        int(size) for size in re.findall(r"^batch +(\d+): +[\d.]+ images/s, [\d.]+ GiB", done.stdout, re.MULTILINE)
    ]
    assert tried == [1, 2, 4, 8][: len(tried)] and len(tried) >= 2
    assert int(re.search(r"suggested: --batch-size (\d+)", done.stdout)[1]) in tried
    plot = cv2.imread(str(workplace / re.search(r"written to (\S+find_batch_size\.png)", done.stdout)[1]))
    assert plot.shape[0] > 400 and plot.std() > 5


def test_suggested_rate_by_hand():
    rates = [10.0**power for power in range(-5, 1)]
    assert suggest_lr(rates, [2.0, 2.0, 1.5, 0.9, 1.2, 6.0]) == pytest.approx(1e-2 / 3)
    assert suggest_lr(rates, [2.0, 2.0, 1.95, 1.9, 2.4, float("nan")]) is None
    assert suggest_lr([], []) is None
    assert smoothed([4.0, 4.0, 4.0]) == pytest.approx([4.0] * 3)
    assert smoothed([1.0, 3.0], keep=0.5) == pytest.approx([1.0, (0.25 * 1 + 0.5 * 3) / 0.75])


def test_suggested_batch_by_hand():
    gib = 2**30
    trials = [
        BatchTrial(1, 5.0, gib),
        BatchTrial(2, 9.0, 2 * gib),
        BatchTrial(4, 9.3, 4 * gib),
        BatchTrial(8, 9.9, 8 * gib),
    ]
    assert suggest_batch(trials, 100 * gib) == 8  # 9.9, and 9.3 is less than 0.95 of it
    assert suggest_batch(trials, 8 * gib) == 2  # eight leave nothing to spare; of the rest 9.0 is near 9.3
    assert suggest_batch(trials, gib) == 1
