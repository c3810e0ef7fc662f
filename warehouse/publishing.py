"""The copy that analysts read, replaced whole.

Copies the public schemas into a fresh file beside the old one and renames it. Readers keep the copy
they opened. This module reads the warehouse and changes nothing in it.
"""

import os
import threading
from pathlib import Path

import duckdb

from warehouse.connection import WarehouseError, quoted, seal, transaction
from warehouse.home import published_path

__all__ = ["PUBLISHED_SCHEMAS", "publish"]

PUBLISHED_SCHEMAS = ("predictions", "monitoring", "decisions", "features", "recorded")

_ASIDE = "published_aside"  # the name of the fresh file while it is attached
_publishing = threading.Lock()


def publish(connection: duckdb.DuckDBPyConnection) -> Path:
    """Replace the published copy by the warehouse's present state, and seal the warehouse.

    Tables are copied; views are copied as tables, because they may read schemas that are not
    published. Comments come along. All of it is one snapshot.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        The warehouse, outside a transaction.

    Returns
    -------
    pathlib.Path
        The published file.

    Raises
    ------
    WarehouseError
        When a table or view cannot be read; the older copy stays.
    """
    with _publishing:
        seal(connection)
        target = published_path()
        for left_over in target.parent.glob(f"{target.name}.aside*"):
            left_over.unlink()  # of a run that was killed: only one process can be here
        aside = target.with_name(f"{target.name}.aside")
        cursor = connection.cursor()
        try:
            cursor.execute(f"attach '{str(aside).replace(chr(39), chr(39) * 2)}' as {_ASIDE}")
            try:
                with transaction(cursor):
                    _copy(cursor)
            finally:
                cursor.execute(f"detach {_ASIDE}")  # moves its log into the file
        finally:
            cursor.close()
        os.replace(aside, target)
        return target


def _copy(cursor: duckdb.DuckDBPyConnection) -> None:
    for schema in PUBLISHED_SCHEMAS:
        cursor.execute(f"create schema if not exists {_ASIDE}.{quoted(schema)}")
    schemas = ", ".join(f"'{schema}'" for schema in PUBLISHED_SCHEMAS)
    relations = cursor.execute(
        f"""
        select schema_name, table_name, comment
        from duckdb_tables()
        where database_name = current_database() and schema_name in ({schemas})
        union all
        select schema_name, view_name, comment
        from duckdb_views()
        where database_name = current_database() and schema_name in ({schemas})
        order by all
        """
    ).fetchall()
    for schema, name, comment in relations:
        relation = f"{quoted(schema)}.{quoted(name)}"
        try:
            cursor.execute(f"create table {_ASIDE}.{relation} as select * from {relation}")
        except (duckdb.BinderException, duckdb.CatalogException) as error:
            raise WarehouseError(
                f"{schema}.{name} cannot be published: {error}; build it with dbt, or drop it "
                "if the project no longer has it"
            ) from error
        if comment:
            cursor.execute(f"comment on table {_ASIDE}.{relation} is {_literal(comment)}")
    columns = cursor.execute(
        f"""
        select schema_name, table_name, column_name, comment
        from duckdb_columns()
        where
            database_name = current_database()
            and schema_name in ({schemas})
            and comment is not null
        order by all
        """
    ).fetchall()
    for schema, name, column, comment in columns:
        place = f"{_ASIDE}.{quoted(schema)}.{quoted(name)}.{quoted(column)}"
        cursor.execute(f"comment on column {place} is {_literal(comment)}")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
