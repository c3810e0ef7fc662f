"""The only opener of databases: the warehouse file, its published copy, and scratch in memory.

Owns how DuckDB is configured, that the recorded tables exist, and the high-water mark that tells a
file which silently lost its tail. It must not know what the tables mean.

dbt opens the same file in the same process, and DuckDB refuses a second connection whose
configuration differs from the first. So `duckdb.connect` gets no configuration here, as dbt-duckdb
gives none; the time zone is set per connection, here and in `dbt_project/profiles.yml`.
"""

import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from warehouse.home import high_water_path, published_path, warehouse_path

__all__ = [
    "WarehouseDamaged",
    "WarehouseError",
    "WarehouseLocked",
    "WarehouseMissing",
    "open_published",
    "open_scratch",
    "open_warehouse",
    "quoted",
    "relation_name",
    "seal",
    "transaction",
]

RECORDED_SQL = Path(__file__).with_name("recorded.sql")

_opening = threading.Lock()  # two threads that run DDL at once would conflict in the catalog


class WarehouseError(RuntimeError):
    """What went wrong at the door of the warehouse. The base of this package's errors."""


class WarehouseLocked(WarehouseError):
    """Another process holds the working file."""


class WarehouseMissing(WarehouseError):
    """The file to be read does not exist."""


class WarehouseDamaged(WarehouseError):
    """The working file holds fewer recorded rows than it held when it was sealed."""


@contextmanager
def open_warehouse() -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the working file for reading and writing, and close the connection at the end.

    Yields
    ------
    duckdb.DuckDBPyConnection
        In UTC, with the recorded tables present. Several may be open in one process, beside dbt's.

    Raises
    ------
    WarehouseLocked
        When another process holds the file.
    WarehouseDamaged
        When the file holds fewer recorded rows than its high-water mark.
    """
    path = warehouse_path()
    mark = _read_high_water(high_water_path())
    if mark and not path.exists():
        raise WarehouseDamaged(
            f"{path} does not exist, but {high_water_path()} says it held "
            f"{sum(mark.values())} recorded rows; restore it, or delete the mark to begin anew"
        )
    connection = _connect(path, read_only=False)
    try:
        with _opening:
            connection.execute(RECORDED_SQL.read_text(encoding="utf-8"))
        _check_high_water(connection, mark, path)
        yield connection
    finally:
        connection.close()


@contextmanager
def open_published() -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the published copy for reading only.

    The connection keeps the copy that it opened; what is published later is seen by those who open
    later (in one process: once every connection to the older copy is closed).

    Raises
    ------
    WarehouseMissing
        When nothing has been published yet.
    """
    path = published_path()
    if not path.exists():
        raise WarehouseMissing(
            f"{path} does not exist: nothing has been published yet; run a day first (`make run`)"
        )
    connection = _connect(path, read_only=True)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def open_scratch() -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an empty database in memory, in UTC, that ends with the block."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        yield connection


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """Run a block in one transaction: committed when it ends, rolled back when it raises."""
    connection.execute("begin transaction")
    try:
        yield connection
        # DuckDB reports success for the COMMIT of an aborted transaction, which rolls back. Any
        # statement fails in an aborted one, so this shows that there is something to commit.
        connection.execute("select 1").fetchall()
        connection.execute("commit")
    except BaseException:
        _roll_back(connection)
        raise


def seal(connection: duckdb.DuckDBPyConnection) -> None:
    """End a run: move the log into the file, and write down how many rows were recorded.

    A log cut short loses its tail without an error; the mark beside the file makes that visible.
    """
    connection.execute("checkpoint")
    target = high_water_path()
    aside = target.with_name(f"{target.name}.{os.getpid()}.{threading.get_ident()}.aside")
    aside.write_text(json.dumps(_recorded_counts(connection), indent=1), encoding="utf-8")
    os.replace(aside, target)


def quoted(name: str) -> str:
    """Return `name` as an SQL identifier.

    >>> quoted('odd"name')
    '"odd""name"'
    """
    return '"' + name.replace('"', '""') + '"'


def relation_name(relation: str) -> str:
    """Return `schema.table` with both parts quoted.

    >>> relation_name("scoring_sets.score_flight_delay_v1")
    '"scoring_sets"."score_flight_delay_v1"'
    """
    return ".".join(quoted(part) for part in relation.split("."))


def _connect(path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    try:
        connection = duckdb.connect(str(path), read_only=read_only)
    except duckdb.IOException as error:
        if "lock" not in str(error).lower():
            raise
        holder = re.search(r"held in (.*?)\(PID (\d+)\)", str(error))
        who = f"process {holder[2]} ({holder[1].strip()})" if holder else "another process"
        raise WarehouseLocked(
            f"{path} is locked by {who}; wait until it ends, or end it. To read meanwhile, open "
            f"{published_path()}"
        ) from error
    connection.execute("set TimeZone = 'UTC'")
    return connection


def _roll_back(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        connection.execute("rollback")
    except duckdb.TransactionException as error:
        # A COMMIT that failed has ended the transaction already.
        if "no transaction is active" not in str(error):
            raise


def _recorded_counts(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    # Tables of predictions are left out: a partition may be written again with fewer rows. Each
    # such write adds a manifest row in the same transaction, so a lost tail shows there.
    tables = connection.execute(
        """
        select table_name
        from duckdb_tables()
        where
            database_name = current_database()
            and schema_name = 'recorded'
            and not starts_with(table_name, 'predictions_')
        order by table_name
        """
    ).fetchall()
    counts = " union all ".join(
        f"select '{table}', count(*) from recorded.{quoted(table)}" for (table,) in tables
    )
    return dict(connection.execute(counts).fetchall())


def _read_high_water(path: Path) -> dict[str, int]:
    if not path.exists():
        return {}
    mark: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))
    return mark


def _check_high_water(
    connection: duckdb.DuckDBPyConnection, mark: dict[str, int], path: Path
) -> None:
    if not mark:
        return
    counts = _recorded_counts(connection)
    lost = [
        f"recorded.{table} has {counts.get(table, 0)} rows and had {count}"
        for table, count in mark.items()
        if counts.get(table, 0) < count
    ]
    if lost:
        raise WarehouseDamaged(
            f"{path} has lost recorded rows since it was last sealed: {'; '.join(lost)}; restore "
            f"the file, or delete {high_water_path()} to accept the loss"
        )
