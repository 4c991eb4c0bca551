"""Read the safetensors format: 8 bytes of length, a JSON header with types, shapes and places, then the values."""

import json
import math
from pathlib import Path

import torch
from torch import Tensor

from utils.errors import CheckpointError

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors of the file by name. Raises CheckpointError where a tensor's place, type or shape is wrong."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8:start])
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: not a readable safetensors file ({len(data)} bytes; cut short?): its header is no JSON ({error})"
        ) from error
    header.pop("__metadata__", None)
    return {name: _tensor(data, start, entry, f"{path}: {name}") for name, entry in header.items()}


def _tensor(data: bytes, start: int, entry: dict, source: str) -> Tensor:
    try:
        dtype, shape, (begin, end) = DTYPES.get(entry["dtype"]), entry["shape"], entry["data_offsets"]
        whole = all(type(n) is int and n >= 0 for n in (*shape, begin, end))
    except (TypeError, KeyError, ValueError) as error:
        raise CheckpointError(f"{source}: expected dtype, shape and data_offsets, found {entry!r:.80}") from error
    if dtype is None:
        raise CheckpointError(
            f"{source}: type {entry['dtype']!r} is not supported; expected one of {', '.join(DTYPES)}"
        )
    if not whole or begin > end or end - begin != math.prod(shape) * dtype.itemsize:
        raise CheckpointError(f"{source}: shape {shape} of {entry['dtype']} does not fill bytes {begin} to {end}")
    if start + end > len(data):
        missing = start + end - len(data)
        raise CheckpointError(f"{source}: ends {missing} bytes behind the end of the file: cut short? Copy it again")
    values = bytearray(data[start + begin : start + end])  # a copy: aligned, and writable
    return torch.frombuffer(values, dtype=dtype).reshape(shape) if values else torch.empty(shape, dtype=dtype)
