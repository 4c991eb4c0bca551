"""Finds the images that a COCO file names, however the tool that wrote it spelled their names."""

import os
import re
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qsl, unquote, urlsplit

from utils.images.formats import is_image
from utils.names import nfc, plain_name
from utils.pairing.file_tree import FileTree, is_kind, list_tree


class ImageFinder:
    """Finder of images in a folder and those below it, never outside. `skip` are folders that are left out."""

    def __init__(self, images_dir: Path, skip: Collection[str] = ()):
        self.images_dir, self.skip = Path(images_dir), skip
        self._tree: FileTree | None = None
        self._by_last: dict[str, list[Path]] = {}
        self.looked_outside = False

    @property
    def tree(self) -> FileTree:
        if self._tree is None:
            self._tree = list_tree(self.images_dir, skip=self.skip)
            by_last = defaultdict(list)
            for name, path in self._tree.files:
                if is_image(path):
                    by_last[name.rpartition("/")[2].casefold()].append(path)
            self._by_last = dict(by_last)
        return self._tree

    def find(self, name: str) -> tuple[Path | None, bool]:
        """Return the image of a name as `plain_name` gives it, and whether the name is exactly its own.

        A name may be a path from a folder above, a URL, have %20 for a space, another case or accents that are
        composed otherwise; then its last part must be there once, in no folder of another name, and the whole must not
        lead to another file.
        """
        path = inside(self.images_dir, name)
        if path and path.is_file():
            self.looked_outside |= "/." in f"/{name}"  # hidden files are listed nowhere
            return path, True
        for text in dict.fromkeys((name, *_unwrapped(name))):
            parts = [part for part in text.split("/") if part not in ("", ".", "..")]
            if not parts or len(parts[-1].encode(errors="replace")) > 255:
                continue
            path, elsewhere = self._from_above(parts)
            if path or elsewhere or self._leads_out(text):
                return path, True
            if found := self._by_last_part(parts):
                return found, False
        return None, False

    def _from_above(self, parts: list[str]) -> tuple[Path | None, bool]:
        """Return the file that a path of several parts leads to from above the folder, or that it leads elsewhere."""
        elsewhere = False
        for start in range(len(parts) - 1):
            end = PurePosixPath(*parts[start:])
            self.looked_outside = True
            for above in self.images_dir.absolute().parents[:4]:
                if (above / end).is_file():
                    path = above / end
                    if path.is_relative_to(self.images_dir.absolute()):
                        return self.images_dir / path.relative_to(self.images_dir.absolute()), False
                    elsewhere = True
        return None, elsewhere

    def _leads_out(self, text: str) -> bool:
        """Check whether a name with .. is that of a file outside."""
        path = self.images_dir / text
        self.looked_outside |= ".." in text.split("/")
        return ".." in text.split("/") and (path.is_file() or Path(os.path.normpath(path)).is_file())

    def _by_last_part(self, parts: list[str]) -> Path | None:
        """Return the file of this name, where no folder speaks against it: one camera's frame 1 is not another's."""
        self.tree  # noqa: B018 - lists the files
        found = self._by_last.get(nfc(parts[-1]).casefold(), [])
        for same in (lambda path: nfc(path.name) == nfc(parts[-1]), lambda path: True):
            if fits := [path for path in found if same(path)]:
                in_folder = [path for path in fits if _folded(path.parent.name) == _folded(parts[-2:][0])]
                fits = in_folder if len(parts) > 1 and len(in_folder) == 1 else fits
                return fits[0] if len(fits) == 1 and self._may_lie_there(fits[0], parts[:-1]) else None
        return None

    def _may_lie_there(self, path: Path, folders: list[str]) -> bool:
        """Check whether the folders of an image and those that its name has agree, as far as both go."""
        above = path.relative_to(self.images_dir).parts[:-1]
        there, named = ([_folded(folder) for folder in of if not is_kind(folder)] for of in (above, folders))
        return all(one == other for one, other in zip(reversed(there), reversed(named), strict=False))


def _folded(name: str) -> str:
    return nfc(name).casefold()


def inside(folder: Path, name: str) -> Path | None:
    """Return the file that a name is of in a folder, None where the name leads out of it."""
    relative = PurePosixPath(name)
    drive = re.match("[A-Za-z]:", name)
    if not relative.parts or relative.is_absolute() or ".." in relative.parts or drive or len(relative.name) > 255:
        return None
    return folder / relative


def _unwrapped(name: str) -> list[str]:
    """Return what a URL, or a name with %20 in it, may mean; Label Studio has a path in the query: ?d=images/a.jpg."""
    texts = [unquote(name)]
    if "?" in name or "://" in name or re.match("[a-z]+:/", name):
        try:
            url = urlsplit(name)
        except ValueError:
            return texts
        texts = [*(value for _, value in parse_qsl(url.query)), unquote(url.path), *texts]
    return [plain_name(text) for text in texts]
