"""Read a file of weights without running anything that is in it, or say what the file is instead.

torch.load with `weights_only=True` builds tensors and plain values. Any other class that a file names, such as the
argparse.Namespace of torchvision's reference training, is answered with an empty stand-in: nothing is imported, and no
constructor runs.
"""

import pickle
import pickletools
import struct
import sys
import warnings
import zipfile
from _compat_pickle import IMPORT_MAPPING
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch

from torch_utils.weights.file_kinds import HEAD, is_safetensors, other_kind
from torch_utils.weights.safe_tensors import read_safetensors
from utils.errors import CheckpointError

SUFFIXES = (".pth", ".pt", ".safetensors", ".ckpt", ".bin")
UNREADABLE = (
    *(OSError, RuntimeError, EOFError, ValueError, LookupError, AttributeError, TypeError, AssertionError),
    *(ArithmeticError, ImportError, MemoryError, struct.error),
)
# Of Python's own classes those that checkpoints carry beside their weights. Anything else of Python itself, such as
# os.system, has no business in a file of weights: it is refused, not left out.
HARMLESS = {"argparse.Namespace", "types.SimpleNamespace", "decimal.Decimal", "uuid.UUID", "copyreg._reconstructor"}
HARMLESS |= {f"builtins.{name}" for name in "set frozenset slice range bytearray complex object dict list".split()}
HARMLESS |= {"_codecs.encode"}  # of any bytes; replaced below
HARMLESS_MODULES = {"pathlib", "datetime", "collections", "enum"}
PYTHON = sys.stdlib_module_names | {"__builtin__"}


def read_weights(path: Path):
    """Read the content of a checkpoint: a dict as a rule, whose values beside the weights may be stand-ins.

    Raises CheckpointError naming the file, what it is and the remedy.
    """
    _check_path(path)
    try:
        if kind := other_kind(path):
            raise CheckpointError(f"{path} {kind}")
        with path.open("rb") as file:
            if is_safetensors(file.read(HEAD)):
                return read_safetensors(path)
        check_records(path)
        return _unpickle(path)
    except PermissionError as error:
        raise CheckpointError(f"{path}: may not be read ({error.strerror}): check its permissions") from error
    except UNREADABLE as error:
        size = path.stat().st_size
        raise CheckpointError(f"{path}: not a readable checkpoint ({size} bytes; cut short?): {error}") from error


def check_records(path: Path) -> None:
    """Compare each part of a zipped checkpoint with its checksum, which torch.load leaves alone.

    About 0.1 s for 170 MB. Raises CheckpointError naming the part that has changed. Files from before torch 1.6 are no
    zip archives and have no checksums.
    """
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            for record in archive.infolist():
                if not record.CRC:  # empty, or written without checksums: torch.serialization.set_crc32_options(False)
                    continue
                with archive.open(record) as file:
                    while file.read(2**20):
                        pass
    except (zipfile.BadZipFile, NotImplementedError, OSError, RuntimeError, EOFError, ValueError) as error:
        raise CheckpointError(
            f"{path}: damaged: {error}. A byte of it is not what was written (a bad disk, or a transfer that went "
            "wrong): copy or download it again"
        ) from error


def _check_path(path: Path) -> None:
    if path.is_dir():
        files = sorted(p for p in [*path.glob("*"), *path.glob("*/*")] if p.suffix in SUFFIXES and p.is_file())
        best = next((p for p in files if p.name == "best_model.pth"), files[0] if files else None)
        if (path / "data.pkl").is_file():
            found = "it is an unpacked checkpoint: give the file as it was saved"
        elif best:
            found = f"name a file in it: {', '.join(str(p.relative_to(path)) for p in files[:8])}; for example {best}"
        else:
            found = "it holds no checkpoint"
        raise CheckpointError(f"{path}: is a folder; {found}")
    if path.is_symlink() and not path.exists():
        raise CheckpointError(f"{path}: is a link to {path.readlink()}, which is not there")
    if not path.is_file():
        folder = path.parent
        near = sorted(p.name for p in folder.glob("*") if p.suffix in SUFFIXES) if folder.is_dir() else []
        found = f"in {folder} there are: {', '.join(near)}" if near else f"{folder} holds no .pth file"
        raise CheckpointError(f"{path}: no such file; {found}")


