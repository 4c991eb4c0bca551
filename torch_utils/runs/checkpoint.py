"""Checkpoints: written whole or not at all, read without running anything that is in them.

A checkpoint is a dict of plain types and tensors:

    epoch               finished epochs
    model_state_dict
    model_name          the `--model` value
    config              the dataset YAML as a dict; CLASSES has the background first
    img_size            short side in pixels that the model was trained at
    max_detections      the most detections of an image; absent in older files: torchvision's 100
    metrics             flat dict, as measured on these very weights
    thresholds          chosen for them, by `verdict.stored`; absent in older files, and where no box was right
    toolkit             format number of this file; absent in files of other pipelines
    (last_model.pth)    optimizer_state_dict, scaler_state_dict, training: what a resumed run needs besides

Files from elsewhere are read as well: the older pipeline's on this subject (`config` or `data`, lists of NumPy scalars,
no image size), those of torchvision's reference training, and bare state dicts, such as torchvision's own files or
`.safetensors`. Whatever wrapped the model (`module.`, `_orig_mod.`, `model.`) goes from the names.
"""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from torch_utils.weights.state_dict import check_values, find_state_dict, one_model, plain_names
from torch_utils.weights.weights_file import fields_of, read_weights
from utils.annotations.annotation import BACKGROUND
from utils.errors import CheckpointError
from utils.evaluation.verdict.stored import StoredThresholds
from utils.files import atomic_path
from utils.images.pixel_range import PixelRange, read_pixel_range
from utils.runs.note import note

