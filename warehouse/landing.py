"""The act of landing: what had happened before a date enters `raw`, once, judged first.

Owns the rows of `raw`, `quarantine` and `recorded.batches`. It must not know what the columns mean:
that is declared in the source's YAML (`warehouse/sources.py`).
"""

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import duckdb

from warehouse.connection import WarehouseError, quoted, transaction
from warehouse.expectations.engine import BrokenRule
from warehouse.expectations.judgement import Judgement
from warehouse.expectations.landed_batch import (
    KEY_IS_COMPLETE,
    KEY_IS_NEW,
    broken_rows_query,
    judge_landed_batch,
)
from warehouse.facts import insert_facts
from warehouse.raw_tables import create_raw_tables
from warehouse.reading import content_hash
from warehouse.source_files import EVENT_AT, prepare_file, text
from warehouse.sources import Source, SourceTable

__all__ = [
    "BatchRefused",
    "LandedBatch",
    "NothingToLand",
    "OutOfOrder",
    "create_raw_tables",
    "land",
]

STAGED = "landing_batch"  # temporary, so its name can clash with nothing in the warehouse
BROKEN = "landing_broken_rows"
ROW = "__row"

_file_hashes: dict[Path, str] = {}


class BatchRefused(WarehouseError):
    """A batch breaks its rules in more rows than its declaration allows."""


class NothingToLand(WarehouseError):
    """Nothing of a source had happened before the date."""


class OutOfOrder(WarehouseError):
    """A later batch holds the facts of the date already."""


@dataclass(frozen=True)
class LandedBatch:
    """One batch of one table. `is_new` is false when it had landed before."""

    source_name: str
    table_name: str
    as_of_date: date
    landed_row_count: int
    quarantined_row_count: int
    is_new: bool

    def __str__(self) -> str:
        name = f"{self.source_name}.{self.table_name} as of {self.as_of_date}"
        if not self.is_new:
            return f"{name}: had landed before"
        quarantined = f", {self.quarantined_row_count} in quarantine"
        return f"{name}: {self.landed_row_count} rows landed" + (
            quarantined if self.quarantined_row_count else ""
        )


def land(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    as_of_date: date,
    *,
    cache_folder: Path,
    expectations_folder: Path,
) -> list[LandedBatch]:
    """Land what had happened before a date and had not landed yet, one batch per table.

    Landing the same date again changes nothing. A snapshot (a table without event times) lands when
    its content differs from what landed last.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        The warehouse, outside a transaction, with the tables of `create_raw_tables`.
    source : Source
        The declaration.
    as_of_date : datetime.date
        Rows with an event time before it land, with `known_at` = it.
    cache_folder : pathlib.Path
        Of the files' parquet copies.
    expectations_folder : pathlib.Path
        Of Great Expectations' results and Data Docs.

    Returns
    -------
    list of LandedBatch
        One per table.

    Raises
    ------
    SourceFileRefused
        When a file is not what is declared. Nothing of the source has been written.
    NothingToLand
        When nothing of the source had happened before the date. Nothing has been written.
    OutOfOrder
        When a later batch of a table holds the facts of this date. Nothing has been written.
    BatchRefused
        When more rows break a rule than is allowed. They are in quarantine, and no row of the batch
        is in `raw`. Tables that landed before this one stay landed.
    """
    # What can be refused without judging rows is refused before the first row is written.
    due = [_due(connection, table, as_of_date, cache_folder) for table in source.tables]
    _check_something_happened(connection, source, due, as_of_date)
    return [_land_table(connection, each, as_of_date, expectations_folder) for each in due]


@dataclass(frozen=True)
class _Due:
    """A table, its file, and the batch that landed last."""

    table: SourceTable
    file: Path
    is_pending: bool
    latest_as_of_date: date | None
    latest_hash: str | None


