"""Measure what flags of train.py bring: runs that differ from the `finetune` recipe in some, over several seeds.

    python benchmarks/recipes.py --config bccd.yaml --backbone-weights resnet18.pth --seeds 3 --out recipes.jsonl

Each run is a line of the output; a line that is there already is not run again, so the benchmark can be stopped and
resumed. At the end, and with `--table` alone, a Markdown table of mean and spread of AP over the seeds.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

TRAIN = Path(__file__).resolve().parents[1] / "train.py"

# The recipe of version 2 follows torchvision's references; these flags leave its schedule and optimizer only, at the
# references' rate of 0.02 for 16 images.
REFERENCE = "--recipe v2-paper --pretrained none --no-sync-bn --augment flip --lr 0.005 --weight-decay 1e-4"
VARIANTS = {
    "finetune": "",
    "rate 0.00125 an image": "--lr 0.005",  # batches are of 4
    "no mosaic": "--no-mosaic",
    "torchvision's references": REFERENCE,
    "with --use-train-aug": "--use-train-aug",
    "with --use-train-aug --no-mosaic": "--use-train-aug --no-mosaic",
    "with --ema": "--ema",
    "with --augment mosaic multi-scale": "--augment mosaic multi-scale",
    "with --augment lsj": "--augment lsj",
    "with --augment mosaic mixup": "--augment mosaic mixup",
    "with --augment mosaic copy-paste": "--augment mosaic copy-paste",
    "with --close-mosaic 1": "--close-mosaic 1",
    "with --backbone-lr 0.3": "--backbone-lr 0.3",
    "with --schedule cosine": "--schedule cosine",
    "in float32": "--amp off",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--config", type=Path, help="dataset YAML")
    add("--backbone-weights", type=Path)
    add("--model", default="fasterrcnn_resnet18_fpn")
    add("--img-size", type=int, default=224)
    add("--epochs", type=int, default=4)
    add("--device", default="auto")
    add("--seeds", type=int, default=3)
    add("--only", nargs="+", type=int, metavar="N", help="numbers of the variants, from 0; default: all")
    add("--out", type=Path, default=Path("recipes.jsonl"))
    add("--table", action="store_true", help="only print the table of what is there")
    args = parser.parse_args()
    if not args.table:
        if args.config is None:
            parser.error("--config is needed, except with --table")
        common = [
            "--config", args.config.resolve(), "--model", args.model, "--img-size", args.img_size,
            "--epochs", args.epochs, "--device", args.device, "--batch-size", 4,
        ]  # fmt: skip
        if args.backbone_weights:
            common += ["--backbone-weights", args.backbone_weights.resolve()]
        for seed in range(args.seeds):  # all variants of a seed first: a table is of use early
            for name in [name for n, name in enumerate(VARIANTS) if args.only is None or n in args.only]:
                if not any(row["name"] == name and row["seed"] == seed for row in rows(args.out)):
                    row = {"name": name, "seed": seed} | result([*common, "--seed", seed, *VARIANTS[name].split()])
                    with args.out.open("a") as file:
                        file.write(json.dumps(row) + "\n")
                    print(row, flush=True)
    print_table(rows(args.out))


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def result(options: list) -> dict[str, float]:
    """Return the best and the last AP of one run; with averaged weights, of the better of the two."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "data").symlink_to(Path("data").resolve())  # what a YAML's relative paths mostly begin with
        command = [sys.executable, TRAIN, *options, "--project-name", "run"]
        done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, check=False)
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
    print("| | AP | AP50 | AP of the first epoch | seeds |\n|---|---|---|---|---|")
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
