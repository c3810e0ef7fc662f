"""What a score has meant: the isotonic map from score to probability, and what CBPE makes of it.

Confidence-based performance estimation reads the quality of scores out of calibrated probabilities
alone. The maps learned here are recorded as knots; SQL applies them to later windows with the same
formulas. Here they are only applied to the holdout itself, out of fold, for the reference.
"""

import numpy as np
import pyarrow as pa
from sklearn.isotonic import IsotonicRegression

from models_ml.metrics import EPSILON

__all__ = ["KNOTS", "calibrated_out_of_fold", "calibration_knots", "expected_metrics"]

KNOTS = pa.schema(
    [("class_name", pa.string()), ("score", pa.float64()), ("probability", pa.float64())]
)


def calibration_knots(
    happened: np.ndarray, predictions: np.ndarray, class_names: list[str]
) -> pa.Table:
    """Learn one isotonic map per class, one against the rest.

    Parameters
    ----------
    happened : bool array of shape (n_rows, n_classes)
        Which class each row's label is.
    predictions : array of shape (n_rows, n_classes)
        The scores of the classes.
    class_names : list of str
        Names of the classes, in order.

    Returns
    -------
    pyarrow Table
        Columns of ``recorded.calibration_knots`` without task and version. Between two knots the
        map is linear, beyond the ends constant: ``IsotonicRegression.predict``.
    """
    parts = []
    for place, name in enumerate(class_names):
        fitted = _isotonic(predictions[:, place], happened[:, place])
        scores, probabilities = fitted.X_thresholds_, fitted.y_thresholds_
        parts.append(pa.table([[name] * len(scores), scores, probabilities], schema=KNOTS))
    return pa.concat_tables(parts)


def calibrated_out_of_fold(
    happened: np.ndarray, predictions: np.ndarray, folds: list[np.ndarray]
) -> np.ndarray:
    """Calibrate the scores of each fold by maps that were learned on the other folds.

    Parameters
    ----------
    happened, predictions : array of shape (n_rows, n_classes)
        As in ``calibration_knots``.
    folds : list of bool arrays of shape (n_rows,)
        Which rows each fold holds out; together all of them.

    Returns
    -------
    array of shape (n_rows, n_classes)
        Probabilities, for multiclass not yet divided by their sum.
    """
    calibrated = np.empty_like(predictions)
    for fold in folds:
        for place in range(predictions.shape[1]):
            fitted = _isotonic(predictions[~fold, place], happened[~fold, place])
            calibrated[fold, place] = fitted.predict(predictions[fold, place])
    return calibrated


def expected_metrics(predictions: np.ndarray, chances: np.ndarray) -> dict[str, float]:
    """Return the metrics to expect of scores whose calibrated probabilities are known.

    Parameters
    ----------
    predictions, chances : array of shape (n_rows, n_classes)
        Scores and calibrated probabilities; a binary task has the column of its positive class.

    Returns
    -------
    dict of str to float
        ``log_loss`` and ``brier_score``; ``roc_auc`` (binary) or ``error_rate`` (multiclass); NaN
        where it is not defined.
    """
    if predictions.shape[1] == 1:
        return _binary(predictions[:, 0], chances[:, 0])
    return _multiclass(predictions, chances)


def _isotonic(scores: np.ndarray, happened: np.ndarray) -> IsotonicRegression:
    isotonic = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
    return isotonic.fit(scores, happened.astype(np.float64))


def _losses(scores: np.ndarray) -> np.ndarray:
    return -np.log(np.clip(scores, EPSILON, 1.0 - EPSILON))


def _binary(scores: np.ndarray, chances: np.ndarray) -> dict[str, float]:
    log_losses = chances * _losses(scores) + (1.0 - chances) * _losses(1.0 - scores)
    brier = chances * np.square(1.0 - scores) + (1.0 - chances) * np.square(scores)
    return {
        "log_loss": float(log_losses.mean()),
        "brier_score": float(brier.mean()),
        "roc_auc": _roc_auc(scores, chances),
    }


def _roc_auc(scores: np.ndarray, chances: np.ndarray) -> float:
    """Return the AUC of rows that are positive with weight c and negative with weight 1 - c."""
    _, rank = np.unique(scores, return_inverse=True)
    positives = np.bincount(rank, weights=chances)
    negatives = np.bincount(rank, weights=1.0 - chances)
    pairs = positives.sum() * negatives.sum()
    if pairs <= 0:
        return float("nan")
    below = np.cumsum(negatives) - negatives / 2.0
    return float((positives * below).sum() / pairs)


def _multiclass(scores: np.ndarray, chances: np.ndarray) -> dict[str, float]:
    totals = chances.sum(axis=1, keepdims=True)
    # as CalibratedClassifierCV: where every map says 0, nothing is known, so all are alike
    uniform = np.full_like(chances, 1.0 / chances.shape[1])
    shares = np.divide(chances, totals, out=uniform, where=totals > 0)
    squares = np.square(scores).sum(axis=1)
    best = scores.argmax(axis=1)
    return {
        "log_loss": float((shares * _losses(scores)).sum(axis=1).mean()),
        "brier_score": float((squares + 1.0 - 2.0 * (shares * scores).sum(axis=1)).mean()),
        "error_rate": float(1.0 - shares[np.arange(len(shares)), best].mean()),
    }