def _due(
    connection: duckdb.DuckDBPyConnection, table: SourceTable, as_of_date: date, cache_folder: Path
) -> _Due:
    batches = connection.execute(
        "select as_of_date, content_hash from recorded.batches "
        "where source_name = ? and table_name = ? order by as_of_date",
        [table.source_name, table.name],
    ).fetchall()
    file = prepare_file(table, cache_folder)
    if not batches:
        return _Due(table, file, True, None, None)
    latest_as_of_date, latest_hash = batches[-1]
    is_pending = latest_as_of_date < as_of_date
    has_landed = any(landed == as_of_date for landed, _ in batches)
    if table.event_at is not None and not is_pending and not has_landed:
        raise OutOfOrder(
            f"{table.label} has landed as of {latest_as_of_date}, so what happened before "
            f"{as_of_date} is known since then, and no batch of {as_of_date} can be made; run a "
            "date that has landed or a later one, or begin with an empty warehouse"
        )
    return _Due(table, file, is_pending, latest_as_of_date, latest_hash)


def _check_something_happened(
    connection: duckdb.DuckDBPyConnection, source: Source, due: list[_Due], as_of_date: date
) -> None:
    files = [str(each.file) for each in due if each.table.event_at is not None]
    if not files or not any(each.is_pending for each in due):
        return
    first = min(
        connection.execute(f"select min({EVENT_AT}) from read_parquet(?)", [file]).fetchall()[0][0]
        or datetime.max
        for file in files
    )
    if first >= datetime.combine(as_of_date, datetime.min.time()):
        raise NothingToLand(
            f"nothing of {source.name} had happened before {as_of_date}: its first event is at "
            f"{first}; give a later as_of_date"
        )


def _stage(connection: duckdb.DuckDBPyConnection, due: _Due, as_of_date: date) -> None:
    """Read a batch into a temporary table, with row numbers, and whether its key landed before."""
    table = due.table
    bounds: dict[str, object] = {}
    period = "true"
    if table.event_at is not None:
        period = f"{EVENT_AT} < $as_of_date"
        bounds["as_of_date"] = as_of_date
        if due.latest_as_of_date is not None:
            period += f" and {EVENT_AT} >= $covered"
            bounds["covered"] = due.latest_as_of_date
    complete = " and ".join(f"{quoted(name)} is not null" for name in table.key)
    is_new = "true"
    if table.event_at is not None and due.latest_as_of_date is not None:
        same = " and ".join(f"landed.{quoted(name)} = batch.{quoted(name)}" for name in table.key)
        is_new = f"not exists (select 1 from raw.{quoted(table.name)} as landed where {same})"
    connection.execute(
        f"create or replace temp table {STAGED} as "
        f"select row_number() over () as {ROW}, *, {complete} as {KEY_IS_COMPLETE}, "
        f"{is_new} as {KEY_IS_NEW} from read_parquet($file) as batch where {period}",
        {"file": str(due.file), **bounds},
    )


