"""Predictions enter the warehouse here, each partition exactly once in effect.

A partition is (task, model version, as_of_date). One transaction takes its lease row, deletes,
inserts, asserts, adds the manifest row, and has the predictions judged; afterwards the manifest is
read back. What computes the scores, and what judges them, are functions that the caller gives. This
module must not load a model version.
"""

import hashlib
import os
import re
import resource
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa

from warehouse.connection import WarehouseError, quoted, relation_name, transaction
from warehouse.facts import insert_facts
from warehouse.predictions import Scores, ScoresRefused, checked_scores, create_predictions_table
from warehouse.reading import ScoringSet, describe_scoring_set, relation_columns

__all__ = [
    "Partition",
    "PartitionBusy",
    "ScoresRefused",
    "ScoringRun",
    "create_predictions_table",
    "write_partition",
]

# DuckDB's row group: blocks of another size cost twice as much to insert.
_BATCH_ROWS = 122_880
# While a partition is written, DuckDB may keep this much: its cache would otherwise grow with the
# scoring set. It spills to disk what does not fit.
_SCORING_MEMORY = "128MB"
_SCORING_THREADS = os.cpu_count() or 1
_IS_PARTITION = "model_version = $model_version and as_of_date = $as_of_date"

_counting = threading.Lock()
_writers = 0  # memory_limit belongs to the file's instance, not to a connection


class PartitionBusy(WarehouseError):
    """Another run is writing the same partition."""


@dataclass(frozen=True)
class Partition:
    """What is written as a whole: one version's predictions for one as_of_date."""

    task: str
    model_version: int
    role: str
    as_of_date: date

    def __str__(self) -> str:
        return f"{self.task} version {self.model_version} at {self.as_of_date}"


@dataclass(frozen=True)
class ScoringRun:
    """A manifest row; `is_skipped` says that the partition was there already."""

    scoring_run_id: str
    task: str
    model_version: int
    role: str
    as_of_date: date
    epoch: int
    row_count: int
    input_fingerprint: str
    engine: str
    model_sha256: str
    scoring_seconds: float
    rows_per_second: float
    peak_memory_bytes: int
    is_skipped: bool = False


_MANIFEST = [field.name for field in fields(ScoringRun) if field.name != "is_skipped"]


