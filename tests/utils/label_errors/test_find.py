from dataclasses import replace

import numpy as np
import pytest

from support.label_errors import NAMES, best_seen, packed, scene
from utils.label_errors.find import find_label_errors
from utils.label_errors.label_error import KINDS


def spoiled():
    """Return labels with six errors of each kind, detections, and the errors: (kind, image) to what is expected."""
    labels, found = scene()
    seen = best_seen(labels, found)[::15]
    expected = {}
    for number, (image, n) in enumerate(seen[:24]):
        own = labels[image]
        kind = list(KINDS)[number % 4]
        if any(other == image for other, _ in expected):
            continue
        label, x, y, w, h = own[n]
        if kind == "missing":
            del own[n]
        elif kind == "wrong-class":
            own[n] = [label % 3 + 1, x, y, w, h]
        elif kind == "badly-placed":
            own[n] = [label, x + 0.35 * w, y + 0.2 * h, w, h]
        else:
            own.append([label, x + 0.15 * w, y, w, h])
        expected[image, kind] = (n, label, (x, y, x + w, y + h))
    return labels, found, expected


def test_errors_of_every_kind_come_first_with_what_should_be_there():
    labels, found, expected = spoiled()
    assert {kind for _, kind in expected} == set(KINDS) and len(expected) > 15
    errors = find_label_errors(*packed(labels, found))
    first = {(error.image, error.kind): error for error in errors[: len(expected)]}
    assert len(first.keys() & expected.keys()) >= len(expected) - 1
    for key in first.keys() & expected.keys():
        error, (n, label, box) = first[key], expected[key]
        if error.kind == "missing":
            assert error.object is None and error.label is None
        elif error.kind == "doubled":
            assert error.object == 8 and error.other == n and error.suggested_label is None  # the one that was added
            continue
        else:
            assert error.object == n
        assert error.suggested_label == label
        assert np.allclose(error.suggested_box, box, atol=12)


def test_scores_are_probabilities_that_tell_errors_from_right_labels():
    labels, found, expected = spoiled()
    errors = find_label_errors(*packed(labels, found))
    assert all(0 <= error.score <= 1 for error in errors)
    assert [error.score for error in errors] == sorted((error.score for error in errors), reverse=True)
    right = [error for error in find_label_errors(*packed(*scene(1))) if error.score > 0.5]
    assert len(right) <= 5  # of 480 labels, all of them right
    sure = sum(error.score > 0.5 for error in errors)
    assert 0.7 * len(expected) <= sure <= 1.3 * len(expected)


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ([], []),
        ([[]], [[]]),
        ([[[1, 0, 0, 10, 10]]], [[]]),  # no detection
        ([[]], [[[1, 0, 0, 10, 10, 0.9]]]),  # no label
        ([[[1, 0, 0, 10, 10]]], [[[1, 0, 0, 10, 10, 0.9]]]),  # one image, one object
        ([[[1, 0, 0, 10, 10]]], [[[2, 0, 0, 10, 10, 0.9]]]),  # the model never finds the class
        ([[[1, 0, 0, 10, 10]]], [[[1, 0, 0, 10, 10, 0.01]]]),  # below what says anything
    ],
)
def test_what_is_too_little_to_learn_from_accuses_no_label(labels, found):
    assert [e for e in find_label_errors(*packed(labels, found)) if e.score > 0.5] == []


def test_a_dataset_of_one_class_has_no_wrong_class():
    labels, found = scene()
    labels, found = ([[[1, *row[1:]] for row in own] for own in part] for part in (labels, found))
    errors = find_label_errors(*packed(labels, found, names=NAMES[:2]))
    assert "wrong-class" not in {error.kind for error in errors}


def test_the_order_of_images_and_of_labels_of_several_images_does_not_matter():
    labels, found, _ = spoiled()
    truth, detections = packed(labels, found)
    # Objects of all images mixed, those of each in their order, as a COCO file may have them.
    order = np.argsort(np.arange(len(truth)) % 7, kind="stable")
    order = order[np.lexsort((order, order % 7))]
    mixed = replace(
        truth, **{name: getattr(truth, name)[order] for name in ("image_of", "labels", "boxes_xywh", "areas", "crowd")}
    )
    places = {}
    for image in range(truth.num_images):  # object's number there -> here
        rows = order[mixed.image_of == image]
        places[image] = np.argsort(np.argsort(rows))
    there, here = find_label_errors(mixed, detections), find_label_errors(truth, detections)
    as_here = [(e.image, e.kind, None if e.object is None else int(places[e.image][e.object])) for e in there]
    assert sorted(as_here, key=str) == sorted([(e.image, e.kind, e.object) for e in here], key=str)


def test_crowds_are_neither_judged_nor_missing():
    labels, found = scene()
    found[0] = [row for row in found[0] if row[1] < 200]  # nothing is seen on the right
    truth, detections = packed(labels, found)
    crowd = truth.crowd.copy()
    here = np.flatnonzero((truth.image_of == 1) & (truth.labels == truth.labels[truth.image_of == 1][0]))[0]
    crowd[here] = True
    boxes = truth.boxes_xywh.copy()
    boxes[here] = [0, 0, 400, 300]  # all of the image
    keep = (truth.image_of != 1) | crowd
    truth = replace(truth, boxes_xywh=boxes, crowd=crowd)
    fields = ("image_of", "labels", "boxes_xywh", "areas", "crowd")
    truth = replace(truth, **{name: getattr(truth, name)[keep] for name in fields})
    assert [e for e in find_label_errors(truth, detections) if e.image == 1] == []
