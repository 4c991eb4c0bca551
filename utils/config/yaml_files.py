"""YAML files with keys, in which no key may stand twice."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from utils.errors import ConfigError


def read_yaml(path: Path, expected: Sequence[str] = ()) -> dict:
    """Return the keys and values of a YAML file. Raises ConfigError naming the file, and the `expected` keys."""
    if not path.is_file():
        folders = dict.fromkeys((Path("data_configs"), path.parent))
        files = (file for folder in folders if folder.is_dir() for file in folder.glob("*.y*ml"))
        names = sorted(str(file) for file in files if not file.name.startswith("."))
        kind = "is a folder, not a YAML file" if path.is_dir() else "file not found"
        raise ConfigError(f"{path}: {kind}; there are: {', '.join(names) or 'no YAML files'}")
    try:
        text = path.read_bytes()
        _refuse_twice(yaml.compose(text, Loader=yaml.SafeLoader), set())
        values = yaml.safe_load(text)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{path}{line}: not valid YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # not text; a date such as 2024-13-45; deep nesting
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(values, dict):
        found = "an empty file" if values is None else f"a {type(values).__name__}"
        raise ConfigError(f"{path}: expected KEY: value lines ({', '.join(expected)}), found {found}")
    return values


def _refuse_twice(node: yaml.Node | None, seen: set[int]) -> None:
    """Raise MarkedYAMLError where a key stands twice: the last one would win without a word."""
    if id(node) in seen:  # an alias
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_twice(item, seen)
    if not isinstance(node, yaml.MappingNode):
        return
    lines: dict[tuple[str, str], int] = {}
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode):
            if (first := lines.get((key.tag, key.value))) is not None:
                problem = f"the key {key.value} stands twice (line {first}, too): leave out either"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            lines[key.tag, key.value] = key.start_mark.line + 1
        _refuse_twice(value, seen)
