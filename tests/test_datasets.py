"""Samples as torchvision wants them, the same whatever the number of workers, different every epoch."""

import cv2
import numpy as np
import pytest
import torch

from datasets import DetectionDataset, TrainBatchSampler, build_loader
from utils.annotations.annotation import Annotation
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


def epochs_of(annotations, workers, epochs=(1, 2), augment=("mosaic", "train"), seed=7, repeats=None):
    data = DetectionDataset(annotations, img_size=96, training=True, augment=augment, seed=seed)
    loader = build_loader(data, batch_size=2, workers=workers, repeats=repeats)
    result = []
    for epoch in epochs:
        loader.batch_sampler.epoch = epoch
        result.append(
            [(image, target) for images, targets in loader for image, target in zip(images, targets, strict=True)]
        )
    return result


def same(first, second):
    return all(
        torch.equal(image, other)
        and target.keys() == there.keys()
        and all(torch.equal(torch.as_tensor(target[key]), torch.as_tensor(there[key])) for key in target)
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


@pytest.mark.parametrize("augment", [("mosaic", "mixup", "copy-paste", "multi-scale"), ("copy-paste", "lsj", "train")])
def test_every_augmentation_is_decided_by_seed_and_key(annotations, augment):
    repeats = np.array([1, 2.5, 1, 1.25, 1, 1])
    alone = epochs_of(annotations, workers=0, augment=augment, repeats=repeats)
    shared = epochs_of(annotations, workers=2, augment=augment, repeats=repeats)
    assert len(alone[0]) == len(alone[1]) == 8
    assert same(alone[0], shared[0]) and same(alone[1], shared[1])


MIXES = [("mosaic", "train"), ("mixup",), ("copy-paste",), ("mosaic", "mixup", "copy-paste", "lsj", "train")]


@pytest.mark.parametrize("augment", [*MIXES, ("lsj",), ("multi-scale", "mosaic")], ids="+".join)
def test_types_are_what_torchvision_wants(annotations, augment):
    for image, target in sum(epochs_of(annotations, 0, epochs=range(1, 5), augment=augment), []):
        assert image.dtype == torch.uint8 and image.shape[0] == 3 and image.permute(1, 2, 0).is_contiguous()
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
    """Small images of the dataset are, to rounding, what GeneralizedRCNNTransform would make of the whole image."""
    from torchvision.models.detection.transform import GeneralizedRCNNTransform

    transform = GeneralizedRCNNTransform(96, 160, [0.0] * 3, [1.0] * 3)
    whole, target = DetectionDataset(annotations, img_size=96, training=False)[2]
    expected, boxes = transform([whole / 255], [target])
    data = DetectionDataset(annotations, img_size=96, training=True)
    epoch = next(e for e in range(9) if data[(e, 2)][1]["boxes"][0, 0] < 10)  # one in which it is not flipped
    image, small = data[(epoch, 2)]
    np.testing.assert_allclose(image / 255, expected.tensors[0, :, : image.shape[1], : image.shape[2]], atol=1.01 / 255)
    np.testing.assert_allclose(small["boxes"], boxes[0]["boxes"], atol=1e-4)


@pytest.mark.parametrize(("augment", "most"), [("mosaic", 4), ("mixup", 2), ("copy-paste", 2)])
def test_mixes_name_all_their_files(annotations, augment, most):
    data = DetectionDataset(annotations, img_size=96, training=True, augment=[augment])
    targets = [data[(epoch, 1)][1] for epoch in range(20)]
    counts = {len(data.names_of(target)) for target in targets}
    assert counts == {1, most}
    assert all(data.names_of(target)[0].endswith("im 1.png") for target in targets)
    plain = DetectionDataset(annotations, img_size=96, training=True)
    assert {len(plain[(epoch, 1)][1]["sources"]) for epoch in range(20)} == {1}


def test_the_last_epochs_have_no_mixes(annotations):
    mixes = ["mosaic", "mixup", "copy-paste"]
    closed = DetectionDataset(annotations, img_size=96, training=True, augment=mixes, mix_until=3)
    open_ended = DetectionDataset(annotations, img_size=96, training=True, augment=mixes)
    for epoch in range(1, 7):
        items = [[data[(epoch, index)] for index in range(6)] for data in (closed, open_ended)]
        mixed = [any(len(target["sources"]) > 1 for _, target in of_data) for of_data in items]
        assert mixed == [epoch <= 3, True]
        assert same(*items) == (epoch <= 3)


def test_the_short_side_is_reported_and_images_are_made_for_it(annotations):
    data = DetectionDataset(annotations, img_size=160, training=True, augment=["multi-scale", "mosaic"])
    found = {"whole": set(), "mosaic": set()}
    for epoch in range(1, 40):
        image, target = data[(epoch, 2)]  # 640x480
        side, (height, width) = target["short_side"], image.shape[1:]
        assert type(side) is int
        kind = "mosaic" if len(target["sources"]) > 1 else "whole"
        assert (height, width) == ((side, side) if kind == "mosaic" else (side, int(side * 640 / 480)))
        found[kind].add(side)
    assert found == {"whole": {96, 128, 160}, "mosaic": {96, 128, 160}}
    plain = DetectionDataset(annotations, img_size=160, training=True, augment=["mosaic", "lsj"])
    assert not any("short_side" in plain[(1, index)][1] for index in range(6))


def test_further_copies_of_an_image_are_augmented_differently(annotations):
    data = DetectionDataset(annotations, img_size=96, training=True, augment=["train"])
    items = [data[(1, 1 + copy * 6)] for copy in range(6)]
    assert {int(target["image_id"]) for _, target in items} == {1}
    assert {target["sources"].tolist()[0] for _, target in items} == {1}
    assert len({image.numpy().tobytes() for image, _ in items}) >= 4
    for whole in (data, DetectionDataset(annotations, img_size=96, training=False)):
        with pytest.raises(IndexError):
            whole[6]


@pytest.mark.parametrize("augment", [*MIXES, (), ("multi-scale", "mosaic"), ("multi-scale", "mixup")], ids="+".join)
def test_the_shape_that_batches_are_made_by_is_what_the_model_makes(annotations, augment):
    from models import create_model

    transform = create_model("fasterrcnn_resnet10_fpn_small", 3, img_size=96).train().transform
    data = DetectionDataset(annotations, img_size=96, training=True, augment=augment)
    for epoch in range(1, 12):
        for index in range(12):
            image, target = data[(epoch, index)]
            assert data.shape_of((epoch, index)) == transform.resized_hw(tuple(image.shape[1:]), target)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_jpeg_is_made_small_before_it_is_augmented(tmp_path, workers):
    """Decoded at a quarter, then made as small as it is used; boxes stay on what they are around."""
    image = np.full((1300, 1700, 3), 114, np.uint8)
    image[400:900, 300:1101] = 255
    cv2.imwrite(str(tmp_path / "a.jpg"), image)
    box = np.float32([[300, 400, 1101, 900]])
    large = Annotation(tmp_path / "a.jpg", 1700, 1300, box, np.array([1]), np.array([False]))
    data = DetectionDataset([large], img_size=300, training=True)
    loader = build_loader(data, batch_size=1, workers=workers)
    for epoch in range(1, 5):
        loader.batch_sampler.epoch = epoch
        (((image,), (target,)),) = loader
        assert image.shape == (3, 300, 392)
        ys, xs = (image[0] > 184).nonzero(as_tuple=True)
        seen = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        assert np.abs(np.array(seen) - target["boxes"][0].numpy()).max() < 1


def test_with_jitter_images_are_kept_at_twice_the_models_scale(annotations):
    data = DetectionDataset(annotations, img_size=96, training=True, augment=["lsj"])
    assert data.stored_hw.tolist() == [[150, 200], [220, 150], [192, 256], [90, 90], [100, 320], [150, 200]]


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
    sampler = TrainBatchSampler(50, 4, seed=1)
    orders = []
    for epoch in (1, 2):
        sampler.epoch = epoch
        keys = [key for batch in sampler for key in batch]
        assert {e for e, _ in keys} == {epoch}
        orders.append([i for _, i in keys])
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(50)) and orders[0] != orders[1]


