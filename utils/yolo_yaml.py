"""The data.yaml of YOLO's tools, `path`, `train`, `val`, `names`, in this toolkit's keys."""

from pathlib import Path


def is_yolo_yaml(values: dict) -> bool:
    return "names" in values and "train" in values and "TRAIN_DIR_IMAGES" not in values


def translated(values: dict, path: Path, faults: list[str]) -> dict:
    """The same data set in this toolkit's keys; what cannot be translated goes to `faults`.

    `path` counts from the working folder or from the YAML's; so do `train` and `val` where there is none. Labels are
    where YOLO's tools look: in `labels` where the images' path has `images`, else beside the images.
    """
    new = {"CLASSES": _names(values["names"], faults), "FORMAT": "yolo"}
    roots = [Path()] if values.get("path") is None else [Path(str(values["path"])).expanduser()]
    for key, split in (("train", "TRAIN"), ("val", "VALID")):
        place = values.get(key) or (values.get("valid") if key == "val" else None)
        if place is None:
            continue
        if not isinstance(place, str):
            faults.append(f"{key}: expected one path, found {place!r}")
            continue
        images = _existing([base / root / place for base in (Path(), path.parent) for root in roots], path)
        if images.suffix.lower() == ".txt":
            faults.append(f"{key}: a list of images is TRAIN_LIST or VALID_LIST here, beside the folder of the images")
            continue
        new[f"{split}_DIR_IMAGES"], new[f"{split}_DIR_LABELS"] = str(images), str(_labels_of(images))
    if isinstance(values.get("nc"), int):
        new["NC"] = values["nc"]
    return new


def _existing(places: list[Path], path: Path) -> Path:
    """The first that exists. Roboflow writes "../train/images" for what lies beside the file, so that is tried, too."""
    beside = [path.parent / Path(*[part for part in place.parts if part != ".."]) for place in places[:1]]
    return next((place for place in [*places, *beside] if place.exists()), places[0])


def _labels_of(images: Path) -> Path:
    parts = list(images.parts)
    for index in range(len(parts) - 1, -1, -1):
        if parts[index] == "images":
            labels = Path(*parts[:index], "labels", *parts[index + 1 :])
            return labels if labels.is_dir() else images
    return images


def _names(names, faults: list[str]) -> list:
    if isinstance(names, dict):
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            faults.append(f"names: expected the numbers 0 to {len(names) - 1}, found {', '.join(map(str, names))}")
            return [names[key] for key in sorted(names, key=str)]
        names = [names[key] for key in sorted(names, key=int)]
    return names
