"""What a run says on the terminal: a line per period, and at the end what a newcomer looks for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import duckdb
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from flows.pages import page_address
from flows.run import Run
from warehouse.connection import open_published
from warehouse.home import data_docs_path, published_path

__all__ = ["day_line", "print_summary"]

DAY = """
select
    (
        select string_agg(
            scoring_runs.role || ' v' || scoring_runs.model_version, ', ' order by scoring_runs.role
        )
        from recorded.scoring_runs
        where task = $task and as_of_date = $as_of_date
    ) as scored_by,
    (
        select max(row_count) from recorded.scoring_runs
        where task = $task and as_of_date = $as_of_date
    ) as row_count,
    (
        select case
            when count(*) filter (where status = 'ok') = 0 then 'drift unknown'
            else 'drift to act on: ' || count(*) filter (where severity = 'act')
                || ' of ' || count(*) filter (where status = 'ok') || ' features'
        end
        from monitoring.mon_feature_drift
        where task = $task and as_of_date = $as_of_date and role = 'champion'
    ) as drift,
    (
        select string_agg(
            verdict || ' (' || array_to_string(reason_codes, ', ') || ')', '; '
            order by challenger_version
        )
        from decisions.decide_champion
        where task = $task and as_of_date = $as_of_date
    ) as decision,
    (
        select string_agg('v' || model_version || ' trained: ' || trigger_reason, '; ')
        from recorded.model_versions
        where task = $task and cut_off_date = $as_of_date
    ) as trained
"""

SHOWN = {
    "Decisions that changed something, or could have (decisions.decide_champion)": """
        select
            task, as_of_date, verdict, array_to_string(reason_codes, ', ') as reason,
            coalesce('v' || champion_version || ' or ', '') || 'v' || challenger_version
                as versions,
            look_number as look, round(primary_delta, 4) as better_by,
            '[' || round(primary_lower_bound, 4) || ', ' || round(primary_upper_bound, 4) || ']'
                as interval,
            left(decision_id, 8) as id
        from decisions.decide_champion
        where verdict in ('promote', 'rollback') or look_number is not null
        order by task, as_of_date, challenger_version
    """,
    "The checks behind the newest promotion of a challenger (decisions.decide_checks)": """
        select sentence
        from decisions.decide_checks
        where is_required and (task, as_of_date, challenger_version) = (
            select (task, as_of_date, challenger_version)
            from decisions.decide_champion
            where verdict = 'promote' and not is_rubber_stamp
            order by as_of_date desc
            limit 1
        )
        order by check_name, metric, slice
    """,
    "Drift that calls for action (monitoring.mon_feature_drift)": """
        select
            task, feature, count(*) as windows, min(as_of_date) as first_window,
            max(as_of_date) as last_window, round(max(psi), 3) as largest_psi
        from monitoring.mon_feature_drift
        where severity = 'act' and role = 'champion'
        group by task, feature
        order by largest_psi desc
        limit 8
    """,
}

NEXT = """
The tasks, to look at: {pages}

Next:
  make sql Q="select * from decisions.decide_champion order by as_of_date desc limit 5"
  make docs      the tables, their columns and their lineage, as one page
  make up        Prefect, MLflow and the docs on this machine; then, for example:
                 .venv/bin/prefect deployment run 'daily/{deployment}'
Published tables: {published}
Data Docs: {data_docs}
"""


def day_line(run: Run) -> str:
    """Return what happened in the run's period, in one line."""
    day = run.rows(DAY)[0]
    parts = [
        f"scored {day['row_count']:,} rows by {day['scored_by']}",
        day["drift"],
        day["decision"],
    ]
    return " | ".join(str(part) for part in [*parts, day["trained"]] if part)


def _table(connection: duckdb.DuckDBPyConnection, title: str, sql: str) -> Table:
    result = connection.execute(sql)
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for column in result.description:
        table.add_column(column[0], overflow="fold")
    for row in result.fetchall():
        table.add_row(*("" if value is None else str(value) for value in row))
    return table


def print_summary(console: Console, tasks: Iterable[str]) -> None:
    """Print decisions with evidence, the newest predictions, the drift, and the next commands."""
    names = list(tasks)
    newest: dict[str, Any] = {
        f"Newest predictions (predictions.pred_{name})": f"""
            select * exclude (scoring_run_id) from predictions.pred_{name}
            where as_of_date = (select max(as_of_date) from predictions.pred_{name})
            order by score desc limit 5
        """
        for name in names
    }
    with open_published() as connection:
        for title, sql in {**SHOWN, **newest}.items():
            console.print(_table(connection, title, sql))
    console.print(
        NEXT.format(
            deployment=names[0].replace("_", "-"),
            published=published_path(),
            data_docs=data_docs_path(),
            pages="".join(f"\n  {page_address(name)}" for name in names),
        ),
        soft_wrap=True,
    )
