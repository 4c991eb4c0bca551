"""Kill training runs at random moments, resume each, and count how many end as an unbroken run does.

    python benchmarks/kill_and_resume.py --runs 50

An unbroken run is made once, and its length measured. Each further run is killed with SIGKILL at a random moment of
that length, resumed, and so on until it ends by itself; it has survived if every weight, average, optimizer state
and metric is the same to the last bit. The moments come from `--seed`; what they hit depends on the machine.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.interrupted_runs import differences, kill_when, logged

ROOT = Path(__file__).resolve().parents[1]
MAX_KILLS = 3  # of one run
CONFIG = """
TRAIN_DIR_IMAGES: images/train
VALID_DIR_IMAGES: images/test
CLASSES: [Mask, Face_Shield, Coverall, Gloves, Goggles]
"""
SAMPLE = "--out images --train 24 --test 8".split()
OPTIONS = (
    "--config sample.yaml --model fasterrcnn_resnet10_fpn_small --img-size 96 --device cpu --batch-size 4 "
    "--ema 0.9 --use-train-aug --save-every 0"
).split()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    options = [*OPTIONS, "--epochs", str(args.epochs)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([sys.executable, ROOT / "data" / "make_sample.py", *SAMPLE], cwd=folder, check=True)
        (folder / "sample.yaml").write_text(CONFIG)
        runs = folder / "outputs" / "training"
        started = time.monotonic()
        process = train(folder, *options, "--project-name", "whole")
        while process.poll() is None and not logged(runs / "whole", "step"):
            time.sleep(0.01)
        first_step = time.monotonic() - started
        output, _ = process.communicate()
        if process.returncode:
            print(output)
            return 1
        length = time.monotonic() - started
        print(f"unbroken: {length:.1f} s, the first step after {first_step:.1f} s")
        kills, survived = 0, 0
        for _ in tqdm(range(args.runs), unit="run", disable=None):
            kills += interrupted_run(folder, runs / "part", options, rng, first_step, length)
            found = differences(runs / "whole", runs / "part")
            survived += not found
            if found:
                print("\n  ".join(["not the same:", *found[:5]]))
            shutil.rmtree(runs / "part")
    print(f"{survived} of {args.runs} runs survived, {kills} kills in all")
    return survived != args.runs


def interrupted_run(
    folder: Path, run: Path, options: list[str], rng: random.Random, first_step: float, length: float
) -> int:
    """Train one run, killed at random moments at most `MAX_KILLS` times and resumed after each; return the kills.

    Args:
        first_step, length: seconds after which an unbroken run logs its first step, and ends.
    """
    kills = 0
    while True:
        resumes = (run / "last_model.pth").exists()
        start_over = (*options, "--project-name", run.name, "--exist-ok")
        process = train(folder, *(("--resume-training", "--project-name", run.name) if resumes else start_over))
        if kills == MAX_KILLS:
            output, _ = process.communicate()
            if process.returncode and "has finished" not in output:  # killed in its very last moment
                print(output)
            return kills
        deadline = time.monotonic() + rng.uniform(0.9 * first_step, length)
        if not kill_when(process, lambda at=deadline: time.monotonic() >= at):
            return kills
        kills += 1


def train(folder: Path, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, ROOT / "train.py", *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


if __name__ == "__main__":
    sys.exit(main())
