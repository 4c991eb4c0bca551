"""Starts groups of processes with torchrun, on the CPU, and the dataset that they train on."""

import os
import subprocess
import sys
from pathlib import Path

from support import warm
from support.paths import ROOT
from support.voc_sets import write_config, write_voc_set

SCRIPT = ROOT / "train.py"
MODEL = "--model fasterrcnn_resnet10_fpn_small --img-size 96 --device cpu --amp off --config shapes.yaml".split()


def write_dataset(folder: Path) -> Path:
    write_voc_set(folder / "train", 13, seed=1)  # portrait and landscape; the last batch is of a single image
    write_voc_set(folder / "test", 7, seed=2)
    write_config(folder)
    return folder


def torchrun(processes: int, *options: str) -> list[str]:
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", *options]


def run(program, folder, *arguments) -> subprocess.CompletedProcess:
    return warm.run([*map(str, program), *arguments], cwd=folder, timeout=500)


def start(program, folder, *arguments) -> subprocess.Popen:
    return subprocess.Popen(
        [*map(str, program), *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def run_dir_of(folder: Path, name: str) -> Path:
    return folder / "outputs" / "training" / name
