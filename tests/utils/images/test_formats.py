"""Formats of images: those that are read beside the usual ones, and what is said of those that are not."""

import cv2
import numpy as np
import pytest
from PIL import Image

from support.reading import read_voc
from support.voc_files import CLASSES, element, write_image, xml
from utils.errors import DatasetError
from utils.images.formats import frames_in, is_image, unread_format
from utils.images.io import probe_image, read_image
from utils.inference.sources import find_images

TOP_RED = np.zeros((40, 60, 3), np.uint8)
TOP_RED[:20] = (240, 20, 10)
TOP_RED[20:, 30:] = (10, 30, 230)


@pytest.mark.parametrize("suffix", [".avif", ".gif", ".jp2", ".webp", ".png", ".tiff"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_colours_are_right_whatever_the_format_and_alpha(tmp_path, suffix, mode):
    image = Image.fromarray(TOP_RED).convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.new("L", (60, 40), 255 if suffix == ".tiff" else 200))  # OpenCV multiplies a TIFF by it
    path = tmp_path / f"a{suffix.upper()}"
    image.save(path)
    expected = np.array(Image.fromarray(TOP_RED).convert("L").convert("RGB")) if mode == "L" else TOP_RED
    found = read_image(path)
    assert is_image(path) and found.shape == (40, 60, 3) and found.dtype == np.uint8
    for y, x in ((8, 10), (8, 50), (32, 10), (32, 50)):  # off the edges, which are blurred
        np.testing.assert_allclose(found[y, x].astype(int), expected[y, x], atol=12)
    info = probe_image(path)
    assert (info.width, info.height, info.frames) == (60, 40, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_avif_is_turned_as_it_says(tmp_path, orientation):
    for name in ("a.avif", "a.jpg"):
        tags = Image.Exif()  # anew: to save an AVIF takes the orientation out
        tags[0x0112] = orientation
        Image.fromarray(TOP_RED).save(tmp_path / name, exif=tags, quality=100)
    found, expected = read_image(tmp_path / "a.avif"), read_image(tmp_path / "a.jpg")
    assert found.shape == expected.shape and np.abs(found.astype(int) - expected).mean() < 4
    infos = [probe_image(tmp_path / name) for name in ("a.avif", "a.jpg")]
    sizes = [(i.width, i.height, i.stored_width, i.stored_height, i.orientation) for i in infos]
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("suffix", [".gif", ".avif", ".webp", ".png", ".tif"])
def test_of_several_frames_the_first_is_used_and_reported(tmp_path, suffix):
    first, others = Image.fromarray(TOP_RED), [Image.new("RGB", (60, 40), (i, 255, i)) for i in (9, 99)]
    path = tmp_path / f"a{suffix}"
    first.save(path, save_all=True, append_images=others)
    (tmp_path / "a.xml").write_text(xml(element(), size=(60, 40)))
    np.testing.assert_allclose(read_image(path)[8, 10].astype(int), TOP_RED[8, 10], atol=12)
    assert frames_in(path) == probe_image(path).frames == 3
    scan = read_voc(tmp_path, tmp_path, CLASSES, progress=False)
    assert [(f.check, f.text) for f in scan.findings] == [("first-frame", f"a{suffix}: the first of 3 frames")]
    assert len(scan.annotations) == 1


@pytest.mark.parametrize(
    ("dtype", "channels", "message"),
    [
        (np.float32, 1, "a TIFF of 32-bit floating-point samples"),
        (np.float32, 3, "a TIFF of 32-bit floating-point samples"),
        (np.float64, 1, "a TIFF of 64-bit floating-point samples"),
        (np.int32, 1, "a TIFF of 32-bit samples"),
    ],
)
def test_a_tiff_without_a_range_says_what_it_is(tmp_path, capfd, dtype, channels, message):
    path = tmp_path / "a.tif"
    pixels = (np.random.default_rng(0).random((30, 40, channels)) * 9).astype(dtype)
    if channels == 1 and dtype != np.float64:
        Image.fromarray(pixels[..., 0]).save(path)
    else:
        assert cv2.imwrite(str(path), pixels)
    capfd.readouterr()
    for read in (read_image, probe_image):
        with pytest.raises(DatasetError) as error:
            read(path)
        assert str(error.value).startswith(f"{path}: cannot be decoded as an image; it is {message}")
        assert "scale them to 8 or 16 bits" in str(error.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_of_8_or_16_bits_is_read(tmp_path, dtype):
    cv2.imwrite(str(tmp_path / "a.tif"), np.full((30, 40, 3), np.iinfo(dtype).max // 2, dtype))
    assert abs(int(read_image(tmp_path / "a.tif")[3, 3, 0]) - 127) <= 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", ": a HEIF image, which is not read: convert it"),
        (b"%PDF-1.7 ...", ": a document"),
        (b"8BPS\0\x01", ": a Photoshop document"),
        (b'<?xml version="1.0"?><svg xmlns="x"/>', ": a drawing without pixels"),
        (b"<!DOCTYPE html><title>404</title>", ": a web page: take the image from its source again"),
        (b"version https://git-lfs.github.com/spec/v1\noid", ": a pointer of Git LFS"),
        (b"", "the file is empty"),
        (b"\x01\x02\x03 something", "damaged, truncated, or no image"),
    ],
)
@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_a_file_that_is_no_image_says_what_it_is(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    for read in (read_image, probe_image):
        with pytest.raises(DatasetError) as error:
            read(tmp_path / name)
        assert str(error.value).startswith(f"{tmp_path / name}: ") and message in str(error.value)


@pytest.mark.parametrize("content", [b"GIF89a", b"GIF89a\x10\0\x10\0\0\0\0;", b"\0\0\0\x1cftypavif\0\0\0\0"])
def test_a_damaged_gif_or_avif_is_an_error_that_names_it(tmp_path, content):
    (tmp_path / "a.gif").write_bytes(content)
    for read in (read_image, probe_image):
        with pytest.raises(DatasetError, match="a.gif: "):
            read(tmp_path / "a.gif")


def test_a_link_to_nothing_is_called_so(tmp_path):
    (tmp_path / "a.jpg").symlink_to(tmp_path / "gone.jpg")
    with pytest.raises(DatasetError, match=r"a\.jpg: is a link to .*gone\.jpg, which is not there"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("name", ["a.heic", "a.HEIF", "b/a.dng", "a.psd", "a.svg", "a.pdf", "a.NEF"])
def test_names_of_formats_that_are_not_read(name):
    assert "convert it" in unread_format(name) and not is_image(name)


def test_what_inference_leaves_out_is_reported_by_format(tmp_path):
    write_image(tmp_path / "a.jpg")
    write_image(tmp_path / "b.gif")
    for name in ("c.heic", "d.dng", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    found, notes = find_images(str(tmp_path))
    assert [source.name.name for source in found] == ["a.jpg", "b.gif"]
    assert notes[0].startswith(
        f"2 images of formats that are not read are left out, such as {tmp_path / 'c.heic'}: a HEIF"
    )
    assert notes[1:] == [f"1 files that are no images are left out, such as {tmp_path / 'notes.txt'}"]
    (tmp_path / "only").mkdir()
    (tmp_path / "only/c.heic").write_bytes(b"x")
    with pytest.raises(DatasetError, match=r"it holds 1 other files \(\.heic\); .*c\.heic: a HEIF image"):
        find_images(str(tmp_path / "only"))
