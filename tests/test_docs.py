"""README and docs: links lead somewhere, flags and paths exist, and the README's own commands work as printed."""

import ast
import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from torch.distributed.run import get_args_parser

import convert_dataset
from support import warm
from support.paths import ROOT
from support.voc_sets import write_voc_set
from utils.cli.dataset_args import check_arguments
from utils.cli.evaluate_args import evaluation_arguments
from utils.cli.export_args import export_arguments
from utils.cli.inference_args import image_arguments, video_arguments
from utils.cli.train_args import training_parser

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
README = ROOT / "README.md"
CODE = ("benchmarks", "data_configs", "models", "tests", "torch_utils", "utils")  # folders whose files the docs name
PARSERS: dict[str, Callable] = {
    "train.py": lambda words: training_parser().parse_args(words),
    "check_dataset.py": check_arguments,
    "convert_dataset.py": convert_dataset.arguments,
    "evaluate.py": evaluation_arguments,
    "export.py": export_arguments,
    "inference.py": image_arguments,
    "inference_video.py": video_arguments,
}
FOREIGN_FLAGS = frozenset(  # of Slurm, Docker, TensorBoard and http.server
    "--nodes --ntasks-per-node --gpus-per-node --cpus-per-task --time --signal --requeue --rm --gpus --shm-size --user "
    "--logdir --directory".split()
)


def by_page(paths) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", paths, ids=lambda path: path.relative_to(ROOT).as_posix())


