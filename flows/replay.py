"""Flow `replay`: live through the declared history of the tasks, period after period.

It is the main job of `make run`: the same `run_day` as in production, in date order, with progress;
completed periods are left alone, so a stopped replay goes on where it was.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, date, datetime

import click
from prefect import flow
from rich.console import Console

from flows import dbt_runs
from flows.artifacts import show_page
from flows.cli import on_the_terminal
from flows.daily import run_day
from flows.run import Run, check_as_of_date, open_run
from flows.summary import day_line, print_summary
from models_ml.tasks import load_task, load_tasks

__all__ = ["replay"]

console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def _missing_periods(run: Run, last: date) -> list[date]:
    declared = run.task
    done = {
        row["as_of_date"]
        for row in run.rows("select as_of_date from recorded.day_runs where task = $task")
    }
    wanted = declared.as_of_dates(declared.replay.first_training, last)
    return [day for day in wanted if day not in done]


@flow(name="replay")
def replay(task_name: str, until: date | None = None) -> None:
    """Run every period of a task from its first training to `until` that is not completed."""
    declared = load_task(dbt_runs.manifest(), task_name)
    with open_run(task_name, declared.replay.first_training) as first:
        last = until or declared.replay.last
        check_as_of_date(declared, last, datetime.now(UTC).date())
        missing = _missing_periods(first, last)
        if not missing:
            console.print(f"{task_name}: every period up to {last} is completed")
        elif missing[0] == declared.replay.first_training:
            console.print(
                f"{task_name}: landing what happened before {missing[0]} and training the first "
                f"version; then {len(missing)} periods up to {last}"
            )
        started = time.perf_counter()
        for number, day in enumerate(missing, start=1):
            run = first.at(day)
            run_day(run)
            elapsed = time.perf_counter() - started
            left = elapsed / number * (len(missing) - number)
            console.print(
                f"{task_name} {day} [{number}/{len(missing)}, {elapsed:.0f} s, "
                f"{left:.0f} s to go] {day_line(run)}",
                soft_wrap=True,
            )
    show_page(task_name)


@click.command()
@click.argument("task_names", metavar="[TASK]...", nargs=-1)
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="Default: as declared.")
def main(task_names: tuple[str, ...], until: datetime | None) -> None:
    """Replay TASKs (default: all declared) over their history, then show what came of it."""
    with on_the_terminal():
        console.print("Preparing: parsing the dbt project, starting Prefect, building the tables")
        names = task_names or tuple(load_tasks(dbt_runs.manifest()))
        for name in names:
            replay(name, until.date() if until else None)
        print_summary(console, names)


if __name__ == "__main__":
    sys.exit(main())
