"""Metrics of predictions, and the closed lists of those a task may declare.

A metric that the rows cannot give (one class, no rows) is NaN, never a number that looks good.
"""

from math import isfinite, nan

import numpy as np
from sklearn.metrics import roc_auc_score

__all__ = ["GUARDRAILS", "METRICS", "PRIMARY_METRICS", "is_better", "measure"]

PRIMARY_METRICS: dict[str, tuple[str, ...]] = {
    "binary": ("log_loss",),
    "multiclass": ("log_loss",),
    "regression": ("absolute_error",),
}
GUARDRAILS: dict[str, tuple[str, ...]] = {
    "binary": ("roc_auc", "brier_score"),
    "multiclass": ("error_rate", "brier_score"),
    "regression": ("squared_error",),
}
METRICS = {kind: PRIMARY_METRICS[kind] + GUARDRAILS[kind] for kind in PRIMARY_METRICS}

# What scikit-learn clips at, and the SQL of monitoring.
EPSILON = 2.220446049250313e-16


def is_better(loss: float, best: float) -> bool:
    """Tell whether a loss beats the best so far: NaN never does, all that is finite beats NaN."""
    return isfinite(loss) and (not isfinite(best) or loss < best)


def measure(kind: str, labels: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    """Measure predictions against labels.

    Parameters
    ----------
    kind : {'binary', 'multiclass', 'regression'}
    labels : array of shape (n_rows,)
        0 or 1 (binary), the position of the class (multiclass), or the value (regression).
    predictions : array of shape (n_rows,), or (n_rows, n_classes) for multiclass
        Probability of the positive class, probability of each class, or the predicted value.

    Returns
    -------
    dict of str to float
        Each metric of the kind; NaN where it is not defined.
    """
    if len(labels) == 0:
        return dict.fromkeys(METRICS[kind], nan)
    if kind == "regression":
        error = predictions - labels
        return {
            "absolute_error": float(np.abs(error).mean()),
            "squared_error": float(np.square(error).mean()),
        }
    if kind == "binary":
        of_label = np.where(labels == 1, predictions, 1.0 - predictions)
        is_one_class = labels.min() == labels.max()
        return {
            "log_loss": _log_loss(of_label),
            "roc_auc": nan if is_one_class else float(roc_auc_score(labels, predictions)),
            "brier_score": float(np.square(predictions - labels).mean()),
        }
    wanted = np.zeros_like(predictions)
    wanted[np.arange(len(labels)), labels] = 1.0
    return {
        "log_loss": _log_loss(predictions[np.arange(len(labels)), labels]),
        "error_rate": float((predictions.argmax(axis=1) != labels).mean()),
        "brier_score": float(np.square(predictions - wanted).sum(axis=1).mean()),
    }


def _log_loss(probabilities_of_label: np.ndarray) -> float:
    return float(-np.log(np.clip(probabilities_of_label, EPSILON, 1.0 - EPSILON)).mean())