def without_blocks(text: str) -> str:
    return re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yield the language and the text of each fenced block."""
    for match in re.finditer(r"^( *)```(\w*)\n(.*?)^\1```", text, re.MULTILINE | re.DOTALL):
        yield match[2], textwrap.dedent(match[3])


def commands(text: str) -> list[list[str]]:
    """Return the words of each command of a script that stands in a block or between backticks."""
    joined = [block.replace("\\\n", " ") for language, block in blocks(text) if not language]
    lines = [line for block in joined for line in block.split("\n")]
    lines += re.findall(r"`([^`\n]+)`", without_blocks(text))
    starts = re.compile(r"(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?python (\S+\.py .*)")
    return [shlex.split(match[1]) for line in lines if (match := starts.fullmatch(line.strip()))]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", without_blocks(page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def own_flags() -> set[str]:
    """Return every flag that a script's or a benchmark's source adds to a parser."""
    files = [*ROOT.glob("*.py"), *ROOT.glob("utils/cli/*.py"), *ROOT.glob("benchmarks/*.py"), *ROOT.glob("data/*.py")]
    flags = set()
    for file in files:
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] in ("add", "add_argument"):
                words = [node.value for node in ast.walk(call) if isinstance(node, ast.Constant)]
                flags.update(word for word in words if isinstance(word, str) and re.fullmatch(r"--[a-z0-9-]+", word))
    return flags


@by_page(PAGES)
def test_links_and_anchors_lead_somewhere(page):
    text = without_blocks(page.read_text(encoding="utf-8"))
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
    for target in targets:
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_every_page_of_docs_is_linked_from_the_readme():
    text = README.read_text(encoding="utf-8")
    assert [page.name for page in ROOT.glob("docs/*.md") if f"](docs/{page.name})" not in text] == []


def test_the_design_page_lists_every_folder_as_it_describes_itself():
    rows = dict(re.findall(r"^\| `([^`]+)` \| (.*) \|$", (ROOT / "docs/design.md").read_text(encoding="utf-8"), re.M))
    inits = [file for top in ("models", "torch_utils", "utils", "data") for file in (ROOT / top).rglob("__init__.py")]
    for file in inits:
        docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
        assert docstring and rows.get(file.parent.relative_to(ROOT).as_posix()) == docstring.splitlines()[0], file


def test_the_readme_is_short():
    text = README.read_text(encoding="utf-8")
    assert text.count("\n") < 150 and len(text.encode()) < 10_500


@by_page(PAGES)
def test_flags_exist(page):
    torchrun = {flag for action in get_args_parser()._actions for flag in action.option_strings}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9_-]+", page.read_text(encoding="utf-8")))
    assert named - own_flags() - torchrun - FOREIGN_FLAGS == set()


def test_commands_are_those_that_the_scripts_take():
    found = [words for page in PAGES for words in commands(page.read_text(encoding="utf-8"))]
    parsed = dict.fromkeys(PARSERS, 0)
    for script, *words in found:
        assert (ROOT / script).is_file(), script
        if script in PARSERS:
            PARSERS[script](words)
            parsed[script] += 1
    assert min(parsed.values()) > 0 and parsed["train.py"] >= 5


@by_page(PAGES)
def test_named_files_and_modules_exist(page):
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"```python\n.*?```", "", text, flags=re.DOTALL)  # they are run, or are files to add
    named = re.findall(rf"(?<![\w./])((?:{'|'.join(CODE)})/[\w/.-]*\w)", text)
    if page.name != "CHANGELOG.md":  # which names files that were
        missing = [path for path in named if not (ROOT / path).exists() and path != "data_configs/helmets.yaml"]
        assert missing == []
        for name in re.findall(r"(?<![\w./])((?:models|torch_utils|utils)(?:\.(?!md\b)[a-z_]+)+)(?![\w/])", text):
            parent, _, attribute = name.rpartition(".")
            path = ROOT / name.replace(".", "/")
            exists = path.is_dir() or path.with_suffix(".py").is_file()
            assert exists or hasattr(import_module(parent), attribute), name


def test_the_python_page_names_every_argument_of_the_detector():
    from models import Detector

    text = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    assert [name for name in inspect.signature(Detector).parameters if f"| `{name}` |" not in text] == []


SMALL = "--model fasterrcnn_resnet10_fpn_small --img-size 96 --device cpu --amp off --pretrained none --epochs".split()


def test_the_readme_works_as_printed(tmp_path):
    """Your own data in four steps, then images, video and Python: only the model and the epochs are smaller."""
    readme = README.read_text(encoding="utf-8")
    walk = readme.partition("## Your own data in four steps\n")[2].partition("\n## ")[0]
    ((_, config),) = [block for block in blocks(walk) if block[0] == "yaml"]
    (config_path,) = re.findall(r"Save this as `([^`]+)`", walk)
    write_separate_folders(tmp_path / "data/helmets", tmp_path / "data/new_images")

    steps = commands(walk)
    assert [words[0] for words in steps] == [*["check_dataset.py"] * 2, "train.py", "inference.py", "train.py"]
    new, check, train, inference, resume = steps
    assert script(new, tmp_path).returncode == 0
    written, shown = yaml.safe_load((tmp_path / config_path).read_text()), yaml.safe_load(config)
    written["CLASSES"] = [name for name in written["CLASSES"] if name != "__background__"]
    assert {key: written[key] for key in shown} == shown
    (tmp_path / config_path).write_text(config)
    for words in (check, [*train, *SMALL, "1"], [*resume, "--epochs", "2"], inference):
        done = script(words, tmp_path)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
    run = tmp_path / "outputs/training/helmets"
    assert (run / "best_model.pth").is_file() and len((run / "results.csv").read_text().splitlines()) == 3
    assert list((tmp_path / "outputs/inference").glob("*/predictions.csv"))

    after = readme.partition("## Images, video, Python\n")[2].partition("\n## ")[0]
    shutil.copytree(run, tmp_path / "outputs/training/ppe_sample")
    shutil.copytree(ROOT / "data/inference_data", tmp_path / "data/inference_data")
    images, video = commands(after)
    assert images[0] == "inference.py" and video[0] == "inference_video.py"
    for words in (images, [*video, "--end", "0.2"]):
        done = script(words, tmp_path)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
    ((_, code),) = [block for block in blocks(after) if block[0] == "python"]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[")


def script(words: list[str], folder: Path):
    return warm.run([sys.executable, ROOT / words[0], *words[1:]], cwd=folder)


def write_separate_folders(folder: Path, new_images: Path) -> None:
    """Images and XML in folders of their own, of Helmet and Vest; one more image without XML elsewhere."""
    write_voc_set(folder / "images", 24, seed=3)
    (folder / "xml").mkdir()
    for number, path in enumerate(sorted((folder / "images").glob("*.xml"))):
        text = path.read_text().replace("Mask", "Helmet").replace("Gloves", "Vest")
        name = f"{chr(ord('a') + number)}{number}"  # numbers alone would look like the frames of one video
        (folder / "xml" / f"{name}.xml").write_text(text)
        path.with_suffix(".jpg").rename(folder / "images" / f"{name}.jpg")
        path.unlink()
    new_images.mkdir()
    shutil.copy(ROOT / "data/inference_data/image_1.jpg", new_images)
