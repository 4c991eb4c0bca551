"""The settings of a training, from wherever they come: flags, a recipe, Python, a checkpoint."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from utils.augment.augmentations import check_augmentations
from utils.cli.recipes import RECIPES
from utils.errors import ConfigError
from utils.runs.trackers.trackers import TRACKERS

TRAINING_ROOT = Path("outputs/training")
NOT_RESUMED = {"resume_training", "exist_ok", "project_name", "weights", "vis_transformed"}

# What a resumed run cannot change, and its name in a message.
MUST_AGREE = {
    "model": "--model",
    "recipe": "--recipe",
    "img_size": "--img-size",
    "max_detections": "--max-detections",
    "optimizer": "--optimizer",
    "global_batch": "images per step (--batch-size x --accumulate x processes)",
    "backbone_lr": "--backbone-lr",
    "ema": "--ema",
    "freeze_layers": "--freeze-layers",
    "freeze_bn": "--freeze-bn",
    "sync_bn": "--sync-bn",
}
_CHOICES = {
    "recipe": tuple(RECIPES),
    "optimizer": ("sgd", "adamw"),
    "schedule": ("multistep", "cosine", "constant"),
    "pretrained": (None, "coco", "imagenet", "none"),
    "amp": ("auto", "bf16", "fp16", "off"),
    "cache": ("off", "ram", "disk"),
}
_FINETUNE = RECIPES["finetune"]


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Everything that decides a training; a field is a flag of train.py, or a value of its recipe, of the same name.

    Defaults are those of the recipe `finetune`; `of_recipe` takes another. None stands for what the model, its weights,
    the data or the device decide; `prepare_data` and `prepare_model` of train.py return settings with those filled in.
    `global_batch` is the number of images per step, of all passes and processes. `fold` is the part of `folds` that is
    held out in a run of its own, from 1; 0 for none.

    Raises ConfigError, with all faults at once, where values contradict each other.
    """

    config: Path | None = None
    model: str | None = None
    project_name: str | None = None
    weights: Path | None = None
    resume_training: bool = False
    pretrained: str | None = _FINETUNE["pretrained"]
    backbone_weights: Path | None = None
    split: float | tuple[float, float] | None = None
    split_groups: str | None = None
    skip_bad: bool = False
    exist_ok: bool = False

    recipe: str = "finetune"
    epochs: int = _FINETUNE["epochs"]
    batch_size: int = 4
    accumulate: int = 1
    lr: float | None = None
    backbone_lr: float = 1.0
    optimizer: str = "sgd"
    weight_decay: float | None = _FINETUNE["weight_decay"]
    schedule: str = "multistep"
    ema: float | None = None
    patience: int = 0
    freeze_layers: int | None = None
    freeze_bn: bool = False
    sync_bn: bool = _FINETUNE["sync_bn"]
    lr_per_image: float = _FINETUNE["lr_per_image"]
    lr_most: float | None = _FINETUNE["lr_most"]
    warmup_steps: int = _FINETUNE["warmup_steps"]
    lr_steps: tuple[float, ...] = tuple(_FINETUNE["lr_steps"])
    momentum: str = _FINETUNE["momentum"]
    decay_norms: bool = _FINETUNE["decay_norms"]
    clip_norm: float | None = _FINETUNE["clip_norm"]

    img_size: int | None = _FINETUNE["img_size"]
    use_train_aug: bool = False
    no_mosaic: bool = False
    augment: tuple[str, ...] = tuple(_FINETUNE["augment"])
    close_mosaic: int = 0
    repeat_rare: float = 0.0
    max_detections: int | None = None
    vis_transformed: bool = False

    device: str = "auto"
    workers: int | None = None
    cache: str = "off"
    amp: str = "auto"
    compile: bool = False
    seed: int = 0
    save_every: float = 15
    log: tuple[str, ...] = ()
    find_lr: bool = False
    find_batch_size: bool = False
    global_batch: int | None = None
    folds: int = 0
    fold: int = 0

    def __post_init__(self):
        for name in ("config", "weights", "backbone_weights"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, Path(getattr(self, name)))
        names = set(self.augment) | ({"train"} if self.use_train_aug else set())
        object.__setattr__(self, "augment", tuple(sorted(names - ({"mosaic"} if self.no_mosaic else set()))))
        object.__setattr__(self, "lr_steps", tuple(self.lr_steps))
        object.__setattr__(self, "log", tuple(dict.fromkeys(self.log)))
        if found := faults(self):
            raise contradiction(found)

    @classmethod
    def of_recipe(cls, recipe: str, **values: Any) -> "TrainSettings":
        """Return the settings of a recipe, with `values` in place of its own."""
        if recipe not in RECIPES:
            raise ConfigError(f"unknown recipe {recipe!r}: there are {', '.join(RECIPES)}")
        return cls(**{"recipe": recipe, **RECIPES[recipe], **values})

    @property
    def run_dir(self) -> Path | None:
        """The folder of the run to resume, or that `project_name` names; None for the next free `res_N`."""
        if self.project_name:
            return TRAINING_ROOT / self.project_name
        return self.weights.parent if self.resume_training and self.weights else None

    @property
    def is_trial(self) -> bool:
        """True where a short trial is asked for in place of a training."""
        return self.find_lr or self.find_batch_size

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as YAML and checkpoints hold them: plain types alone."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return {k: str(v) if isinstance(v, Path) else list(v) if isinstance(v, tuple) else v for k, v in plain.items()}

    def begun_with(self, saved: Mapping[str, Any]) -> "TrainSettings":
        """Return these settings with what a run that is resumed was begun with, as far as it cannot be changed.

        `saved` are the run's own, as `as_dict` gave them; an older version's may lack some, which are as here.
        """
        return replace(self, **{key: saved[key] for key in MUST_AGREE if key in saved})

    def filled_from(self, begun: "TrainSettings") -> "TrainSettings":
        """Return these settings with what they leave open, of what cannot be changed, taken from `begun`."""
        return replace(self, **{key: getattr(begun, key) for key in MUST_AGREE if getattr(self, key) is None})


