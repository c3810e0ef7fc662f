"""The domain classifier, which tells a scored window's rows from those of the reference.

It sees what no single feature shows: a joint shift under unchanged margins. This module learns and
gives out-of-fold probabilities; how well they rank, and whether that is an alarm, SQL decides.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from sklearn.ensemble import HistGradientBoostingClassifier

from models_ml.encoding import FeatureEncoder
from models_ml.tasks import Column
from models_ml.threads import fixed_threads

__all__ = ["FOLD_COUNT", "domain_scores"]

FOLD_COUNT = 3
SEED = 20_174
DECIMALS = 3


def domain_scores(
    reference: pa.Table,
    window: pa.Table,
    features: Sequence[Column],
    *,
    reference_folds: np.ndarray,
    window_folds: np.ndarray,
) -> pa.Table | None:
    """Estimate, out of fold, the probability that a row is of the window.

    Rows of one unit must share a fold: a household that stands on both sides would otherwise be
    recognised, and pull the probability of its own row towards the wrong side.

    Parameters
    ----------
    reference, window : pyarrow Table
        Rows of the two sides, with the columns of `features`.
    features : sequence of Column
        What the classifier may see.
    reference_folds, window_folds : array of shape (n_rows,)
        The fold of each row, 0 to ``FOLD_COUNT - 1``.

    Returns
    -------
    pyarrow Table or None
        ``score`` rounded to 3 decimals, ascending, with ``reference_row_count`` and
        ``window_row_count``, how many rows of each side have it. None when there is no feature, or
        a fold leaves a side without rows to learn from: then nothing can be said.

    Raises
    ------
    FeatureRefused
        A feature has another type than declared, or holds NaN or infinity.
    """
    folds = np.concatenate([reference_folds, window_folds])
    is_window = np.repeat([0, 1], [reference.num_rows, window.num_rows])
    if not features or not _can_learn(folds, is_window):
        return None
    names = [column.name for column in features]
    both = pa.concat_tables([reference.select(names), window.select(names)]).combine_chunks()
    matrix = FeatureEncoder(names, [column.kind for column in features]).fit_transform(both)
    scores = np.empty(len(folds))
    with fixed_threads():
        for fold in range(FOLD_COUNT):
            held_out = folds == fold
            if held_out.any():
                classifier = _classifier().fit(matrix[~held_out], is_window[~held_out])
                scores[held_out] = classifier.predict_proba(matrix[held_out])[:, 1]
    distinct, place = np.unique(np.round(scores, DECIMALS), return_inverse=True)
    window_counts = np.bincount(place, weights=is_window, minlength=len(distinct)).astype(np.int64)
    all_counts = np.bincount(place, minlength=len(distinct))
    return pa.table(
        {
            "score": distinct,
            "reference_row_count": all_counts - window_counts,
            "window_row_count": window_counts,
        }
    )


def _can_learn(folds: np.ndarray, is_window: np.ndarray) -> bool:
    return all(
        len(np.unique(is_window[folds != fold])) == 2  # both sides
        for fold in range(FOLD_COUNT)
    )


def _classifier() -> HistGradientBoostingClassifier:
    # Small: seconds matter, and a shift worth acting on is found by few shallow trees.
    return HistGradientBoostingClassifier(
        max_iter=30,
        max_leaf_nodes=8,
        learning_rate=0.15,
        min_samples_leaf=30,
        early_stopping=False,
        random_state=SEED,
    )
