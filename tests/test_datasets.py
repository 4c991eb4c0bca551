"""Samples as torchvision wants them, the same whatever the number of workers, different every epoch."""

import cv2
import numpy as np
import pytest
import torch

from datasets import DetectionDataset, EpochSampler, build_loader
from utils.annotations import Annotation
from utils.errors import DatasetError


@pytest.fixture
def annotations(tmp_path):
    rng = np.random.default_rng(0)
    made = []
    for number, (width, height) in enumerate([(200, 150), (150, 220), (640, 480), (90, 90), (320, 100), (200, 150)]):
        image = rng.integers(0, 256, (height // 10, width // 10, 3), dtype=np.uint8)
        path = tmp_path / f"im {number}.png"
        cv2.imwrite(str(path), cv2.resize(image, (width, height)))
        count = number % 3  # the first and the fourth have no objects
        boxes = np.array([[10, 10, width / 2, height / 2], [width / 3, 20, width - 5.5, height]], np.float32)[:count]
        labels = np.arange(1, count + 1)
        made.append(Annotation(path, width, height, boxes, labels, np.zeros(count, bool)))
    return made


def epochs_of(annotations, workers, epochs=(1, 2), preset="train", seed=7):
    data = DetectionDataset(annotations, img_size=96, training=True, use_mosaic=True, preset=preset, seed=seed)
    loader = build_loader(data, batch_size=2, workers=workers)
    result = []
    for epoch in epochs:
        loader.sampler.epoch = epoch
        result.append(
            [(image, target) for images, targets in loader for image, target in zip(images, targets, strict=True)]
        )
    return result


def same(first, second):
    return all(
        torch.equal(image, other) and all(torch.equal(target[key], there[key]) for key in target)
        for (image, target), (other, there) in zip(first, second, strict=True)
    )


def test_samples_do_not_depend_on_workers_and_change_with_epoch_and_seed(annotations):
    torch.manual_seed(1)
    np.random.seed(1)
    alone = epochs_of(annotations, workers=0)
    torch.manual_seed(2)
    np.random.seed(2)
    shared = epochs_of(annotations, workers=2)
    assert same(alone[0], shared[0]) and same(alone[1], shared[1])
    by_id = [{int(t["image_id"]): image for image, t in epoch} for epoch in alone]
    assert sorted(by_id[0]) == sorted(by_id[1]) == list(range(6))
    assert not any(torch.equal(by_id[0][i], by_id[1][i]) for i in range(6))
    assert [int(t["image_id"]) for _, t in alone[0]] != [int(t["image_id"]) for _, t in alone[1]]
    assert same(epochs_of(annotations, workers=0, epochs=(2,))[0], alone[1])  # an epoch needs none before it
    assert not same(epochs_of(annotations, workers=0, seed=8)[0], alone[0])


def test_types_are_what_torchvision_wants(annotations):
    for image, target in epochs_of(annotations, 0, epochs=range(8))[0]:
        assert image.dtype == torch.uint8 and image.shape[0] == 3 and image.is_contiguous()
        assert target["boxes"].dtype == torch.float32 and target["boxes"].shape == (len(target["labels"]), 4)
        assert target["labels"].dtype == torch.int64
        x1, y1, x2, y2 = target["boxes"].unbind(1)
        assert (x1 >= 0).all() and (x2 <= image.shape[2]).all() and (y2 <= image.shape[1]).all()
        assert (x1 < x2).all() and (y1 < y2).all()


def test_evaluation_reads_images_as_they_are(annotations):
    data = DetectionDataset(annotations, img_size=96, training=False)
    for index, annotation in enumerate(annotations):
        image, target = data[index]
        assert tuple(image.shape) == (3, annotation.height, annotation.width)
        np.testing.assert_array_equal(target["boxes"], annotation.boxes)
        reference = cv2.imread(str(annotation.image_path))[:, :, ::-1]
        np.testing.assert_array_equal(image.permute(1, 2, 0), reference)


def test_training_images_are_shrunk_to_what_the_model_uses_and_never_enlarged(annotations):
    data = DetectionDataset(annotations, img_size=96, training=True)
    assert data[(0, 2)][0].shape == (3, 96, 128)  # 640x480
    assert data[(0, 3)][0].shape == (3, 90, 90)
    assert data[(0, 4)][0].shape == (3, 50, 160)  # 320x100: the long side is bound by 96 * 1333 / 800 = 160


def test_shrinking_gives_the_models_own_pixels(annotations):
    """What the data set makes small is, to rounding, what GeneralizedRCNNTransform would make of the whole image."""
    from torchvision.models.detection.transform import GeneralizedRCNNTransform

    transform = GeneralizedRCNNTransform(96, 160, [0.0] * 3, [1.0] * 3)
    whole, target = DetectionDataset(annotations, img_size=96, training=False)[2]
    expected, boxes = transform([whole / 255], [target])
    data = DetectionDataset(annotations, img_size=96, training=True)
    epoch = next(e for e in range(9) if data[(e, 2)][1]["boxes"][0, 0] < 10)  # one in which it is not flipped
    image, small = data[(epoch, 2)]
    np.testing.assert_allclose(image / 255, expected.tensors[0, :, : image.shape[1], : image.shape[2]], atol=1.01 / 255)
    np.testing.assert_allclose(small["boxes"], boxes[0]["boxes"], atol=1e-4)


def test_mosaics_name_all_their_files(annotations):
    data = DetectionDataset(annotations, img_size=96, training=True, use_mosaic=True)
    targets = [data[(epoch, 1)][1] for epoch in range(20)]
    counts = {len(data.names_of(target)) for target in targets}
    assert counts == {1, 4}
    assert all(data.names_of(target)[0].endswith("im 1.png") for target in targets)
    plain = DetectionDataset(annotations, img_size=96, training=True)
    assert {len(plain[(epoch, 1)][1]["sources"]) for epoch in range(20)} == {1}


def test_a_file_that_changed_since_it_was_scanned_is_named(annotations):
    data = DetectionDataset(annotations, img_size=96, training=False)
    path = annotations[1].image_path
    cv2.imwrite(str(path), np.zeros((5, 5, 3), np.uint8))
    with pytest.raises(DatasetError, match=r"im 1\.png: has changed.*150.*5, 5"):
        data[1]
    path.unlink()
    with pytest.raises(DatasetError, match=r"im 1\.png"):
        data[1]


def test_the_order_is_a_permutation_of_the_epoch():
    sampler = EpochSampler(50, seed=1)
    orders = []
    for epoch in (1, 2):
        sampler.epoch = epoch
        keys = list(sampler)
        assert {e for e, _ in keys} == {epoch}
        orders.append([i for _, i in keys])
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(50)) and orders[0] != orders[1]


def test_one_image_is_a_data_set(annotations):
    data = DetectionDataset(annotations[1:2], img_size=96, training=True, use_mosaic=True, preset="train")
    loader = build_loader(data, batch_size=4, workers=0)
    assert [len(images) for images, _ in loader] == [1]
