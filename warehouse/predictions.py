"""What a table of predictions holds: its columns by kind of task, and which scores it accepts.

The protocol that writes a partition stands in `warehouse/writing.py`. This module must not
load a model version.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import duckdb
import numpy as np
import pyarrow as pa

from warehouse.connection import WarehouseError, quoted, relation_name
from warehouse.reading import relation_columns

__all__ = ["Scores", "ScoresRefused", "checked_scores", "create_predictions_table"]

Scores: TypeAlias = Mapping[str, pa.Array] | pa.RecordBatch

# CHECK accepts null, so each column is `not null` too, but for what only some versions predict.
# NaN ranks above every number: it fails them.
_DEFINITIONS = {
    "binary": {"score": "double not null check (score between 0 and 1)"},
    "regression": {
        "score": "double not null check (isfinite(score))",
        "expected_absolute_error": (
            "double check (isfinite(expected_absolute_error) and expected_absolute_error >= 0)"
        ),
    },
    "multiclass": {
        "score": "double not null check (score between 0 and 1)",
        "predicted_class": "varchar not null",
        "class_scores": (
            "map(varchar, double) not null"
            " check (abs(list_sum(map_values(class_scores)) - 1) <= 1e-9)"
        ),
    },
}
_ARROW_TYPES = {
    "score": pa.float64(),
    "expected_absolute_error": pa.float64(),
    "predicted_class": pa.string(),
    "class_scores": pa.map_(pa.string(), pa.float64()),
}

_NULLABLE = ("expected_absolute_error",)  # null: the version has no nanny


class ScoresRefused(WarehouseError):
    """The scoring function returned something that is not one valid score for each row."""


def create_predictions_table(
    connection: duckdb.DuckDBPyConnection, task: str, entity_key_types: Mapping[str, str], kind: str
) -> None:
    """Create `recorded.predictions_<task>`, or check that it is the table that the task declares.

    There is no primary key: docs/decisions/0002-predictions-without-a-primary-key.md says why.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        The warehouse.
    task : str
        The task's name.
    entity_key_types : mapping of str to str
        SQL types of the key columns, in order.
    kind : {'binary', 'regression', 'multiclass'}
        Which prediction columns there are.

    Raises
    ------
    WarehouseError
        When the kind is unknown, or the table exists with other columns.
    """
    if kind not in _DEFINITIONS:
        raise WarehouseError(
            f"task {task} is of kind {kind!r}; accepted are {', '.join(_DEFINITIONS)}"
        )
    columns = {
        **{name: f"{declared} not null" for name, declared in entity_key_types.items()},
        "as_of_date": "date not null",
        "model_version": "integer not null",
        "role": "varchar not null",
        **_DEFINITIONS[kind],
        "scoring_run_id": "varchar not null",
    }
    table = f"recorded.predictions_{task}"
    ddl = ", ".join(f"{quoted(name)} {definition}" for name, definition in columns.items())
    connection.execute(f"create table if not exists {relation_name(table)} ({ddl})")
    present = list(relation_columns(connection, table))
    if present != list(columns):
        raise WarehouseError(
            f"{table} has the columns {', '.join(present)}, but the declaration asks for "
            f"{', '.join(columns)}; recorded predictions are not altered: give the task a new name"
        )


def checked_scores(scores: Scores, keys: pa.RecordBatch, kind: str, place: str) -> pa.Table:
    """Return the prediction columns of a block of rows, in order and typed, or refuse them.

    Parameters
    ----------
    scores : mapping of str to pyarrow.Array, or pyarrow.RecordBatch
        What the scoring function returned.
    keys : pyarrow.RecordBatch
        The keys of the block's rows, to name those whose score is wrong.
    kind : {'binary', 'regression', 'multiclass'}
        Which columns there must be.
    place : str
        What the error calls the partition.

    Raises
    ------
    ScoresRefused
        When a column or a row is missing, or a score is null, not finite, or not a probability
        where it must be one.
    """
    expected = list(_DEFINITIONS[kind])
    given = scores.schema.names if isinstance(scores, pa.RecordBatch) else list(scores)
    if sorted(given) != sorted(expected):
        raise ScoresRefused(
            f"the scoring of {place} returned the columns {', '.join(given)}; a {kind} task takes "
            f"{', '.join(expected)}"
        )
    for name in expected:
        if len(scores[name]) != len(keys):
            raise ScoresRefused(
                f"the scoring of {place} returned {len(scores[name])} values of {name} for "
                f"{len(keys)} rows; it must return one for each, in order"
            )
    columns = {name: scores[name].cast(_ARROW_TYPES[name]) for name in expected}
    for name in [name for name in expected if name not in _NULLABLE]:
        column = columns[name]
        _refuse(column.is_null().to_numpy(zero_copy_only=False), f"a null {name}", keys, place)
    score = columns["score"].to_numpy()
    _refuse(~np.isfinite(score), "a score that is not finite", keys, place)
    if kind != "regression":
        _refuse((score < 0) | (score > 1), "a score outside [0, 1]", keys, place)
    if kind == "regression":
        error = columns["expected_absolute_error"].fill_null(0.0).to_numpy()
        fault = "an expected_absolute_error that is negative or not finite"
        _refuse(~(np.isfinite(error) & (error >= 0)), fault, keys, place)
    if kind == "multiclass":
        _refuse(
            ~_sums_to_one(columns["class_scores"]), "class scores whose sum is not 1", keys, place
        )
    return pa.table(columns)


def _sums_to_one(class_scores: pa.MapArray) -> np.ndarray:
    offsets = class_scores.offsets.to_numpy()
    values = class_scores.items.to_numpy(zero_copy_only=False)[offsets[0] : offsets[-1]]
    rows = np.repeat(np.arange(len(class_scores)), np.diff(offsets))
    sums = np.bincount(rows, weights=values, minlength=len(class_scores))
    return np.abs(sums - 1.0) <= 1e-9


def _refuse(
    is_wrong: Sequence[bool] | np.ndarray, fault: str, keys: pa.RecordBatch, place: str
) -> None:
    wrong = np.flatnonzero(is_wrong)
    if not len(wrong):
        return
    named = [
        ", ".join(f"{name} = {keys[name][int(row)]}" for name in keys.schema.names)
        for row in wrong[:3]
    ]
    raise ScoresRefused(
        f"the scoring of {place} gave {len(wrong)} of {len(keys)} rows {fault}, for instance at "
        f"{'; '.join(named)}; nothing was written"
    )
