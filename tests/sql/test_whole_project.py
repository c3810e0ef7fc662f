"""The whole dbt project on a warehouse in which nothing has happened yet, with its unit tests."""

from typing import Any

import duckdb
import pytest

from models_ml.tasks import load_tasks
from warehouse.raw_tables import create_raw_tables
from warehouse.sources import load_sources
from warehouse.writing import create_predictions_table

pytestmark = pytest.mark.slow


def test_every_sql_model_builds_on_nothing_and_every_unit_and_data_test_holds(
    warehouse: Any, project_manifest: Any
) -> None:
    manifest = project_manifest.to_dict()
    with duckdb.connect(str(warehouse.path)) as connection:
        create_raw_tables(connection, load_sources(manifest).values())
        for task in load_tasks(manifest).values():
            create_predictions_table(connection, task.name, task.entity_key_types, task.kind)
    warehouse.dbt("build")
    assert warehouse.dicts("select * from decisions.decide_champion") == []
    assert warehouse.dicts("select * from predictions.pred_flight_delay") == []
