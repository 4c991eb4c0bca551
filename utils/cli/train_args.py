"""The flags of train.py. Defaults that depend on the recipe stand in `recipes`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import yaml

from utils.augment.names import check_augmentations
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
from utils.errors import ConfigError

NOT_RESUMED = {"resume_training", "exist_ok", "project_name", "weights", "vis_transformed"}

TRAINING_ROOT = Path("outputs/training")


def training_parser() -> Parser:
    parser = Parser(description="Fine-tune a Faster R-CNN on your own images, annotated in VOC XML, COCO or YOLO.")
    _add_what(parser.add_argument_group("what to train, on what").add_argument)
    _add_how(parser.add_argument_group("how: each of these wins over the recipe").add_argument)
    _add_data(parser.add_argument_group("what the network sees").add_argument)
    _add_running(parser.add_argument_group("running").add_argument)
    parser.set_defaults(**RECIPES["finetune"])
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
    add("--exist-ok", action="store_true", help="start over in a folder that holds an earlier run")


def _add_how(add) -> None:
    add("--recipe", choices=tuple(RECIPES), default="finetune", help="a set of defaults; the README has the table")
    add("-e", "--epochs", type=positive, help="passes over the training images")
    add("-b", "--batch-size", "--batch", type=positive, default=4, help="images per pass; with torchrun, per process")
    add("--accumulate", type=positive, default=1, metavar="N", help="N passes per step: a batch N times as large")
    add("--lr", type=rate, help="peak learning rate; default of SGD: 0.0025 x images per step, up to 0.02")
    add("--backbone-lr", type=factor, default=1.0, metavar="FACTOR", help="rate of the backbone: this times --lr")
    add("--optimizer", choices=("sgd", "adamw"), default="sgd")
    add("--weight-decay", type=share, help="default: 1e-4 (SGD), 0.01 (AdamW)")
    add("--schedule", choices=("multistep", "cosine", "constant"), default="multistep", help="of the learning rate")
    add(
        *("-ca", "--cosine-annealing"), dest="schedule", action="store_const", const="cosine", default="multistep",
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
    add("--patience", type=count, default=0, metavar="N", help="stop after N epochs without a better one; 0: never")
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
    add("--augment", nargs="+", metavar="NAME", help="flip, train, mosaic, mixup, copy-paste, multi-scale, lsj")
    add("--close-mosaic", type=count, default=0, metavar="N", help="no mixed images in the last N epochs")
    add("--repeat-rare", type=share, default=0.0, metavar="SHARE",
        help="show images more often whose classes are on less than this share of them")  # fmt: skip
    add("--max-detections", type=positive, metavar="N",
        help="the most detections of an image; default: 100, or more where the data holds crowded images")  # fmt: skip
    add("-vt", "--vis-transformed", action="store_true", help="show what the network sees before training starts")


def _add_running(add) -> None:
    add("-d", "--device", default="auto", help="auto, cpu, cuda, cuda:N, or mps on a Mac")
    add("-j", "--workers", type=count, help="loader processes; default: up to 8 with a GPU, 0 without")
    add("--cache", choices=("off", "ram", "disk"), default="off",
        help="keep decoded images in memory, or in a file under outputs/cache")  # fmt: skip
    add("--amp", choices=("auto", "bf16", "fp16", "off"), default="auto", help="mixed precision")
    add("--compile", action="store_true", help="torch.compile backbone and box head: minutes to start, then faster")
    add("--seed", type=seed, default=0)
    add("--save-every", type=minutes, default=15, metavar="MINUTES", help="within an epoch; at its end in any case")
    add("--find-lr", action="store_true", help="only a short trial: the loss over rising learning rates, as a plot")
    add("--find-batch-size", action="store_true", help="only a short trial: memory and images per second, as a plot")


def training_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Arguments of train.py. Raises ConfigError with all that contradicts itself at once."""
    parser = training_parser()
    args = parser.parse_args(argv := words(argv))
    # The recipe's values, or those that a resumed run was begun with; what stands on the command line wins.
    parser.set_defaults(**RECIPES[args.recipe])
    if args.resume_training and (saved := _saved_arguments(args)):
        parser.set_defaults(**saved)
    args = parser.parse_args(argv)
    names = set(args.augment) | ({"train"} if args.use_train_aug else set())
    args.augment = sorted(names - ({"mosaic"} if args.no_mosaic else set()))
    _check(args)
    return args


