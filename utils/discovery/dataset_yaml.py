"""Writes the dataset YAML for what was discovered in a folder, and says it in a few lines."""

from pathlib import Path

import yaml

from utils.config.dataset_config import Folder, as_keys
from utils.discovery.layout import SHARE, Discovery, Part
from utils.errors import ToolkitError
from utils.formats.formats import FORMATS

MOST_CLASSES = 10  # in the lines for the terminal


def check_new(path: Path) -> None:
    """Raise ToolkitError where there is a file of this name: a YAML is never overwritten."""
    if path.exists() or path.is_symlink():
        raise ToolkitError(f"{path} is there already and is never overwritten: give another --output, or move it away")


def write_dataset_yaml(found: Discovery, path: Path, *, share: float | tuple[float, float] = SHARE) -> None:
    """Write the YAML to `path`, which is not there yet.

    `share` of the images is for validation where no split is; of two shares, the second is for the test, unless
    a test split is there.
    """
    check_new(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(yaml_text(found, path, share=share))
    except FileExistsError:
        check_new(path)
        raise
    except OSError as error:
        raise ToolkitError(f"{path}: cannot be written: {error.strerror or error}") from error


def yaml_text(found: Discovery, path: Path, *, share: float | tuple[float, float] = SHARE) -> str:
    """Return the YAML's text, with comments; its paths count from its folder or from the working folder."""
    lines = [
        f"# {_comment(found.root.resolve().name)}: {FORMATS[found.annotation_format].title}. Change what you like.",
        "# A path counts from this file's folder, or else from the folder the command is run in.",
        *(f"# Note: {_comment(note)}" for note in _notes(found)),
        "",
        "# Images to train on, and their annotations.",
        *_part_lines("train", found.layout.train, path),
        "",
    ]
    if found.layout.val:
        lines += ["# Images to validate on.", *_part_lines("val", found.layout.val, path), ""]
    else:
        if isinstance(share, tuple) and found.layout.test:  # there is a test split already
            share = share[0]
        lines += [
            "# No validation images were found: this share of the images is kept for it, near-duplicates on one side.",
            f"SPLIT: {list(share) if isinstance(share, tuple) else share}",
            "# SPLIT_GROUPS: (.+)_[0-9]+  # keeps images on one side whose names agree in the brackets",
            "",
        ]
    if found.layout.test:
        lines += ["# Images to test on: evaluate.py --split test.", *_part_lines("test", found.layout.test, path), ""]
    lines += [*_class_lines(found), "", f"FORMAT: {found.annotation_format}"]
    if found.kpt_shape:
        lines.append(f"KPT_SHAPE: {found.kpt_shape}")
    if hint := FORMATS[found.annotation_format].yaml_hint:
        lines.append(f"# {hint}")
    return "\n".join(lines) + "\n"


def summary_lines(found: Discovery) -> list[str]:
    """Return what was discovered, for a terminal."""
    layout, classes = found.layout, found.classes
    counted = [f"{name} ({count})" for name, count in classes.objects.items()]
    more = f", … and {len(counted) - MOST_CLASSES} more" if len(counted) > MOST_CLASSES else ""
    kind = "classes" if classes.names else "class numbers"
    lines = [
        f"{found.root}: {FORMATS[found.annotation_format].title}",
        f"  {kind} (objects): {', '.join(counted[:MOST_CLASSES])}{more}",
        f"  {'train' if layout.val else 'images'}: {_part_text(layout.train)}",
    ]
    if layout.val:
        lines.append(f"  val: {_part_text(layout.val)}")
    if layout.test:
        lines.append(f"  test: {_part_text(layout.test)}")
    return lines + [f"  note: {note}" for note in _notes(found)]


def _notes(found: Discovery) -> tuple[str, ...]:
    return *found.notes, *found.layout.notes, *found.classes.notes


def _part_text(part: Part) -> str:
    folders = [str(f.images_dir) + (f", listed in {f.list_path}" if f.list_path else "") for f in part.folders]
    return f"{part.images} images in {' and '.join(folders)}"


def _part_lines(name: str, part: Part, path: Path) -> list[str]:
    folders = [
        Folder(_written(f.images_dir, path), _written(f.labels_dir, path), f.list_path and _written(f.list_path, path))
        for f in part.folders
    ]
    return _dumped(as_keys(name, folders)).splitlines()


def _written(place: Path, path: Path) -> Path:
    """Return a path as the YAML has it: from its own folder, else from the working folder, else absolute."""
    full = place.resolve()
    for base in (path.absolute().parent.resolve(), Path.cwd()):
        if full.is_relative_to(base):
            return full.relative_to(base)
    return full


def _class_lines(found: Discovery) -> list[str]:
    classes = found.classes
    if not classes.names:
        numbers = ", ".join(f"{number} ({count} objects)" for number, count in classes.objects.items())
        return [
            f"# The labels have the class numbers {numbers or 'of no object'}, and no file says what they are.",
            f"# Fill in the names of the numbers 0 to {max(map(int, classes.objects), default=0)}, in this order:",
            "CLASSES:",
            "#  - name_of_0",
        ]
    counts = (
        "as the annotations have them"
        if FORMATS[found.annotation_format].names_classes
        else "in the order of the annotations' class numbers"
    )
    lines = [f"# Class names, {counts}.", *_dumped({"CLASSES": list(classes.names)}).splitlines()]
    if classes.renamed:
        lines += ["", "# Spellings that mean one of the classes. Check them: remove what is a class of its own."]
        lines += _dumped({"RENAME": classes.renamed}).splitlines()
    return lines


def _dumped(values: dict) -> str:
    return yaml.safe_dump(values, allow_unicode=True, sort_keys=False, width=10**6)


def _comment(text: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
