"""Finds the labels of a dataset that a model's detections contradict."""

import numpy as np

from utils.evaluation.packed import PackedDetections, PackedTruth
from utils.label_errors.evidence import evidence_of
from utils.label_errors.judges import badly_placed, doubled, missing, wrong_class
from utils.label_errors.label_error import LabelError, ranked
from utils.label_errors.logistic import real_log_odds

LEAST_SCORE = 0.05  # of errors that are listed


def find_label_errors(truth: PackedTruth, detections: PackedDetections) -> list[LabelError]:
    """List labels that are probably missing, of the wrong class, badly placed or doubled, the most probable first.

    Each object is listed once, as what it most probably is. The detections should be those of models that did not learn
    these labels (`train.py --folds`), from a low score on, 0.05: a model that has learned a wrong label confirms it.
    The labels themselves show how far a score can be trusted, and how exactly the model places its boxes.
    """
    images = list(evidence_of(truth, detections))
    counts = np.cumsum([len(image.scores) for image in images])[:-1]
    labelled = np.concatenate([np.zeros(0, bool), *(image.label_of >= 0 for image in images)])
    if labelled.any():
        features = np.concatenate([image.features for image in images])
        log_odds, hidden = (np.split(part, counts) for part in real_log_odds(features, labelled))
        found = [*missing(images, hidden), *wrong_class(images, log_odds), *badly_placed(images, log_odds)]
    else:
        found = []
    listed: list[LabelError] = []
    taken: set[tuple[int, int]] = set()
    for error in ranked([*found, *doubled(images)]):
        objects = {(error.image, n) for n in (error.object, error.other) if n is not None}
        if error.score >= LEAST_SCORE and not objects & taken:
            listed.append(error)
            taken |= objects
    return listed
