"""Flow `judge-champion`: let dbt derive drift, quality and verdicts from what was recorded."""

from __future__ import annotations

from datetime import date

from prefect import flow

from flows import artifacts, dbt_runs
from flows.run import Run, last_completed_date, open_run
from flows.steps import step

__all__ = ["judge_champion", "judge_period"]


@step(name="judge-period")
def judge_period(run: Run) -> None:
    """Build monitoring and decisions, and show them as artifacts of the run."""
    dbt_runs.after_scoring(run.connection, run.task.name)
    artifacts.show(run)


@flow(name="judge-champion")
def judge_champion(task_name: str, as_of_date: date | None = None) -> None:
    """Judge a task's versions as of a date; without one, of the last completed period."""
    with open_run(task_name, as_of_date, default=last_completed_date) as run:
        judge_period(run)
