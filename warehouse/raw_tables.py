"""The empty tables of `raw` and `quarantine`, as the sources declare them.

Owns their DDL. Rows are written by `warehouse/landing.py`.
"""

from collections.abc import Iterable

import duckdb

from warehouse.connection import WarehouseError, quoted, transaction
from warehouse.sources import Source, SourceTable

__all__ = ["RawTableDiffers", "create_raw_tables"]


class RawTableDiffers(WarehouseError):
    """A table in `raw` does not have the columns that the declaration now says."""


def create_raw_tables(connection: duckdb.DuckDBPyConnection, sources: Iterable[Source]) -> None:
    """Create the tables of `raw` and `quarantine` that do not exist yet, empty.

    dbt can then build before anything has landed.

    Raises
    ------
    RawTableDiffers
        When a table exists with other columns than are declared. Their order may be another: rows
        are inserted by name.
    """
    tables = [table for source in sources for table in source.tables]
    with transaction(connection):
        connection.execute("create schema if not exists raw")
        connection.execute("create schema if not exists quarantine")
        existing = _existing_columns(connection)
        for table in tables:
            for schema, columns in _schemas(table).items():
                found = existing.get((schema, table.name))
                if found is None:
                    described = ", ".join(
                        f"{quoted(name)} {kind}" for name, kind in columns.items()
                    )
                    connection.execute(f"create table {schema}.{quoted(table.name)} ({described})")
                elif found != {name: str(duckdb.type(kind)) for name, kind in columns.items()}:
                    raise RawTableDiffers(
                        f"{schema}.{table.name} has the columns {found}, and {table.declared_in} "
                        f"declares {columns}; land a changed file under a new table name"
                    )


def _schemas(table: SourceTable) -> dict[str, dict[str, str]]:
    raw = {column.name: column.data_type for column in table.columns} | {"known_at": "date"}
    return {"raw": raw, "quarantine": raw | {"broken_rules": "varchar[]"}}


def _existing_columns(
    connection: duckdb.DuckDBPyConnection,
) -> dict[tuple[str, str], dict[str, str]]:
    existing: dict[tuple[str, str], dict[str, str]] = {}
    for schema, table, name, kind in connection.execute(
        """
        select schema_name, table_name, column_name, data_type
        from duckdb_columns()
        where schema_name in ('raw', 'quarantine') and database_name = current_database()
        order by schema_name, table_name, column_index
        """
    ).fetchall():
        existing.setdefault((schema, table), {})[name] = kind
    return existing
