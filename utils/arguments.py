"""The command line, in one place and without torch, so that `--help` and a mistyped flag answer at once."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from utils.errors import ConfigError

TRAINING_ROOT = Path("outputs/training")


class Formatter(argparse.ArgumentDefaultsHelpFormatter):
    def _get_help_string(self, action):
        return action.help if action.default in (None, False) else super()._get_help_string(action)


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse, ignoring a lone trailing `/`, which some copies of the commands end with."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv[-1:] == ["/"]:
        print("note: the lone '/' at the end of the command is ignored", file=sys.stderr)
        argv.pop()
    return parser.parse_args(argv)


def training_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Arguments of train.py. Raises ConfigError with all that contradicts itself at once."""
    parser = _training_parser()
    args = parse(parser, argv)
    if args.resume_training and (saved := _saved_arguments(args)):
        # A resumed run goes on as it was begun; what stands on the command line wins.
        parser.set_defaults(**saved)
        args = parse(parser, argv)
    _check(args)
    return args


def run_dir_of(args: argparse.Namespace) -> Path | None:
    """The folder of the run to resume, or that `--project-name` names; None for the next free `res_N`."""
    if args.project_name:
        return TRAINING_ROOT / args.project_name
    return args.weights.parent if args.resume_training and args.weights else None


def _training_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Fine-tune a Faster R-CNN on a Pascal VOC XML data set.", formatter_class=Formatter
    )
    add = parser.add_argument
    add("-m", "--model", help="model to train; default: that of --weights, else fasterrcnn_resnet50_fpn_v2")
    add("-c", "--config", "--data", type=Path, help="data set YAML, such as data_configs/ppe.yaml")
    add("-d", "--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add("-e", "--epochs", type=positive, default=10, help="passes over the training images")
    add("-j", "--workers", type=count, help="loader processes; default: up to 8 with a GPU, 0 without")
    add("-b", "--batch-size", "--batch", type=positive, default=4, help="images per step")
    add("-ims", "--img-size", "--imgsz", type=image_size, help="short side in pixels; default: the model's, mostly 640")
    add("-pn", "--project-name", "--name", help="folder under outputs/training; default: the next free res_N")
    add("-vt", "--vis-transformed", action="store_true", help="show what the network sees before training starts")
    add("-nm", "--no-mosaic", action="store_true", help="train on whole images only, no mosaics of four")
    add("-uta", "--use-train-aug", action="store_true", help="blur, grey, colour, gamma, zoom besides the flip")
    add(
        "-ca",
        "--cosine-annealing",
        dest="schedule",
        action="store_const",
        const="cosine",
        default="multistep",
        help="--schedule cosine",
    )
    add("-w", "--weights", type=Path, help="start from this checkpoint, maybe of other classes")
    add(
        "-r",
        "--resume-training",
        action="store_true",
        help="go on with --project-name, or with --weights last_model.pth",
    )
    add("--pretrained", choices=("coco", "imagenet", "none"), help="trained weights to start from; default: the best")
    add(
        "--backbone-weights",
        type=Path,
        metavar="FILE",
        help="state dict for the backbone, as torchvision's classifiers",
    )
    add("--freeze-layers", type=count, metavar="N", help="fix N backbone stages; default: all but 3 if trained, else 0")
    add("--freeze-bn", action="store_true", help="fix the batch statistics that came with trained weights")
    add("--lr", type=rate, help="peak learning rate; default: 0.0025 x batch size up to 0.02 (SGD)")
    add("--optimizer", choices=("sgd", "adamw"), default="sgd")
    add("--schedule", choices=("multistep", "cosine", "constant"), default="multistep", help="of the learning rate")
    add("--amp", choices=("auto", "bf16", "fp16", "off"), default="auto", help="mixed precision")
    add("--seed", type=number(int, 0, "a whole number from 0 to 2147483647", most=2**31 - 1), default=0)
    add("--skip-bad", action="store_true", help="train without the files that have faults")
    add("--exist-ok", action="store_true", help="start over in a folder that holds an earlier run")
    return parser


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
    known = vars(args).keys() - {"resume_training", "exist_ok", "project_name", "weights", "vis_transformed"}
    if not isinstance(saved, dict):
        raise ConfigError(f"{path}: expected keys and values, found {saved!r:.40}; give all arguments and remove it")
    saved = {key: value for key, value in saved.items() if key in known}
    return saved | {key: Path(saved[key]) for key in ("config", "backbone_weights") if saved.get(key)}


def _check(args: argparse.Namespace) -> None:
    faults = []
    if args.config is None:
        faults.append("--config: which data set? For example data_configs/ppe.yaml")
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
    if faults:
        raise ConfigError("these arguments do not work:\n  " + "\n  ".join(faults))


def number(kind: type, least: float, what: str, *, most: float = float("inf")):
    """An argparse type: a number of `kind` in least..most; `what` says so in the error."""

    def convert(text: str):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most or value == float("inf"):
            raise argparse.ArgumentTypeError(f"expected {what}, got {text!r}")
        return value

    return convert


positive = number(int, 1, "a whole number from 1 on")
count = number(int, 0, "a whole number from 0 on")
image_size = number(int, 64, "a number of pixels from 64 on")
rate = number(float, 1e-12, "a number above 0")
