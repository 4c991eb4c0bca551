"""Detections of one image, and the classes that are kept."""

import numpy as np
import pytest

from utils.detections import Detections
from utils.errors import ConfigError
from utils.inference.class_filter import class_filter


def detections(rows):
    rows = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64))


def test_class_filter():
    names = ("__background__", "Mask", "Face_Shield", "7")
    assert class_filter(None, names) is None
    assert class_filter(["mask", "2"], names) == {1, 2} and class_filter(["7"], names) == {3}
    with pytest.raises(ConfigError, match=r"unknown 'Hat', '0'; the classes are: 1 Mask, 2 Face_Shield, 3 7"):
        class_filter(["Hat", "Mask", "0"], names)
    found = detections([[0, 0, 1, 1, 0.9, 1], [0, 0, 1, 1, 0.8, 2], [0, 0, 1, 1, 0.7, 3]])
    assert found.of({1, 3}).labels.tolist() == [1, 3] and found.of(None) is found and len(found.of(set())) == 0
