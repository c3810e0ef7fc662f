"""The nanny of a regression: a second pipeline that predicts how far the first one will be off.

Direct loss estimation. It learns the absolute error of the holdout rows from features and score,
and gives each later row the error to expect, before any label is known. It cannot see that the
relation between features and outcome has changed since.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.pipeline import Pipeline

from models_ml.pipelines import build_pipeline

__all__ = ["ScoredRows", "choose_shape", "expected_absolute_errors", "fit_nanny"]

# Learned under the squared loss, because the mean of the errors is wanted. The holdout has few
# as_of_dates, and what is the same for all rows of a day would be learned by heart: so the shapes
# are small, the smallest first, and no leaf holds less than a twentieth of the rows.
SHAPES: tuple[dict[str, Any], ...] = (
    {"max_leaf_nodes": 3, "learning_rate": 0.05, "max_iter": 40},
    {"max_leaf_nodes": 7, "learning_rate": 0.1, "max_iter": 60},
)
LEAST_LEAF_SHARE = 0.05


@dataclass(frozen=True, eq=False)
class ScoredRows:
    """Labelled rows that the scored version was not fitted on."""

    features: pa.Table
    kinds: Sequence[str]  # of the features, in order
    scores: np.ndarray  # in the label's unit
    labels: np.ndarray

    def where(self, chosen: np.ndarray) -> ScoredRows:
        """Return the rows where `chosen` is true."""
        features = self.features.filter(pa.array(chosen))
        return ScoredRows(features, self.kinds, self.scores[chosen], self.labels[chosen])


def fit_nanny(rows: ScoredRows, shape: dict[str, Any], seed: int) -> Pipeline:
    """Fit a pipeline of one of the shapes; it takes the features and `score`, in this order."""
    nanny = build_pipeline(
        "hist_gradient_boosting",
        "regression",
        columns=[*rows.features.column_names, "score"],
        column_kinds=[*rows.kinds, "numeric"],
        hyperparameters={"loss": "squared_error", **shape},
        seed=seed,
    )
    least = max(20, int(LEAST_LEAF_SHARE * len(rows.scores)))
    nanny.set_params(estimate__min_samples_leaf=least)
    with_score = rows.features.append_column("score", pa.array(rows.scores))
    return nanny.fit(with_score, np.abs(rows.scores - rows.labels))


def choose_shape(
    rows: ScoredRows, seed: int, folds: list[np.ndarray]
) -> tuple[dict[str, Any], np.ndarray | None]:
    """Choose the shape whose expectations are best out of fold.

    Parameters
    ----------
    rows : ScoredRows
    seed : int
    folds : list of bool arrays of shape (n_rows,)
        Which rows each fold holds out; together all of them, or none at all.

    Returns
    -------
    dict
        The shape with the smallest squared error; without folds the smallest shape.
    array of shape (n_rows,), or None
        What it expects out of fold; None without folds.
    """
    chosen, chosen_expected, least = SHAPES[0], None, np.inf
    errors = np.abs(rows.scores - rows.labels)
    for shape in SHAPES if folds else ():
        expected = np.empty(len(rows.scores))
        for fold in folds:
            nanny, held_out = fit_nanny(rows.where(~fold), shape, seed), rows.where(fold)
            expected[fold] = expected_absolute_errors(nanny, held_out.features, held_out.scores)
        loss = float(np.square(expected - errors).mean())
        if loss < least:
            chosen, chosen_expected, least = shape, expected, loss
    return chosen, chosen_expected


def expected_absolute_errors(
    nanny: Pipeline, features: pa.Table | pa.RecordBatch, scores: np.ndarray
) -> np.ndarray:
    """Predict the absolute error of rows: 0 or more, in the label's unit."""
    with_score = features.append_column("score", pa.array(scores))
    return np.maximum(np.asarray(nanny.predict(with_score), dtype=np.float64), 0.0)
