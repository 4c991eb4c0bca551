"""The predictor without torch prepares images, and treats results, as the model and its predictor do."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from utils.errors import ConfigError, DatasetError
from utils.exported.metadata import ExportMetadata
from utils.exported.predictor import ExportedPredictor, resize

ABOUT = ExportMetadata(
    model_name="m", class_names=("__background__", "a"), img_size=96, long_side=160, max_detections=3, lowest_score=0.05
)


class TwoBoxes:
    """An engine that finds the same two boxes in each image, and keeps what it is given."""

    metadata, title, least_side = ABOUT, "none", 32

    def run(self, images, sizes_hw):
        self.given = images, sizes_hw
        boxes = np.zeros((1, 3, 4), np.float32)
        boxes[0, :2] = [[0, 0, 10, 20], [1, 2, 3, 4]]
        return [boxes, np.array([[0.9, 0.4, 0]], np.float32), np.array([[1, 1, 0]]), np.array([2])]


@pytest.mark.parametrize("size_hw", [(97, 131), (480, 640), (40, 30), (96, 96), (700, 211), (33, 1000), (1, 1)])
def test_images_are_resized_as_torch_does(size_hw):
    image = np.random.default_rng(0).integers(0, 255, (*size_hw, 3), np.uint8)
    scale = min(96 / min(size_hw), 160 / max(size_hw))
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
    expected = F.interpolate(tensor, scale_factor=scale, mode="bilinear", recompute_scale_factor=True)
    np.testing.assert_allclose(resize(image, 96, 160).transpose(2, 0, 1), expected[0].numpy(), atol=2e-5)


def test_the_graph_gets_a_padded_image_and_boxes_come_back_in_its_pixels():
    predictor = ExportedPredictor(TwoBoxes())
    (found,) = predictor([np.full((192, 240, 3), 255, np.uint8)])
    images, sizes_hw = predictor.engine.given
    assert images.shape == (1, 3, 96, 128) and images.dtype == np.float32 and sizes_hw.tolist() == [[96, 120]]
    assert (images[..., :120] == 1).all() and not images[..., 120:].any()
    assert found.boxes.tolist() == [[0, 0, 20, 40], [2, 4, 6, 8]] and found.labels.tolist() == [1, 1]


def test_limits():
    predictor = ExportedPredictor(TwoBoxes(), img_size=64, max_detections=1)
    assert predictor.padded_hw((100, 100)) == (64, 64) and predictor.max_detections == 1
    predictor.detect_from(0.5)
    assert [len(found) for found in predictor([np.zeros((50, 50, 3), np.uint8)] * 2)] == [1, 1]
    assert predictor.capped == 2
    with pytest.raises(ConfigError, match="has room for 3"):
        ExportedPredictor(TwoBoxes(), max_detections=4)
    with pytest.raises(DatasetError, match="too thin"):
        predictor([np.zeros((1, 2000, 3), np.uint8)])


def test_metadata_survives_and_what_is_no_metadata_is_refused():
    about = ExportMetadata(**vars(ABOUT) | {"pixel_range": (0, 4095), "class_names": ("__background__", 'ü<"')})
    texts = about.to_strings()
    assert ExportMetadata.from_strings(texts) == about
    for changed, message in (
        ({"toolkit_export": "9"}, "format 9"),
        ({"class_names": "[]"}, "class_names"),
        ({"img_size": "-1"}, "img_size"),
        ({"img_size": "{"}, "no JSON"),
        ({"pixel_range": "[3]"}, "pixel_range"),
        ({"thresholds": "{}"}, "thresholds"),
        ({"lowest_score": '"x"'}, "lowest_score"),
    ):
        with pytest.raises(ValueError, match=message):
            ExportMetadata.from_strings(texts | changed)
    with pytest.raises(ValueError, match="not from export.py"):
        ExportMetadata.from_strings({})
    with pytest.raises(ValueError, match="lacks img_size"):
        ExportMetadata.from_strings({key: text for key, text in texts.items() if key != "img_size"})
