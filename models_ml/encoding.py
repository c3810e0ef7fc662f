"""Arrow columns to the float64 matrix that estimators take, as the first step of every pipeline.

The encoder is part of the artifact, so training and scoring cannot encode differently. It needs no
pandas: a column of numbers is copied once. Missing values become NaN; a NaN or infinity in the data
itself is refused, because it would otherwise pass for a missing value or for a number.
"""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.base import BaseEstimator, TransformerMixin

from models_ml.errors import FeatureRefused

__all__ = ["FeatureEncoder", "numbers"]


class FeatureEncoder(TransformerMixin, BaseEstimator):
    """Encode features by name.

    Numbers stay as they are, booleans become 0 and 1. Of a categorical column the categories with
    at least ``min_share`` of the rows are learned, at most ``max_categories`` of them; all rarer
    and all later unseen ones are one category, `other`.

    Parameters
    ----------
    columns : list of str
        Names of the features, in order.
    kinds : list of {'numeric', 'boolean', 'categorical'}
        Kind of each feature.
    one_hot : bool
        True: one 0/1 column for each learned category, one for `other`, one for missing.
        False: one column with the category's rank by frequency (0 is the most frequent), `other`
        last, NaN for missing. Trees split ranks, linear estimators need the columns.
    min_share : float
        Share of rows below which a category counts as `other`.
    max_categories : int
        Largest number of learned categories.

    Attributes
    ----------
    categories_ : dict of str to list of str
        Learned categories by column, the most frequent first.
    groups_ : dict of str to (int, int)
        First and past-the-last matrix column of each feature.
    """

    def __init__(
        self,
        columns: Sequence[str],
        kinds: Sequence[str],
        one_hot: bool = False,
        min_share: float = 0.002,
        max_categories: int = 100,
    ) -> None:
        self.columns = columns
        self.kinds = kinds
        self.one_hot = one_hot
        self.min_share = min_share
        self.max_categories = max_categories

    def fit(self, X: pa.Table, y: Any = None) -> Self:  # noqa: ANN401, N803
        """Learn the categories of an Arrow table; `y` is ignored."""
        self.categories_: dict[str, list[str]] = {}
        self.groups_: dict[str, list[int]] = {}
        width = 0
        for name, kind in zip(self.columns, self.kinds, strict=True):
            step = 1
            if kind == "categorical":
                self.categories_[name] = self._frequent(X.column(name))
                step = len(self.categories_[name]) + 2 if self.one_hot else 1
            self.groups_[name] = [width, width + step]
            width += step
        return self

    def transform(self, X: pa.Table | pa.RecordBatch | Any) -> np.ndarray:  # noqa: ANN401, N803
        """Encode rows.

        Parameters
        ----------
        X : pyarrow Table or RecordBatch, or a frame that pyarrow can read

        Returns
        -------
        array of shape (n_rows, n_columns)
            float64, rows contiguous.

        Raises
        ------
        FeatureRefused
            A column is missing, has another kind of type, or holds NaN or infinity.
        """
        rows = X if isinstance(X, pa.Table | pa.RecordBatch) else pa.table(X)
        width = max(last for _, last in self.groups_.values())
        matrix = np.zeros((rows.num_rows, width))
        for name, kind in zip(self.columns, self.kinds, strict=True):
            column = _column(rows, name)
            first = self.groups_[name][0]
            if kind == "categorical":
                self._put_categories(matrix, first, name, column)
            else:
                matrix[:, first] = numbers(name, column)
        return matrix

    def _frequent(self, column: pa.ChunkedArray) -> list[str]:
        counts = pc.value_counts(column.drop_null()).to_pylist()
        enough = max(1.0, self.min_share * len(column))
        frequent = [(-c["counts"], c["values"]) for c in counts if c["counts"] >= enough]
        return [category for _, category in sorted(frequent)[: self.max_categories]]

    def _put_categories(
        self, matrix: np.ndarray, first: int, name: str, column: pa.Array | pa.ChunkedArray
    ) -> None:
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            raise _wrong_type(name, "varchar", column.type)
        known = self.categories_[name]
        ranks = pc.index_in(column, value_set=pa.array(known, column.type), skip_nulls=True)
        ranks = pc.fill_null(ranks, len(known)).to_numpy(zero_copy_only=False)
        is_missing = column.is_null().to_numpy(zero_copy_only=False)
        if self.one_hot:
            ranks = np.where(is_missing, len(known) + 1, ranks)
            matrix[np.arange(len(ranks)), first + ranks] = 1.0
        else:
            matrix[:, first] = np.where(is_missing, np.nan, ranks)


def _column(rows: pa.Table | pa.RecordBatch, name: str) -> pa.Array | pa.ChunkedArray:
    if name not in rows.schema.names:
        raise FeatureRefused(
            f"feature {name!r} is missing; the columns are {', '.join(rows.schema.names)}: "
            "read the relation of the feature version that the model version was trained on"
        )
    column = rows.column(name)
    if isinstance(column, pa.ChunkedArray) and column.num_chunks == 1:
        return column.chunk(0)
    return column


def numbers(name: str, column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return a numeric or boolean column as float64, NaN for null.

    Raises
    ------
    FeatureRefused
        The column has another type, or holds NaN or infinity itself.
    """
    kind = column.type
    if not (
        pa.types.is_floating(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind)
    ):
        raise _wrong_type(name, "number or boolean", kind)
    if pa.types.is_boolean(kind):  # Arrow casts boolean to double by way of an integer
        column = column.cast(pa.uint8())
    if not pa.types.is_float64(kind):
        column = column.cast(pa.float64(), safe=False)
    values = column.to_numpy() if column.null_count == 0 else column.to_numpy(zero_copy_only=False)
    bad = len(values) - np.count_nonzero(np.isfinite(values)) - column.null_count
    if bad:
        raise FeatureRefused(
            f"feature {name!r} holds {bad} NaN or infinite values in {len(values)} rows; make "
            "them null (missing) or a number in the SQL of the feature"
        )
    return values


def _wrong_type(name: str, wanted: str, found: pa.DataType) -> FeatureRefused:
    return FeatureRefused(
        f"feature {name!r} has type {found}, not {wanted}; restore the type that the model version "
        "was trained on, or train on a new feature version"
    )
