"""Flow `land-data`: bring what had happened before a date into `raw`, judged first."""

from __future__ import annotations

from datetime import date

from prefect import flow, get_run_logger

from flows.run import Run, open_run
from flows.steps import step
from warehouse.home import cache_folder, expectations_folder
from warehouse.landing import LandedBatch, land

__all__ = ["land_data", "land_sources"]


@step(name="land-sources")
def land_sources(run: Run) -> list[LandedBatch]:
    """Land one batch of every table of the task's sources; landed ones are left alone."""
    batches = [
        batch
        for source in run.sources
        for batch in land(
            run.connection,
            source,
            run.as_of_date,
            cache_folder=cache_folder(),
            expectations_folder=expectations_folder(),
        )
    ]
    for batch in batches:
        get_run_logger().info("%s", batch)
    return batches


@flow(name="land-data")
def land_data(task_name: str, as_of_date: date | None = None) -> None:
    """Land the sources of a task as of a date."""
    with open_run(task_name, as_of_date) as run:
        land_sources(run)
