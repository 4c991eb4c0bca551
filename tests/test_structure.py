"""The structure of the source: which way imports go, how large folders and files are, names and docstrings.

Everything is read from the files themselves; only `test_every_module_of_utils_imports_without_torch` imports them.
"""

import ast
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from support.paths import ROOT

# What each floor may import, beside itself and installed packages; the scripts at the top may import everything.
BELOW = {"utils": set(), "torch_utils": {"utils"}, "models": {"utils", "torch_utils"}, "datasets": {"utils"}}
MAX_CHAIN = 9  # modules, from a script down
MAX_MODULES = 12  # in a folder, `__init__` not counted
FORMER_NAMES = {"convert.py", "mend_opencv.py"}  # which only run what took their place
MAX_LINES = {"utils": 330, "torch_utils": 330, "models": 330, "tests": 420, "benchmarks": 330}

# Docstrings open with a verb or a noun.
OPENINGS = ("What", "How", "Of", "Which", "Whether", "Where", "Whatever")
# Words that the source once had for what the field has words for; parts of names, split at underscores and capitals.
WORDS = set("wish told looks leaks leans lean mend mended keeper standing uploaded dealt picture pictures".split())
NAMES = {
    "BestStanding", "DealtBatches", "EpochBatches", "Gradients", "Made", "NoPause", "SampleMaker", "Share", "Trainer",
    "examine", "explained", "first_one_first", "from_first", "go_on", "like_groups", "share_of", "where",
}  # fmt: skip