def write_partition(
    connection: duckdb.DuckDBPyConnection,
    partition: Partition,
    *,
    scoring_relation: str,
    entity_key: Sequence[str],
    kind: str,
    feature_columns: Sequence[str],
    score: Callable[[pa.RecordBatch], Scores],
    engine: str,
    model_sha256: str,
    judge: Callable[[int], object] | None = None,
    batch_rows: int = _BATCH_ROWS,
) -> ScoringRun:
    """Score a period's rows and write them: all of them once, or nothing.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Outside a transaction.
    partition : Partition
        What is written. Its role is stamped on the rows.
    scoring_relation : str
        `schema.table` that holds as_of_date, the key and the features.
    entity_key : sequence of str
        Key columns, in the scoring set and in the predictions table.
    kind : {'binary', 'regression', 'multiclass'}
        Which prediction columns there are.
    feature_columns : sequence of str
        The columns that `score` gets, in this order.
    score : callable
        Called from several threads at once, so it must not start threads of its own. Takes a
        record batch of the features and returns, for each of its rows in order, the
        prediction columns: `score`; for multiclass `predicted_class` and `class_scores`; for
        regression `expected_absolute_error`, which may be null.
    engine : str
        Name of the engine behind `score`.
    model_sha256 : str
        Identity of the artifact behind `score`.
    judge : callable, optional
        Called before the commit with the number of rows that were scored. It reads the predictions
        on `connection`; what it raises takes the whole write back, and the older partition stays.
    batch_rows : int, optional
        Rows in memory at a time.

    Returns
    -------
    ScoringRun
        The manifest row. When the same rows were scored by the same artifact, engine and role
        before, nothing is written and the earlier manifest row is returned with `is_skipped`.

    Raises
    ------
    ScoresRefused
        When a score is missing, not finite or out of range.
    PartitionBusy
        When another connection is writing the partition.
    NoRows, KeysRefused, ColumnsRefused
        When the scoring set is empty or not what it must be.
    """
    started = time.perf_counter()
    _reset_peak_memory()
    reader = connection.cursor()
    try:
        with _bounded_memory(connection), transaction(reader):
            # One snapshot for the fingerprint, the key checks and the rows that are scored.
            scoring_set = describe_scoring_set(
                reader, scoring_relation, partition.as_of_date, entity_key, feature_columns
            )
            fingerprint = _fingerprint(scoring_set, model_sha256, engine)
            current = _current_run(connection, partition)
            if current and _holds(connection, current, partition, fingerprint):
                return current
            with _refusing_rivals(partition), transaction(connection):
                epoch = _take_lease(connection, partition)
                run_id = (
                    f"{partition.task}-v{partition.model_version}-{partition.as_of_date}-e{epoch}"
                )
                connection.execute(
                    f"delete from {_table(partition)} where {_IS_PARTITION}", _key(partition)
                )
                columns = ", ".join(quoted(name) for name in (*entity_key, *feature_columns))
                stream = reader.execute(
                    f"select {columns} from {relation_name(scoring_relation)} where as_of_date = ?",
                    [partition.as_of_date],
                ).to_arrow_reader(batch_rows)
                for keys, scores in _scored(stream, entity_key, feature_columns, score):
                    checked = checked_scores(scores, keys, kind, str(partition))
                    _insert(connection, partition, run_id, keys, checked)
                _assert_count(connection, partition, scoring_set.row_count, "before the commit")
                seconds = time.perf_counter() - started
                run = ScoringRun(
                    scoring_run_id=run_id,
                    task=partition.task,
                    model_version=partition.model_version,
                    role=partition.role,
                    as_of_date=partition.as_of_date,
                    epoch=epoch,
                    row_count=scoring_set.row_count,
                    input_fingerprint=fingerprint,
                    engine=engine,
                    model_sha256=model_sha256,
                    scoring_seconds=seconds,
                    rows_per_second=scoring_set.row_count / seconds,
                    peak_memory_bytes=_peak_memory_bytes(),
                )
                manifest = {name: getattr(run, name) for name in _MANIFEST}
                insert_facts(connection, "scoring_runs", [manifest])
                if judge is not None:
                    judge(run.row_count)
            _read_back(connection, partition, run)
            return run
    finally:
        reader.close()


def _scored(
    batches: Iterable[pa.RecordBatch],
    entity_key: Sequence[str],
    feature_columns: Sequence[str],
    score: Callable[[pa.RecordBatch], Scores],
) -> Iterator[tuple[pa.RecordBatch, Scores]]:
    """Yield each block's keys and scores in order; every core scores while the caller writes."""
    pool = ThreadPoolExecutor(_SCORING_THREADS)
    ahead: deque[tuple[pa.RecordBatch, Future[Scores]]] = deque()
    try:
        for batch in batches:
            features = batch.select(list(feature_columns))
            ahead.append((batch.select(list(entity_key)), pool.submit(score, features)))
            if len(ahead) > _SCORING_THREADS:
                keys, scores = ahead.popleft()
                yield keys, scores.result()
        while ahead:
            keys, scores = ahead.popleft()
            yield keys, scores.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _fingerprint(scoring_set: ScoringSet, model_sha256: str, engine: str) -> str:
    parts = (scoring_set.content_hash, model_sha256, engine)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _current_run(connection: duckdb.DuckDBPyConnection, partition: Partition) -> ScoringRun | None:
    found = connection.execute(
        f"""
        select {", ".join(_MANIFEST)}
        from recorded.scoring_runs
        where {_IS_PARTITION} and task = $task
        order by epoch desc
        limit 1
        """,
        {**_key(partition), "task": partition.task},
    ).fetchall()
    if not found:
        return None
    return ScoringRun(**dict(zip(_MANIFEST, found[0], strict=True)), is_skipped=True)


def _holds(
    connection: duckdb.DuckDBPyConnection,
    current: ScoringRun,
    partition: Partition,
    fingerprint: str,
) -> bool:
    return (
        current.input_fingerprint == fingerprint
        and current.role == partition.role
        and _count(connection, partition) == current.row_count
    )