def _unpickle(path: Path):
    try:
        return _load(path, [])
    except pickle.UnpicklingError as first:
        error = first
    try:
        names = sorted(_names_in(path) - {_name_of(entry) for entry in _NUMPY_GLOBALS})
    except (*UNREADABLE, pickle.UnpicklingError):
        names = []
    refused = [name for name in names if not _may_stand_in(name)]
    if names and not refused:
        for stand_in in (_inert, _dict_like):  # torch fills in dicts of these very types alone
            try:
                return _load(path, [(stand_in(name), name) for name in names])
            except pickle.UnpicklingError as again:
                error = again
    raise CheckpointError(_refusal(path, refused, error)) from error


def _load(path: Path, more: list):
    with torch.serialization.safe_globals(_NUMPY_GLOBALS + more), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Detected pickle protocol")
        return torch.load(path, map_location="cpu", weights_only=True)


def _refusal(path: Path, refused: list[str], error: Exception) -> str:
    if refused:
        return (
            f"{path}: refused, because it is not a checkpoint of tensors and plain values: it calls for "
            f"{', '.join(refused[:6])}. Loading such a file could run code. If you trust its origin, save its state "
            "dict again with torch.save."
        )
    with path.open("rb") as file:
        plain = file.read(1) == b"\x80" and not zipfile.is_zipfile(path)
    if plain and ("magic number" in str(error) or "persistent" in str(error)):
        return (
            f"{path}: refused, because it is a pickle that torch.save did not write (such as Detectron2's .pkl), and "
            "loading such a file could run code. If you trust its origin, save its state dict with torch.save."
        )
    why = str(error).splitlines()[0][:200]
    return (
        f"{path}: refused, because it is not a checkpoint of tensors and plain values ({why}). "
        "Save its state dict with torch.save."
    )


def _names_in(path: Path) -> set[str]:
    """Return every "module.name" that the file's pickle calls for, found without building anything."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:  # of the older format: magic number, version, system, content
            return {name for _ in range(4) for name in _names_in_pickle(file)}
    with zipfile.ZipFile(path) as archive:
        (record,) = [name for name in archive.namelist() if name.partition("/")[2] == "data.pkl"]
        return _names_in_pickle(archive.read(record))


def _names_in_pickle(data) -> set[str]:
    names, texts = set(), []
    for code, argument, _ in pickletools.genops(data):
        if code.name == "GLOBAL":
            module, _, name = argument.partition(" ")
            names.add(f"{IMPORT_MAPPING.get(module, module)}.{name}")  # pickles say __builtin__, as in Python 2
        elif code.name == "STACK_GLOBAL":
            names.add(".".join(texts[-2:]))
        elif isinstance(argument, str):
            texts = [*texts[-1:], argument]
    return names


def _name_of(entry) -> str:
    return entry[1] if isinstance(entry, tuple) else f"{entry.__module__}.{entry.__name__}"


def _may_stand_in(name: str) -> bool:
    module = name.rpartition(".")[0]
    top = module.partition(".")[0]
    return name in HARMLESS or top in HARMLESS_MODULES or top not in PYTHON


def _inert(name: str) -> type:
    """Return a class that takes whatever it is built from and keeps its fields in `state`; it does nothing else."""

    def new(cls, *_, **__):
        self = object.__new__(cls)
        self.state = {}
        return self

    def set_state(self, state):
        self.state = state

    return type(name, (), {"__new__": new, "__setstate__": set_state, "stands_for": name})


def _dict_like(name: str) -> type:
    """Return the same for a class derived from dict: an OrderedDict takes its place."""
    if name.startswith("numpy."):
        return _inert(name)
    return type(name, (), {"__new__": lambda cls, *_, **__: OrderedDict()})


def fields_of(value) -> dict:
    """Return the fields of an object that was read as a stand-in; empty where `value` is none."""
    found = getattr(value, "state", None) if hasattr(value, "stands_for") else getattr(value, "__dict__", None)
    return found if isinstance(found, dict) else {}


def _numpy_scalar(dtype: np.dtype, data: bytes):
    """Unpickle as NumPy does, for numbers alone."""
    if dtype.kind not in "biuf" or not isinstance(data, bytes):
        raise pickle.UnpicklingError(f"NumPy value of type {dtype} is not allowed")
    return np.frombuffer(data, dtype=dtype, count=1)[0].item()


def _encode(text: str, encoding: str) -> bytes:
    """Encode as `_codecs.encode`, by which pickle protocol 2, torch.save's default, stores bytes as latin-1 text."""
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
