"""Batches of samples of like shape, in an order that is still random."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from datasets import build_loaders
from models import create_model
from models.rcnn.frozen import freeze_batch_norm, learns_batch_statistics
from support.voc_sets import write_config, write_voc_set
from torch_utils.distributed import Group
from utils.cli.settings import TrainSettings
from utils.config.config import load_config
from utils.dataset.batch_sampler import WINDOW, EvalBatchSampler, TrainBatchSampler, by_shape
from utils.dataset.scan import scan_splits
from utils.runs.data import TrainingData

SHAPES = [(48, 64), (64, 48), (64, 64), (36, 64)]


def shape_of(key):
    return SHAPES[key[1] * 7 % 11 % 4]


def sampler_of(length=1000, batch=4, epoch=1, **options):
    sampler = TrainBatchSampler(length, batch, seed=3, shape_of=shape_of, **options)
    sampler.epoch = epoch
    return sampler


def test_all_samples_come_once_in_batches_of_like_shape():
    sampler = sampler_of()
    batches = list(sampler)
    assert sorted(key for batch in batches for key in batch) == [(1, index) for index in range(1000)]
    assert [len(batch) for batch in batches] == [4] * 250
    mixed = sum(len({shape_of(key) for key in batch}) > 1 for batch in batches)
    assert mixed <= 3 * -(-250 // WINDOW)  # one for each step from shape to shape in a window
    shuffled = TrainBatchSampler(1000, 4, seed=3)
    shuffled.epoch = 1
    assert sum(len({shape_of(key) for key in batch}) > 1 for batch in shuffled) > 200


@pytest.mark.parametrize(("length", "batch"), [(999, 4), (130, 4), (7, 4), (3, 4), (1, 1), (5, 1), (4 * WINDOW + 1, 4)])
def test_only_the_last_batch_is_short(length, batch):
    sampler = sampler_of(length, batch)
    batches = list(sampler)
    assert [len(one) for one in batches] == [sampler.whole(number) for number in range(len(sampler))]
    assert sorted(key for one in batches for key in one) == [(1, index) for index in range(length)]
    assert sampler.keys() == [key for one in batches for key in one]


def test_shapes_are_spread_over_the_epoch_and_epochs_differ():
    """No shape is put off to the end: each tenth of an epoch has all of them in about their proportions."""
    orders = []
    for epoch in (1, 2):
        batches = list(sampler_of(4000, epoch=epoch))
        orders.append([[index for _, index in batch] for batch in batches])
        all_shapes = [shape_of(key) for batch in batches for key in batch]
        for start in range(0, 4000, 400):
            for shape in SHAPES:
                share = all_shapes[start : start + 400].count(shape) / 400
                assert abs(share - all_shapes.count(shape) / 4000) < 0.15
    together = [{frozenset(batch) for batch in order} for order in orders]
    assert len(together[0] & together[1]) < 5


def test_neighbours_change_from_epoch_to_epoch_within_a_shape():
    partners = []
    for epoch in range(1, 6):
        batch = next(batch for batch in sampler_of(400, epoch=epoch) if (epoch, 0) in batch)
        partners.append(frozenset(index for _, index in batch))
    assert len(set(partners)) == 5


@pytest.mark.parametrize("start", [0, 1, WINDOW - 1, WINDOW, WINDOW + 5, 3 * WINDOW, 249])
def test_the_rest_of_an_epoch_is_the_end_of_the_whole(start):
    whole = list(sampler_of(998))
    sampler = sampler_of(998)
    sampler.start = start
    assert list(sampler) == whole[start:]
    assert len(sampler) == len(whole) == 250


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("length", [998, 41])
def test_the_order_is_the_same_for_any_number_of_processes(size, length):
    whole = list(sampler_of(length, 6))
    parts = [list(sampler_of(length, 6, rank=rank, size=size)) for rank in range(size)]
    for number, batch in enumerate(whole):
        joined = [key for part in parts for key in part[number]]
        assert joined == batch if len(batch) >= size else set(joined) == set(batch)


def test_repeats_are_sorted_as_any_other():
    repeats = np.linspace(1, 3, 200)
    sampler = sampler_of(200, repeats=repeats)
    batches = list(sampler)
    assert len({key for batch in batches for key in batch}) == sampler.length == 400
    assert sum(len({shape_of(key) for key in batch}) > 1 for batch in batches) <= 3 * -(-100 // WINDOW)


def test_shapes_are_asked_for_one_window_at_a_time():
    asked = []

    def counted(key):
        asked.append(key)
        return SHAPES[0]

    batches = by_shape(range(10 * WINDOW * 4), 4, counted, np.random.default_rng(0), start=2 * WINDOW)
    next(batches)
    assert len(asked) == WINDOW * 4


def test_portraits_squares_and_landscapes_are_apart():
    shapes = {0: (640, 400), 1: (400, 640), 2: (500, 500), 3: (620, 410), 4: (410, 620), 5: (490, 510)}
    batches = by_shape(range(6), 2, shapes.get, np.random.default_rng(0))
    assert sorted(sorted(batch) for batch in batches) == [[0, 3], [1, 4], [2, 5]]


def test_little_is_padding_where_both_sides_vary():
    rng = np.random.default_rng(0)
    shapes = rng.integers(320, 800, (1000, 2)).tolist()

    def padding(batches):
        filled = [
            len(batch) * np.prod([max(shapes[key][side] for key in batch) for side in (0, 1)]) for batch in batches
        ]
        return 1 - sum(np.prod(shape) for shape in shapes) / sum(filled)

    shuffled = padding(by_shape(range(1000), 4, lambda key: (0, 0), rng))
    assert shuffled > 0.35 and padding(by_shape(range(1000), 4, lambda key: shapes[key], rng)) < 0.17


def test_evaluation_comes_in_order():
    parts = [list(EvalBatchSampler(11, 3, rank=rank, size=2)) for rank in range(2)]
    assert parts == [[[0, 1, 2], [6, 7, 8]], [[3, 4, 5], [9, 10]]]


def batches_of(scans, model, *, rank=0, size=1):
    """The keys of training batches, process `rank`'s part of them, as train.py deals them."""
    settings = TrainSettings(seed=5, augment=(), epochs=1, workers=0, global_batch=4)
    group = Group(torch.device("cpu"), rank, size)
    config = SimpleNamespace(pixel_range=None)
    data = TrainingData(config, scans)
    learns = learns_batch_statistics(model)
    loader, _ = build_loaders(settings, data, group, img_size=model.img_size, by_shape=not learns)
    return list(loader.batch_sampler)


def test_shared_batch_statistics_take_the_batches_of_one_process(tmp_path):
    """Batches are not of like shapes if batch norms learn, whatever kind of batch norm it is."""
    for folder, count in (("train", 16), ("test", 2)):
        write_voc_set(tmp_path / folder, count, seed=1)
    scans = scan_splits(load_config(write_config(tmp_path)), progress=False)
    model = create_model("fasterrcnn_resnet10_fpn_small", 3, img_size=64)
    fixed = create_model("fasterrcnn_resnet10_fpn_small", 3, img_size=64)
    freeze_batch_norm(fixed)
    alone = batches_of(scans, model)
    assert batches_of(scans, fixed) != alone  # 120x160 and 160x120 are distinguished
    for kind in (model, torch.nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(model))):
        parts = [batches_of(scans, kind, rank=rank, size=2) for rank in range(2)]
        joined = [[*one, *other] for one, other in zip(*parts, strict=True)]
        assert joined == alone
