"""Metadata of an exported detector: all that its predictor, and a program of somebody else, needs beside the graph."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from utils.annotations.annotation import BACKGROUND
from utils.evaluation.verdict.stored import StoredThresholds
from utils.images.pixel_range import PixelRange, read_pixel_range

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class ExportMetadata:
    """Facts about an exported detector.

    class_names: background first, so that a label is an index. img_size, long_side: limits in pixels that an image's
    short and long side are resized to. lowest_score: no detection has a lower one. thresholds: as in the checkpoint.
    """

    model_name: str
    class_names: tuple[str, ...]
    img_size: int
    long_side: int
    max_detections: int
    lowest_score: float
    pixel_range: PixelRange | None = None
    thresholds: dict[str, Any] | None = None

    def to_strings(self) -> dict[str, str]:
        """Return the fields as JSON texts, for the properties of an ONNX file."""
        return {"toolkit_export": str(FORMAT)} | {name: json.dumps(value) for name, value in asdict(self).items()}

    @classmethod
    def from_strings(cls, texts: Mapping[str, str]) -> "ExportMetadata":
        """Return what `to_strings` wrote. Raises ValueError where it is something else, or of a newer format."""
        if "toolkit_export" not in texts:
            raise ValueError("it has no metadata of this toolkit, so it is not from export.py")
        if texts["toolkit_export"] != str(FORMAT):
            raise ValueError(f"its metadata has format {texts['toolkit_export']}, this toolkit reads {FORMAT}")
        try:
            read = cls(**{entry.name: json.loads(texts[entry.name]) for entry in fields(cls)})
        except KeyError as error:
            raise ValueError(f"its metadata lacks {error.args[0]}: export it again") from None
        except ValueError as error:
            raise ValueError(f"its metadata is no JSON: {error}") from None
        faults = read._faults()
        if faults:
            raise ValueError(f"its metadata is damaged: {faults[0]}")
        # JSON has lists alone
        pixel_range = tuple(read.pixel_range) if read.pixel_range else None
        return cls(**asdict(read) | {"class_names": tuple(read.class_names), "pixel_range": pixel_range})

    @property
    def stored_thresholds(self) -> StoredThresholds | None:
        """The thresholds that were chosen for these weights; None where there are none. Raises ValueError."""
        return StoredThresholds.from_dict(self.thresholds) if self.thresholds is not None else None

    def _faults(self) -> list[str]:
        faults: list[str] = []
        names = self.class_names
        if not isinstance(names, list) or len(names) < 2 or not all(isinstance(name, str) for name in names):
            faults.append(f"class_names: expected a list of names, found {names!r:.60}")
        elif names[0] != BACKGROUND:
            faults.append(f"class_names: expected {BACKGROUND} first, found {names[0]!r:.60}")
        for name in ("img_size", "long_side", "max_detections"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                faults.append(f"{name}: expected a whole number from 1 on, found {value!r:.60}")
        if not isinstance(self.lowest_score, (int, float)) or not 0 <= self.lowest_score <= 1:
            faults.append(f"lowest_score: expected a number from 0 to 1, found {self.lowest_score!r:.60}")
        read_pixel_range(self.pixel_range, faults, key="pixel_range")
        if self.thresholds is not None:
            try:
                StoredThresholds.from_dict(self.thresholds)
            except ValueError as error:
                faults.append(f"thresholds: {error}")
        return faults
