"""Kill training runs at random moments, continue with each, and count how many end as an unbroken run does.

    python benchmarks/kill_and_resume.py --runs 50

An unbroken run is made once, and its length measured. Each further run is killed with SIGKILL at a random moment of
that length, gone on with, and so on until it ends by itself; it has survived if every weight, average, optimizer state
and metric is the same to the last bit. The moments come from `--seed`; what they hit depends on the machine.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from killing import differences, kill_when, lines, start
from voc_sets import write_config, write_voc_set

OPTIONS = (
    "--config shapes.yaml --model fasterrcnn_resnet10_fpn_small --img-size 96 --device cpu --batch-size 4 --epochs 4 "
    "--ema 0.9 --use-train-aug --save-every 0"
).split()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write_voc_set(folder / "train", 24, seed=1)
        write_voc_set(folder / "test", 8, seed=2)
        write_config(folder)
        runs = folder / "outputs" / "training"
        started = time.monotonic()
        process = start(folder, *OPTIONS, "--project-name", "whole")
        while process.poll() is None and not lines(runs / "whole", "step"):
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
            kills += killed_and_gone_on_with(folder, runs / "part", rng, first_step, length)
            found = differences(runs / "whole", runs / "part")
            survived += not found
            if found:
                print("\n  ".join(["not the same:", *found[:5]]))
            shutil.rmtree(runs / "part")
    print(f"{survived} of {args.runs} runs survived, {kills} kills in all")
    return survived != args.runs


def killed_and_gone_on_with(folder: Path, run: Path, rng: random.Random, first_step: float, length: float) -> int:
    """One run, killed at random moments until it ends by itself or has been killed three times; returns the kills."""
    kills = 0
    while True:
        go_on = (run / "last_model.pth").exists()
        more = ("--resume-training", "--project-name", run.name) if go_on else (*OPTIONS, "-pn", run.name, "--exist-ok")
        process = start(folder, *more)
        if kills == 3:
            output, _ = process.communicate()
            if process.returncode and "has finished" not in output:  # killed in its very last moment
                print(output)
            return kills
        deadline = time.monotonic() + rng.uniform(0.9 * first_step, length)
        if not kill_when(process, lambda at=deadline: time.monotonic() >= at):
            return kills
        kills += 1


if __name__ == "__main__":
    sys.exit(main())