def test_repeats_make_every_epoch_equally_long_and_give_each_copy_its_key():
    repeats = np.linspace(1, 2.3, 50)
    sampler = TrainBatchSampler(50, 4, seed=1, repeats=repeats)
    epochs = []
    for epoch in (1, 2, 3):
        sampler.epoch = epoch
        batches = list(sampler)
        assert [len(batch) for batch in batches] == [sampler.whole(number) for number in range(len(sampler))]
        keys = [key for batch in batches for key in batch]
        assert len(keys) == len(set(keys)) == sampler.length == 83
        assert {key[1] % 50 for key in keys} == set(range(50))
        assert keys == sampler.keys() and keys != sorted(keys)
        epochs.append(sorted(index for _, index in keys))
    assert epochs[0] != epochs[1] or epochs[1] != epochs[2]
    parts = [TrainBatchSampler(50, 4, seed=1, rank=rank, size=2, repeats=repeats) for rank in range(2)]
    for part in parts:
        part.epoch = 3
    joined = [key for pair in zip(*parts, strict=True) for batch in pair for key in batch]
    assert joined[: 4 * 20] == keys[: 4 * 20]


def test_repeats_of_one_are_each_image_once_and_their_number_is_checked():
    sampler = TrainBatchSampler(50, 4, seed=1, repeats=np.ones(50))
    keys = sampler.keys()
    assert sorted(index for _, index in keys) == list(range(50)) and len(sampler) == 13
    with pytest.raises(ValueError, match="expected 50, one for each image, got 3"):
        TrainBatchSampler(50, 4, seed=1, repeats=np.ones(3))


@pytest.mark.parametrize("augment", MIXES, ids="+".join)
@pytest.mark.parametrize("which", [0, 1])  # without and with an object
def test_one_image_is_a_dataset(annotations, augment, which):
    data = DetectionDataset(annotations[which : which + 1], img_size=96, training=True, augment=augment)
    loader = build_loader(data, batch_size=4, workers=0)
    for epoch in range(1, 9):
        loader.batch_sampler.epoch = epoch
        assert [len(images) for images, _ in loader] == [1]
