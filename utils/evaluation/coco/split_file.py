"""A split's objects as its own COCO file has them: with the crowd regions and the areas that annotations leave out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.annotations.annotation import Annotation
from utils.annotations.scan_result import Scan
from utils.config.dataset_config import DatasetConfig
from utils.errors import DatasetError
from utils.evaluation.coco.files import CocoTruth, load_truth, ordered
from utils.evaluation.packed import PackedDetections, PackedTruth
from utils.formats.coco.file_names import ImageFinder
from utils.formats.coco.format import json_file
from utils.images.io import probe_image
from utils.names import nfc, plain_name
from utils.pairing.other_splits import folders_of_other_splits


@dataclass(frozen=True, eq=False)
class SplitFile:
    """The objects of a split by its own COCO file.

    | field | meaning |
    |---|---|
    | annotations | the images, also those that show nothing but crowd regions |
    | truth | their objects; areas and crowds as in the file, labels those of the configuration |
    | image_ids, category_ids | the file's, of each image and of each label - 1 |
    """

    annotations: Sequence[Annotation]
    truth: PackedTruth
    image_ids: Sequence[int | str]
    category_ids: Sequence[int | str]

    @property
    def order(self) -> list[int]:
        """Return the place of each image in COCO's order, which is that of the ids."""
        place = {key: number for number, key in enumerate(ordered(self.image_ids))}
        return [place[key] for key in self.image_ids]

    def ground_truth(self) -> dict:
        """Return the objects as a COCO dataset of plain types, with the file's ids and without segmentations."""
        truth, names = self.truth, [annotation.image_path.name for annotation in self.annotations]
        names = names if len(set(names)) == len(names) else [str(a.image_path) for a in self.annotations]
        keys = ("image_id", "category_id", "bbox", "area", "iscrowd")
        columns = (
            [self.image_ids[i] for i in truth.image_of], [self.category_ids[i - 1] for i in truth.labels],
            truth.boxes_xywh.tolist(), truth.areas.tolist(), truth.crowd.astype(int).tolist(),
        )  # fmt: skip
        return {
            "info": {},
            "images": [
                {"id": key, "file_name": name, "width": a.width, "height": a.height}
                for key, name, a in zip(self.image_ids, names, self.annotations, strict=True)
            ],
            "categories": [
                {"id": key, "name": name} for key, name in zip(self.category_ids, truth.class_names[1:], strict=True)
            ],
            "annotations": [
                {"id": number, **dict(zip(keys, row, strict=True))}
                for number, row in enumerate(zip(*columns, strict=True), start=1)
            ],
        }

    def results(self, detections: PackedDetections) -> list[dict]:
        """Return detections as COCO results of plain types, with the file's ids."""
        columns = (
            detections.image_of.tolist(), detections.labels.tolist(), detections.boxes_xywh.tolist(),
            detections.scores.tolist(),
        )  # fmt: skip
        return [
            {
                "image_id": self.image_ids[image],
                "category_id": self.category_ids[label - 1],
                "bbox": box,
                "score": score,
            }
            for image, label, box, score in zip(*columns, strict=True)
        ]


def read_split_file(config: DatasetConfig, split: str, scan: Scan) -> tuple[SplitFile | None, list[str]]:
    """Read the COCO file that a split was read from; None for other formats, and where it and the images disagree.

    pycocotools' numbers of that file are reached with it alone: a detection in a crowd region is neither right nor
    wrong, and objects are small, medium or large by the area of their mask. Images that a list or a division leaves
    out, and classes that are ignored, are left out here, too.

    Returns the file and lines for the user, among them why crowds and areas are not used where they would matter.
    """
    if config.annotation_format != "coco":
        return None, []
    divided = config.split and (split != "test" or config.test_share)
    place = "train" if divided else split
    folders = config.folders(place)
    path = json_file(folders[0].labels_dir)
    try:
        coco = load_truth(path)
        if len(folders) > 1:
            raise DatasetError("the split has several folders")
        found = _matched(config, place, scan, coco)
    except DatasetError as error:
        return None, [f"note: crowd regions and mask areas that {path} may have do not count: {error}"]
    left = 0 if divided or folders[0].list_path else len(coco.image_ids) - len(found.annotations)
    text = (
        f"note: {left} of {len(coco.image_ids)} images that {path} lists are not there or cannot be used: not counted"
    )
    return found, [text] if left else []


