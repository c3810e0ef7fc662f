"""What every step of a run shares: the task, its date, the warehouse, the registry.

`open_run` is the way in of every flow. It refuses a wrong task or date before anything happens,
holds the working file for the length of the run, and publishes what the run made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
from prefect.logging import get_run_logger

from flows import dbt_runs
from models_ml.registry import Registry
from models_ml.tasks import Task, load_task, load_tasks
from warehouse.connection import open_warehouse
from warehouse.expectations import build_data_docs
from warehouse.home import expectations_folder, mlflow_folder
from warehouse.landing import create_raw_tables
from warehouse.publishing import publish
from warehouse.reading import query_rows
from warehouse.sources import Source, load_sources
from warehouse.writing import create_predictions_table

__all__ = ["DateRefused", "Run", "check_as_of_date", "last_completed_date", "open_run"]


Default = Callable[[Task, duckdb.DuckDBPyConnection], date]


class DateRefused(ValueError):
    """An as_of_date that the task cannot run for."""


class Run:
    """One task, one as_of_date, and the open warehouse; every step takes one.

    A plain class on purpose: Prefect walks into dataclasses that it gets as arguments.
    """

    def __init__(
        self,
        task: Task,
        as_of_date: date,
        connection: duckdb.DuckDBPyConnection,
        manifest: dict[str, Any],
    ) -> None:
        self.task = task
        self.as_of_date = as_of_date
        self.connection = connection
        self.manifest = manifest

    @property
    def sources(self) -> list[Source]:
        """The declared sources that the task lands."""
        declared = load_sources(self.manifest)
        return [declared[name] for name in self.task.sources]

    @property
    def registry(self) -> Registry:
        """The MLflow registry in the state folder."""
        return Registry(mlflow_folder())

    def at(self, as_of_date: date) -> Run:
        """Return the same run for another date."""
        return Run(self.task, as_of_date, self.connection, self.manifest)

    def rows(self, sql: str, **parameters: object) -> list[dict[str, Any]]:
        """Return the rows of a query as dicts; `$task` and `$as_of_date` are always bound."""
        bound = {"task": self.task.name, "as_of_date": self.as_of_date, **parameters}
        return query_rows(self.connection, sql, **bound)


def _last_completed(task: Task, connection: duckdb.DuckDBPyConnection) -> date | None:
    row = connection.execute(
        "select max(as_of_date) from recorded.day_runs where task = ?", [task.name]
    ).fetchone()
    return row[0] if row else None


def last_completed_date(task: Task, connection: duckdb.DuckDBPyConnection) -> date:
    """Return the last completed period, or the first training date when there is none."""
    return _last_completed(task, connection) or task.replay.first_training


def next_as_of_date(task: Task, connection: duckdb.DuckDBPyConnection) -> date:
    """Return the period after the last completed one, or the first training date."""
    last = _last_completed(task, connection)
    return last + timedelta(days=task.cadence_days) if last else task.replay.first_training


def check_as_of_date(task: Task, as_of_date: date, today: date) -> None:
    """Refuse a date in the future, before the task's history, or off its cadence."""
    if as_of_date > today:
        raise DateRefused(
            f"as_of_date {as_of_date} of {task.name} lies in the future (today is {today}, UTC); "
            "facts before it are not known yet"
        )
    if as_of_date < task.history_from:
        raise DateRefused(
            f"as_of_date {as_of_date} of {task.name} is before history_from {task.history_from}, "
            f"the first date whose look-back is full; declare an earlier one or run a later date"
        )
    if not task.is_as_of_date(as_of_date):
        offset = (as_of_date - task.history_from).days % task.cadence_days
        before = as_of_date - timedelta(days=offset)
        raise DateRefused(
            f"as_of_date {as_of_date} of {task.name} is not on its {task.cadence} cadence; "
            f"the nearest are {before} and {before + timedelta(days=task.cadence_days)}"
        )


@contextmanager
def open_run(
    task_name: str, as_of_date: date | None = None, *, default: Default = next_as_of_date
) -> Iterator[Run]:
    """Open the warehouse for a run of `task_name` at `as_of_date`, and publish at its end.

    Without a date, `default` chooses it: the period after the last completed one. The Data Docs
    are built also when the run fails: what failed is best read there.

    Raises
    ------
    TaskDeclarationError
        The task is unknown or wrongly declared.
    DateRefused
        The date is in the future, too early, or off the cadence.
    WarehouseLocked
        Another process is writing.
    """
    manifest = dbt_runs.manifest()
    task = load_task(manifest, task_name)
    with open_warehouse() as connection:
        chosen = as_of_date or default(task, connection)
        check_as_of_date(task, chosen, datetime.now(UTC).date())
        create_raw_tables(connection, load_sources(manifest).values())
        for declared in load_tasks(manifest).values():
            create_predictions_table(
                connection, declared.name, declared.entity_key_types, declared.kind
            )
        dbt_runs.set_up(connection)
        try:
            yield Run(task, chosen, connection, manifest)
            publish(connection)
        finally:
            get_run_logger().info("Data Docs: %s", build_data_docs(expectations_folder()))
