"""What leaves the warehouse for Python: training sets, and the identity of sets of rows.

Rows leave as Arrow. Hashes, counts and key checks are set-based SQL. Nothing here writes.
"""

import difflib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb
import pyarrow as pa

from warehouse.connection import WarehouseError, quoted, relation_name

__all__ = [
    "ColumnsRefused",
    "KeysRefused",
    "NoRows",
    "ScoringSet",
    "check_keys",
    "content_hash",
    "describe_scoring_set",
    "query_rows",
    "read_training_set",
    "relation_columns",
    "training_query",
]


class NoRows(WarehouseError):
    """A training or scoring set is empty."""


class ColumnsRefused(WarehouseError):
    """A relation does not have the columns that were agreed."""


class KeysRefused(WarehouseError):
    """A key is null or not unique."""


@dataclass(frozen=True)
class ScoringSet:
    """Size and identity of the rows that are to be scored."""

    row_count: int
    content_hash: str


def query_rows(
    connection: duckdb.DuckDBPyConnection, sql: str, **parameters: object
) -> list[dict[str, Any]]:
    """Return the rows of a query as dicts; of the parameters those are bound that `sql` names."""
    used = {name: value for name, value in parameters.items() if f"${name}" in sql}
    result = connection.execute(sql, used)
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def training_query(relation: str, entity_key: Sequence[str], cut_off_date: date) -> str:
    """Return the SQL of the rows known at the cut-off, ordered by as_of_date and entity key."""
    order = ", ".join(quoted(name) for name in ("as_of_date", *entity_key))
    return (
        f"select * from {relation_name(relation)}"
        f" where label_known_at <= date '{cut_off_date.isoformat()}'"
        f" and features_known_at <= date '{cut_off_date.isoformat()}'"
        f" order by {order}"
    )


def read_training_set(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    entity_key: Sequence[str],
    cut_off_date: date,
    expected_columns: Sequence[str] | None = None,
) -> pa.Table:
    """Return the training rows whose features and labels were known at the cut-off.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        The warehouse.
    relation : str
        `schema.table` of the training set.
    entity_key : sequence of str
        Key columns; with as_of_date they are unique.
    cut_off_date : date
        Labels and features known up to this date are used.
    expected_columns : sequence of str, optional
        The columns that the relation must have, in any order and no others.

    Returns
    -------
    pyarrow.Table
        All columns of the relation, or the expected ones in their order; the rows ordered by
        as_of_date and entity key.

    Raises
    ------
    ColumnsRefused
        When a column is missing or was not expected.
    NoRows
        When nothing was known at the cut-off.
    KeysRefused
        When a key is null or not unique.
    """
    needed = ["as_of_date", "features_known_at", "label_known_at", *entity_key]
    present = list(relation_columns(connection, relation))
    check_columns(relation, present, needed)
    if expected_columns is not None:
        check_columns(relation, present, expected_columns, refuse_others=True)
    query = training_query(relation, entity_key, cut_off_date)
    rows = connection.execute(query).to_arrow_table()
    if rows.num_rows == 0:
        raise NoRows(_why_no_training_rows(connection, relation, cut_off_date))
    check_keys(connection, f"({query})", ["as_of_date", *entity_key], place=relation)
    return rows.select(list(expected_columns)) if expected_columns is not None else rows


def describe_scoring_set(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    as_of_date: date,
    entity_key: Sequence[str],
    feature_columns: Sequence[str],
) -> ScoringSet:
    """Check the columns and keys of a period's scoring set, and return its size and hash.

    The hash is order-free and sees every duplicate. It is DuckDB's own `hash`, some ten times
    cheaper than md5: it is compared with hashes of the same DuckDB version, which is part of it,
    and only to see that a partition was scored already. Evidence is hashed by `content_hash`.

    Raises
    ------
    ColumnsRefused
        When a key or feature column is missing.
    NoRows
        When the period has no rows.
    KeysRefused
        When a key is null or not unique.
    """
    types = relation_columns(connection, relation)
    used = [*entity_key, *feature_columns]
    check_columns(relation, list(types), ["as_of_date", *used])
    period = f"(select * from {relation_name(relation)} where as_of_date = date '{as_of_date}')"
    row_count, total = connection.execute(
        f"select count(*), sum(hash({', '.join(map(quoted, used))})) from {period}"
    ).fetchall()[0]
    if row_count == 0:
        first, last = connection.execute(
            f"select min(as_of_date), max(as_of_date) from {relation_name(relation)}"
        ).fetchall()[0]
        has = "it is empty" if first is None else f"it holds {first} to {last}"
        raise NoRows(
            f"{relation} has no rows at {as_of_date} ({has}); "
            "record the period and build the features first"
        )
    check_keys(connection, period, entity_key, place=f"{relation} at {as_of_date}")
    identity = [duckdb.__version__, [[name, types[name]] for name in used], row_count, str(total)]
    return ScoringSet(row_count, _sha256(identity))