def _matched(config: DatasetConfig, place: str, scan: Scan, coco: CocoTruth) -> SplitFile:
    """Bring the file's objects into the order of the images; raises DatasetError where they are not the same."""
    annotations = [*scan.annotations, *_crowds_alone(scan)]
    index_of = _image_indices(config, place, coco)
    if lost := [annotation.image_path for annotation in annotations if annotation.image_path not in index_of]:
        raise DatasetError(f"{lost[0]} is not found in it")
    indices = [index_of[annotation.image_path] for annotation in annotations]
    position = np.full(len(coco.image_ids), -1)
    position[indices] = np.arange(len(annotations))
    labels = _labels(config, [nfc(name.strip()) for name in coco.category_names])
    packed = coco.packed
    image_of, label_of = position[packed.image_of], np.array([0, *labels])[packed.labels]
    kept = (image_of >= 0) & (label_of > 0)
    boxes, areas, crowd = packed.boxes_xywh[kept], packed.areas[kept], packed.crowd[kept]
    names = tuple(config.class_names)
    truth = PackedTruth(image_of[kept], label_of[kept], boxes, areas, crowd, len(annotations), names)
    _check_alike(annotations, truth)
    ids = {label: key for label, key in zip(reversed(labels), reversed(coco.category_ids), strict=True) if label}
    free = 1 + max((key for key in coco.category_ids if isinstance(key, int)), default=0)
    category_ids = [ids.get(label, free + label) for label in range(1, len(names))]
    return SplitFile(annotations, truth, [coco.image_ids[i] for i in indices], category_ids)


def _crowds_alone(scan: Scan) -> list[Annotation]:
    """Return the images without a usable box, which training leaves out and COCO counts."""
    paths = {finding.image for finding in scan.of("no-box-left")} - {a.image_path for a in scan.annotations}
    found = []
    for path in sorted(path for path in paths if path):
        size = probe_image(path, decode=False)
        none = np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, bool)
        found.append(Annotation(path, size.width, size.height, *none))
    return found


def _image_indices(config: DatasetConfig, place: str, coco: CocoTruth) -> dict[Path, int]:
    """Map each image file to its index in the COCO file; an entry of its very name goes before one that means it."""
    skip = folders_of_other_splits(config, place, Scan(), listed=True)
    finder = ImageFinder(config.folders(place)[0].images_dir, skip)
    found: dict[Path, tuple[bool, int]] = {}
    for index, name in enumerate(coco.file_names):
        path, is_own_name = finder.find(plain_name(name))
        if path and (path not in found or is_own_name > found[path][0]):
            found[path] = (is_own_name, index)
    return {path: index for path, (_, index) in found.items()}


def _labels(config: DatasetConfig, names: Sequence[str]) -> list[int]:
    """Return the configuration's label of each category, 0 for one that is ignored or that no class has."""
    label_of: Mapping[str, int] = {nfc(name): label for label, name in enumerate(config.class_names) if label}
    renamed = {nfc(old): nfc(new) for old, new in config.renamed.items()}
    return [label_of.get(renamed.get(name, name), 0) for name in names]


def _check_alike(annotations: Sequence[Annotation], truth: PackedTruth) -> None:
    """Raise DatasetError where an image has a box that the file has not: one turned with its image, for instance."""
    there: list[set] = [set() for _ in annotations]
    boxes = np.concatenate([truth.boxes_xywh[:, :2], truth.boxes_xywh[:, :2] + truth.boxes_xywh[:, 2:]], axis=1)
    sizes = np.array([(a.width, a.height) * 2 for a in annotations])[truth.image_of]
    clipped = np.clip(boxes, 0, sizes).astype(np.float32).tolist()
    for image, label, box in zip(truth.image_of.tolist(), truth.labels.tolist(), clipped, strict=True):
        there[image].add((label, *box))
    for annotation, known in zip(annotations, there, strict=True):
        own = {(label, *box) for label, box in zip(annotation.labels.tolist(), annotation.boxes.tolist(), strict=True)}
        if own - known:
            raise DatasetError(f"the boxes of {annotation.image_path} are not used as they stand in it")
