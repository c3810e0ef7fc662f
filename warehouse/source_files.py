"""The files of a source: checked against their declaration, and kept as parquet in a cache.

Owns reading the files. A file is read and checked once; the copy in the cache is sorted by event
time, so that one period of it is read in milliseconds. It must not touch the warehouse.
"""

import hashlib
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from warehouse.connection import WarehouseError, open_scratch, quoted
from warehouse.sources import SourceTable

__all__ = ["EVENT_AT", "SourceFileRefused", "prepare_file", "text"]

EVENT_AT = "__event_at"  # the column of event times in the copy; null throughout for a snapshot
ROW = "__row"

NUMBERS = (
    "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT",
    "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "FLOAT", "DOUBLE", "DECIMAL",
)  # fmt: skip
WHOLE_NUMBERS = tuple(name for name in NUMBERS if name.endswith("INT") or name.endswith("INTEGER"))
TIMES = ("DATE", "TIMESTAMP")


class SourceFileRefused(WarehouseError):
    """A file that is not what its declaration says."""


def prepare_file(table: SourceTable, cache_folder: Path) -> Path:
    """Return the parquet copy of a table's file; it is made when the file or declaration is new.

    Parameters
    ----------
    table : SourceTable
        The declaration.
    cache_folder : pathlib.Path
        Where copies lie; what is in it may be deleted at any time.

    Returns
    -------
    pathlib.Path
        A parquet file with the declared columns and types, and the column `EVENT_AT`.

    Raises
    ------
    SourceFileRefused
        When a column is missing, was renamed, has another type, or was not declared; when a value
        cannot be cast; when an event time is null; when a snapshot has no rows. Nothing is kept
        then.
    """
    path = table.locate()
    stat = path.stat()
    identity = repr((path, stat.st_size, stat.st_mtime_ns, duckdb.__version__, table))
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    target = cache_folder / "sources" / f"{table.label}-{digest}.parquet"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f"{target.name}.{os.getpid()}.aside")
    try:
        with open_scratch() as scratch, _readable(table, path) as file:
            _read(scratch, table, file)
            _check_columns(scratch, table, path)
            _check_not_empty(scratch, table, path)
            _check_values(scratch, table, path)
            _copy(scratch, table, path, aside)
        os.replace(aside, target)
    finally:
        aside.unlink(missing_ok=True)
    for older in target.parent.glob(f"{table.label}-*.parquet"):
        if older != target:
            older.unlink(missing_ok=True)
    return target


@contextmanager
def _readable(table: SourceTable, path: Path) -> Iterator[Path]:
    if table.file_format != "zip":
        yield path
        return
    with zipfile.ZipFile(path) as archive, TemporaryDirectory() as folder:
        members = [name for name in archive.namelist() if not name.endswith("/")]
        if len(members) != 1 or not members[0].endswith(".csv"):
            raise SourceFileRefused(
                f"{path} of {table.label} holds {', '.join(members) or 'nothing'}; "
                "accepted: one csv file"
            )
        yield Path(archive.extract(members[0], folder))


def _read(scratch: duckdb.DuckDBPyConnection, table: SourceTable, file: Path) -> None:
    if table.file_format == "parquet":
        reader = f"read_parquet({text(str(file))})"
    else:
        nulls = "" if table.null_text is None else f", nullstr = {text(table.null_text)}"
        reader = (
            f"read_csv({text(str(file))}, header = true, delim = ',', quote = '\"', "
            f"escape = '\"', all_varchar = true{nulls})"
        )
    # Rows are numbered as the file has them, the header not counted.
    scratch.execute(
        f"create temp table file_rows as select row_number() over () as {ROW}, * from {reader}"
    )


def _check_columns(scratch: duckdb.DuckDBPyConnection, table: SourceTable, path: Path) -> None:
    types = _types(scratch)
    declared = [column.name for column in table.columns]
    missing = [name for name in declared if name not in types]
    extra = [] if table.is_subset else [name for name in types if name not in declared]
    faults = [f"column {name} is missing" for name in missing]
    faults += [f"column {name} is not declared" for name in extra]
    if table.file_format == "parquet":
        faults += [
            f"column {column.name} is {types[column.name]}, and {column.data_type} is declared"
            for column in table.columns
            if column.name in types and not _comparable(types[column.name], column.data_type)
        ]
    if faults:
        raise SourceFileRefused(
            f"{path} is not what {table.declared_in} declares for {table.label}: "
            f"{'; '.join(faults)}; correct the declaration, or get the right file"
        )


