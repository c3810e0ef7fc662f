"""A state folder for each test, and a scoring set in it."""

from datetime import date

import pytest

from warehouse.connection import open_warehouse
from warehouse.writing import Partition, create_predictions_table

AS_OF = date(2017, 9, 3)
PARTITION = Partition("toy", 1, "champion", AS_OF)


@pytest.fixture
def state_folder(tmp_path, monkeypatch):
    """Point WEIGHHOUSE_HOME at an empty folder."""
    monkeypatch.setenv("WEIGHHOUSE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def connection(state_folder):
    """Open a fresh warehouse."""
    with open_warehouse() as opened:
        yield opened


@pytest.fixture
def scoring_set(connection):
    """Make a scoring set of 1,000 entities and the task's predictions table."""
    make_scoring_set(connection, 1000)
    return connection


def make_scoring_set(connection, row_count, kind="binary"):
    connection.execute("create schema if not exists scoring_sets")
    connection.execute(
        f"""
        create or replace table scoring_sets.score_toy_v1 as
        select
            cast(row_id as bigint) as entity_id,
            'shop ' || (row_id % 7) as shop,
            date '{AS_OF}' as as_of_date,
            cast(row_id % 4 as double) / 4 as share,
            cast(row_id as integer) as visit_count
        from range({row_count}) as numbers(row_id)
        """
    )
    key_types = {"entity_id": "bigint", "shop": "varchar"}
    create_predictions_table(connection, "toy", key_types, kind)


def arguments(**changed):
    """Return the arguments of write_partition that all tests share."""
    return {
        "scoring_relation": "scoring_sets.score_toy_v1",
        "entity_key": ["entity_id", "shop"],
        "kind": "binary",
        "feature_columns": ["share", "visit_count"],
        "score": lambda batch: {"score": batch["share"]},
        "engine": "python",
        "model_sha256": "a" * 64,
    } | changed


def recorded_rows(connection):
    """Count what a write leaves behind: predictions, manifest rows, leases."""
    return tuple(
        connection.execute(f"select count(*) from recorded.{table}").fetchall()[0][0]
        for table in ("predictions_toy", "scoring_runs", "leases")
    )
