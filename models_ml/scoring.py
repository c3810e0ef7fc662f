"""Rows through a fitted pipeline, in blocks that fit the cache, Arrow in and Arrow out.

This module owns what a prediction looks like. It reads and writes no table: the warehouse streams
batches in and takes the answer back.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.pipeline import Pipeline

from models_ml.errors import ScoringRefused
from models_ml.nanny import expected_absolute_errors
from models_ml.tasks import Task
from models_ml.threads import fixed_threads

__all__ = ["class_names", "parity", "predict", "scorer"]

# Trees walk all rows of a call once per tree: 16,384 rows of 20 columns (2.6 MB) stay in the cache.
BLOCK_ROWS = 16_384
CLASS_SCORES = pa.map_(pa.string(), pa.float64())

Scorer = Callable[[pa.RecordBatch], pa.RecordBatch]


def class_names(pipeline: Pipeline, kind: str) -> list[str] | None:
    """Return the names of the classes in the order of their probabilities; None for regression."""
    if kind == "regression":
        return None
    if kind == "binary":
        return ["false", "true"]
    return [str(name) for name in pipeline.classes_]


def predict(pipeline: Pipeline, kind: str, rows: Any) -> np.ndarray:  # noqa: ANN401
    """Predict rows in one call.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted; or its tail after the encoder, with a matrix as `rows`.
    kind : {'binary', 'multiclass', 'regression'}
    rows : pyarrow Table, RecordBatch, or array of shape (n_rows, n_columns)

    Returns
    -------
    array of shape (n_rows,), or (n_rows, n_classes) for multiclass
        Probability of the positive class, the value, or the probability of each class.
    """
    if kind == "regression":
        return np.asarray(pipeline.predict(rows), dtype=np.float64)
    probabilities = pipeline.predict_proba(rows)
    return np.ascontiguousarray(probabilities[:, 1]) if kind == "binary" else probabilities


def scorer(
    pipeline: Pipeline,
    task: Task,
    feature_columns: Sequence[str],
    nanny: Pipeline | None = None,
) -> Scorer:
    """Make the function that scores one Arrow batch.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted, as loaded from the registry.
    task : Task
        Gives the kind.
    feature_columns : sequence of str
        The columns that each batch must have, in this order.
    nanny : Pipeline, optional
        Of a regression: what predicts the absolute error of each score.

    Returns
    -------
    callable
        Takes a RecordBatch of the features; returns a RecordBatch with as many rows in the same
        order: ``score`` double; for multiclass ``predicted_class`` and ``class_scores``; for
        regression ``expected_absolute_error`` double, 0 or more, null without a nanny.

    Raises
    ------
    ScoringRefused
        At once, if the columns are not those that the pipeline learned from; later, if a batch has
        other columns or types, holds NaN or infinity, or a score is not finite.
    """
    wanted = list(feature_columns)
    _check_columns("the scoring set of " + task.name, wanted, list(pipeline[0].columns))
    if nanny is not None:
        _check_columns(
            "the nanny's set of " + task.name, [*wanted, "score"], list(nanny[0].columns)
        )
    classes = class_names(pipeline, task.kind)

    def score(batch: pa.RecordBatch) -> pa.RecordBatch:
        _check_columns("a batch of " + task.name, batch.schema.names, wanted)
        # the caller scores several batches at once, one on each core
        with fixed_threads():
            blocks = [
                predict(pipeline, task.kind, batch.slice(start, BLOCK_ROWS))
                for start in range(0, batch.num_rows, BLOCK_ROWS)
            ]
            empty = np.empty((0, len(classes or ())) if task.kind == "multiclass" else 0)
            predictions = np.concatenate(blocks) if blocks else empty
            bad = predictions.size - np.count_nonzero(np.isfinite(predictions))
            if bad:
                raise ScoringRefused(
                    f"{bad} of {predictions.size} scores of {task.name} are NaN or infinite; "
                    "nothing is written: look for extreme feature values, and train again"
                )
            if task.kind == "regression":
                return _with_expected_errors(nanny, batch, predictions)
        return _as_batch(predictions, classes if task.kind == "multiclass" else None)

    return score


def parity(fitted: Pipeline, loaded: Pipeline, task: Task, rows: pa.Table) -> dict[str, Any]:
    """Compare the pipeline in memory with its artifact, loaded and streamed, on the same rows.

    Parameters
    ----------
    fitted, loaded : Pipeline
        As trained, scored in one call; as read from disk, scored batch by batch.
    task : Task
    rows : pyarrow Table
        Features only, in the pipeline's order.

    Returns
    -------
    dict
        ``compared_row_count``, ``mismatch_count`` (rows that differ in any bit),
        ``max_absolute_difference``, ``max_ulps``, ``is_equal``: no row differs by more than 1e-12
        (relative for values above 1). Trees come out equal in every bit; the linear ones not
        always, because BLAS adds up a row in an order that depends on its place in the block.
    """
    with fixed_threads():
        expected = predict(fitted, task.kind, rows)
    if task.kind == "multiclass":
        expected = expected.max(axis=1)
    score = scorer(loaded, task, rows.column_names)
    # a size that is no multiple of the block: the ends of batches and blocks fall apart
    batches = [score(batch) for batch in rows.to_batches(max_chunksize=BLOCK_ROWS + 1)]
    found = pa.Table.from_batches(batches).column("score").to_numpy()
    ulps = np.abs(_ordered(expected) - _ordered(found))
    difference = np.abs(expected - found)
    return {
        "compared_row_count": len(found),
        "mismatch_count": int(np.count_nonzero(ulps)),
        "max_absolute_difference": float(difference.max()),
        "max_ulps": int(ulps.max()),
        "is_equal": bool((difference <= 1e-12 * np.maximum(1.0, np.abs(expected))).all()),
    }


def _with_expected_errors(
    nanny: Pipeline | None, batch: pa.RecordBatch, predictions: np.ndarray
) -> pa.RecordBatch:
    if nanny is None or not batch.num_rows:
        expected = pa.nulls(batch.num_rows, pa.float64())
    else:
        blocks = [
            expected_absolute_errors(
                nanny,
                batch.slice(start, BLOCK_ROWS),
                predictions[start : start + BLOCK_ROWS],
            )
            for start in range(0, batch.num_rows, BLOCK_ROWS)
        ]
        expected = pa.array(np.concatenate(blocks))
    return pa.RecordBatch.from_arrays(
        [pa.array(predictions), expected], names=["score", "expected_absolute_error"]
    )


def _as_batch(predictions: np.ndarray, classes: list[str] | None) -> pa.RecordBatch:
    if classes is None:
        return pa.RecordBatch.from_arrays([pa.array(predictions)], names=["score"])
    best = predictions.argmax(axis=1)
    names = pa.array(classes, pa.string())
    row_count, class_count = predictions.shape
    class_scores = pa.MapArray.from_arrays(
        pa.array(np.arange(row_count + 1, dtype=np.int32) * np.int32(class_count)),
        names.take(pa.array(np.tile(np.arange(class_count), row_count))),
        pa.array(predictions.ravel()),
    )
    return pa.RecordBatch.from_arrays(
        [
            pa.array(predictions[np.arange(row_count), best]),
            names.take(pa.array(best)),
            class_scores.cast(CLASS_SCORES),
        ],
        names=["score", "predicted_class", "class_scores"],
    )


def _check_columns(place: str, found: list[str], wanted: list[str]) -> None:
    if found == wanted:
        return
    missing = [name for name in wanted if name not in found]
    extra = [name for name in found if name not in wanted]
    parts = [f"lacks {', '.join(missing)}"] if missing else []
    parts += [f"has {', '.join(extra)} too much"] if extra else []
    parts = parts or [f"has the order {', '.join(found)}, not {', '.join(wanted)}"]
    raise ScoringRefused(
        f"{place} {' and '.join(parts)}; select exactly the features that the model version "
        "was trained on, in their order"
    )


def _ordered(values: np.ndarray) -> np.ndarray:
    """Map doubles to integers of the same order, one apart for neighbours (an ulp)."""
    bits = np.ascontiguousarray(values, dtype=np.float64).view(np.int64)
    return np.where(bits < 0, np.int64(-(2**63)) - bits, bits)
