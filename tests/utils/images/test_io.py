"""Images of every kind: `read_image` and `probe_image` agree, and what cannot be read is named."""

import io
import struct
import warnings
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from utils.errors import DatasetError, ToolkitError
from utils.images.formats import is_image
from utils.images.io import probe_image, read_image, read_shrunk, write_image

WIDTH, HEIGHT = 48, 32
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def drawn_image() -> np.ndarray:
    """Four quarters of different colours, so that every orientation looks different."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[:16, :24], image[:16, 24:], image[16:, :24], image[16:, 24:] = RED, GREEN, BLUE, WHITE
    return image


UPRIGHT = {  # EXIF 2.32, 4.6.4: where the stored image's first row and first column belong
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a[::-1].transpose(1, 0, 2),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a[:, ::-1].transpose(1, 0, 2),
}


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def assert_agreement(path):
    image = read_image(path)
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    for decode in (True, False):
        info = probe_image(path, decode=decode)
        assert (info.height, info.width) == image.shape[:2]
    return image, info


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("suffix", "options"), [(".jpg", {"quality": 95, "subsampling": 0}), (".png", {}), (".webp", {"lossless": True}),
                            (".tif", {}), (".tif", {"compression": "tiff_lzw"})]
)  # fmt: skip
def test_every_orientation_is_upright(tmp_path, suffix, options, orientation):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(drawn_image()).save(path, exif=exif(orientation), **options)
    image, info = assert_agreement(path)
    assert np.abs(image.astype(int) - UPRIGHT[orientation](drawn_image())).max() <= 3
    assert (info.stored_width, info.stored_height, info.orientation) == (WIDTH, HEIGHT, orientation)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize(
    ("suffix", "mode"),
    [(".jpg", "L"), (".jpg", "CMYK"), (".png", "L"), (".png", "LA"), (".png", "RGBA"), (".png", "P"), (".png", "1"),
     (".png", "I;16"), (".webp", "RGBA"), (".tif", "L"), (".tif", "RGBA"), (".tif", "P"), (".tif", "CMYK"),
     (".tif", "I;16"), (".tif", "1"), (".bmp", "P"), (".ppm", "RGB"), (".pgm", "L"), (".gif", "P")],
)  # fmt: skip
def test_every_kind_becomes_rgb(tmp_path, suffix, mode, orientation):
    path = tmp_path / f"a{suffix}"
    rgb = Image.fromarray(drawn_image())
    grey = np.asarray(rgb.convert("L"))
    image = Image.fromarray(grey.astype(np.uint16) * 257) if mode == "I;16" else rgb.convert(mode)
    turned = {"exif": exif(orientation)} if suffix in (".jpg", ".png", ".webp", ".tif") else {}
    image.save(path, **turned, **({"lossless": True} if suffix == ".webp" else {}))
    expected = np.dstack([grey] * 3) if mode in ("L", "LA", "I;16") else np.asarray(image.convert("RGB"))
    expected = UPRIGHT[orientation if turned else 1](expected)
    assert np.abs(assert_agreement(path)[0].astype(int) - expected).max() <= 6


def test_sixteen_bits_are_scaled_by_the_range_of_their_type(tmp_path):
    path = tmp_path / "dark.png"
    Image.fromarray(np.full((4, 4), 1000, np.uint16)).save(path)
    assert (read_image(path) == 1000 >> 8).all()


def test_orientations_that_only_one_library_would_believe(tmp_path):
    """XMP says 6 (OpenCV does not care); an eXIf chunk behind the pixels says 6 (Pillow sees it late)."""
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    )
    Image.fromarray(drawn_image()).save(tmp_path / "xmp.jpg", xmp=xmp)
    assert assert_agreement(tmp_path / "xmp.jpg")[0].shape == (HEIGHT, WIDTH, 3)

    buffer = io.BytesIO()
    Image.fromarray(drawn_image()).save(buffer, "PNG")
    data, body = buffer.getvalue(), b"eXIf" + exif(6).removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / "late.png").write_bytes(data[:-12] + chunk + data[-12:])
    image, info = assert_agreement(tmp_path / "late.png")
    assert image.shape == (WIDTH, HEIGHT, 3) and info.orientation == 6


@pytest.mark.parametrize(
    "garbage", [b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0MM\0*", b"nonsense", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"]
)
def test_broken_exif_is_no_orientation(tmp_path, garbage):
    path = tmp_path / "a.jpg"
    Image.fromarray(drawn_image()).save(path, exif=garbage)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Pillow's, on opening
        assert assert_agreement(path)[1].orientation == 1


def test_a_multi_image_jpeg_counts_as_its_first(tmp_path):
    image = Image.fromarray(drawn_image())
    image.save(tmp_path / "phone.jpg", "MPO", save_all=True, append_images=[image.resize((8, 8))], exif=exif(8))
    assert assert_agreement(tmp_path / "phone.jpg")[0].shape == (WIDTH, HEIGHT, 3)


def test_a_format_that_only_opencv_knows(tmp_path):
    cv2.imwrite(str(tmp_path / "a.hdr"), np.ones((6, 4, 3), np.float32))
    assert assert_agreement(tmp_path / "a.hdr")[0].shape == (6, 4, 3)


def test_non_ascii_path_and_one_pixel(tmp_path):
    path = tmp_path / "обучение 训练" / "ö a.b.jpg"
    path.parent.mkdir()
    Image.new("RGB", (1, 1), RED).save(path)
    assert assert_agreement(path)[0].shape == (1, 1, 3)


def test_a_hundred_megapixels_are_no_attack(tmp_path):
    path = tmp_path / "large.png"
    Image.new("1", (10_000, 10_000)).save(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        info = probe_image(path, decode=False)
    assert (info.width, info.height) == (10_000, 10_000)


def test_more_than_opencv_will_decode_is_refused(tmp_path):
    path = tmp_path / "huge.pbm"
    path.write_bytes(b"P4\n40000 40000\n")
    with pytest.raises(DatasetError, match=r"huge\.pbm: 40000x40000 is above the limit"), warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        probe_image(path)
    with pytest.raises(DatasetError, match=r"huge\.pbm: cannot be decoded"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".bmp", ".ppm"])
@pytest.mark.parametrize("cut", [1, 40, 0.5])
def test_truncated_files_are_found(tmp_path, suffix, cut):
    path = tmp_path / f"cut{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * cut)] if cut < 1 else data[:-cut])
    for read in (read_image, probe_image):
        with pytest.raises(DatasetError, match=rf"cut\{suffix}: .*(truncated|damaged)"):
            read(path)


def test_what_cannot_be_read_is_named_with_what_was_found(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "page.jpg").write_text("<!DOCTYPE html><html>")
    (tmp_path / "folder.jpg").mkdir()
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "float.tif")
    for name, found in {
        "missing.jpg": "not found",
        "empty.jpg": "the file is empty",
        "page.jpg": "begin with b'<!DOCTYPE html>",
        "folder.jpg": "is a folder",
        "float.tif": "cannot be decoded",
    }.items():
        for read in (read_image, probe_image):
            with pytest.raises(DatasetError) as error:
                read(tmp_path / name)
            assert str(error.value).startswith(str(tmp_path / name)) and found in str(error.value)


def test_what_counts_as_an_image():
    assert all(is_image(name) for name in ("a.jpg", "b/a.JPEG", "a.b.Png", "a.TIFF", "a.webp", "a.jfif", "a.pgm"))
    assert not any(is_image(name) for name in ("a.xml", "._a.jpg", ".a.png", ".jpg", "jpg", "a.jpg.txt"))


def _smooth(size_hw, mode="RGB"):
    coarse = np.random.default_rng(1).integers(60, 200, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(cv2.resize(coarse, size_hw[::-1], interpolation=cv2.INTER_CUBIC)).convert(mode)


@pytest.mark.parametrize("shrink", [1, 2, 4, 8])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_at_part_of_its_size_is_the_same_image(tmp_path, mode, orientation, shrink):
    path = tmp_path / "a.jpg"
    _smooth((330, 470), mode).save(path, exif=exif(orientation), quality=95)
    whole, part = read_image(path), read_image(path, shrink=shrink)
    assert part.shape == (-(-whole.shape[0] // shrink), -(-whole.shape[1] // shrink), 3)
    expected = cv2.resize(whole, part.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(part.astype(int) - expected).mean() < 3  # colours are decoded coarser still


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp", ".tif"])
def test_other_formats_are_read_whole(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    _smooth((64, 48)).save(path)
    np.testing.assert_array_equal(read_image(path, shrink=4), read_image(path))


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("wanted", [(331, 471), (330, 400), (166, 236), (165, 235), (80, 117), (40, 57), (2, 3)])
def test_a_shrunk_image_has_the_size_and_the_content_that_is_wanted(tmp_path, suffix, wanted):
    path = tmp_path / f"a{suffix}"
    _smooth((331, 471)).save(path)
    found = read_shrunk(path, (331, 471), wanted)
    expected = cv2.resize(read_image(path), wanted[::-1], interpolation=cv2.INTER_AREA)
    assert found.shape == (*wanted, 3)
    if min(wanted) > 2:
        assert np.abs(found.astype(int) - expected).mean() < 3
    if suffix == ".png" or min(wanted) > 166:  # as the model does it
        np.testing.assert_array_equal(found, cv2.resize(read_image(path), wanted[::-1]))


def test_a_image_of_another_size_than_was_scanned_is_named(tmp_path):
    path = tmp_path / "a.jpg"
    _smooth((64, 48)).save(path)
    with pytest.raises(DatasetError, match=r"a\.jpg: has changed.*\(640, 480, 3\), found \(64, 48, 3\)"):
        read_shrunk(path, (640, 480), (100, 75))


def test_images_are_written_whole_or_refused(tmp_path):
    image = np.random.default_rng(2).integers(0, 255, (20, 30, 3), np.uint8)
    write_image(tmp_path / "ü" / "a.png", image)
    assert (read_image(tmp_path / "ü" / "a.png") == image).all()
    with pytest.raises(DatasetError, match="17000x1 cannot be written in this format"):
        write_image(tmp_path / "a.webp", np.zeros((1, 17000, 3), np.uint8))
    with pytest.raises(ToolkitError, match="cannot be written"):
        write_image(tmp_path / "ü" / "a.png" / "b.png", image)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.png", "ü"]
