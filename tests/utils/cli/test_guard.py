"""Scripts that are started with the wrong Python say so, and what to do, instead of a traceback."""

import ast
import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from support.paths import ROOT
from utils.cli import guard

SCRIPTS = (
    "train.py",
    "inference.py",
    "inference_video.py",
    "check_dataset.py",
    "convert_dataset.py",
    "data/make_sample.py",
)
MODULES = ("utils.convert",)  # the earlier name of convert_dataset.py
FILES = SCRIPTS
OLD = Path.home().glob(".pyenv/versions/3.[6-9].*/bin/python")


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory):
    """A Python of its own without any package."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def words(name):
    return ["-m", name] if name in MODULES else [str(ROOT / name)]


def run(python, name, cwd, **env):
    """As a user starts it, with the packages of nobody else's site."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL"))}
    command = [str(python), "-s", *words(name), "--help"]
    return subprocess.run(command, cwd=cwd, env=kept | env, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("name", [*SCRIPTS, *MODULES])
def test_without_the_packages_every_script_says_which_python_to_use(bare_python, name):
    done = run(bare_python, name, ROOT)
    assert done.returncode == 2 and "Traceback" not in done.stderr and not done.stdout
    first, second = done.stderr.splitlines()
    assert first.startswith("error: this Python (") and "lacks numpy, cv2" in first
    assert ("torch" in first) == (name in ("train.py", "inference.py", "inference_video.py"))
    assert ".venv/bin/python" in second.replace("\\", "/") and "make setup" in second


def test_elsewhere_the_way_is_given_whole(bare_python, tmp_path):
    done = run(bare_python, "train.py", tmp_path)
    assert str(ROOT / ".venv") in done.stderr and f"make -C {ROOT} setup" in done.stderr


@pytest.mark.parametrize("name", FILES + ("utils/__init__.py", "utils/cli/guard.py"))
def test_python_3_6_reads_them_as_far_as_the_guard(name):
    """An older Python compiles the whole script before it runs its first line."""
    tree = ast.parse((ROOT / name).read_text(encoding="utf-8"), feature_version=(3, 6))
    assert not any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in ast.walk(tree))


@pytest.mark.parametrize("name", FILES)
def test_the_guard_comes_before_any_other_import(name):
    """Only Python's own modules before it."""
    body = ast.parse((ROOT / name).read_text(encoding="utf-8")).body
    for node in body:
        if isinstance(node, ast.If):
            assert any("check_python(" in ast.unparse(inner) for inner in node.body)
            return
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            assert all(m.partition(".")[0] in sys.stdlib_module_names or m == "utils.cli.guard" for m in modules), (
                modules
            )
    pytest.fail("no guard")


def test_an_older_python_is_named(monkeypatch, capsys):
    for version in ((3, 6, 15), (3, 9, 18), (2, 7, 18)):
        monkeypatch.setattr(guard.sys, "version_info", version)
        with pytest.raises(SystemExit) as ended:
            guard.check_python(())
        message = capsys.readouterr().err
        assert ended.value.code == 2
        assert message.startswith(f"error: this is Python {version[0]}.{version[1]}; 3.10 or newer is needed\n")
    monkeypatch.setattr(guard.sys, "version_info", (3, 10, 0))
    guard.check_python(("json",))
    for python in OLD:  # the real ones, where there are any
        for name in (*SCRIPTS, *MODULES):
            done = run(python, name, ROOT)
            assert done.returncode == 2 and "3.10 or newer is needed" in done.stderr, done.stderr
            assert "Traceback" not in done.stderr and "SyntaxError" not in done.stderr


def test_every_place_that_names_the_oldest_python_agrees():
    oldest = "{}.{}".format(*guard.OLDEST)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(r'^requires-python = ">=(.*)"', project, re.MULTILINE)[1] == oldest
    assert f"sys.version_info < ({oldest.replace('.', ', ')})" in (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"Python {oldest}" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_package_that_the_tree_imports_is_named():
    """Those of `--track`, `--log` and hotcoco aside, imported where they are used, and MarkupSafe, of Jinja2."""
    known = set(sys.stdlib_module_names) | set(guard.NETWORK_PACKAGES) | {"trackers", "supervision", "markupsafe"}
    known |= {"tensorboard", "wandb", "mlflow", "hotcoco"}
    own = {"utils", "models", "torch_utils", "datasets"}
    for file in [*ROOT.glob("*.py"), *(f for floor in own for f in (ROOT / floor).rglob("*.py"))]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert {m.partition(".")[0] for m in modules} <= known | own, file
