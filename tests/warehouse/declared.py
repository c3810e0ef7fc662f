"""Small declarations of sources, in the shape of dbt's manifest, and warehouses to land them in."""

from pathlib import Path

import duckdb

from warehouse import connection as door

ORDERS = {"order_id": "bigint", "amount": "double", "status": "varchar", "ordered_at": "timestamp"}
ORDERS_LANDING = {
    "event_at": "ordered_at",
    "key": ["order_id"],
    "max_quarantine_share": 0.25,
    "expectations": [
        {
            "rule": "amount_not_negative",
            "type": "ExpectColumnValuesToBeBetween",
            "column": "amount",
            "min_value": 0,
        },
        {
            "rule": "status_known",
            "type": "ExpectColumnValuesToBeInSet",
            "column": "status",
            "value_set": ["open", "paid"],
        },
    ],
}


def manifest(*, table="orders", columns=None, shared=None, **landing):
    """Return a manifest with one declared source, `shop`, of one table, and one without landing."""
    columns = ORDERS if columns is None else columns
    node = {
        "source_name": "shop",
        "name": table,
        "identifier": table,
        "original_file_path": "models/staging/_shop.yml",
        "source_meta": {} if shared is None else {"landing": shared},
        "config": {"meta": {"landing": landing}},
        "columns": {name: {"name": name, "data_type": kind} for name, kind in columns.items()},
    }
    recorded = {**node, "source_name": "recorded", "config": {"meta": {}}}
    return {"sources": {f"source.shop.{table}": node, "source.recorded.batches": recorded}}


def empty_warehouse() -> duckdb.DuckDBPyConnection:
    """Return a warehouse in memory with the recorded tables."""
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    connection.execute(door.RECORDED_SQL.read_text(encoding="utf-8"))
    return connection


def write_csv(
    path: Path, lines: list[str], header: str = "order_id,amount,status,ordered_at"
) -> Path:
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple]:
    return connection.execute(query).fetchall()


def counts(connection: duckdb.DuckDBPyConnection, *relations: str) -> dict[str, int]:
    """Return how many rows each relation has."""
    return {name: rows(connection, f"select count(*) from {name}")[0][0] for name in relations}
