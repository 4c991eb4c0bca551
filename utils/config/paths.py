"""Paths that a dataset's YAML names: where they are, or what lies near where they should be."""

from pathlib import Path

from utils.files import first_entries
from utils.formats.yolo.data_yaml import note_two_places
from utils.images.formats import is_image


def find_path(
    config_path: Path, values: dict, key: str, faults: list[str], notes: list[str], *, want_folder: bool
) -> Path | None:
    """Return the existing path that a key names; None, and a fault, where there is none. Two that exist are a note."""
    value = values.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        faults.append(f"{key}: expected a path, found {value!r}")
        return None
    try:
        wanted = Path(value.strip()).expanduser()
    except RuntimeError as error:  # "~name" of nobody
        faults.append(f"{key}: {value}: {error}")
        return None
    beside = config_path.parent / wanted
    tried = [wanted] if beside.absolute() == wanted.absolute() else [wanted, beside]
    # Beside the YAML first: a dataset that carries its YAML is not taken for another one in the working folder.
    note_two_places(key, [path for path in reversed(tried) if path.is_dir() == want_folder], notes)
    for path in reversed(tried):
        if path.is_dir() if want_folder else path.is_file():
            return path
    kind, other = ("folder", "file") if want_folder else ("file", "folder")
    for path in tried:
        if path.exists():
            faults.append(f"{key}: expected a {kind}, but {path} is a {other}")
            return None
    places = " and ".join(str(path.absolute()) for path in tried)
    faults.append("\n".join([f"{key}: no such {kind}: {value}; tried {places}", *_nearby(tried[0], want_folder)]))
    return None


def _nearby(missing: Path, want_folder: bool) -> list[str]:
    """Describe what lies where a path was expected: the nearest folder there is, and folders below it that would do."""
    nearest = next(parent for parent in missing.absolute().parents if parent.is_dir())
    lines = [f"    {nearest} holds {first_entries(nearest)}"]
    candidates = _image_folders(nearest) if want_folder and nearest != nearest.parent else []
    if candidates:
        candidates.sort(key=lambda folder: (folder.name != missing.name, str(folder)))
        lines.append(f"    folders with images or XML files: {', '.join(str(folder) for folder in candidates[:6])}")
    return lines


def _image_folders(root: Path, max_folders: int = 300, max_depth: int = 4) -> list[Path]:
    """Return folders below `root` that hold an image or XML file, nearest first; bounded, because it may be huge."""
    level, seen, found = [root], 0, list[Path]()
    for _ in range(max_depth):
        below = []
        for folder in level:
            seen += 1
            if seen > max_folders:
                return found
            try:
                entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
            except OSError:  # not ours to read
                continue
            if folder != root and any(is_image(entry) or entry.suffix.lower() == ".xml" for entry in entries):
                found.append(folder)
            below += [entry for entry in entries if entry.is_dir() and not entry.is_symlink()]
        level = below
    return found
