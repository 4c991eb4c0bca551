"""Say how good a detector is, how sure that is, and at what threshold to use it.

    python evaluate.py --weights outputs/training/NAME/best_model.pth --config data_configs/ppe.yaml --split test

Prints a verdict in words, AP with its interval, and a table per class; writes evaluation.json, report.html,
MODEL_CARD.md, thresholds.yaml and the detections in COCO's format to outputs/evaluation/res_N, or to --output.

    python evaluate.py --predictions predictions.json --ground-truth annotations.json

scores the COCO results of any detector. --label-errors also lists the labels that a model contradicts.

Exit status: 0; 2 for an error; 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.
"""

import shlex
import sys

from utils.cli.guard import DATA_PACKAGES, NETWORK_PACKAGES, check_python

if __name__ == "__main__":  # before anything else is imported: this Python may lack it
    check_python(DATA_PACKAGES)

from utils.cli.evaluate_args import evaluation_arguments
from utils.cli.script import ending

if __name__ == "__main__":  # before the imports that take seconds: --help and mistyped flags answer at once
    with ending():
        ARGS = evaluation_arguments()
        if not ARGS.predictions:
            check_python(NETWORK_PACKAGES)

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from utils.annotations.annotation import Annotation
from utils.cli.command import command
from utils.coco_eval import CocoEvaluator
from utils.config.config import load_config
from utils.config.dataset_config import DatasetConfig
from utils.config.yaml_files import read_yaml
from utils.dataset.scan import raise_for_errors, scan_splits
from utils.detections import Detections, relabelled
from utils.errors import ConfigError
from utils.evaluation.bootstrap import summaries
from utils.evaluation.coco.split_file import SplitFile, read_split_file
from utils.evaluation.comparison import compare
from utils.evaluation.matching import Matches, average_precision, match
from utils.evaluation.verdict.files import FILES, write_evaluation
from utils.evaluation.verdict.numbers import EvaluationOptions, evaluate_detections, plain, stored_thresholds
from utils.evaluation.verdict.report_data import report_data
from utils.evaluation.verdict.source import Source, read_source
from utils.evaluation.verdict.words import verdict_lines
from utils.evaluation_report.label_errors import label_errors_to_show
from utils.exported.engines import is_exported
from utils.exported.loading import load_exported
from utils.exported.origin import origin_of
from utils.exported.predictor import ExportedPredictor
from utils.files import check_free
from utils.images.cache import CACHE_ROOT
from utils.label_errors.find import find_label_errors
from utils.label_errors.table import CSV_NAME, error_lines, error_rows, write_csv
from utils.runs.run_dir import CHECKPOINTS, output_dir
from utils.signals import Signals

EVALUATION_ROOT = Path("outputs/evaluation")
LOWEST = 0.05  # score from which detections count, as in torchvision's models


def main(args) -> int:
    Signals()
    sys.stdout.reconfigure(errors="backslashreplace")  # names that the terminal cannot show
    if is_exported(args.weights):
        prepare_export(args)
    if args.output:  # before anything is computed
        check_free(args.output, [*FILES, CSV_NAME] if args.label_errors else FILES)
    if args.save_thresholds:
        check_free(args.save_thresholds.parent, [args.save_thresholds.name])
    source = read_source(args.predictions, args.ground_truth) if args.predictions else run_detector(args, args.weights)
    other = None  # detected before anything is scored: loader processes must not be forked later
    if args.against:
        files = args.predictions is not None
        other = read_source(args.against, args.ground_truth) if files else run_detector(args, args.against, source)
    options = EvaluationOptions(args.iou, args.threshold, args.min_precision, args.min_recall, source.max_detections)
    evaluation = evaluate_detections(
        source.truth, source.detections, options, image_ids=source.image_ids, sizes_wh=source.sizes_wh
    )
    evaluation.numbers.update(source.about)
    if other:
        evaluation.numbers["comparison"] = compare_with(evaluation.matches, other, args)
    more, rows = {}, None
    if args.label_errors:
        paths = [annotation.image_path for annotation in source.annotations]
        rows = error_rows(find_label_errors(source.truth, source.detections), paths, source.truth.class_names)
        more["label_errors"] = label_errors_to_show(rows, paths, source.truth)
    with output_dir(args.output, EVALUATION_ROOT) as folder:
        report = report_data(evaluation, source, title=title_of(args), commands=commands(args), more=more)
        written = write_evaluation(folder, evaluation, source, report, pixel_range=source.pixel_range)
        if rows is not None:
            write_csv(folder / CSV_NAME, rows)
            written.append(CSV_NAME)
    for line in verdict_lines(evaluation.numbers):
        print(line)
    if rows is not None:
        for line in label_error_lines(rows, images=len(source.annotations), split=args.split):
            print(line)
    if other:
        comparison = evaluation.numbers["comparison"]
        found = {name: value for name, value in comparison["ap"].items() if value is not None}
        if found:
            print("AP: " + ", ".join(f"{name} {100 * value:.1f}" for name, value in found.items()))
        print(comparison["sentence"])
    if args.save_thresholds:
        from torch_utils.runs.checkpoint import copy_with_thresholds

        stored = stored_thresholds(evaluation.matches_at_iou, args.split, evaluation.thresholds)
        copy_with_thresholds(args.weights, args.save_thresholds, stored)
        print(f"weights with these thresholds: {args.save_thresholds}")
    print(f"results: {folder}: {', '.join(written)}")
    return 0


