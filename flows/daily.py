"""Flow `daily`: one period of one task, from landing to the promoted champion.

Every step can be repeated: a second run of the same period finds its work done.
"""

from __future__ import annotations

import sys
import time
from datetime import date, datetime

import click
from prefect import flow, runtime

from flows import dbt_runs
from flows.artifacts import show_page
from flows.build_features import build_period
from flows.cli import on_the_terminal
from flows.compare_domain import compare_domain
from flows.judge_champion import judge_period
from flows.land_data import land_sources
from flows.pages import page_address
from flows.promote_champion import apply_verdict
from flows.roles import roles_at
from flows.rollout import apply_rollout, assign_arms
from flows.run import Run, open_run
from flows.score_batch import score_period
from flows.summary import day_line
from flows.train_challenger import train_if_wanted, train_version
from models_ml.provenance import code_commit
from warehouse.facts import record
from warehouse.home import data_docs_path

__all__ = ["daily", "run_day"]


def run_day(run: Run) -> None:
    """Take one period through the whole loop."""
    started = time.perf_counter()
    land_sources(run)
    build_period(run)
    if not roles_at(run):
        train_version(run, "first_version")
        dbt_runs.decisions(run.connection)
        apply_verdict(run)
    assign_arms(run)
    score_period(run)
    compare_domain(run)
    judge_period(run)
    apply_verdict(run)
    apply_rollout(run)
    train_if_wanted(run)
    completed = {
        "task": run.task.name,
        "as_of_date": run.as_of_date,
        "flow_run_id": str(runtime.flow_run.id),
        "code_commit": code_commit(),
        "run_seconds": time.perf_counter() - started,
    }
    record(run.connection, {"day_runs": [completed]})


@flow(name="daily")
def daily(task_name: str, as_of_date: date | None = None) -> str:
    """Run one period of a task; without a date, the one after the last completed.

    Returns
    -------
    str
        What happened, in a line.
    """
    with open_run(task_name, as_of_date) as run:
        run_day(run)
        line = f"{task_name} {run.as_of_date}: {day_line(run)}"
    show_page(task_name)
    return line


@click.command()
@click.argument("task_name", metavar="TASK")
@click.option("--as-of", "as_of", type=click.DateTime(["%Y-%m-%d"]), help="Default: the next one.")
def main(task_name: str, as_of: datetime | None) -> None:
    """Run one period of TASK in this process."""
    with on_the_terminal():
        line = daily(task_name, as_of.date() if as_of else None)
    click.echo(line)
    click.echo(f"Page: {page_address(task_name)}")
    click.echo(f"Data Docs: {data_docs_path()}")


if __name__ == "__main__":
    sys.exit(main())