def content_hash(connection: duckdb.DuckDBPyConnection, relation: str) -> str:
    """Return a hash of the rows of a relation or query: their multiset, whatever their order.

    Each row becomes a text in which nulls are marked, lengths are given and doubles are exact; the
    two halves of its md5 are summed. So the hash does not depend on row order or threads, and a row
    that comes twice changes it. Names and types of the columns are part of it.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        The warehouse.
    relation : str
        `schema.table`, or a whole query that starts with `select` or `with`.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    is_query = relation.lstrip().lower().startswith(("select", "with"))
    source = f"({relation})" if is_query else relation_name(relation)
    described = connection.execute(f"describe select * from {source}").fetchall()
    columns = [(str(row[0]), str(row[1])) for row in described]
    # A length before each text: no value can be mistaken for the end of its neighbour.
    texts = ", ".join(
        f"coalesce(length(cast({quoted(name)} as varchar)) || ':' || "
        f"cast({quoted(name)} as varchar), '-')"
        for name, _ in columns
    )
    sums = connection.execute(
        f"""
        select
            count(*),
            sum(cast(digest >> 64 as hugeint)),
            sum(cast(digest & 18446744073709551615 as hugeint))
        from (select md5_number(concat({texts})) as digest from {source})
        """
    ).fetchall()[0]
    return _sha256([columns, *map(str, sums)])


def check_keys(
    connection: duckdb.DuckDBPyConnection, source: str, key: Sequence[str], *, place: str
) -> None:
    """Refuse null and repeated keys, naming a few of them.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        The warehouse.
    source : str
        A quoted relation, or a query in parentheses.
    key : sequence of str
        The key columns.
    place : str
        What the error calls the source.

    Raises
    ------
    KeysRefused
        When a key is null or not unique.
    """
    columns = ", ".join(quoted(name) for name in key)
    is_null = " or ".join(f"{quoted(name)} is null" for name in key)
    groups = f"(select {columns}, count(*) as row_count from {source} group by {columns})"
    null_count, repeated_count = connection.execute(
        f"""
        select count(*) filter (where {is_null}), count(*) filter (where row_count > 1)
        from {groups}
        """
    ).fetchall()[0]
    if null_count:
        raise KeysRefused(
            f"{place} has {null_count} null keys, for instance ({', '.join(key)}) = "
            f"{_some(connection, columns, groups, is_null)}; a key must say whose row it is"
        )
    if repeated_count:
        raise KeysRefused(
            f"{place} has {repeated_count} keys more than once, for instance ({', '.join(key)}) = "
            f"{_some(connection, columns, groups, 'row_count > 1')}; one row per key is allowed"
        )


def relation_columns(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    """Return the columns of a relation with their types, in order.

    Raises
    ------
    ColumnsRefused
        When there is no such relation.
    """
    try:
        described = connection.execute(f"describe {relation_name(relation)}").fetchall()
    except duckdb.CatalogException as error:
        raise ColumnsRefused(
            f"{relation} does not exist in the warehouse; build it with dbt first"
        ) from error
    return {str(row[0]): str(row[1]) for row in described}


def check_columns(
    relation: str,
    present: Sequence[str],
    expected: Sequence[str],
    *,
    refuse_others: bool = False,
) -> None:
    """Refuse a relation that lacks a column, or that has others when they are not allowed."""
    missing = [name for name in expected if name not in present]
    others = [name for name in present if name not in expected] if refuse_others else []
    if not missing and not others:
        return
    faults = [_missing_column(name, present) for name in missing]
    faults += [f"{name!r} was not expected" for name in others]
    raise ColumnsRefused(
        f"{relation} does not have the columns agreed: {'; '.join(faults)}; correct the SQL model, "
        "or declare a new version of it"
    )


def _missing_column(name: str, present: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, present, n=1)
    return f"{name!r} is missing" + (f" (it has {near[0]!r})" if near else "")


def _some(connection: duckdb.DuckDBPyConnection, columns: str, groups: str, condition: str) -> str:
    rows = connection.execute(
        f"select {columns} from {groups} where {condition} order by {columns} limit 3"
    ).fetchall()
    return ", ".join(f"({', '.join(map(str, row))})" for row in rows)


def _why_no_training_rows(
    connection: duckdb.DuckDBPyConnection, relation: str, cut_off_date: date
) -> str:
    first = connection.execute(
        f"select min(greatest(label_known_at, features_known_at)) from {relation_name(relation)}"
    ).fetchall()[0][0]
    if first is None:
        return f"{relation} is empty; record the task's periods and build its features and labels"
    return (
        f"{relation} has no rows with features and mature labels known at {cut_off_date}; the "
        f"first cut-off with rows is {first}"
    )


def _sha256(identity: list[Any]) -> str:
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()