def prepare_export(args) -> None:
    """Compare an exported model with the checkpoint that it was made of, where that is still there, and --against none.

    Raises ConfigError for what only a checkpoint can do.
    """
    if args.save_thresholds:
        raise ConfigError(
            f"--save-thresholds copies a checkpoint, and {args.weights} is an exported model: give the checkpoint, and "
            "export the copy"
        )
    origin = origin_of(args.weights)
    if origin and not args.against:
        print(f"compared with the checkpoint that it was made of: {origin}")
        args.against = origin


def label_error_lines(rows: list[dict], *, images: int, split: str) -> list[str]:
    """Return lines on labels that may be wrong, and on those that stay hidden where the model has learned them."""
    lines = error_lines(rows, images=images)
    if split == "train":
        lines.append(
            "  a model that was trained on these images has learned their wrong labels, too, and hides them: "
            "train.py --folds 5 judges each image by a model that did not learn it"
        )
    return lines


def compare_with(matches: Matches, other: Source, args) -> dict:
    """Return the differences of another detector to this one, with intervals, and the sentence on AP."""
    others = match(other.truth, other.detections, max_detections=other.max_detections, image_ids=other.image_ids)
    first, second = title_of(args), name_of(args.against)
    names = (first, second) if first != second else (str(args.weights or args.predictions), str(args.against))
    found = compare(matches, others, names=names)
    ap = [float(summaries(average_precision(each), each.class_names)["ap"]) for each in (matches, others)]
    differences = {name: list(interval) for name, interval in found.differences.items()}
    needed = {"images": found.images, "images_needed": found.images_needed}
    about = {"with": str(args.against), "sentence": found.sentence, "ap": plain(dict(zip(names, ap, strict=True)))}
    return {**about, **needed, "differences": plain(differences)}


def title_of(args) -> str:
    """Return what the report is called."""
    path = args.weights or args.predictions
    return name_of(path) if path else f"torchvision's {args.model or 'detector'}"


def name_of(path: Path) -> str:
    """Return the name of the run that wrote a file, or the file's own, or of an OpenVINO model's folder."""
    return path.absolute().parent.name if path.name in (*CHECKPOINTS, "model.xml") else path.name


def commands(args) -> list[tuple[str, str]]:
    """Return what to type to evaluate again, and to detect objects."""
    again = shlex.join(["python", "evaluate.py", *sys.argv[1:]])
    found = [("evaluate again", again)]
    if args.weights:
        found.append(("detect objects in images", command("inference.py", weights=args.weights, input="IMAGES")))
    return found


def run_detector(args, weights: Path | None, known: Source | None = None) -> Source:
    """Detect on every image of the split, whose annotations `known` may have.

    Raises ToolkitError where model, data and classes do not go together.
    """
    from models.predictors import published_classes
    from models.registry import DEFAULT_MODEL
    from torch_utils.runs.checkpoint import load_checkpoint

    model = trained = None
    if weights and is_exported(weights):
        options = {"model_name": args.model, "img_size": args.img_size, "max_detections": args.max_detections}
        model, _ = load_exported(weights, device_name=args.device, half=args.half, **options)
        trained = load_checkpoint(origin) if (origin := origin_of(weights)) else None
    elif weights:
        model = trained = load_checkpoint(weights, model_name=args.model)
    config = dataset_of(args, trained)
    names = model.class_names if model else published_classes(args.model or DEFAULT_MODEL)
    if names:
        label_map(names, config, weights)  # before the images are read
    if known:
        annotations, split_file = known.annotations, None
    else:
        annotations, split_file = read_images(config, args.split, skip_bad=args.skip_bad)
    evaluator = CocoEvaluator(
        annotations,
        config.class_names,
        images_dir=getattr(config, f"{args.split}_images_dir"),
        max_detections=args.max_detections or (model and model.max_detections) or 100,
    )
    found, about = detect(args, weights, model, config, annotations, timed=known is None)
    for index, detections in enumerate(found):
        evaluator.add(index, detections)
    truth, packed = evaluator.packed()
    ids: Sequence[int] | None = evaluator.ids
    if split_file:
        truth, ids = split_file.truth, split_file.order
        files = split_file.ground_truth(), split_file.results(packed)
    else:
        files = evaluator.ground_truth(), evaluator.results()
    if known:
        truth, ids = known.truth, known.image_ids
    about = {"config": str(config.path), "split": args.split, **about}
    return Source(truth, packed, ids, about, evaluator.max_detections, *files, annotations, config.pixel_range)


