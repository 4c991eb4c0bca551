"""Checkpoint files of other kinds: safetensors are read, files that are no checkpoint say what they are."""

import io
import json
import struct
import tarfile
import zipfile

import pytest
import torch
from torch import nn

from support.foreign_checkpoints import SMALL, STATE, prefixed, same
from torch_utils.runs.checkpoint import load_checkpoint
from utils.errors import CheckpointError


def safetensors(tensors, *, metadata=None):
    """Bytes of a file as the format describes it."""
    names = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64", torch.bool: "BOOL"}
    header, data = {"__metadata__": metadata} if metadata else {}, b""
    for name, tensor in tensors.items():
        raw = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
        place = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": place}
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_safetensors_are_read(tmp_path):
    more = {
        "a.half": torch.rand(3, 5).half(),
        "a.bfloat": torch.rand(7).bfloat16(),
        "a.flag": torch.tensor([True, False, True]),
        "a.count": torch.tensor(12),
        "a.none": torch.empty(0, 4),
    }
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors(prefixed("module.", STATE | more), metadata={"format": "pt"}))
    checkpoint = load_checkpoint(path, model_name=SMALL)
    assert same(checkpoint.state_dict, STATE | more) and checkpoint.model_name == SMALL
    assert all(checkpoint.state_dict[key].dtype == value.dtype for key, value in more.items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-5], "5 bytes behind the end"),
        (lambda data: data[:30], "cut short"),
        (lambda data: data.replace(b'"F32"', b'"F99"', 1), "'F99' is not supported"),
        (lambda data: data.replace(b"[4, 3, 7, 7]", b"[4, 3, 7, 8]"), "does not fill bytes"),
        (lambda data: data.replace(b"[4, 3, 7, 7]", b"[4, 3,-7,-7]"), "does not fill bytes"),
        (lambda data: data.replace(b'"shape"', b'"shepa"', 1), "expected dtype, shape and data_offsets"),
    ],
)
def test_safetensors_that_are_wrong(tmp_path, change, message):
    path = tmp_path / "model.safetensors"
    path.write_bytes(change(safetensors(STATE)))
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(path)


def zipped(**files):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "."), text)
    return data.getvalue()


def tarred():
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("best_model.pth"))
    return data.getvalue()


def torchscript():
    data = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), data)
    return data.getvalue()


ONNX = b"\x08\x09\x12\x07pytorch\x1a\x052.5.1:\x10" + bytes(range(16))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>", r'is an HTML page \("Sign in"\)'),
        (b"\xef\xbb\xbf\n  <html><body>404</body></html>", "is an HTML page, not"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 167502836\n",
            "git-LFS pointer, .* bytes in place of a file of 167.5 MB: .*git lfs pull",
        ),
        (ONNX, "is an ONNX model.*exported from"),
        (zipped(best_model__pth="x", readme__txt="y"), "is a zip archive.*holds best_model.pth; unpack"),
        (zipped(), "is a zip archive.*holds nothing"),
        (tarred(), "is a tar archive"),
        (torchscript(), "is a TorchScript program.*state_dict"),
        (b"\x1f\x8b\x08\x00" + b"x" * 50, "is a gzip archive"),
        (b"\x89HDF\r\n\x1a\n" + b"x" * 50, "HDF5"),
        (b"\x1c\x00\x00\x00TFL3" + b"x" * 50, "TensorFlow Lite"),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 50, "PNG image"),
        (b'{"error": "not found"}', "is JSON of 22 bytes that begins with"),
        ("größe: 3\n".encode(), "is text of .* begins with 'größe: 3'"),
        (("ä" * 4000).encode(), "is text"),
        (b"   \n", "is text"),
        (b"\x00\x01\x02\x03" * 10, "not a checkpoint"),
        (b"\x08", "m.pth"),
        (b"PK\x03\x04" + b"\x00" * 40, r"not a readable checkpoint \(44 bytes; cut short"),
    ],
)
def test_files_that_are_something_else_say_what_they_are(tmp_path, data, message):
    path = tmp_path / "m.pth"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(path)
    assert str(caught.value).startswith(str(path))


def test_a_folder_names_the_checkpoint_in_it(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(CheckpointError, match="run: is a folder; it holds no checkpoint"):
        load_checkpoint(run)
    for name in ("last_model.pth", "best_model.pth"):
        torch.save(STATE, run / name)
    for folder in (run, tmp_path):
        with pytest.raises(CheckpointError, match=rf"is a folder; name a file.*for example {run}/best_model\.pth"):
            load_checkpoint(folder)
    (tmp_path / "gone.pth").symlink_to(tmp_path / "nowhere.pth")
    with pytest.raises(CheckpointError, match=r"is a link to .*nowhere\.pth, which is not there"):
        load_checkpoint(tmp_path / "gone.pth")
