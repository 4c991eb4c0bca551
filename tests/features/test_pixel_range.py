"""Images of more than eight bits: reported where little is left of them, stretched alike in training and inference."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from convert_dataset import arguments, main
from datasets import DetectionDataset
from models import Detector, create_model
from models.predictors import load_predictor
from models.training_model import resume_model
from support.clean_sets import drawn_image, objects_of, write_clean_set, write_yaml
from support.small_models import SMALL, checkpoint_of, resumed_settings
from torch_utils.runs.saver import save_weights
from utils.checks.report.thumbnails import Wanted, make_thumbnails
from utils.cli.settings import TrainSettings
from utils.config.config import load_config
from utils.dataset.scan import scan_splits
from utils.errors import ConfigError
from utils.images.cache import open_cache
from utils.images.io import probe_image, read_image, read_shrunk
from utils.images.pixel_range import UsedValues, problem_with, suggested_range
from utils.inference.read_ahead import read_ahead
from utils.inference.sources import SourceImage
from utils.runs.best_epoch import BestEpoch
from utils.runs.previews import _shrunk

CPU = torch.device("cpu")


def deep(bits=12, colour=True, offset=0):
    """A ramp over all values of so many bits, one colour stronger than the next: uint16, RGB or grey."""
    ramp = np.linspace(0, 2**bits - 1, 60 * 80).reshape(60, 80)
    image = np.stack([ramp, ramp / 2, ramp / 4], -1) if colour else np.stack([ramp] * 3, -1)
    return image.round().astype(np.uint16) + np.uint16(offset)


def write(path, image):
    done, data = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    assert done
    path.write_bytes(data.tobytes())
    return path


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.ppm", "a.jp2"])
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_the_range_becomes_black_to_white_in_every_format(tmp_path, name, bits):
    image = deep(bits)
    path = write(tmp_path / name, image)
    expected = image.astype(float) * 255 / (2**bits - 1)
    found = read_image(path, pixel_range=(0, 2**bits - 1))
    assert found.dtype == np.uint8 and np.abs(found - expected).max() <= (0.51 if name != "a.jp2" else 2)
    plain = read_image(path)  # without a range: the upper eight bits, as ever
    assert np.abs(plain - image / 256.0).max() <= 1.5
    info = probe_image(path)
    assert info.used is not None and info.used.high == pytest.approx(2**bits - 1, rel=0.03) and info.used.low < 30


def test_grey_alpha_and_outliers(tmp_path):
    grey = deep(12, colour=False)
    (tmp_path / "g.png").write_bytes(cv2.imencode(".png", grey[..., 0])[1].tobytes())
    assert np.abs(read_image(tmp_path / "g.png", pixel_range=(0, 4095)) - grey * (255 / 4095)).max() <= 0.51
    bgra = np.dstack([deep(12)[..., ::-1], np.full((60, 80), 65535, np.uint16)])
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", bgra)[1].tobytes())
    assert np.abs(read_image(tmp_path / "a.png", pixel_range=(0, 4095)) - deep(12) * (255 / 4095)).max() <= 0.51
    hot = deep(12)
    hot[5, 5] = 65535  # a dead pixel neither hides the rest nor wraps around
    path = write(tmp_path / "hot.png", hot)
    assert probe_image(path).used.high <= 4095
    assert read_image(path, pixel_range=(0, 4095))[5, 5].tolist() == [255] * 3


def test_thermal_images_in_a_narrow_band(tmp_path):
    path = write(tmp_path / "t.png", deep(11, colour=False, offset=29000))
    used = probe_image(path).used
    assert 29000 <= used.low < 29010 and 31030 < used.high <= 31047
    assert "PIXEL_RANGE: [290" in problem_with([used], None)
    found = read_image(path, pixel_range=suggested_range([used]))
    assert found.min() == 0 and found.max() == 255


def test_eight_bits_stay_as_they_are(tmp_path):
    image = drawn_image(3)
    for name in ("a.png", "a.jpg", "a.tif", "a.bmp"):
        (tmp_path / name).write_bytes(cv2.imencode(Path(name).suffix, image)[1].tobytes())
        assert (read_image(tmp_path / name, pixel_range=(0, 4095)) == read_image(tmp_path / name)).all()
        assert probe_image(tmp_path / name).used is None


def test_what_is_reported():
    full, twelve = UsedValues(0, 60000), UsedValues(3, 4000)
    assert problem_with([full], None) is None and problem_with([full, twelve], None) is None  # as many bright ones
    assert "the values 3 to 4000, of which eight bits keep about 16 shades; `PIXEL_RANGE: [0, 4095]`" in (
        problem_with([twelve, twelve], None)
    )
    assert problem_with([twelve], (0, 4095)) is None
    assert "1 of them use values outside of PIXEL_RANGE [0, 4095], in all 0 to 60000" in problem_with(
        [twelve, full], (0, 4095)
    )
    assert "eight bits keep about" in problem_with([twelve], (0, 65535))
    assert problem_with([full, twelve, twelve], None).startswith("2 of them: used are the values 3 to 4000")
    hot, cold = UsedValues(29000, 31000), UsedValues(41000, 43000)  # narrow each, wide together
    assert "PIXEL_RANGE: [29000, 43000]" in problem_with([hot, cold], None)
    assert problem_with([hot, cold], (29000, 43000)) is None
    assert problem_with([UsedValues(7, 7)], None)  # an image of one value


def deep_set(folder, extra=""):
    """The clean set as 12-bit images."""
    write_clean_set(folder)
    for path in sorted(folder.glob("t*/*.jpg")):
        image = cv2.imread(str(path))[..., ::-1].astype(np.uint16) * 16
        write(path.with_suffix(".png"), image)
        path.unlink()
    return load_config(write_yaml(folder, extra=extra))


def test_training_the_cache_the_images_and_inference_see_the_same(tmp_path):
    config = deep_set(tmp_path, "PIXEL_RANGE: [0, 4095]\n")
    assert config.pixel_range == (0, 4095)
    scans = scan_splits(config, progress=False)
    annotations = scans["train"].annotations
    path = annotations[0].image_path
    wanted = read_image(path, pixel_range=(0, 4095))
    assert wanted.mean() > 60 and read_image(path).max() < 17
    val_set = DetectionDataset(annotations, img_size=300, training=False, pixel_range=config.pixel_range)
    assert (val_set.load(0).image == wanted).all()
    train = DetectionDataset(annotations, img_size=300, training=True, pixel_range=config.pixel_range)
    assert (train.load(0).image == wanted).all()
    assert (read_shrunk(path, (300, 400), (150, 200), pixel_range=(0, 4095)).mean()) == pytest.approx(
        wanted.mean(), abs=1
    )
    assert (_shrunk(annotations[0], config.pixel_range)[0] == wanted).all()
    (drawn,) = make_thumbnails([Wanted(path, ())], pixel_range=config.pixel_range, progress=False)
    assert cv2.imdecode(np.frombuffer(drawn.jpeg, np.uint8), 1).mean() > 60
    ((_, decoded),) = read_ahead(
        [SourceImage(path, Path(path.name))], threads=1, ahead=1, megapixels=1e3, pixel_range=config.pixel_range
    )
    assert (decoded == wanted).all()
    # The disk's cache of another range is another file.
    names = set()
    for pixel_range in (None, (0, 4095), (0, 8191)):
        data = DetectionDataset(annotations, img_size=300, training=True, pixel_range=pixel_range)
        data.cache = open_cache("disk", data.annotations, data.stored_hw, root=tmp_path / "c", pixel_range=pixel_range)
        names.add(data.cache.path)
        assert (data.load(0).image == read_image(path, pixel_range=pixel_range)).all()
        assert (data.load(0).image == read_image(path, pixel_range=pixel_range)).all()  # from its slot
    assert len(names) == 3


def test_near_duplicates_are_looked_for_in_what_the_images_show(tmp_path):
    """As eight bits these twelve-bit images would be black, and so all alike."""
    scans = scan_splits(deep_set(tmp_path), progress=False)
    thumbnails = [np.frombuffer(thumbnail, np.uint8) for thumbnail in scans["train"].thumbnails]
    assert len({thumbnail.tobytes() for thumbnail in thumbnails}) == 6 and all(
        thumbnail.std() > 20 for thumbnail in thumbnails
    )


def test_the_checkpoint_keeps_the_range_and_a_resumed_run_must_agree(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    config = deep_set(folder, "PIXEL_RANGE: [0, 4095]\n")
    settings = TrainSettings(config="x.yaml", model=SMALL)
    model = create_model(SMALL, 3, img_size=96)
    path = tmp_path / "best_model.pth"
    save_weights(path, settings, config, model, BestEpoch({"epoch": 1}))
    predictor, _ = load_predictor(path, CPU)
    assert predictor.pixel_range == (0, 4095)
    image = sorted(folder.glob("train/*.png"))[0]
    found = Detector(path, device="cpu")(image)
    assert (found.image == read_image(image, pixel_range=(0, 4095))).all()
    resumed = checkpoint_of(tmp_path)
    with pytest.raises(ConfigError, match=r"PIXEL_RANGE: the run has none, .* has \[0, 4095\]"):
        resume_model(resumed_settings(), config, resumed)


def test_a_converted_set_keeps_the_range(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    config = deep_set(folder, "PIXEL_RANGE: [0, 4095]\n")
    assert main(arguments(["--config", str(config.path), "--to", "coco", "--output", str(tmp_path / "out")])) == 0
    assert yaml.safe_load((tmp_path / "out" / "dataset.yaml").read_text())["PIXEL_RANGE"] == [0, 4095]


@pytest.mark.parametrize("value", ["4095", "[0]", "[5, 5]", "[-1, 9]", "[0, 70000]", "[0, 1.5]", "[a, b]", "[true, 2]"])
def test_a_range_that_is_none(tmp_path, value):
    write_clean_set(tmp_path)
    with pytest.raises(ConfigError, match="PIXEL_RANGE: expected two whole numbers from 0 to 65535"):
        load_config(write_yaml(tmp_path, extra=f"PIXEL_RANGE: {value}\n"))


def test_objects_of_the_set_are_kept(tmp_path):
    scans = scan_splits(deep_set(tmp_path), progress=False)
    assert [len(a.labels) for a in scans["train"].annotations] == [len(objects_of(f"a{n}")) for n in range(6)]
    assert not scans["train"].findings and len(scans["train"].used) == 6