def run_dir_of(args: argparse.Namespace) -> Path | None:
    """The folder of the run to resume, or that `--project-name` names; None for the next free `res_N`."""
    if args.project_name:
        return TRAINING_ROOT / args.project_name
    return args.weights.parent if args.resume_training and args.weights else None


def _saved_arguments(args: argparse.Namespace) -> dict:
    """What the run to resume was begun with, from its args.yaml; empty where there is none."""
    folder = run_dir_of(args)
    path = folder / "args.yaml" if folder else None
    if path is None or not path.is_file():
        return {}
    try:
        saved = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not readable as YAML ({error}); give all arguments and remove it") from error
    known = vars(args).keys() - NOT_RESUMED
    if not isinstance(saved, dict):
        raise ConfigError(f"{path}: expected keys and values, found {saved!r:.40}; give all arguments and remove it")
    saved = {key: value for key, value in saved.items() if key in known}
    return saved | {key: Path(saved[key]) for key in ("config", "backbone_weights") if saved.get(key)}


def _runs() -> str:
    """Which runs can be gone on with, newest first."""
    found = sorted(TRAINING_ROOT.glob("**/last_model.pth"), key=lambda path: path.stat().st_mtime, reverse=True)
    names = [path.parent.relative_to(TRAINING_ROOT).as_posix() for path in found]
    more = ", …" if len(names) > 5 else ""
    return f"{TRAINING_ROOT} has {', '.join(names[:5])}{more}" if names else f"{TRAINING_ROOT} has no run"


def _check(args: argparse.Namespace) -> None:
    faults = []
    one_run = args.resume_training and bool(args.project_name) != bool(args.weights)
    if one_run and args.weights and args.weights.is_dir():
        faults.append(f"--weights {args.weights} is a folder: to continue, give {args.weights / 'last_model.pth'}")
    elif one_run and args.config is None and not run_dir_of(args).is_dir():
        faults.append(f"--resume-training: there is no run at {run_dir_of(args)}; {_runs()}")
    elif args.config is None and (one_run or not args.resume_training):
        faults.append("--config: which dataset? For example data_configs/ppe.yaml")
    if args.close_mosaic >= args.epochs:
        faults.append(f"--close-mosaic {args.close_mosaic} leaves none of {args.epochs} epochs: --no-mosaic says so")
    if args.resume_training:
        if args.exist_ok:
            faults.append("--resume-training continues a run and --exist-ok starts one over: give one of them")
        if bool(args.project_name) == bool(args.weights):
            faults.append(
                "--resume-training takes --project-name NAME, or --weights .../NAME/last_model.pth: one of them"
            )
    elif args.weights and args.backbone_weights:
        faults.append("--weights holds a whole model: leave --backbone-weights out")
    elif args.weights and args.pretrained not in (None, "none"):
        faults.append("--weights holds a whole model: leave --pretrained out")
    if args.backbone_weights and args.pretrained not in (None, "none"):
        faults.append("--backbone-weights replaces trained weights: leave --pretrained out")
    try:
        check_augmentations(args.augment)
    except ConfigError as error:
        faults.append(str(error))
    if args.find_lr and args.find_batch_size:
        faults.append("--find-lr and --find-batch-size are trials of their own: one after the other")
    if args.resume_training and (args.find_lr or args.find_batch_size):
        faults.append("--find-lr and --find-batch-size come before a training: leave --resume-training out")
    if faults:
        raise ConfigError("these arguments do not work:\n  " + "\n  ".join(faults))
