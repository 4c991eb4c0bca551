"""The command line, in one place and without torch, so that `--help` and a mistyped flag answer at once."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import yaml

from utils.augmentations import check_augmentations
from utils.command_line import words
from utils.errors import ConfigError
from utils.recipes import RECIPES
from utils.training_flags import training_parser

NOT_RESUMED = {"resume_training", "exist_ok", "project_name", "weights", "vis_transformed"}
TRAINING_ROOT = Path("outputs/training")


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
        faults.append(f"--weights {args.weights} is a folder: to go on, give {args.weights / 'last_model.pth'}")
    elif one_run and args.config is None and not run_dir_of(args).is_dir():
        faults.append(f"--resume-training: there is no run at {run_dir_of(args)}; {_runs()}")
    elif args.config is None and (one_run or not args.resume_training):
        faults.append("--config: which data set? For example data_configs/ppe.yaml")
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
