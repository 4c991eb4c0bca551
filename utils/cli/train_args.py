"""The flags of train.py. Their defaults are those of `TrainSettings`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import yaml

from utils.augment.augmentations import augmentations_help
from utils.cli.parser import (
    Parser,
    add_split_flags,
    count,
    decay,
    factor,
    image_size,
    minutes,
    positive,
    rate,
    seed,
    share,
    words,
)
from utils.cli.recipes import RECIPES
from utils.cli.settings import NOT_RESUMED, TRAINING_ROOT, TrainSettings, contradiction, faults, saved_fields
from utils.errors import ConfigError
from utils.runs.trackers.trackers import TRACKERS


def training_parser() -> Parser:
    """Return the parser of train.py, with the default of every setting."""
    parser = Parser(description="Fine-tune a Faster R-CNN on your own images, annotated in VOC XML, COCO or YOLO.")
    _add_what(parser.add_argument_group("what to train, on what").add_argument)
    _add_how(parser.add_argument_group("how: each of these wins over the recipe").add_argument)
    _add_data(parser.add_argument_group("what the network sees").add_argument)
    _add_running(parser.add_argument_group("running").add_argument)
    parser.set_defaults(**vars(TrainSettings()))
    return parser


def _add_what(add) -> None:
    add("-m", "--model", help="model to train; default: that of --weights, else fasterrcnn_resnet50_fpn_v2")
    add("-c", "--config", "--data", type=Path, help="dataset YAML, such as data_configs/ppe.yaml")
    add("-pn", "--project-name", "--name", help="folder under outputs/training; default: the next free res_N")
    add("-w", "--weights", type=Path, help="start from this checkpoint, maybe of other classes")
    add(
        "-r",
        "--resume-training",
        action="store_true",
        help="continue with --project-name, or with --weights last_model.pth",
    )
    add(
        "--pretrained",
        choices=("coco", "imagenet", "none"),
        help="weights to start from; default: the first there are",
    )
    add(
        "--backbone-weights",
        type=Path,
        metavar="FILE",
        help="state dict for the backbone, as torchvision's classifiers",
    )
    add_split_flags(add)
    add("--skip-bad", action="store_true", help="train without the files that have faults")
    add("--folds", type=count, metavar="K",
        help="train K models, each without a Kth of all images, and list labels that they contradict")  # fmt: skip
    add("--exist-ok", action="store_true", help="start over in a folder that holds an earlier run")


def _add_how(add) -> None:
    add("--recipe", choices=tuple(RECIPES), help="a set of defaults, listed in docs/training.md")
    add("-e", "--epochs", type=positive, help="passes over the training images")
    add("-b", "--batch-size", "--batch", type=positive, help="images per pass; with torchrun, per process")
    add("--accumulate", type=positive, metavar="N", help="N passes per step: a batch N times as large")
    add("--lr", type=rate, help="peak learning rate; default of SGD: 0.0025 x images per step, up to 0.02")
    add("--backbone-lr", type=factor, metavar="FACTOR", help="rate of the backbone: this times --lr")
    add("--optimizer", choices=("sgd", "adamw"))
    add("--weight-decay", type=share, help="default: 1e-4 (SGD), 0.01 (AdamW)")
    add("--schedule", choices=("multistep", "cosine", "constant"), help="of the learning rate")
    add(
        *("-ca", "--cosine-annealing"), dest="schedule", action="store_const", const="cosine",
        help="--schedule cosine",
    )  # fmt: skip
    add(
        "--ema",
        type=decay,
        nargs="?",
        const=0.999,
        metavar="DECAY",
        help="average the weights, too; 0.999 if not given",
    )
    add("--patience", type=count, metavar="N", help="stop after N epochs without a better one; 0: never")
    add(
        "--freeze-layers",
        type=count,
        metavar="N",
        help="fix N trained backbone stages; default: all but 3 if trained, else 0",
    )
    add("--freeze-bn", action="store_true", help="fix the batch statistics that came with trained weights")
    add("--sync-bn", action=argparse.BooleanOptionalAction, help="batch statistics over all GPUs, with torchrun")


def _add_data(add) -> None:
    add("-ims", "--img-size", "--imgsz", type=image_size, help="short side in pixels; default: the model's, mostly 640")
    add("-uta", "--use-train-aug", action="store_true", help="blur, grey, colour, gamma, zoom besides the flip")
    add("-nm", "--no-mosaic", action="store_true", help="train on whole images only, no mosaics of four")
    add("--augment", nargs="+", metavar="NAME", help=augmentations_help())
    add("--close-mosaic", type=count, metavar="N", help="no mixed images in the last N epochs")
    add("--repeat-rare", type=share, metavar="SHARE",
        help="show images more often whose classes are on less than this share of them")  # fmt: skip
    add("--max-detections", type=positive, metavar="N",
        help="the most detections of an image; default: 100, or more where the data holds crowded images")  # fmt: skip
    add("-vt", "--vis-transformed", action="store_true", help="show what the network sees before training starts")


def _add_running(add) -> None:
    add("-d", "--device", help="auto, cpu, cuda, cuda:N, or mps on a Mac")
    add("-j", "--workers", type=count, help="loader processes; default: up to 8 with a GPU, 0 without")
    add("--cache", choices=("off", "ram", "disk"),
        help="keep decoded images in memory, or in a file under outputs/cache")  # fmt: skip
    add("--amp", choices=("auto", "bf16", "fp16", "off"), help="mixed precision")
    add("--compile", action="store_true", help="torch.compile backbone and box head: minutes to start, then faster")
    add("--seed", type=seed)
    add("--save-every", type=minutes, metavar="MINUTES", help="within an epoch; at its end in any case")
    add("--log", nargs="+", metavar="NAME", help="trackers to send the run to: " + ", ".join(TRACKERS))
    add("--find-lr", action="store_true", help="only a short trial: the loss over rising learning rates, as a plot")
    add("--find-batch-size", action="store_true", help="only a short trial: memory and images per second, as a plot")


def training_settings(argv: Sequence[str] | None = None) -> TrainSettings:
    """Return the settings that the command line of train.py asks for.

    A recipe's values, or those that a resumed run was begun with, are the defaults; what stands on the command line
    wins. Raises ConfigError with all that contradicts itself at once.
    """
    parser = training_parser()
    args = parser.parse_args(argv := words(argv))
    parser.set_defaults(**RECIPES[args.recipe])
    if args.resume_training and (saved := _saved_settings(args)):
        parser.set_defaults(**saved)
    args = parser.parse_args(argv)
    if found := [*_command_faults(args), *faults(args)]:
        raise contradiction(found)
    return TrainSettings(**vars(args))


def _run_dir(args: argparse.Namespace) -> Path | None:
    if args.project_name:
        return TRAINING_ROOT / args.project_name
    return args.weights.parent if args.weights else None


def _saved_settings(args: argparse.Namespace) -> dict:
    """Return what the run to resume was begun with, from its args.yaml; empty where there is none."""
    folder = _run_dir(args)
    path = folder / "args.yaml" if folder else None
    if path is None or not path.is_file():
        return {}
    try:
        saved = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not readable as YAML ({error}); give all arguments and remove it") from error
    if not isinstance(saved, dict):
        raise ConfigError(f"{path}: expected keys and values, found {saved!r:.40}; give all arguments and remove it")
    saved = saved_fields(saved, but=NOT_RESUMED | {"global_batch"})
    return saved | {key: Path(saved[key]) for key in ("config", "backbone_weights") if saved.get(key)}


def _resumable_runs() -> str:
    """Return which runs can be resumed, newest first."""
    found = sorted(TRAINING_ROOT.glob("**/last_model.pth"), key=lambda path: path.stat().st_mtime, reverse=True)
    names = [path.parent.relative_to(TRAINING_ROOT).as_posix() for path in found]
    more = ", …" if len(names) > 5 else ""
    return f"{TRAINING_ROOT} has {', '.join(names[:5])}{more}" if names else f"{TRAINING_ROOT} has no run"


def _command_faults(args: argparse.Namespace) -> list[str]:
    """Return what is wrong with how a dataset or a run to resume is named."""
    found = []
    one_run = args.resume_training and bool(args.project_name) != bool(args.weights)
    if one_run and args.weights and args.weights.is_dir():
        found.append(f"--weights {args.weights} is a folder: to continue, give {args.weights / 'last_model.pth'}")
    elif one_run and args.config is None and (folder := _run_dir(args)) and not folder.is_dir():
        found.append(f"--resume-training: there is no run at {folder}; {_resumable_runs()}")
    elif args.config is None and (one_run or not args.resume_training):
        found.append("--config: which dataset? For example data_configs/ppe.yaml")
    if args.resume_training and args.exist_ok:
        found.append("--resume-training continues a run and --exist-ok starts one over: give one of them")
    if args.resume_training and not one_run:
        found.append("--resume-training takes --project-name NAME, or --weights .../NAME/last_model.pth: one of them")
    return found
