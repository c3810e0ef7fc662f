"""Replay of decisions: derive them again from the recorded facts, and compare.

The working file is copied aside; in the copy the decision tables are dropped and every decision
is derived in one pass. Equal ids mean that the decisions follow from what was recorded, and that no
row was edited since. The working file itself is never written. Run it in a process of its own: dbt
stays with the copy.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import duckdb

from flows import dbt_runs
from flows.cli import on_the_terminal
from models_ml.tasks import load_task, load_tasks
from warehouse.connection import open_warehouse
from warehouse.home import cache_folder, warehouse_path

__all__ = ["Difference", "Replayed", "replay_decisions"]

KEY = ("task", "as_of_date", "challenger_version")


@dataclass(frozen=True)
class Difference:
    """A decision that was not derived again as it is recorded."""

    decision: str  # task, as_of_date and version
    problem: str  # the columns that differ, or that it is recorded or derived only


@dataclass(frozen=True)
class Replayed:
    """What a replay found."""

    equal_count: int
    differences: tuple[Difference, ...]
    is_same_sql: bool  # whether every decision was recorded with the present decision SQL


@contextmanager
def _copy_of_the_state() -> Iterator[None]:
    """Let the state folder be a fresh one that holds a copy of the working file."""
    stated = os.environ.get("WEIGHHOUSE_HOME")
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="replay-") as folder:
        path = warehouse_path()
        log = path.with_name(f"{path.name}.wal")
        with open_warehouse():  # nobody else writes while it is copied
            for file in (path, log) if log.exists() else (path,):
                shutil.copy2(file, Path(folder) / file.name)
        os.environ["WEIGHHOUSE_HOME"] = folder
        try:
            yield
        finally:
            if stated is None:
                del os.environ["WEIGHHOUSE_HOME"]
            else:
                os.environ["WEIGHHOUSE_HOME"] = stated


def _keep_what_was_judged(connection: duckdb.DuckDBPyConnection) -> None:
    """Set the recorded decisions aside, and forget the periods that were never judged.

    A period that is run after a later one of its task is never asked about, and here not either.
    """
    connection.execute(
        """
        create schema replayed;
        create table replayed.decide_champion as select * from decisions.decide_champion;
        create table replayed.decide_checks as select * from decisions.decide_checks;
        create table replayed.decide_rollout as select * from decisions.decide_rollout;
        delete from recorded.periods
        where known_at = as_of_date
            and (task, as_of_date) not in (select task, as_of_date from intermediate.decide_looks);
        """
    )


def _columns(connection: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    return [name for name, *_ in connection.execute(f"describe {table}").fetchall()]


def _differences(
    connection: duckdb.DuckDBPyConnection, table: str, key: tuple[str, ...], tasks: tuple[str, ...]
) -> list[Difference]:
    """Return the rows of a table that are not alike as recorded and as derived again."""
    columns = [name for name in _columns(connection, f"replayed.{table}") if name not in key]
    named = "concat_ws(' ', " + ", ".join(f"coalesce(old.{k}, new.{k})" for k in key) + ")"
    same = " and ".join(f"old.{k} is not distinct from new.{k}" for k in key)
    differing = ", ".join(
        f"case when old.{name} is distinct from new.{name} then '{name}' end" for name in columns
    )
    found = connection.execute(
        f"""
        select
            {named},
            case
                when new.task is null then 'recorded, but not derived again'
                when old.task is null then 'derived again, but not recorded'
                else 'differs in ' || concat_ws(', ', {differing})
            end as problem
        from replayed.{table} as old
        full join decisions.{table} as new on {same}
        where coalesce(old.task, new.task) in (select unnest($tasks))
            and (old.task is null or new.task is null or concat_ws(', ', {differing}) <> '')
        order by 1, 2
        """,
        {"tasks": list(tasks)},
    ).fetchall()
    return [Difference(decision, problem) for decision, problem in found]


def replay_decisions(tasks: tuple[str, ...]) -> Replayed:
    """Derive the decisions of `tasks` again in a copy of the working file, and compare them.

    Returns
    -------
    Replayed
        Decisions that are alike in every column, and each one that is not.

    Raises
    ------
    WarehouseLocked
        Another process is writing.
    DbtFailed
        A SQL model failed.
    """
    with _copy_of_the_state():
        with open_warehouse() as connection:
            _keep_what_was_judged(connection)
        dbt_runs.rederive_decisions()
        present_sha256 = dbt_runs.decision_sql_sha256()
        with open_warehouse() as connection:
            decisions = _differences(connection, "decide_champion", KEY, tasks)
            checks = _differences(
                connection, "decide_checks", (*KEY, "check_name", "metric", "slice"), tasks
            )
            rollouts = _differences(
                connection, "decide_rollout", ("task", "rollout_id", "as_of_date"), tasks
            )
            ((count, other_sql_count),) = connection.execute(
                """
                select
                    count(*),
                    count(*) filter (where decision_sql_sha256 is distinct from $present)
                from (
                    select task, decision_sql_sha256 from replayed.decide_champion
                    union all
                    select task, $present from replayed.decide_rollout
                )
                where task in (select unnest($tasks))
                """,
                {"tasks": list(tasks), "present": present_sha256},
            ).fetchall()
    of_recorded = [
        found for found in (*decisions, *rollouts) if not found.problem.startswith("derived again")
    ]
    return Replayed(
        equal_count=count - len(of_recorded),
        differences=(*decisions, *checks, *rollouts),
        is_same_sql=other_sql_count == 0,
    )


@click.command()
@click.argument("task_names", metavar="[TASK]...", nargs=-1)
def main(task_names: tuple[str, ...]) -> None:
    """Derive every decision of TASKs (default: all declared) again, and compare the ids."""
    with on_the_terminal():
        manifest = dbt_runs.manifest()
        for name in task_names:
            load_task(manifest, name)
        replayed = replay_decisions(task_names or tuple(load_tasks(manifest)))
    if not replayed.is_same_sql:
        click.echo(
            "The decision SQL is not the one that some of the decisions were recorded with; "
            "decision_sql_sha256 and code_commit of decisions.decide_champion say which."
        )
    for difference in replayed.differences:
        click.echo(f"{difference.decision}: {difference.problem}")
    click.echo(
        f"{replayed.equal_count} decisions derived again with the same id, "
        f"{len(replayed.differences)} differences"
    )
    sys.exit(1 if replayed.differences else 0)


if __name__ == "__main__":
    main()