def disagreements(begun: TrainSettings, now: TrainSettings) -> list[str]:
    """Return a line for each setting in which a run that is resumed differs from how it was begun and must not."""
    return [
        f"{flag}: the run has {getattr(begun, key)}, here it is {getattr(now, key)}"
        for key, flag in MUST_AGREE.items()
        if getattr(begun, key) != getattr(now, key)
    ]


def saved_fields(saved: Mapping[str, Any], *, but: Set[str] = frozenset()) -> dict[str, Any]:
    """Return what of a run's saved settings this version knows, without `but`."""
    known = {field.name for field in fields(TrainSettings)} - but
    return {key: value for key, value in saved.items() if key in known}


def faults(settings: Any) -> list[str]:
    """Return what contradicts itself in settings, or in parsed flags of the same names."""
    found = [
        f"{'--' + name}: expected one of {', '.join(filter(None, known))}, got {getattr(settings, name)!r}"
        for name, known in _CHOICES.items()
        if getattr(settings, name) not in known
    ]
    found += [
        f"--{name.replace('_', '-')}: expected a whole number from 1 on, got {getattr(settings, name)!r}"
        for name in ("epochs", "batch_size", "accumulate")
        if getattr(settings, name) < 1
    ]
    found += [f"--log: expected {', '.join(TRACKERS)}, got {name!r}" for name in settings.log if name not in TRACKERS]
    if settings.close_mosaic >= settings.epochs:
        found.append(
            f"--close-mosaic {settings.close_mosaic} leaves none of {settings.epochs} epochs: --no-mosaic says so"
        )
    trained = settings.pretrained not in (None, "none")
    if settings.weights and not settings.resume_training and settings.backbone_weights:
        found.append("--weights holds a whole model: leave --backbone-weights out")
    elif settings.weights and not settings.resume_training and trained:
        found.append("--weights holds a whole model: leave --pretrained out")
    if settings.backbone_weights and trained:
        found.append("--backbone-weights replaces trained weights: leave --pretrained out")
    try:
        check_augmentations(settings.augment)
    except ConfigError as error:
        found.append(str(error))
    if settings.find_lr and settings.find_batch_size:
        found.append("--find-lr and --find-batch-size are trials of their own: one after the other")
    if settings.folds and (settings.find_lr or settings.find_batch_size):
        found.append("--find-lr and --find-batch-size come before a training: leave --folds out")
    if settings.folds == 1 or settings.folds < 0:
        found.append(f"--folds: expected 2 or more parts, got {settings.folds}")
    if settings.resume_training and (settings.find_lr or settings.find_batch_size):
        found.append("--find-lr and --find-batch-size come before a training: leave --resume-training out")
    return found


def contradiction(found: list[str]) -> ConfigError:
    """Return the error that lists all faults."""
    return ConfigError("these arguments do not work:\n  " + "\n  ".join(found))
