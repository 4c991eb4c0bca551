"""Reading of torch.export's files without running what is in them.

`torch.export.load` unpickles objects and evaluates texts of the file. `read_pt2` gives it only files that hold what
export.py writes: raw tensors, operators of torch and torchvision, and arithmetic of sizes.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

GRAPH, SAMPLE_INPUTS, METADATA = "models/model.json", "data/sample_inputs/model.pt", "extra/metadata.json"
CONFIGS = "data/weights/model_weights_config.json", "data/constants/model_constants_config.json"
MEMBERS = re.compile(
    "|".join(map(re.escape, (GRAPH, SAMPLE_INPUTS, METADATA, *CONFIGS)))
    + r"|data/weights/weight_\d+|data/constants/tensor_\d+|archive_(format|version)|byteorder|\.data/\w+"
)
# What names the texts that are evaluated may hold: sizes and their arithmetic.
NAMES = set(
    "Symbol positive nonnegative integer True False Integer Add Mul Pow Max Min FloorDiv CleanDiv Mod PythonMod "
    "Eq Ne Ge Gt Le Lt And Or Not L size images sizes_hw".split()
)
TARGETS = re.compile(
    r"torch\.ops\.(aten\.\w+\.\w+|torchvision\.roi_align\.default|higher_order\.while_loop)"
    r"|_operator\.(add|sub|mul|floordiv|mod|neg|pow|eq|ne|ge|gt|le|lt|getitem)|math\.\w+"
)
EXPRESSION = re.compile(r"[\w\s()\[\]'.,=+\-*/%<>!]*")


class Pt2File(NamedTuple):
    """A file that was checked: its bytes as a new archive, its metadata as texts, and its pickled sample inputs."""

    archive: io.BytesIO
    metadata: dict[str, str]
    sample_inputs: bytes


def read_pt2(path: Path) -> Pt2File:
    """Read a file that export.py wrote. Raises ValueError where it is something else, or damaged."""
    try:
        with zipfile.ZipFile(path) as file:
            members = {name: file.read(name) for name in file.namelist()}
            count = len(file.namelist())
    except (zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
        raise ValueError(f"not a readable model (cut short?): {error}") from None
    inside = {name.partition("/")[2]: content for name, content in members.items()}
    if len(inside) != count:
        raise ValueError("its archive has a name twice")
    if METADATA not in inside:
        raise ValueError("it has no metadata of this toolkit, so it is not from export.py")
    if strange := sorted(name for name in inside if not MEMBERS.fullmatch(name)):
        raise ValueError(f"its archive holds {strange[0]:.60}, which export.py does not write")
    if lacking := [name for name in (GRAPH, SAMPLE_INPUTS, *CONFIGS) if name not in inside]:
        raise ValueError(f"its archive lacks {lacking[0]}")
    try:
        texts = json.loads(inside[METADATA])
        configs = [json.loads(inside[name]) for name in CONFIGS]
        graph = json.loads(inside[GRAPH])
    except ValueError as error:
        raise ValueError(f"not a readable model: {error}") from None
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise ValueError(f"{METADATA}: expected a dict of texts")
    for config in configs:
        if any(value for key, value in _values(config) if key == "use_pickle"):
            raise ValueError("it holds pickled objects, which export.py does not write")
    _check_texts(graph)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as copy:
        for name, content in members.items():
            copy.writestr(name, content)
    archive.seek(0)
    return Pt2File(archive, texts, inside[SAMPLE_INPUTS])


def _check_texts(graph: Any) -> None:
    """Raise ValueError where a text that is evaluated is more than arithmetic, or an operator is unknown."""
    for key, value in _values(graph):
        if key == "target" and isinstance(value, str) and not TARGETS.fullmatch(value):
            raise ValueError(f"it has the operator {value:.60}, which export.py does not write")
        if key in ("expr_str", "guards_code"):
            for text in value if isinstance(value, list) else [value]:
                if text is not None and not _is_arithmetic(text):
                    raise ValueError(f"it has the expression {text!r:.60}, which export.py does not write")


def _is_arithmetic(text: Any) -> bool:
    if not isinstance(text, str) or not EXPRESSION.fullmatch(text):
        return False
    return all(name in NAMES or re.fullmatch(r"[su]\d+", name) for name in re.findall(r"[A-Za-z_]\w*", text))


def _values(tree: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key with its value, at all depths."""
    open_parts = [tree]
    while open_parts:
        part = open_parts.pop()
        if isinstance(part, dict):
            yield from part.items()
            open_parts += part.values()
        elif isinstance(part, list):
            open_parts += part
