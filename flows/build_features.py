"""Flow `build-features`: let dbt append features and labels, and record what was built."""

from __future__ import annotations

import hashlib
import os
from datetime import date
from pathlib import Path
from typing import Any

from prefect import flow

from flows import dbt_runs
from flows.run import Run, open_run
from flows.steps import step
from models_ml.provenance import code_commit
from warehouse.facts import record, record_period
from warehouse.reading import content_hash

__all__ = ["build_features", "build_period"]


def _record_periods(run: Run) -> None:
    """Ask for this period, and for every earlier one of the grid that was never asked for."""
    wanted = run.task.as_of_dates(run.task.history_from, run.as_of_date)
    asked = {
        row["as_of_date"]
        for row in run.rows("select as_of_date from recorded.periods where task = $task")
    }
    missing = [day for day in wanted if day not in asked]
    record_period(run.connection, run.task.name, missing, known_at=run.as_of_date)


def _compiled_sql_sha256(node: dict[str, Any]) -> str:
    compiled = Path(os.environ["DBT_TARGET_PATH"]) / "compiled" / "weighhouse"
    text = (compiled / node["original_file_path"]).read_bytes()
    return hashlib.sha256(text).hexdigest()


def _record_builds(run: Run) -> None:
    """Record rows, content hash, commit and SQL of each feature version's new history."""
    table = run.task.features.table
    for node in run.manifest["nodes"].values():
        if node["resource_type"] != "model" or node["name"] != table or not node.get("version"):
            continue
        relation = f"features.{table}_v{node['version']}"
        appended = run.rows(
            f"""
            select known_at, min(as_of_date) as first_as_of_date,
                max(as_of_date) as last_as_of_date, count(*) as row_count
            from {relation}
            where known_at not in (
                select known_at from recorded.feature_builds
                where feature_table = $table and feature_version = $version
            )
            group by known_at
            order by known_at
            """,
            table=table,
            version=node["version"],
        )
        for build in appended:
            rows = f"select * from {relation} where known_at = date '{build['known_at']}'"
            build |= {
                "feature_table": table,
                "feature_version": node["version"],
                "content_hash": content_hash(run.connection, rows),
                "code_commit": code_commit(),
                "compiled_sql_sha256": _compiled_sql_sha256(node),
            }
        record(run.connection, {"feature_builds": appended})


@step(name="build-period")
def build_period(run: Run) -> None:
    """Build features and labels of the period, and of the history that it is the first to need."""
    _record_periods(run)
    dbt_runs.before_scoring(run.task.name)
    _record_builds(run)


@flow(name="build-features")
def build_features(task_name: str, as_of_date: date | None = None) -> None:
    """Build the feature and label tables of a task up to a date."""
    with open_run(task_name, as_of_date) as run:
        build_period(run)
