"""Train version 1 and version 2 with the same budget, and measure what each part of version 2 costs.

    python benchmarks/v1_vs_v2.py --config bccd.yaml --backbone-weights resnet50.pth --epochs 4
    python benchmarks/v1_vs_v2.py --parts

Both versions see the same images as often, in the same order, and are scored after each epoch on the same validation
images. It can be stopped, and continues when it is started again. At the end: AP of each epoch with its interval, as a
table and as curves.png, and the paired difference after the last epoch, which no score has chosen.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from models import create_model
from torch_utils.training.engine import train_one_epoch
from train import finish, open_run, prepare_data, prepare_model
from utils.cli.settings import TRAINING_ROOT, TrainSettings
from utils.drawing.colors import BLUE, ORANGE
from utils.evaluation.bootstrap import Interval, ap_intervals
from utils.evaluation.coco.files import load_detections, load_truth
from utils.evaluation.comparison import compare
from utils.evaluation.matching import Matches, match
from utils.plots.figure import legend_above, new_figure, save
from utils.signals import Signals, Stopped

VERSIONS = {"v1": "fasterrcnn_resnet50_fpn", "v2": "fasterrcnn_resnet50_fpn_v2"}
PARTS = {
    "backbone": "backbone.body",
    "FPN": "backbone.fpn",
    "RPN head": "rpn.head",
    "box head": "roi_heads.box_head",
    "class and box layers": "roi_heads.box_predictor",
}
PROPOSALS = 1000  # of an image that reach the box head


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--config", type=Path, help="dataset YAML")
    add("--backbone-weights", type=Path, help="state dict of a ResNet-50 classifier, for both")
    add("--epochs", type=int, default=10)
    add("--batch-size", type=int, default=4)
    add("--img-size", type=int, default=320)
    add("--out", type=Path, default=Path("outputs/v1_vs_v2"))
    add("--parts", action="store_true", help="measure the parts only")
    add("--rounds", type=int, default=5, help="of the time of a part")
    args = parser.parse_args()
    if args.parts:
        print_parts(args.img_size, args.rounds)
        return
    if args.config is None:
        parser.error("--config is needed, except with --parts")
    args.out.mkdir(parents=True, exist_ok=True)
    for version in VERSIONS:
        if len(read_json(args.out / f"{version}.json").get("epochs", ())) < args.epochs:
            train_version(version, args)
    report(args.out)


def train_version(version: str, args) -> None:
    """Train a version, or go on with it, and write after each epoch all epochs' scores and this one's detections."""
    name, path = f"v1_vs_v2/{version}", args.out / f"{version}.json"
    resumed = (TRAINING_ROOT / name / "last_model.pth").exists()
    settings = TrainSettings(
        config=args.config,
        model=VERSIONS[version],
        backbone_weights=args.backbone_weights,
        img_size=args.img_size,
        epochs=args.epochs,
        batch_size=args.batch_size,
        project_name=name,
        resume_training=resumed,
        exist_ok=not resumed,
    )
    run = open_run(prepare_model(prepare_data(settings)))
    epochs = read_json(path).get("epochs", [])[: run.state.record["epoch"]]
    images = {split: len(found) for split, found in run.data.annotations.items()}
    write_json(args.out / "ground_truth.json", run.evaluator().ground_truth())
    try:
        with run.running(Signals()) as saver:
            while not run.state.finished(run.settings):
                record = run.begin_epoch()
                record |= train_one_epoch(
                    run.trainer, run.train_loader, epoch=record["epoch"], on_steps=run.log_steps, bar=run.progress,
                    progress=run.state.progress, between_steps=saver.save_if_due,
                )  # fmt: skip
                metrics, evaluators = run.validate(saver)
                epochs.append({"train_s": record["time/train_s"], "val_s": metrics["time/val_s"]})
                write_json(args.out / f"{version}_{len(epochs)}.json", evaluators["val"].results())
                write_json(path, {"epochs": epochs, "images": images})
                run.end_epoch(record | metrics, evaluators, saver)
    except Stopped as stopped:
        run.report_stop()
        sys.exit(stopped.status)
    finish(run)


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def report(out: Path) -> None:
    found = {version: read_json(out / f"{version}.json") for version in VERSIONS}
    print(f"{found['v1']['images']['train']} training images, {found['v1']['images']['val']} validation images")
    truth, last = load_truth(out / "ground_truth.json"), min(len(found[version]["epochs"]) for version in VERSIONS)
    matches = {
        version: [match(truth.packed, load_detections(out / f"{version}_{n}.json", truth)) for n in range(1, last + 1)]
        for version in VERSIONS
    }
    intervals = {version: [ap_intervals(one) for one in matches[version]] for version in VERSIONS}
    print("\n| epoch | v1 AP | v2 AP | v1 AP50 | v2 AP50 | v1 s | v2 s |\n|---|---|---|---|---|---|---|")
    for index in range(last):
        cells = [interval_text(intervals[version][index][name]) for name in ("ap", "ap_50") for version in VERSIONS]
        seconds = [found[version]["epochs"][index] for version in VERSIONS]
        cells += [f"{row['train_s']:.0f} + {row['val_s']:.0f}" for row in seconds]
        print(f"| {index + 1} | {' | '.join(cells)} |")
    print(f"\nAfter epoch {last}:", end=" ")
    print_verdict([matches[version][-1] for version in VERSIONS])
    draw(intervals, out / "curves.png")


def print_verdict(matches: list[Matches]) -> None:
    comparison = compare(*matches, names=tuple(VERSIONS))
    print(f"{comparison.sentence}\n\n| v2 - v1 | points |\n|---|---|")
    for name, (value, low, high) in comparison.differences.items():
        print(f"| {name} | {100 * value:+.1f} ({100 * low:+.1f} to {100 * high:+.1f}) |")


def interval_text(found: Interval) -> str:
    value, low, high = found
    return f"{value:.3f} ({low:.3f}–{high:.3f})"


def draw(intervals: dict[str, list[dict]], path: Path) -> None:
    figure, ax = new_figure("Version 1 and version 2", "epoch", "AP and AP50, with 95 % intervals")
    for (version, rows), color in zip(intervals.items(), (BLUE, ORANGE), strict=True):
        for name, title, line in (("ap", "AP", "-"), ("ap_50", "AP50", "--")):
            x, (values, low, high) = range(1, len(rows) + 1), zip(*(row[name] for row in rows), strict=True)
            ax.plot(x, values, line, color=color, marker="o", ms=4, label=f"{version}, {title}")
            ax.fill_between(x, low, high, color=color, alpha=0.15, lw=0)
    ax.set_xticks(range(1, len(rows) + 1))
    ax.set_ylim(0, 1)
    legend_above(figure)
    save(figure, path)


def print_parts(img_size: int, rounds: int) -> None:
    """Print parameters, FLOPs and time of the parts, one image of 4:3, in float32, in turns."""
    parts = {version: captured(name, img_size) for version, name in VERSIONS.items()}
    print(f"{img_size} px, {PROPOSALS} proposals, {torch.get_num_threads()} threads\n")
    print("| part | parameters, M | | | GFLOP | | | ms | | |")
    print("|---|---|---|---|---|---|---|---|---|---|\n| | v1 | v2 | v2 - v1 |" + " v1 | v2 | v2 - v1 |" * 2)
    totals = [0.0] * 6
    for part in PARTS:
        calls = [parts[version][part] for version in VERSIONS]
        figures = [sum(p.numel() for p in module.parameters()) / 1e6 for module, _ in calls]
        figures += [gflop(*call) for call in calls]
        figures += milliseconds(calls, rounds)
        totals = [total + figure for total, figure in zip(totals, figures, strict=True)]
        print_row(part, figures)
    print_row("together", totals)


def print_row(name: str, figures: list[float]) -> None:
    pairs = zip(figures[::2], figures[1::2], (2, 1, 0), strict=True)
    cells = [f"{v1:.{n}f} | {v2:.{n}f} | {v2 - v1:+.{n}f}" for v1, v2, n in pairs]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def captured(name: str, img_size: int) -> dict[str, tuple]:
    """Return each part of a model with the input that it gets for an image; the box head's has PROPOSALS rows."""
    torch.manual_seed(0)
    model = create_model(name, 91, img_size=img_size).eval()
    inputs, hooks = {}, []
    for part, path in PARTS.items():
        module = model.get_submodule(path)

        def keep(module, given, part=part):
            inputs.setdefault(part, (module, given))

        hooks.append(module.register_forward_pre_hook(keep))
    with torch.inference_mode():
        model([torch.rand(3, img_size, img_size * 4 // 3)])
        for hook in hooks:
            hook.remove()
        for part in ("box head", "class and box layers"):
            module, (rows,) = inputs[part]
            inputs[part] = module, (torch.rand(PROPOSALS, *rows.shape[1:]),)
    return inputs


def gflop(module, given: tuple) -> float:
    """Count billions of floating-point operations, a multiplication and an addition as two."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(*given)
    return counter.get_total_flops() / 1e9


def milliseconds(calls: list[tuple], rounds: int) -> list[float]:
    """Return the median CPU time of each call, in turns after one that warms up."""
    times: list[list[float]] = [[] for _ in calls]
    with torch.inference_mode():
        for _ in range(rounds + 1):
            for (module, given), own in zip(calls, times, strict=True):
                started = time.process_time()
                module(*given)
                own.append(1000 * (time.process_time() - started))
    return [statistics.median(own[1:]) for own in times]


if __name__ == "__main__":
    main()