def modules_of(root: Path) -> dict[str, Path]:
    """Map names of modules to files, for the scripts at the top and every package."""
    files = [*root.glob("*.py"), *(file for floor in BELOW for file in (root / floor).rglob("*.py"))]
    names = {file: ".".join(file.relative_to(root).with_suffix("").parts) for file in files}
    return {name.removesuffix(".__init__"): file for file, name in names.items()}


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def named_imports(name: str, file: Path) -> set[str]:
    """Return the full dotted names that a module imports, wherever in it the statement stands."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    imported = set()
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            imported |= {f"{base}.{alias.name}" for alias in node.names}
    return imported


def imports_of(name: str, file: Path, modules: dict[str, Path]) -> set[str]:
    """Return the modules of the tree that a module imports."""
    imported = set()
    for target in named_imports(name, file):  # "a.b.c" is the module a.b.c, or the name c of the module a.b
        while target and target not in modules:
            target = target.rpartition(".")[0]
        imported |= {target} if target else set()
    return imported - {name}


def graph_of(root: Path) -> dict[str, set[str]]:
    modules = modules_of(root)
    return {name: imports_of(name, file, modules) for name, file in modules.items()}


def faults_of(root: Path) -> list[str]:
    """List imports that go up, and circles."""
    graph = graph_of(root)
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


def longest_chain(graph: dict[str, set[str]]) -> list[str]:
    """Return the modules of the longest chain of imports in a graph without circles, the importing one first."""

    @cache
    def chain(name: str) -> tuple[str, ...]:
        return (name, *max((chain(target) for target in sorted(graph[name])), key=len, default=()))

    return list(max((chain(name) for name in sorted(graph)), key=len))


def test_imports_only_go_down():
    assert {"utils.dataset.scan", "utils.config.config", "utils.formats.voc.format"} <= modules_of(ROOT).keys()
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


def test_the_longest_chain_of_imports_is_short():
    chain = longest_chain(graph_of(ROOT))
    assert len(chain) <= MAX_CHAIN, " -> ".join(chain)
    assert longest_chain({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == ["a", "b", "c"]


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


def test_folders_are_small_and_say_what_they_are_for():
    packages = {file.parent for file in modules_of(ROOT).values()} - {ROOT}
    counts = {
        str(folder.relative_to(ROOT)): len({file.name for file in folder.glob("*.py")} - FORMER_NAMES) - 1
        for folder in packages
    }
    assert {folder: count for folder, count in counts.items() if count > MAX_MODULES} == {}
    silent = [str(folder) for folder in packages if not ast.get_docstring(tree_of(folder / "__init__.py"))]
    assert silent == []


def test_files_are_short():
    for floor, limit in MAX_LINES.items():
        lengths = {str(f.relative_to(ROOT)): len(f.read_text().splitlines()) for f in (ROOT / floor).rglob("*.py")}
        assert {name: length for name, length in lengths.items() if length > limit} == {}


def places(found: list[tuple[Path, ast.AST, str]]) -> list[str]:
    return [f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}: {text}" for file, node, text in found]


def source_nodes(below_scripts: bool = False):
    """Yield (file, node) for every node of the source, without tests and benchmarks."""
    for file in modules_of(ROOT).values():
        if not below_scripts or file.parent != ROOT:
            for node in ast.walk(tree_of(file)):
                yield file, node


def test_no_argparse_namespace_reaches_below_the_command_line():
    found = [
        (file, node, node.arg)
        for file, node in source_nodes(below_scripts=True)
        if isinstance(node, ast.arg) and node.arg == "args" and (ROOT / "utils/cli") not in file.parents
    ]
    assert places(found) == []


def test_no_object_changes_its_class():
    found = [
        (file, node, "__class__ =")
        for file, node in source_nodes()
        if isinstance(node, ast.Attribute) and node.attr == "__class__" and isinstance(node.ctx, ast.Store)
    ]
    assert places(found) == []


def test_docstrings_open_with_a_verb_or_a_noun():
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [
        (file, node, text.splitlines()[0])
        for file, node in source_nodes()
        if isinstance(node, documented) and (text := ast.get_docstring(node)) and text.split()[0] in OPENINGS
    ]
    assert places(found) == []


def names_in(node: ast.AST) -> list[str]:
    """Return the names that a node gives: definitions, parameters, assignments."""
    if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        return [node.name]
    if isinstance(node, ast.arg):
        return [node.arg]
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        return [node.attr]
    return []


def test_names_are_the_fields_words():
    found = [
        (file, node, name)
        for file, node in source_nodes()
        for name in names_in(node)
        if name in NAMES or WORDS & {part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}
    ]
    assert places(found) == []


def test_tests_and_benchmarks_import_no_tests():
    tests = list((ROOT / "tests").rglob("*.py"))
    test_names = {file.stem for file in tests if file.name.startswith("test_")}
    for file in [*tests, *(ROOT / "benchmarks").glob("*.py")]:
        imported = {part for target in named_imports("", file) for part in target.split(".")}
        assert not imported & test_names, file
        if file.parent.name == "benchmarks":
            assert not imported & {"tests", "support"} and "tests" not in strings_of(file), file
    for file in (ROOT / "tests/support").glob("*.py"):
        assert ast.get_docstring(tree_of(file)), file


def strings_of(file: Path) -> set[str]:
    constants = (node.value for node in ast.walk(tree_of(file)) if isinstance(node, ast.Constant))
    return {value for value in constants if isinstance(value, str)}


def test_tests_mirror_the_source():
    """A test stands where its module does and begins with its name, or with that of the folder."""
    lost = []
    for file in (ROOT / "tests").rglob("test_*.py"):
        folder = file.parent.relative_to(ROOT / "tests")
        if file in (Path(__file__), ROOT / "tests/test_docs.py") or folder.parts[:1] == ("features",):
            continue
        source = ROOT / folder
        modules = {path.stem for path in source.glob("*.py")} | {source.name}
        name = file.stem.removeprefix("test_")
        if not any(name == module or name.startswith(f"{module}_") for module in modules):
            lost.append(str(file.relative_to(ROOT)))
    assert lost == []
    names = Counter(file.name for file in (ROOT / "tests").rglob("test_*.py"))
    assert names["test_structure.py"] == 1
