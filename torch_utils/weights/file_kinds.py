"""Tell what a file is that was given as a checkpoint, from its first bytes."""

import re
import zipfile
from pathlib import Path

HEAD = 4096  # bytes looked at

# First bytes -> what the file is, and what to do with it.
MAGIC = (
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"\xfd7zXZ", "an xz archive", "unpack it first"),
    (b"BZh", "a bzip2 archive", "unpack it first"),
    (b"7z\xbc\xaf", "a 7-Zip archive", "unpack it first"),
    (b"Rar!", "a RAR archive", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive", "unpack it first"),
    (b"\x89HDF", "an HDF5 file, as Keras writes it", "the weights of another framework cannot be used here"),
    (b"GGUF", "a GGUF file", "it holds a language model"),
    (b"\x89PNG", "a PNG image", "name the checkpoint"),
    (b"\xff\xd8\xff", "a JPEG image", "name the checkpoint"),
    (b"%PDF", "a PDF document", "name the checkpoint"),
)
ONNX_FIELDS = b"\x12\x1a\x22\x28\x32\x3a\x42"  # of a ModelProto, after its ir_version


def other_kind(path: Path) -> str | None:
    """Return what a file is that is certainly no checkpoint, and the remedy, as "is an HTML page ..."; else None."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEAD)
    if size == 0:
        return "is empty (0 bytes): copy or download it again"
    if head.startswith(b"version https://git-lfs"):
        meant = re.search(rb"^size ([0-9]+)", head, re.MULTILINE)
        of = f" of a file of {int(meant[1]) / 1e6:.1f} MB" if meant else ""
        return f"is a git-LFS pointer, {size} bytes in place{of}: fetch the file itself with `git lfs pull`"
    if is_safetensors(head):
        return None
    if head.startswith(b"PK"):
        return _kind_of_zip(path)
    for magic, kind, remedy in MAGIC:
        if head.startswith(magic):
            return f"is {kind}, not a checkpoint: {remedy}"
    if head[257:262] == b"ustar":
        return "is a tar archive, not a checkpoint: unpack it first"
    if head[4:8] == b"TFL3":
        return "is a TensorFlow Lite model, not a checkpoint: give the .pth that the model was trained as"
    if len(head) > 2 and head[0] == 8 and head[1] < 64 and head[2] in ONNX_FIELDS:
        return "is an ONNX model, which is a finished graph, not a checkpoint: give the .pth that it was exported from"
    if _is_text(head):
        return _kind_of_text(head, size)
    return None


def is_safetensors(head: bytes) -> bool:
    """Check whether a file begins as the safetensors format does: the length of a JSON header, then that."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**27


def _kind_of_zip(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None  # a checkpoint cut short, as far as can be seen
    inner = {name.partition("/")[2] for name in names}
    if "constants.pkl" in inner:
        return (
            "is a TorchScript program, not a checkpoint: give the .pth that it was made from, or save its weights, if "
            "you trust its origin: torch.save(torch.jit.load(FILE).state_dict(), 'weights.pth')"
        )
    if "data.pkl" in inner:
        return None
    if any("exported_program" in name or name.endswith("archive_format") for name in names):
        return "is a program of torch.export, not a checkpoint: give the .pth that it was exported from"
    weights = [name for name in names if name.endswith((".pth", ".pt", ".safetensors"))]
    holds = ", ".join((weights or names)[:4]) + (", ..." if len(weights or names) > 4 else "")
    return f"is a zip archive, not a checkpoint: it holds {holds or 'nothing'}; unpack it and name the checkpoint"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # more than a character cut off by the end of what was read
            return False
        text = head[: error.start].decode("utf-8-sig")
    return all(c.isprintable() or c in "\t\r\n\f" for c in text)


def _kind_of_text(head: bytes, size: int) -> str:
    text = head.decode("utf-8-sig", errors="ignore").strip()
    if re.match(r"<!doctype html|<html|<head|<body", text, re.IGNORECASE):
        title = re.search(r"<title[^>]*>\s*(.*?)\s*</title>", text, re.IGNORECASE | re.DOTALL)
        named = f' ("{" ".join(title[1].split())[:80]}")' if title else ""
        return (
            f"is an HTML page{named}, not a checkpoint: the download gave a page instead of the file; download it again"
        )
    kind = "an XML file" if text.startswith("<") else "JSON" if text[:1] in ("{", "[") else "text"
    first = text.splitlines()[0][:60] if text else ""
    return f"is {kind} of {size} bytes that begins with {first!r}, not a checkpoint: give the file of weights"
