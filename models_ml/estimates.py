"""What an estimate without labels would have said about the holdout, and how far off it was.

Everything is out of fold: an estimate of rows that its map or nanny has learned from would only
repeat their labels. This is the reference of later estimates, and the error to grant them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["ReferenceEstimates", "date_folds", "reference_estimates"]

FOLDS = 4

Measure = Callable[[np.ndarray], dict[str, float]]  # which rows -> value by metric


@dataclass(frozen=True)
class ReferenceEstimates:
    """Estimates for the whole holdout, and their error for a single as_of_date, by metric."""

    values: dict[str, float]
    errors: dict[str, float]  # root mean square over the as_of_dates; NaN: none was defined


def date_folds(dates: np.ndarray) -> list[np.ndarray]:
    """Split rows into at most four folds of neighbouring as_of_dates.

    Parameters
    ----------
    dates : array of shape (n_rows,)

    Returns
    -------
    list of bool arrays of shape (n_rows,)
        Which rows each fold holds out; none when there is a single as_of_date, because nothing
        learned on the same day is an honest estimate for it.
    """
    days = np.unique(dates)
    if len(days) < 2:
        return []
    parts = np.array_split(days, min(FOLDS, len(days)))
    return [np.isin(dates, part) for part in parts]


def reference_estimates(
    dates: np.ndarray, estimated: Measure, realised: Measure
) -> ReferenceEstimates:
    """Compare estimates with realised metrics on each as_of_date.

    Parameters
    ----------
    dates : array of shape (n_rows,)
        The as_of_dates of the holdout.
    estimated, realised : callable
        Take a bool array that chooses rows, and return a value by metric, NaN where undefined;
        the metrics of `estimated` count.
    """
    values = estimated(np.ones(len(dates), dtype=bool))
    misses: dict[str, list[float]] = {metric: [] for metric in values}
    for day in np.unique(dates):
        expected, found = estimated(dates == day), realised(dates == day)
        for metric in values:
            misses[metric].append(expected[metric] - found[metric])
    errors = {metric: _root_mean_square(np.array(missed)) for metric, missed in misses.items()}
    return ReferenceEstimates(values, errors)


def _root_mean_square(misses: np.ndarray) -> float:
    finite = misses[np.isfinite(misses)]
    return float(np.sqrt(np.square(finite).mean())) if len(finite) else float("nan")
