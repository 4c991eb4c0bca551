"""Pascal VOC XML as a format, the files beside their images or in a folder of their own."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from utils.annotations.annotation import Annotation
from utils.annotations.labels import Box, LabelledObject, Labels
from utils.formats.format import Format, ReadOptions, Split
from utils.formats.voc.writer import escape_note, voc_xml
from utils.formats.voc.xml_file import called, read_voc_file


def _read_file(path: Path, options: ReadOptions) -> Labels:
    voc = read_voc_file(path)
    objects = tuple(
        LabelledObject(called(index, item.name), item.name, item.box, item.difficult, rotation=item.rotation)
        for index, item in enumerate(voc.objects, 1)
    )
    notes = (("deleted", f"{path.name}: {voc.deleted} objects marked as deleted"),) if voc.deleted else ()
    return Labels(objects, voc.size, _from_one_based if options.one_based else _as_it_stands, notes)


def _as_it_stands(box: Box, size: tuple[int, int]) -> Box:
    return box


def _from_one_based(box: Box, size: tuple[int, int]) -> Box:
    return box[0] - 1, box[1] - 1, box[2], box[3]


def _detect(head: bytes) -> bool:
    return b"<annotation" in head.replace(b"\0", b"") or b"<object" in head


def _write(folder: Path, split: Split, class_names: Sequence[str]) -> str:
    for annotation, name in zip(split.annotations, split.names, strict=True):
        text = voc_xml(
            PurePosixPath(name).name,
            (annotation.width, annotation.height),
            [class_names[label] for label in annotation.labels],
            annotation.boxes,
            difficult=annotation.difficult.tolist(),
        )
        (folder / split.name / name).with_suffix(".xml").write_text(text, encoding="utf-8")
    return split.name


def _notes(annotations: Sequence[Annotation]) -> list[str]:
    return escape_note([annotation.image_path.name for annotation in annotations], "<filename> in the XML")


VOC = Format(
    name="voc",
    title="Pascal VOC XML",
    kind="XML",
    suffix=".xml",
    detect=_detect,
    read_file=_read_file,
    write=_write,
    yaml_hint="VOC_ONE_BASED: True  # for the original Pascal VOC 2007-2012, whose pixels count from 1",
    notes=_notes,
)