def _take_lease(connection: duckdb.DuckDBPyConnection, partition: Partition) -> int:
    # First in the transaction: two that write the same partition meet here, and one fails.
    epoch = connection.execute(
        """
        insert into recorded.leases (task, model_version, as_of_date, epoch)
        values ($task, $model_version, $as_of_date, 1)
        on conflict (task, model_version, as_of_date) do update set epoch = leases.epoch + 1
        returning epoch
        """,
        {**_key(partition), "task": partition.task},
    ).fetchall()[0][0]
    return int(epoch)


def _insert(
    connection: duckdb.DuckDBPyConnection,
    partition: Partition,
    run_id: str,
    keys: pa.RecordBatch,
    scores: pa.Table,
) -> None:
    columns = {name: keys[name] for name in keys.schema.names}
    columns |= {name: scores[name] for name in scores.column_names}
    columns["as_of_date"] = pa.repeat(pa.scalar(partition.as_of_date, pa.date32()), len(keys))
    columns["model_version"] = pa.repeat(pa.scalar(partition.model_version, pa.int32()), len(keys))
    columns["role"] = pa.repeat(partition.role, len(keys))
    columns["scoring_run_id"] = pa.repeat(run_id, len(keys))
    table = f"recorded.predictions_{partition.task}"
    ordered = pa.table({name: columns[name] for name in relation_columns(connection, table)})
    # Not `register`: its view, though dropped, holds the block until the transaction ends.
    connection.from_arrow(ordered).insert_into(table)


def _count(connection: duckdb.DuckDBPyConnection, partition: Partition) -> int:
    count: int = connection.execute(
        f"select count(*) from {_table(partition)} where {_IS_PARTITION}", _key(partition)
    ).fetchall()[0][0]
    return count


def _assert_count(
    connection: duckdb.DuckDBPyConnection, partition: Partition, expected: int, when: str
) -> None:
    count = _count(connection, partition)
    if count != expected:
        raise WarehouseError(
            f"{partition} holds {count} predictions {when}, but its scoring set has {expected} "
            "rows; run it again, and report it if it stays so"
        )


def _read_back(
    connection: duckdb.DuckDBPyConnection, partition: Partition, written: ScoringRun
) -> None:
    current = _current_run(connection, partition)
    if current is None or current.scoring_run_id != written.scoring_run_id:
        raise WarehouseError(
            f"{partition} was committed as {written.scoring_run_id}, but its manifest reads "
            f"{current and current.scoring_run_id}; run it again"
        )
    _assert_count(connection, partition, written.row_count, "after the commit")


def _key(partition: Partition) -> dict[str, int | date]:
    return {"model_version": partition.model_version, "as_of_date": partition.as_of_date}


def _table(partition: Partition) -> str:
    return relation_name(f"recorded.predictions_{partition.task}")


@contextmanager
def _refusing_rivals(partition: Partition) -> Iterator[None]:
    # A rival shows as a conflict on the lease row, or as the duplicate key of a lease or manifest
    # row that it committed first.
    try:
        yield
    except (duckdb.TransactionException, duckdb.ConstraintException) as error:
        if not re.search("conflict|duplicate key", str(error), re.IGNORECASE):
            raise
        raise PartitionBusy(
            f"{partition} is being written by another run of this process; this one wrote nothing, "
            f"run it again when the other has ended ({error})"
        ) from error


@contextmanager
def _bounded_memory(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Hold DuckDB's memory down while partitions are written; the last one to end lifts it."""
    global _writers  # noqa: PLW0603
    with _counting:
        if _writers == 0:
            connection.execute(f"set memory_limit = '{_SCORING_MEMORY}'")
        _writers += 1
    try:
        yield
    finally:
        with _counting:
            _writers -= 1
            if _writers == 0:
                connection.execute("reset memory_limit")


def _reset_peak_memory() -> None:
    """Let the peak begin anew at each partition, where the system can: on Linux."""
    if sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak_memory_bytes() -> int:
    """Return the resident peak since the reset; elsewhere than on Linux since the process began."""
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
