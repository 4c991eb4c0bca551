"""Sinks: what `inference.py --save` writes beside the annotated images, one module for each kind.

A further kind is one module here with a class `ImageSink`, made like those that are there, and one row in `SINKS`.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

# --save KIND -> the module of this folder; imported when it is asked for, because the command line needs names alone.
SINKS = {
    "json": "coco_json",
    "csv": "csv_table",
    "voc": "voc_xml",
    "crops": "crops",
}


def create_sink(kind: str, images: Mapping[Path, Path]):
    """Return the `Sink` of a kind for a run over `images`: source name -> name of its annotated image."""
    return import_module(f"utils.inference.sinks.{SINKS[kind]}").ImageSink(images)
