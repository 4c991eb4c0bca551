"""The result of pairing images with annotation files."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Pairing:
    """The result of pairing: pairs of image and annotation file in natural order, and what has no partner.

    `name` gives a path relative to its folder, as messages call it.
    """

    pairs: list[tuple[Path, Path]] = field(default_factory=list)
    unlabelled: list[Path] = field(default_factory=list)
    orphaned: list[Path] = field(default_factory=list)
    names: dict[Path, str] = field(default_factory=dict)
    labelled_folders: set[str] = field(default_factory=set)

    def name(self, path: Path) -> str:
        return self.names.get(path, path.name)
