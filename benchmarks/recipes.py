"""What each choice of the `finetune` recipe brings: runs of train.py that differ in one setting, over several seeds.

    python benchmarks/recipes.py --config bccd.yaml --backbone-weights resnet18.pth --seeds 3 --out recipes.jsonl

Each run is a line of the output; a line that is there already is not run again, so the benchmark can be stopped and
gone on with. At the end, and with `--table` alone, a Markdown table of mean and spread of AP over the seeds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# What torchvision's references do where `finetune` does something else; settings without a flag are set on the
# arguments. The warm-up of the references is their first epoch, up to 1000 steps.
REFERENCE = {
    "lr_per_image": 0.02 / 16,
    "lr_steps": [16 / 26, 22 / 26],
    "momentum": "plain",
    "decay_norms": True,
    "clip_norm": None,
    "warmup": "first epoch",
    "augment": [],
}
VARIANTS = {
    "finetune": {},
    "rate 0.00125 an image": {"lr_per_image": REFERENCE["lr_per_image"]},
    "rate falls after 62 %, 85 %": {"lr_steps": REFERENCE["lr_steps"]},
    "plain momentum": {"momentum": "plain"},
    "weight decay on norms and biases, too": {"decay_norms": True},
    "no limit on the gradient": {"clip_norm": None},
    "warm-up over the first epoch": {"warmup": "first epoch"},
    "no mosaic": {"augment": []},
    "torchvision's references: all of these": REFERENCE,
    "with --use-train-aug": {"augment": ["mosaic", "train"]},
    "with --use-train-aug --no-mosaic": {"augment": ["train"]},
    "with --ema": {"ema": 0.999},
    "with --augment mosaic multi-scale": {"augment": ["mosaic", "multi-scale"]},
    "with --augment lsj": {"augment": ["lsj"]},
    "with --augment mosaic mixup": {"augment": ["mosaic", "mixup"]},
    "with --augment mosaic copy-paste": {"augment": ["copy-paste", "mosaic"]},
    "with --close-mosaic 1": {"close_mosaic": 1},
    "with --backbone-lr 0.3": {"backbone_lr": 0.3},
    "with --schedule cosine": {"schedule": "cosine"},
    "in float32": {"amp": "off"},
}

RUN = """
import json, sys
sys.path.insert(0, sys.argv.pop())
settings = json.loads(sys.argv.pop())
box_samples = sys.argv.pop()
from utils.cli.train_args import training_arguments
args = training_arguments()
if settings.pop("warmup", None):
    settings["warmup_steps"] = -1
vars(args).update(settings)
import train
from torch_utils.training.optim import Schedule
if args.warmup_steps == -1:
    # A tenth of the run bounds the warm-up; here it is one epoch.
    Schedule.warmup_steps = property(lambda self: min(1000, self.total_steps // args.epochs - 1))
begin = train.start_model

def start_model(*parts):
    model = begin(*parts)
    model.roi_heads.fg_bg_sampler.batch_size_per_image = int(box_samples)
    return model

train.start_model = start_model
sys.exit(train.main(args))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--config", type=Path, help="dataset YAML")
    add("--backbone-weights", type=Path)
    add("--model", default="fasterrcnn_resnet18_fpn")
    add("--img-size", default="224")
    add("--epochs", default="4")
    add("--box-samples", type=int, default=512, help="proposals per image that the box head is trained on")
    add("--device", default="auto")
    add("--seeds", type=int, default=3)
    add("--only", nargs="+", type=int, metavar="N", help="numbers of the variants, from 0; default: all")
    add("--out", type=Path, default=Path("recipes.jsonl"))
    add("--table", action="store_true", help="only print the table of what is there")
    args = parser.parse_args()
    if not args.table:
        for seed in range(args.seeds):  # all variants of a seed first: a table is of use early
            for name in [name for n, name in enumerate(VARIANTS) if args.only is None or n in args.only]:
                if not any(row["name"] == name and row["seed"] == seed for row in rows(args.out)):
                    row = {"name": name, "seed": seed} | result(args, VARIANTS[name], seed)
                    with args.out.open("a") as file:
                        file.write(json.dumps(row) + "\n")
                    print(row, flush=True)
    print_table(rows(args.out))


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def result(args, settings: dict, seed: int) -> dict[str, float]:
    """The best and the last AP of one run; with averaged weights, the better of the two."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "data").symlink_to(Path("data").resolve())  # what a YAML's relative paths mostly begin with
        options = {
            "--config": args.config.resolve(), "--model": args.model, "--img-size": args.img_size,
            "--epochs": args.epochs, "--device": args.device, "--seed": seed, "--project-name": "run",
        }  # fmt: skip
        if args.backbone_weights:
            options["--backbone-weights"] = args.backbone_weights.resolve()
        words = [str(word) for pair in options.items() for word in pair]
        done = subprocess.run(
            [sys.executable, "-c", RUN, *words, str(args.box_samples), json.dumps(settings), str(ROOT)],
            cwd=folder, capture_output=True, text=True, check=False, env=os.environ,
        )  # fmt: skip
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        lines = Path(folder, "outputs/training/run/metrics.jsonl").read_text().splitlines()
        epochs = [record for record in map(json.loads, lines) if record["kind"] == "epoch"]
    ap, ap_50 = (
        [max(record[f"val/{key}"], record.get(f"ema/{key}", -1)) for record in epochs]
        for key in ("map_50_95", "map_50")
    )
    best = max(range(len(ap)), key=ap.__getitem__)
    seconds = sum(record["time/train_s"] for record in epochs)
    return {"ap": ap[best], "ap_50": ap_50[best], "last_ap": ap[-1], "first_ap": ap[0], "seconds": seconds}


def print_table(found: list[dict]) -> None:
    print("| | AP@[.50:.95] | AP50 | AP of the first epoch | seeds |\n|---|---|---|---|---|")
    for name in dict.fromkeys(row["name"] for row in found):
        own = [row for row in found if row["name"] == name]
        cells = []
        for key in ("ap", "ap_50", "first_ap"):
            values = [row[key] for row in own]
            spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.3f}{spread}")
        print(f"| {name} | {' | '.join(cells)} | {len(own)} |")


if __name__ == "__main__":
    main()
