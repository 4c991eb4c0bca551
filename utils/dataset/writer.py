"""A dataset written anew, in any of the formats: copies of its images, its annotations, and a YAML to train with."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import yaml
from tqdm import tqdm

from utils.annotations.annotation import YAML_PREFIX, Annotation
from utils.errors import ToolkitError
from utils.files import write_text_atomically
from utils.formats.format import Split
from utils.formats.formats import FORMATS
from utils.images.pixel_range import PixelRange
from utils.pairing.file_tree import names_below, placeless, stem_of
from utils.pairing.other_splits import split_of_folder

YAML_NAME = "dataset.yaml"


def write_dataset(
    out_dir: Path,
    annotations: Mapping[str, Sequence[Annotation]],
    class_names: Sequence[str],
    format_name: str,
    *,
    source: str | None = None,
    pixel_range: PixelRange | None = None,
    progress: bool = True,
) -> Path:
    """Write the splits, by "train", "val" and maybe "test", to `out_dir`, which is empty or not there; return its YAML.

    The images are byte-for-byte copies, in the sub-folders that they had. Boxes keep their values as float32;
    `difficult` is lost in YOLO's format. The YAML comes last, so a dataset that has one is whole. Raises ToolkitError
    where the folder holds anything or the disk has too little room.
    """
    out_dir, annotation_format = Path(out_dir), FORMATS[format_name]
    splits = [Split(name, list(part), _names(part)) for name, part in annotations.items()]
    files = [
        (a.image_path, split.name, name)
        for split in splits
        for a, name in zip(split.annotations, split.names, strict=True)
    ]
    _check_room(out_dir, [path for path, *_ in files])
    values: dict = {"CLASSES": list(class_names[1:]), "FORMAT": format_name}
    values |= {"SOURCE": source} if source else {}
    values |= {"PIXEL_RANGE": list(pixel_range)} if pixel_range else {}
    for split in splits:
        folder = out_dir / annotation_format.image_folder.format(split=split.name)
        folder.mkdir(parents=True, exist_ok=True)
        pairs = zip(split.annotations, split.names, strict=True)
        for annotation, name in tqdm(
            pairs, total=len(split.names), desc=f"Copying {split.name}", unit="image", dynamic_ncols=True,
            disable=None if progress else True,
        ):  # fmt: skip
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(annotation.image_path, folder / name)
        key = YAML_PREFIX[split.name]
        values[f"{key}_DIR_IMAGES"] = str(folder.relative_to(out_dir).as_posix())
        values[f"{key}_DIR_LABELS"] = annotation_format.write(out_dir, split, class_names)
    annotation_format.write_index(out_dir, splits, class_names)
    path = out_dir / YAML_NAME
    write_text_atomically(path, yaml.safe_dump(values, allow_unicode=True, sort_keys=False))
    return path


def _check_room(out_dir: Path, paths: Sequence[Path]) -> None:
    if out_dir.exists() and (not out_dir.is_dir() or any(out_dir.iterdir())):
        raise ToolkitError(f"{out_dir} is not empty: nothing there is overwritten; name a new folder")
    needed = sum(path.stat().st_size for path in paths)
    nearest = next(folder for folder in (out_dir.absolute(), *out_dir.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(nearest).free
    if needed > free:
        raise ToolkitError(f"{out_dir}: the images take {needed / 2**20:.0f} MiB, the disk has {free / 2**20:.0f} MiB")


def _names(annotations: Sequence[Annotation]) -> list[str]:
    """Return names with distinct stems: paths below the folder that all images have in common, with `/`.

    Folders that only say what lies in them are left out. A path that begins like another split's folder becomes a
    plain name, because such a folder would not be read.
    """
    taken: set[str] = set()
    names = []
    for below in names_below([annotation.image_path for annotation in annotations]):
        name = placeless(below)
        if split_of_folder(name.partition("/")[0]):
            name = name.replace("/", "_")
        stem, suffix = stem_of(name), PurePosixPath(name).suffix
        number = 2
        while stem_of(name).casefold() in taken:
            name = f"{stem}_{number}{suffix}"
            number += 1
        taken.add(stem_of(name).casefold())
        names.append(name)
    return names
