"""Finds the files that the lines of a split list (ImageSets/Main/train.txt) mean."""

import re
from collections import defaultdict
from collections.abc import Iterable

from utils.annotations.annotation import Findings
from utils.images.formats import is_image
from utils.names import nfc
from utils.pairing.file_tree import folder_of, placeless, stem_of


def listed_names(scan: Findings, lines: Iterable[str], known: Iterable[str], source: str) -> set[str]:
    """Return those of `known`, relative names with or without suffix, that the lines of a split list mean.

    A line is a name, perhaps with folders above, the image's extension, or VOC's second column. It may lack the
    folders of a name that is there once. What means no file, or several, is a finding, which ends with `source`.
    """
    index = _Index(known)
    result = set()
    for line in dict.fromkeys(lines):
        found = index.find(line)
        if len(found) == 1:
            result |= set(found)
        elif found:
            shown = ", ".join(found[:4]) + ", …" * (len(found) > 4)
            scan.add("listed-missing", f"{line}: listed, but it may be any of {shown}: expected the folder in the line")
        else:
            scan.add("listed-missing", f"{line}: listed, but {source}")
    return result


class _Index:
    """Relative names by what a line may call them."""

    def __init__(self, names: Iterable[str]):
        self.names = set(names)
        self.folded: dict[str, set[str]] = defaultdict(set)  # by the whole name, folders of a kind left out
        self.last: dict[str, set[str]] = defaultdict(set)  # by the name without folders
        self.folders: set[str] = set()
        for name in self.names:
            short = placeless(name).casefold()
            self.folded[short].add(name)
            self.last[short.rpartition("/")[2]].add(name)
            self.folders.update(folder_of(short).split("/"))

    def find(self, line: str) -> list[str]:
        """Return the names that a line may mean. The whole line comes first, since stems may hold spaces and dots."""
        line = nfc(line.strip().lstrip("\ufeff"))
        for text in (line, re.sub(r"\s+(-1|0|1)$", "", line)):
            parts = [part for part in text.replace("\\", "/").split("/") if part not in ("", ".")]
            if parts and (found := self._below(parts) or self._anywhere("/".join(parts))):
                return found
        return []

    def _below(self, parts: list[str]) -> list[str]:
        """Return a name that is the path's end; a folder of the path that is one of the names' is not overlooked."""
        for start in range(len(parts)):
            if start and parts[start - 1].casefold() in self.folders:
                return []
            for name in _with_and_without_suffix("/".join(parts[start:])):
                if name in self.names:
                    return [name]
                if len(found := self.folded.get(placeless(name).casefold(), ())) == 1:
                    return list(found)
        return []

    def _anywhere(self, path: str) -> list[str]:
        """Return names that end with the path."""
        for name in _with_and_without_suffix(placeless(path).casefold()):
            found = [
                n for n in self.last.get(name.rpartition("/")[2], ()) if placeless(n).casefold().endswith(f"/{name}")
            ]
            if found:
                return sorted(found)
        return []


def _with_and_without_suffix(name: str) -> list[str]:
    return [name, stem_of(name)] if is_image(name) else [name]