FORMAT = 1
FOREIGN_IMG_SIZE = 800  # torchvision's default short side, at which files without img_size were trained
CLASS_WEIGHT = "roi_heads.box_predictor.cls_score.weight"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that has been read. `class_names` has the background first; None where the file has none."""

    path: Path
    state_dict: dict[str, Tensor]
    model_name: str | None
    class_names: tuple[str, ...] | None
    img_size: int
    epoch: int
    foreign: bool  # not written by this toolkit
    max_detections: int | None  # None where the file does not say
    content: dict = field(repr=False)

    def require_model_name(self) -> str:
        if self.model_name is None:
            raise CheckpointError(f"{self.path}: does not say which model it is for; pass --model")
        return self.model_name

    @property
    def pixel_range(self) -> PixelRange | None:
        """The range of 16-bit samples that became eight bits in training, as in `read_image`."""
        config, faults = self.content.get("config"), []
        found = read_pixel_range(config.get("PIXEL_RANGE") if isinstance(config, dict) else None, faults)
        if faults:
            raise CheckpointError(f"{self.path}: {faults[0]}")
        return found

    @property
    def thresholds(self) -> StoredThresholds | None:
        """The thresholds that were chosen for these weights; None where the file has none."""
        values = self.content.get("thresholds")
        if values is None or self.foreign:
            return None
        try:
            return StoredThresholds.from_dict(values)
        except ValueError as error:
            raise CheckpointError(f"{self.path}: thresholds: {error}") from None

    @property
    def num_classes(self) -> int:
        """Classes with the background, counted in the class layer itself."""
        if CLASS_WEIGHT not in self.state_dict:
            first = ", ".join(list(self.state_dict)[:3])
            raise CheckpointError(
                f"{self.path}: no {CLASS_WEIGHT} in it, so it is not a checkpoint of torchvision's Faster R-CNN; "
                f"it has {first}, ... A classifier's weights are for --backbone-weights"
            )
        return len(self.state_dict[CLASS_WEIGHT])


def save_checkpoint(path: Path, content: dict) -> None:
    """Write beside, flush to the disk, then replace: a crash or a full disk leaves the old file whole."""
    try:
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            torch.save(content, file)
    except (OSError, RuntimeError) as error:  # torch raises RuntimeError when the disk fills up
        kept = " The previous one is still whole." if path.exists() else ""
        raise CheckpointError(
            f"{path}: could not be written ({error}).{kept} Is the disk full or read-only?"
        ) from error


def load_checkpoint(path: str | Path, *, model_name: str | None = None) -> Checkpoint:
    """Read a checkpoint; `model_name` wins over the name in the file, with a note.

    Raises CheckpointError naming the file and what is wrong with it.
    """
    path = Path(path)
    content = read_weights(path)
    if not isinstance(content, dict):
        whole = "_modules" in fields_of(content)
        found = "a whole model, which is code, not weights" if whole else _kind(content)
        raise CheckpointError(
            f"{path}: expected a dict with model_state_dict, found {found}: where it was made, save "
            "torch.save(model.state_dict(), 'weights.pth')"
        )
    state, key = find_state_dict(content, path)
    state = one_model(plain_names(state, path), CLASS_WEIGHT, path)
    check_values(state, path)
    if isinstance(content.get("ema_state_dict"), dict) and key == "model_state_dict":
        averaged = {f"ema_state_dict: {k}": v for k, v in content["ema_state_dict"].items() if isinstance(v, Tensor)}
        check_values(averaged, path)
    content = {} if key is None else content
    config = content.get("config") or content.get("data") or {}
    class_names = _class_names(config, path)
    rows = len(state.get(CLASS_WEIGHT, class_names or ()))
    if class_names is not None and len(class_names) != rows:
        raise CheckpointError(
            f"{path}: CLASSES has {len(class_names)} classes with the background, its class layer {rows} rows"
        )
    own_name = content.get("model_name") if isinstance(content.get("model_name"), str) else None
    if model_name and own_name and model_name != own_name:
        note(f"{path}: read as {model_name}, as --model says; the file itself says {own_name}")
    foreign = "toolkit" not in content
    return Checkpoint(
        path=path,
        state_dict=state,
        model_name=model_name or own_name,
        class_names=class_names,
        img_size=_whole_number(content, "img_size", path, foreign) or FOREIGN_IMG_SIZE,
        epoch=_whole_number(content, "epoch", path, foreign) or 0,
        foreign=foreign,
        max_detections=_whole_number(content, "max_detections", path, foreign),
        content=content,
    )


def copy_with_thresholds(path: Path, copy: Path, thresholds: dict) -> None:
    """Write a copy of a checkpoint of this toolkit that has other thresholds; `path` stays as it is.

    Raises CheckpointError where it is another program's: what its other parts mean is not known.
    """
    checkpoint = load_checkpoint(path)
    if checkpoint.foreign:
        raise CheckpointError(f"{path}: was not written by this toolkit: its thresholds stay in thresholds.yaml alone")
    save_checkpoint(copy, checkpoint.content | {"thresholds": thresholds})


def training_arguments_of(checkpoint: Checkpoint) -> dict:
    """Return the arguments that another training program kept in its checkpoint, as torchvision's does under `args`."""
    found = checkpoint.content.get("args")
    return found if isinstance(found, dict) and found else fields_of(found)


def _kind(content) -> str:
    return getattr(type(content), "stands_for", type(content).__name__)


def _whole_number(content: dict, key: str, path: Path, foreign: bool) -> int | None:
    """Return a number of the file; another program may mean anything by a key of that name, which is not taken."""
    value = content.get(key)
    if value is None or (isinstance(value, (int, float)) and value == int(value) and value >= 0):
        return None if value is None else int(value)
    if foreign:
        return None
    raise CheckpointError(f"{path}: {key} is not a whole number but {value!r:.60}")


def _class_names(config: dict, path: Path) -> tuple[str, ...] | None:
    names = config.get("CLASSES") if isinstance(config, dict) else None
    if names is None:
        return None
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise CheckpointError(f"{path}: CLASSES is not a list of names but {names!r}")
    return tuple(names) if BACKGROUND in names[:1] else (BACKGROUND, *names)
