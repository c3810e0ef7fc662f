"""The reference profile: how features and score were distributed over the holdout rows.

Drift is measured in SQL against these rows, so bins come from here and never from a later window.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models_ml.encoding import numbers

__all__ = ["reference_bins", "reference_sample", "reference_values"]

SAMPLE_ROWS = 20_000
MANY_ROWS = 20_000  # from here on 20 bins instead of 10
MIN_CATEGORY_SHARE = 0.005
MAX_CATEGORIES = 50

BINS = pa.schema(
    [
        ("column_name", pa.string()),
        ("column_kind", pa.string()),
        ("bin", pa.int32()),
        ("bin_kind", pa.string()),
        ("lower_bound", pa.float64()),
        ("upper_bound", pa.float64()),
        ("category", pa.string()),
        ("row_count", pa.int64()),
    ]
)
VALUES = pa.schema(
    [("column_name", pa.string()), ("column_value", pa.float64()), ("row_count", pa.int64())]
)


def reference_sample(rows: pa.Table, key: Sequence[str]) -> np.ndarray:
    """Choose at most 20,000 rows by the md5 of their key, so that the choice can be repeated.

    Parameters
    ----------
    rows : pyarrow Table
        With the key columns.
    key : sequence of str
        Together unique, as_of_date included.

    Returns
    -------
    array of shape (n_chosen,)
        Positions of the chosen rows, ascending.
    """
    if rows.num_rows <= SAMPLE_ROWS:
        return np.arange(rows.num_rows)
    texts = pc.binary_join_element_wise(*(rows.column(name).cast(pa.string()) for name in key), "|")
    digests = [
        hashlib.md5(text.encode(), usedforsecurity=False).digest() for text in texts.to_pylist()
    ]
    order = sorted(range(len(digests)), key=digests.__getitem__)
    return np.sort(np.array(order[:SAMPLE_ROWS]))


def reference_bins(rows: pa.Table, kinds: Mapping[str, str], learned_on: pa.Table) -> pa.Table:
    """Bin every column.

    Numeric and boolean columns (false is 0, true is 1): the distinct deciles, or twentieths from
    20,000 rows on, with open ends; then `missing` and `non_finite`. Categorical columns: each
    category with at least 0.5 % of the rows (at most 50); then an `other` row for each rarer one,
    also for those that only the fitted rows have, so that `new` means never seen; `missing`.

    Parameters
    ----------
    rows : pyarrow Table
        Features and score of the holdout rows.
    kinds : mapping of str to {'numeric', 'boolean', 'categorical'}
        The columns to bin, in order.
    learned_on : pyarrow Table
        Features of the rows that the version was fitted on.

    Returns
    -------
    pyarrow Table
        Columns of ``recorded.reference_bins`` without task and version.
    """
    bins: list[dict[str, Any]] = []
    for name, kind in kinds.items():
        is_categorical = kind == "categorical"
        found = (
            _categorical(rows.column(name), learned_on.column(name))
            if is_categorical
            else _numeric(name, rows)
        )
        bins += [
            {
                "column_name": name,
                "column_kind": "categorical" if is_categorical else "numeric",
                "bin": number,
                **one,
            }
            for number, one in enumerate(found)
        ]
    return pa.Table.from_pylist(bins, schema=BINS)


def reference_values(rows: pa.Table, kinds: Mapping[str, str]) -> pa.Table:
    """Count the distinct values of each numeric or boolean column.

    Parameters
    ----------
    rows : pyarrow Table
        Features and score of the reference sample.
    kinds : mapping of str to str
        As in ``reference_bins``; categorical columns are left out.

    Returns
    -------
    pyarrow Table
        Columns of ``recorded.reference_values`` without task and version.
    """
    parts = []
    for name, kind in kinds.items():
        if kind == "categorical":
            continue
        values = numbers(name, rows.column(name))
        distinct, counts = np.unique(values[np.isfinite(values)], return_counts=True)
        parts.append(pa.table([[name] * len(distinct), distinct, counts], schema=VALUES))
    return pa.concat_tables(parts)


def _numeric(name: str, rows: pa.Table) -> list[dict[str, Any]]:
    values = numbers(name, rows.column(name))
    finite = np.sort(values[np.isfinite(values)])
    bin_count = 20 if len(values) >= MANY_ROWS else 10
    # an edge is a value of the data; at the largest value nothing would lie above it
    shares = np.arange(1, bin_count) / bin_count
    quantiles = np.quantile(finite, shares, method="inverted_cdf") if len(finite) else []
    edges = [float(edge) for edge in np.unique(quantiles) if edge < finite[-1]]
    upto = [0, *np.searchsorted(finite, edges, side="right").tolist(), len(finite)]
    bounds = [None, *edges, None]
    bins: list[dict[str, Any]] = [
        {
            "bin_kind": "interval",
            "lower_bound": bounds[place],
            "upper_bound": bounds[place + 1],
            "row_count": upto[place + 1] - upto[place],
        }
        for place in range(len(bounds) - 1)
    ]
    bins.append({"bin_kind": "missing", "row_count": len(values) - len(finite)})
    bins.append({"bin_kind": "non_finite", "row_count": 0})  # such rows are refused at training
    return bins


def _categorical(column: pa.ChunkedArray, learned_on: pa.ChunkedArray) -> list[dict[str, Any]]:
    counted = pc.value_counts(column.drop_null()).to_pylist()
    ranked = sorted((-count["counts"], count["values"]) for count in counted)
    least = MIN_CATEGORY_SHARE * len(column)
    kept = [(category, -count) for count, category in ranked if -count >= least][:MAX_CATEGORIES]
    bins: list[dict[str, Any]] = [
        {"bin_kind": "category", "category": category, "row_count": count}
        for category, count in kept
    ]
    rare = [(category, -count) for count, category in ranked[len(kept) :]]
    in_holdout = {category for _, category in ranked}
    fitted = pc.unique(learned_on.drop_null()).to_pylist()
    rare += [(category, 0) for category in sorted(set(fitted) - in_holdout)]
    bins += [
        {"bin_kind": "other", "category": category, "row_count": count} for category, count in rare
    ]
    bins.append({"bin_kind": "new", "row_count": 0})
    bins.append({"bin_kind": "missing", "row_count": column.null_count})
    return bins