def _land_table(
    connection: duckdb.DuckDBPyConnection, due: _Due, as_of_date: date, folder: Path
) -> LandedBatch:
    table = due.table
    # Sorted, so that the declaration's order changes neither a hash nor (by name) what is inserted.
    columns = ", ".join(sorted(quoted(column.name) for column in table.columns))
    if not due.is_pending or (
        table.event_at is None and due.latest_hash == _file_hash(connection, due.file, columns)
    ):
        return _not_new(table, as_of_date)
    _stage(connection, due, as_of_date)
    batch_hash = content_hash(connection, f"select {columns} from {STAGED}")
    row_count, first_event_at, last_event_at = connection.execute(
        f"select count(*), min({EVENT_AT}), max({EVENT_AT}) from {STAGED}"
    ).fetchall()[0]
    judgement: Judgement | None = None
    broken: list[BrokenRule] = []
    if row_count:
        judgement, broken = judge_landed_batch(
            connection,
            table,
            as_of_date,
            staged=STAGED,
            row_column=ROW,
            row_count=row_count,
            folder=folder,
        )
    quarantined = _number_broken_rows(connection, broken)
    if judgement is not None:
        _refuse_if_broken(connection, table, judgement, broken, quarantined)
    with transaction(connection):
        connection.execute(
            f"insert into raw.{quoted(table.name)} by name "
            f"select {columns}, $as_of_date as known_at from {STAGED} "
            f"where {ROW} not in (select {ROW} from {BROKEN})",
            {"as_of_date": as_of_date},
        )
        _quarantine(connection, table, as_of_date)
        insert_facts(
            connection,
            "batches",
            [
                {
                    "source_name": table.source_name,
                    "table_name": table.name,
                    "as_of_date": as_of_date,
                    "landed_row_count": row_count - quarantined,
                    "quarantined_row_count": quarantined,
                    "first_event_at": first_event_at,
                    "last_event_at": last_event_at,
                    "content_hash": batch_hash,
                }
            ],
        )
        if judgement is not None:
            insert_facts(connection, "validations", [judgement.row(is_passed=True)])
    return LandedBatch(
        table.source_name, table.name, as_of_date, row_count - quarantined, quarantined, is_new=True
    )


def _file_hash(connection: duckdb.DuckDBPyConnection, file: Path, columns: str) -> str:
    # The name of a copy stands for its content, so a snapshot is hashed once in a process.
    if file not in _file_hashes:
        _file_hashes[file] = content_hash(
            connection, f"select {columns} from read_parquet({text(str(file))})"
        )
    return _file_hashes[file]


def _number_broken_rows(connection: duckdb.DuckDBPyConnection, broken: list[BrokenRule]) -> int:
    rows = (
        broken_rows_query(broken, ROW)
        if broken
        else f"select cast(0 as bigint) as {ROW}, [''] as broken_rules where false"
    )
    connection.execute(f"create or replace temp table {BROKEN} as {rows}")
    return int(connection.execute(f"select count(*) from {BROKEN}").fetchall()[0][0])


def _refuse_if_broken(
    connection: duckdb.DuckDBPyConnection,
    table: SourceTable,
    judgement: Judgement,
    broken: list[BrokenRule],
    quarantined: int,
) -> None:
    of_the_whole = [
        failure
        for failure in judgement.failures
        if failure.rule not in {rule.name for rule in broken}
    ]
    share = quarantined / judgement.checked_row_count
    if share <= table.max_quarantine_share and not of_the_whole:
        return
    with transaction(connection):
        _quarantine(connection, table, judgement.as_of_date)
        insert_facts(connection, "validations", [judgement.row(is_passed=False)])
    allowed = f"{table.max_quarantine_share:.2%} allowed by max_quarantine_share"
    raise BatchRefused(
        f"the batch of {table.label} as of {judgement.as_of_date} is refused: {quarantined} of "
        f"{judgement.checked_row_count} rows ({share:.2%}; {allowed}) break "
        f"{'; '.join(str(failure) for failure in judgement.failures)}. Nothing of it is in raw; "
        f"the broken rows are in quarantine.{table.name}. Correct the file, or the declaration in "
        f"{table.declared_in}"
    )


def _quarantine(
    connection: duckdb.DuckDBPyConnection, table: SourceTable, as_of_date: date
) -> None:
    # A batch that was refused and comes again replaces the rows that it left here.
    name = f"quarantine.{quoted(table.name)}"
    columns = ", ".join(quoted(column.name) for column in table.columns)
    connection.execute(f"delete from {name} where known_at = ?", [as_of_date])
    connection.execute(
        f"insert into {name} by name select {columns}, $as_of_date as known_at, broken_rules "
        f"from {STAGED} inner join {BROKEN} using ({ROW})",
        {"as_of_date": as_of_date},
    )


def _not_new(table: SourceTable, as_of_date: date) -> LandedBatch:
    return LandedBatch(table.source_name, table.name, as_of_date, 0, 0, is_new=False)
