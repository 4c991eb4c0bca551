"""The flags of train.py. Defaults that depend on the recipe stand in `utils.recipes`."""

import argparse
from pathlib import Path

from utils.command_line import (
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
)
from utils.recipes import RECIPES


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
    add("-c", "--config", "--data", type=Path, help="data set YAML, such as data_configs/ppe.yaml")
    add("-pn", "--project-name", "--name", help="folder under outputs/training; default: the next free res_N")
    add("-w", "--weights", type=Path, help="start from this checkpoint, maybe of other classes")
    add(
        "-r",
        "--resume-training",
        action="store_true",
        help="go on with --project-name, or with --weights last_model.pth",
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
