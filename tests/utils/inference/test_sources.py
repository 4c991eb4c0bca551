"""The meaning of --input, and the names of results."""

import os
from pathlib import Path

import pytest

from utils.errors import DatasetError
from utils.inference.sources import annotation_names, find_images, result_names


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in (
        "a10.jpg",
        "a2.JPG",
        "b.png",
        "notes.md",
        "sub/a2.jpg",
        "sub/deep er/c.tif",
        ".hidden.jpg",
        "sub/.x/d.jpg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(source, **options):
    images, notes = find_images(str(source), **options)
    assert all(image.path.is_file() for image in images)
    return [image.name.as_posix() for image in images], notes


def test_one_image(tree):
    assert names("sub/a2.jpg") == (["a2.jpg"], [])
    assert names(tree / "b.png") == (["b.png"], [])


def test_a_folder_with_all_below_it(tree):
    found, notes = names(tree)
    assert found == ["a2.JPG", "a10.jpg", "b.png", "sub/a2.jpg", "sub/deep er/c.tif"]
    assert len(notes) == 1 and "1 files that are no images" in notes[0] and "notes.md" in notes[0]
    assert names("./sub/../sub/")[0] == ["a2.jpg", "deep er/c.tif"]


def test_earlier_results_are_not_taken_for_input(tree):
    assert names(tree, exclude=[Path("sub"), Path("not there")])[0] == ["a2.JPG", "a10.jpg", "b.png"]
    assert names("sub", exclude=[Path("sub")])[0] == ["a2.jpg", "deep er/c.tif"]  # but when they are asked for


def test_patterns(tree):
    assert names("a*.jpg")[0] == ["a10.jpg"]
    assert names("*/a2.jpg")[0] == ["sub/a2.jpg"]
    assert names(str(tree / "**" / "*2.jpg"))[0] == ["sub/a2.jpg"]
    assert names("sub/**")[0] == ["a2.jpg", "deep er/c.tif"]
    assert names("[ab]*")[0] == ["a2.JPG", "a10.jpg", "b.png"]
    assert names("sub/**.jpg")[0] == ["a2.jpg"]  # as a shell reads it: of any depth only where ** stands alone


def test_the_home_folder_in_quotes(tree, monkeypatch):
    monkeypatch.setenv("HOME", str(tree))
    monkeypatch.setenv("USERPROFILE", str(tree))
    assert names("~/a*.jpg")[0] == ["a10.jpg"]
    assert names("~/sub")[0] == ["a2.jpg", "deep er/c.tif"]


def test_a_name_with_brackets_is_a_file_where_it_exists(tree):
    (tree / "x[1].jpg").touch()
    assert names("x[1].jpg")[0] == ["x[1].jpg"]


def test_lists(tree):
    (tree / "sub" / "list.txt").write_text("a2.jpg\n\n  b.png \ndeep er/c.tif\na2.jpg\n", encoding="utf-8-sig")
    found, notes = names("sub/list.txt")
    assert found == ["sub/a2.jpg", "b.png", "sub/deep er/c.tif"]  # b.png is in the working directory
    assert notes == ["1 lines of sub/list.txt repeat an earlier one"]


def test_a_link_keeps_its_own_name(tree):
    (tree / "link.jpg").symlink_to(tree / "sub" / "a2.jpg")
    assert "link.jpg" in names(tree)[0]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("missing.jpg", r"missing.jpg: no such file or folder; .* has: a2.JPG, a10.jpg, b.png"),
        ("missing/deep/x.jpg", "no such file or folder; .* has: a2.JPG"),
        ("*.gif", r"matches nothing; .* has: a2.JPG"),
        ("*.md", "matches no image, but 1 others such as notes.md"),
        ("empty", "no image in this folder or below; it holds no files"),
        ("words", r"it holds 1 other files \(.txt\)"),
        ("film.mp4", "a video; use inference_video.py"),
        ("blank.txt", "expected one image path per line, found no lines"),
        ("latin.txt", "cannot be read as a list of images in UTF-8"),
    ],
)
def test_what_cannot_be_used_says_what_is_there(tree, source, message):
    (tree / "empty").mkdir()
    (tree / "words").mkdir()
    (tree / "words" / "x.txt").touch()
    (tree / "film.mp4").touch()
    (tree / "blank.txt").write_text("\n \n")
    (tree / "latin.txt").write_bytes("Größe.jpg".encode("latin-1"))
    with pytest.raises(DatasetError, match=message):
        find_images(source)


def test_no_two_results_share_a_name():
    given = [Path(name) for name in ("a.jpg", "a.png", "s/a.jpg", "a.gif", "a.gif.png", "a.pgm", "b.JPEG", "b")]
    results = [path.as_posix() for path in result_names(given)]
    assert results == ["a.jpg", "a.png", "s/a.jpg", "a.gif.2.png", "a.gif.png", "a.pgm.png", "b.JPEG", "b.png"]


def test_annotations_are_paired_by_stem_where_it_is_the_only_one():
    given = [Path(name) for name in ("a.jpg", "a.png", "s/a.jpg", "b.c.jpg", "d.jpg", "d.jpg.png")]
    found = [path.as_posix() for path in annotation_names(given)]
    assert found == ["a.jpg.xml", "a.png.xml", "s/a.xml", "b.c.xml", "d.xml", "d.jpg.png.xml"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_may_not_be_listed(tree):
    (tree / "sub").chmod(0)
    try:
        with pytest.raises(DatasetError, match="cannot be listed"):
            find_images(str(tree))
    finally:
        (tree / "sub").chmod(0o755)
