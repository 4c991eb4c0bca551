"""Checkpoints: written whole or not at all, read without running anything that is in them.

A checkpoint is a dict of plain types and tensors:

    epoch               finished epochs
    model_state_dict
    model_name          the `--model` value
    config              the data set YAML as a dict; CLASSES has the background first
    img_size            short side in pixels that the model was trained at
    metrics             flat dict, as measured on these very weights
    toolkit             format number of this file; absent in files of other pipelines
    (last_model.pth)    optimizer_state_dict, scaler_state_dict, training: what a resumed run needs besides

Files of the older pipeline on this subject are read as well: `config` or `data`, lists of NumPy scalars, `module.`
prefixes, no image size. A bare state dict, such as torchvision's own files, is read as one without name and classes.
"""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from utils.errors import CheckpointError
from utils.runs import atomic_path
from utils.scan import BACKGROUND

FORMAT = 1
FOREIGN_IMG_SIZE = 800  # torchvision's default short side, at which files without img_size were trained
CLASS_WEIGHT = "roi_heads.box_predictor.cls_score.weight"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that has been read. `class_names` has the background first; None where the file tells none."""

    path: Path
    state_dict: dict[str, Tensor]
    model_name: str | None
    class_names: tuple[str, ...] | None
    img_size: int
    epoch: int
    foreign: bool  # not written by this toolkit
    content: dict = field(repr=False)

    def require_model_name(self) -> str:
        if self.model_name is None:
            raise CheckpointError(f"{self.path}: does not say which model it is for; pass --model")
        return self.model_name

    @property
    def num_classes(self) -> int:
        """Classes with the background, counted in the class layer itself."""
        if CLASS_WEIGHT not in self.state_dict:
            raise CheckpointError(f"{self.path}: no {CLASS_WEIGHT} in it, so it is not a Faster R-CNN checkpoint")
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
    """Read a checkpoint; `model_name` stands in where the file tells none.

    Raises CheckpointError naming the file and what is wrong with it.
    """
    path = Path(path)
    content = _read(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected a dict with model_state_dict, found {type(content).__name__}")
    state = content.get("model_state_dict", content)
    bare = state is content
    if not isinstance(state, Mapping) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise CheckpointError(
            f"{path}: no model_state_dict of tensors in it; found keys {', '.join(map(str, list(content)[:8]))}"
        )
    config = {} if bare else content.get("config") or content.get("data") or {}
    state = {key.removeprefix("module.").removeprefix("_orig_mod."): value for key, value in state.items()}
    class_names = _class_names(config, path)
    rows = len(state.get(CLASS_WEIGHT, class_names or ()))
    if class_names is not None and len(class_names) != rows:
        raise CheckpointError(
            f"{path}: CLASSES has {len(class_names)} classes with the background, its class layer {rows} rows"
        )
    return Checkpoint(
        path=path,
        state_dict=state,
        model_name=(None if bare else content.get("model_name")) or model_name,
        class_names=class_names,
        img_size=FOREIGN_IMG_SIZE if bare else int(content.get("img_size") or FOREIGN_IMG_SIZE),
        epoch=0 if bare else int(content.get("epoch") or 0),
        foreign=bare or "toolkit" not in content,
        content={} if bare else content,
    )


def _class_names(config: dict, path: Path) -> tuple[str, ...] | None:
    names = config.get("CLASSES") if isinstance(config, dict) else None
    if names is None:
        return None
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise CheckpointError(f"{path}: CLASSES is not a list of names but {names!r}")
    return tuple(names) if BACKGROUND in names[:1] else (BACKGROUND, *names)


def _read(path: Path):
    if not path.is_file():
        folder = path.parent
        near = sorted(p.name for p in folder.glob("*.pth")) if folder.is_dir() else []
        found = f"in {folder} there are: {', '.join(near)}" if near else f"{folder} holds no .pth file"
        raise CheckpointError(f"{path}: no such file; {found}")
    try:
        with torch.serialization.safe_globals(_NUMPY_GLOBALS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        detail = next((f"{line.strip()} " for line in str(error).splitlines() if "global" in line.lower()), "")
        raise CheckpointError(
            f"{path}: refused, because it is not a checkpoint of tensors and plain values. {detail}"
            "Loading such a file could run code. If you trust its origin, save its state dict again with torch.save."
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, AttributeError) as error:
        size = path.stat().st_size
        raise CheckpointError(f"{path}: not a readable checkpoint ({size} bytes; cut short?): {error}") from error


def _numpy_scalar(dtype: np.dtype, data: bytes):
    """What NumPy's own unpickling does, for numbers alone."""
    if dtype.kind not in "biuf" or not isinstance(data, bytes):
        raise pickle.UnpicklingError(f"NumPy value of type {dtype} is not allowed")
    return np.frombuffer(data, dtype=dtype, count=1)[0].item()


def _encode(text: str, encoding: str) -> bytes:
    """Pickle protocol 2, torch.save's default, stores bytes as latin-1 text; `_codecs.encode` turns them back."""
    return text.encode(encoding)


# The older pipeline's last_model.pth has lists of np.float64. Replacements stand under the names in the file, old and
# new, so that nothing of NumPy that takes a callable or an object comes into reach.
_NUMPY_GLOBALS = [
    (_numpy_scalar, "numpy.core.multiarray.scalar"),
    (_numpy_scalar, "numpy._core.multiarray.scalar"),
    (_encode, "_codecs.encode"),
    np.dtype,
    *{type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")},
]
