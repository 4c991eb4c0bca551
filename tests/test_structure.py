"""The floors of the house: imports only go down, and `utils` stands without torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT

# What each floor may import, beside itself and installed packages; the scripts at the top may import everything.
BELOW = {"utils": set(), "torch_utils": {"utils"}, "models": {"utils", "torch_utils"}, "datasets": {"utils"}}


def modules_of(root: Path) -> dict[str, Path]:
    """Module name -> file, of the scripts at the top and of every package."""
    files = [*root.glob("*.py"), *(file for floor in BELOW for file in (root / floor).rglob("*.py"))]
    names = {file: ".".join(file.relative_to(root).with_suffix("").parts) for file in files}
    return {name.removesuffix(".__init__"): file for file, name in names.items()}


def imports_of(name: str, file: Path, modules: dict[str, Path]) -> set[str]:
    """The modules of the tree that a module imports, wherever in it the statement stands."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    imported = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            wanted = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in wanted:  # "a.b.c" is the module a.b.c, or the name c of the module a.b
            while target and target not in modules:
                target = target.rpartition(".")[0]
            imported |= {target} if target else set()
    return imported - {name}


def faults_of(root: Path) -> list[str]:
    modules = modules_of(root)
    graph = {name: imports_of(name, file, modules) for name, file in modules.items()}
    faults = []
    for name, targets in sorted(graph.items()):
        floor = name.partition(".")[0]
        for target in sorted(targets):
            below = target.partition(".")[0]
            if floor in BELOW and below != floor and below not in BELOW[floor]:
                faults.append(f"upward: {name} imports {target}")

    done, path = set(), []

    def visit(name):
        if name in path:
            faults.append("circular: " + " -> ".join([*path[path.index(name) :], name]))
        elif name not in done:
            path.append(name)
            for target in sorted(graph[name]):
                visit(target)
            path.pop()
            done.add(name)

    for name in sorted(graph):
        visit(name)
    return faults


def test_imports_only_go_down():
    assert {"utils.dataset.scan", "utils.config.config", "utils.formats.voc.reader"} <= modules_of(ROOT).keys()
    assert faults_of(ROOT) == []


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({"utils/a.py": "import torch_utils.b", "torch_utils/b.py": ""}, "upward: utils.a imports torch_utils.b"),
        ({"utils/a.py": "def f():\n    from datasets import x", "datasets.py": ""}, "upward: utils.a imports datasets"),
        ({"torch_utils/b.py": "from models import c", "models/c.py": ""}, "upward: torch_utils.b imports models.c"),
        ({"datasets.py": "from models.c import x", "models/c.py": ""}, "upward: datasets imports models.c"),
        ({"models/c.py": "import datasets", "datasets.py": ""}, "upward: models.c imports datasets"),
        ({"models/c.py": "from train import x", "train.py": ""}, "upward: models.c imports train"),
        (
            {"utils/a.py": "from .b import x", "utils/b.py": "from utils import c", "utils/c.py": "import utils.a"},
            "circular: utils.a -> utils.b -> utils.c -> utils.a",
        ),
        ({"train.py": "import models.c, utils.a", "models/c.py": "import utils.a, numpy", "utils/a.py": ""}, None),
    ],
)
def test_the_walk_finds_what_it_is_for(tmp_path, files, fault):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert faults_of(tmp_path) == ([fault] if fault else [])


def test_every_module_of_utils_imports_without_torch():
    names = sorted(name for name in modules_of(ROOT) if name.partition(".")[0] == "utils")
    code = (
        "import importlib, sys\n"
        "sys.modules.update(torch=None, torchvision=None)\n"  # None makes an import raise ImportError
        f"for name in {names!r}:\n"
        "    importlib.import_module(name)\n"
        "    print(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == names and len(names) > 5
