"""Facts that cannot be rebuilt: the inserts into the schema `recorded`.

Every fact is one inserted row, never updated. Several tables are written in one transaction or not
at all. Predictions are written by `warehouse/writing.py`. Nothing here decides or compares metrics.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa

from warehouse.connection import WarehouseError, quoted, relation_name, transaction

__all__ = [
    "ChampionChanged",
    "FactRefused",
    "insert_facts",
    "newest_champion",
    "record",
    "record_period",
    "record_promotion",
]

Rows: TypeAlias = Sequence[Mapping[str, Any]] | pa.Table

# Only one process can write the file, so a lock of this process makes compare-and-set whole.
_promoting = threading.Lock()


class FactRefused(WarehouseError):
    """A row that does not fit its recorded table."""


class ChampionChanged(WarehouseError):
    """The champion is no longer the version that the act was decided against."""


def record(connection: duckdb.DuckDBPyConnection, facts: Mapping[str, Rows]) -> None:
    """Insert rows into several recorded tables: all of them, or none.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Outside a transaction; inside one, call `insert_facts` for each table.
    facts : mapping of str to rows
        Rows by table name, without the schema. Rows are mappings or an Arrow table. A column that
        is not given is null, except `recorded_at`, which is filled in.

    Raises
    ------
    FactRefused
        When a table or column does not exist, or a value does not have the column's type.
    duckdb.ConstraintException
        When a key exists already, or a check or `not null` does not hold.
    """
    with transaction(connection):
        for table, rows in facts.items():
            insert_facts(connection, table, rows)


def insert_facts(
    connection: duckdb.DuckDBPyConnection, table: str, rows: Rows, *, skip_existing: bool = False
) -> None:
    """Insert rows into one recorded table, within the caller's transaction.

    With `skip_existing`, a row whose key exists already is left as it is.
    """
    known = _columns(connection, table)
    given = rows.column_names if isinstance(rows, pa.Table) else _keys(rows)
    unknown = [name for name in given if name not in known.names]
    if unknown:
        raise FactRefused(
            f"recorded.{table} has no column {', '.join(map(repr, unknown))}; its columns are "
            f"{', '.join(known.names)}"
        )
    if len(rows) == 0:
        return
    arriving = rows if isinstance(rows, pa.Table) else _arrow(table, rows, given, known)
    if "recorded_at" in known.names and "recorded_at" not in given:
        now = pa.scalar(datetime.now(UTC).replace(tzinfo=None), pa.timestamp("us"))
        arriving = arriving.append_column("recorded_at", pa.repeat(now, len(arriving)))
    columns = ", ".join(quoted(name) for name in arriving.column_names)
    connection.register("arriving_facts", arriving)
    try:
        connection.execute(
            f"insert into recorded.{quoted(table)} ({columns}) "
            f"select {columns} from arriving_facts"
            + (" on conflict do nothing" if skip_existing else "")
        )
    finally:
        connection.unregister("arriving_facts")


def record_period(
    connection: duckdb.DuckDBPyConnection, task: str, as_of_dates: Iterable[date], known_at: date
) -> None:
    """Ask for periods to be built; those that were asked for already are left alone.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Outside a transaction.
    task : str
        The task's name.
    as_of_dates : iterable of date
        The periods.
    known_at : date
        Facts landed in batches up to this date may be used; at or after every as_of_date.
    """
    rows = [{"task": task, "as_of_date": day, "known_at": known_at} for day in as_of_dates]
    with transaction(connection):
        insert_facts(connection, "periods", rows, skip_existing=True)


def record_promotion(
    connection: duckdb.DuckDBPyConnection,
    *,
    task: str,
    as_of_date: date,
    effective_from_date: date,
    act: str,
    model_version: int,
    previous_version: int | None,
    decision_id: str | None,
    actor: str,
    reason: str,
) -> bool:
    """Make a version the champion, if the champion still is the one the act was decided against.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Outside a transaction.
    task : str
        The task's name.
    as_of_date : date
        The day it was decided.
    effective_from_date : date
        The first as_of_date for which the version is champion.
    act : {'promote', 'rollback', 'override'}
        What kind of act it is.
    model_version : int
        The champion from then on.
    previous_version : int or None
        The champion that the act expects to replace; None for a task without one.
    decision_id : str or None
        The decision that is applied; None only for an override by a person.
    actor : str
        `policy`, or the person's name.
    reason : str
        Why.

    Returns
    -------
    bool
        False when this very act is recorded already, and nothing was written: a decision is applied
        once, and an override is a repetition only while no other act has followed it.

    Raises
    ------
    ChampionChanged
        When the champion is another version than `previous_version`.
    FactRefused
        When the act would take effect before the current champion did.
    """
    with _promoting, transaction(connection):
        repeated = connection.execute(
            """
            select count(*)
            from recorded.promotions
            where
                task = $task
                and as_of_date = $as_of_date
                and model_version = $model_version
                and decision_id is not distinct from $decision_id
                and (
                    decision_id is not null
                    or act_number
                    = (select max(act_number) from recorded.promotions where task = $task)
                )
            """,
            {
                "task": task,
                "as_of_date": as_of_date,
                "model_version": model_version,
                "decision_id": decision_id,
            },
        ).fetchall()[0][0]
        if repeated:
            return False
        champion, since, act_count = newest_champion(connection, task)
        if champion != previous_version:
            raise ChampionChanged(
                f"the champion of {task} is {_version(champion)}, but the {act} of "
                f"version {model_version} at {as_of_date} was decided against "
                f"{_version(previous_version)}; judge again against the present champion"
            )
        if since is not None and effective_from_date < since:
            raise FactRefused(
                f"the {act} of {task} version {model_version} would take effect on "
                f"{effective_from_date}, before the present champion, {_version(champion)}, did on "
                f"{since}; give a date from {since} on"
            )
        act_number = act_count + 1
        row = {
            "promotion_id": f"{task}-{as_of_date}-v{model_version}-a{act_number}",
            "task": task,
            "act_number": act_number,
            "as_of_date": as_of_date,
            "effective_from_date": effective_from_date,
            "act": act,
            "model_version": model_version,
            "previous_version": previous_version,
            "decision_id": decision_id,
            "actor": actor,
            "reason": reason,
        }
        insert_facts(connection, "promotions", [row])
        return True


def newest_champion(
    connection: duckdb.DuckDBPyConnection, task: str
) -> tuple[int | None, date | None, int]:
    """Return the newest champion, since when, and how many acts there have been."""
    latest = connection.execute(
        """
        select model_version, effective_from_date, act_number
        from recorded.promotions
        where task = ?
        order by act_number desc
        limit 1
        """,
        [task],
    ).fetchall()
    return latest[0] if latest else (None, None, 0)


def _version(version: int | None) -> str:
    return "no version yet" if version is None else f"version {version}"


def _columns(connection: duckdb.DuckDBPyConnection, table: str) -> pa.Schema:
    try:
        empty = connection.execute(
            f"select * from {relation_name(f'recorded.{table}')} limit 0"
        ).to_arrow_table()
    except duckdb.CatalogException as error:
        raise FactRefused(
            f"there is no table recorded.{table}; warehouse/recorded.sql says which there are"
        ) from error
    return empty.schema


def _keys(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _arrow(
    table: str, rows: Sequence[Mapping[str, Any]], given: Sequence[str], known: pa.Schema
) -> pa.Table:
    columns = {}
    for name in given:
        column_type = known.field(name).type
        try:
            columns[name] = pa.array([row.get(name) for row in rows], type=column_type)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise FactRefused(
                f"recorded.{table}.{name} is of type {column_type}, and a value is not: {error}"
            ) from error
    return pa.table(columns)