def _check_not_empty(scratch: duckdb.DuckDBPyConnection, table: SourceTable, path: Path) -> None:
    # Nothing may happen in a period; but a snapshot without rows would say that all is gone.
    if table.event_at is None and not scratch.execute("from file_rows limit 1").fetchall():
        raise SourceFileRefused(
            f"{path} of {table.label} has no rows, and a table without event_at is the whole truth "
            "of its date; get the complete file"
        )


def _check_values(scratch: duckdb.DuckDBPyConnection, table: SourceTable, path: Path) -> None:
    """Refuse the first value of a column that does not have the declared type without a loss."""
    types = _types(scratch)
    wrong = {}
    for column in table.columns:
        declared, value = str(duckdb.type(column.data_type)), quoted(column.name)
        if declared == types[column.name]:
            continue
        condition = f"{value} is not null and try_cast({value} as {column.data_type}) is null"
        if declared in WHOLE_NUMBERS:
            # A cast to a whole number rounds: 2.5 would become 3.
            condition += (
                f" or try_cast({value} as double)"
                f" != cast(try_cast({value} as {column.data_type}) as double)"
            )
        wrong[column] = condition
    if not wrong:
        return
    counts = scratch.execute(
        "select "
        + ", ".join(f"count(*) filter (where {condition})" for condition in wrong.values())
        + " from file_rows"
    ).fetchall()[0]
    for (column, condition), count in zip(wrong.items(), counts, strict=True):
        if count:
            row, value = scratch.execute(
                f"select {ROW}, {quoted(column.name)} from file_rows where {condition} "
                f"order by {ROW} limit 1"
            ).fetchall()[0]
            raise SourceFileRefused(
                f"{path} is not what {table.declared_in} declares for {table.label}: column "
                f"{column.name} is declared {column.data_type}, and row {row} holds {value!r} "
                f"({count} such rows); correct the declaration (also null_text), or get the right "
                "file"
            )


def _copy(scratch: duckdb.DuckDBPyConnection, table: SourceTable, path: Path, target: Path) -> None:
    columns = ", ".join(
        f"cast({quoted(column.name)} as {column.data_type}) as {quoted(column.name)}"
        for column in table.columns
    )
    event_at = (
        f"cast({table.event_at} as timestamp)" if table.event_at else "cast(null as timestamp)"
    )
    scratch.execute(
        f"create temp table typed_rows as select *, {event_at} as {EVENT_AT} "
        f"from (select {ROW}, {columns} from file_rows)"
    )
    if table.event_at:
        row = scratch.execute(
            f"select min({ROW}) from typed_rows where {EVENT_AT} is null"
        ).fetchall()[0][0]
        if row is not None:
            raise SourceFileRefused(
                f"{path} of {table.label}: row {row} has no event time ({table.event_at} is null), "
                "so no batch can hold it; correct event_at, or the file"
            )
    scratch.execute(
        f"copy (select * exclude ({ROW}) from typed_rows order by {EVENT_AT}, {ROW}) "
        f"to {text(str(target))} (format parquet, row_group_size 10000)"
    )


def _types(scratch: duckdb.DuckDBPyConnection) -> dict[str, str]:
    described = scratch.execute("describe file_rows").fetchall()
    return {str(row[0]): str(row[1]) for row in described if row[0] != ROW}


def _comparable(found: str, declared: str) -> bool:
    stated = str(duckdb.type(declared))
    return found == stated or any(
        found.startswith(family) and stated.startswith(family) for family in (NUMBERS, TIMES)
    )


def text(value: str) -> str:
    """Return `value` as an SQL text literal.

    >>> text("it's")
    "'it''s'"
    """
    return "'" + value.replace("'", "''") + "'"
