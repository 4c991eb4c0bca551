"""Logistic regression by Newton's method, and the chance that a detection without a label is an object all the same."""

import numpy as np

RIDGE = 1.0  # penalty on standardised weights, as of one observation
STEPS = 25
ROUNDS = 8
PRIOR, PRIOR_COUNT = (
    0.03,
    100,
)  # share of labels that are wrong in one way before any is seen, and how many that is worth
MOST = 0.3  # of labels that are wrong in one way; what is found beyond is a model that has not learned


def fit_logistic(features: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the log-odds (M,) that `targets` are 1, fitted by iteratively reweighted least squares.

    Args:
        features: (M, F) float64. targets: (M,) float64, 0 to 1. weights: (M,) float64, how often each row counts.
    """
    spread = features.std(axis=0)
    x = np.column_stack([np.ones(len(features)), (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1)])
    penalty = np.full(x.shape[1], RIDGE)
    penalty[0] = 1e-3
    beta = np.zeros(x.shape[1])
    for _ in range(STEPS):
        odds = np.clip(x @ beta, -15, 15)
        p = 1 / (1 + np.exp(-odds))
        curvature = weights * np.maximum(p * (1 - p), 1e-6)
        gradient = x.T @ (weights * (targets - p)) - penalty * beta
        step = np.linalg.solve((x * curvature[:, None]).T @ x + np.diag(penalty), gradient)
        beta += step
        if np.abs(step).max() < 1e-6:
            break
    return np.clip(x @ beta, -15, 15)


def real_log_odds(features: np.ndarray, labelled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the log-odds that each detection is an object, and the chance that it is one though it has no label.

    The chance is 0 for those that a label explains.

    Detections that a label explains are objects; of the others an unknown part is: objects are left without a label at
    some rate, whatever the detection looks like (Elkan and Noto 2008, Learning Classifiers from Only Positive and
    Unlabeled Data). Rate and fit are found in turns, by expectation maximisation.

    Args:
        features: (M, F) float64. labelled: (M,) bool.
    """
    rate = PRIOR
    hidden = np.zeros(len(features))
    log_odds = np.zeros(len(features))
    for _ in range(ROUNDS):
        log_odds = fit_logistic(features, np.where(labelled, 1.0, hidden), np.ones(len(features)))
        odds = rate * np.exp(log_odds)
        hidden = np.where(labelled, 0.0, odds / (1 + odds))
        rate = updated_rate(hidden.sum(), labelled.sum())
    return log_odds, hidden


def updated_rate(errors: float, labels: int) -> float:
    """Return the share of labels that are wrong, by the errors expected in `labels` of them and by the prior."""
    return min((float(errors) + PRIOR * PRIOR_COUNT) / (labels + PRIOR_COUNT), MOST)