def dataset_of(args, checkpoint) -> DatasetConfig:
    """Read the dataset's YAML, that of the run where none is given, divided as in the checkpoint's training."""
    path = args.config or (checkpoint.path if checkpoint else args.weights).parent / "config.yaml"
    if args.config is None and not path.is_file():
        raise ConfigError(f"{args.weights} has no config.yaml beside it: which dataset? Give --config YAML")
    trained = checkpoint.content.get("config") if checkpoint else None
    division = {}
    if isinstance(trained, dict) and not {"VALID_DIR_IMAGES", "SPLIT", "val", "valid"} & read_yaml(path).keys():
        division = {"split": trained.get("SPLIT"), "split_groups": trained.get("SPLIT_GROUPS")}
    config = load_config(path, **division)
    if args.split == "test":
        config.require_test()
    return config


def read_images(config: DatasetConfig, split: str, *, skip_bad: bool) -> tuple[Sequence[Annotation], SplitFile | None]:
    """Read the images of a split with their annotations, and the objects of its COCO file where it has one.

    Raises DatasetError where any is at fault, or none is left.
    """
    scans = scan_splits(config, (split,), skip_bad=skip_bad, cache=CACHE_ROOT)
    if scans[split].turned:  # the other splits may show which way up the boxes were drawn
        scans = scan_splits(config, skip_bad=skip_bad, cache=CACHE_ROOT)
    raise_for_errors({split: scans[split]})
    split_file, notes = read_split_file(config, split, scans[split])
    for note in notes:
        print(note)
    return split_file.annotations if split_file else scans[split].annotations, split_file


def detect(
    args, weights: Path | None, model, config: DatasetConfig, annotations, *, timed: bool
) -> tuple[list[Detections], dict]:
    """Return the detections of each image, in the config's classes, and where they come from.

    `model` is the checkpoint, or the predictor of an exported model, that `weights` holds.
    """
    from tqdm import tqdm

    from datasets import DetectionDataset, build_loader
    from models.predictors import build_predictor
    from torch_utils.evaluation import detect_all, time_images
    from utils.system import loader_processes

    exported = isinstance(model, ExportedPredictor)
    predictor, class_names, _ = build_predictor(
        model,
        device_name=args.device,
        half=args.half,
        model_name=args.model,
        config=config.path if model and model.class_names is None else None,
        img_size=args.img_size,
        max_detections=args.max_detections,
        slice_size=args.slice,
        overlap=args.overlap,
        batch_size=args.batch_size,
        threshold=LOWEST,
    )
    label_of = label_map(class_names, config, weights)
    network = predictor.predictor if args.slice else predictor
    data = DetectionDataset(annotations, img_size=network.img_size, training=False, pixel_range=config.pixel_range)
    loader = build_loader(
        data, batch_size=args.batch_size, workers=loader_processes(str(network.device).startswith("cuda"))
    )
    with tqdm(total=len(data), desc="Detecting", unit="image", disable=None, dynamic_ncols=True) as bar:
        found = [relabelled(detections, label_of) for detections in detect_all(predictor, loader, bar=bar)]
    images = (data.load(index).image for index in range(len(data)))
    seconds = time_images(predictor, images) if timed else []
    about = {
        "weights": str(weights) if weights else "torchvision's COCO weights",
        "epoch": model.epoch if model and not exported else None,
        "model": model.engine.metadata.model_name if exported else model.model_name if model else args.model,
        "engine": network.engine.title if exported else None,
        "img_size": network.img_size,
        "slice": args.slice,
        "device": str(network.device),
        "half": args.half,
        "latency_ms": {
            "median": 1000 * median(seconds),
            "p95": 1000 * float(np.percentile(seconds, 95)),
            "images": len(seconds),
        }
        if seconds
        else None,
    }
    return found, about


def label_map(class_names: Sequence[str], config: DatasetConfig, weights: Path | None) -> dict[int, int]:
    """Map the model's labels to the config's, by name; raises ConfigError where the names differ."""
    own, wanted = class_names[1:], config.class_names[1:]
    strange = [name for name in wanted if name not in own]
    left = [name for name in own if name not in wanted]
    if strange or (left and weights):
        who = weights or "torchvision's COCO detector"
        only = [f"only the model has {', '.join(left[:9])}"] if left and weights else []
        only += [f"only the dataset has {', '.join(strange[:9])}"] if strange else []
        raise ConfigError(
            f"{config.path} and {who} differ in their classes: {'; '.join(only)}. Evaluate on data of the model's "
            "classes; in the YAML, RENAME joins names that differ in spelling alone, and IGNORE leaves classes out"
        )
    return {class_names.index(name): label for label, name in enumerate(config.class_names) if label}


if __name__ == "__main__":
    with ending():
        sys.exit(main(ARGS))
