"""What a run shows of itself in Prefect: predictions, drift, decision, the task's page."""

from __future__ import annotations

from typing import Any

from prefect.artifacts import create_link_artifact, create_table_artifact

from flows.pages import page_address, write_page
from flows.run import Run
from flows.steps import step
from warehouse.connection import open_warehouse

__all__ = ["show", "show_page"]

PREDICTIONS = """
    select * from predictions.pred_{task}
    where as_of_date = $as_of_date
    order by score desc, {key}
    limit 20
"""
DRIFT = """
    select
        model_version, feature, severity, reason_code, psi, psi_null_quantile, adjusted_p_value,
        alarming_window_count
    from monitoring.mon_feature_drift
    where task = $task and as_of_date = $as_of_date and reason_code <> 'excepted'
    order by severity = 'act' desc, severity = 'warn' desc, psi desc, model_version, feature
    limit 20
"""
DECISION = """
    select verdict, reason_codes, champion_version, challenger_version, look_number, decision_id
    from decisions.decide_champion
    where task = $task and as_of_date = $as_of_date
"""


def show(run: Run) -> None:
    """Attach the period's tables to the flow run."""
    slug = run.task.name.replace("_", "-")
    predictions = PREDICTIONS.format(
        task=run.task.name,
        key=", ".join(run.task.entity_key),
    )
    for name, sql in (("predictions", predictions), ("drift", DRIFT), ("decision", DECISION)):
        create_table_artifact(
            key=f"{slug}-{name}",
            table=[_printable(row) for row in run.rows(sql)],
            description=f"{run.task.name}, as of {run.as_of_date}: {name}",
        )


@step(name="show-page")
def show_page(task_name: str) -> str:
    """Write a task's page, link it from the flow run, and return its address.

    Called when the run has published: a page that cannot be drawn must not hold back the tables.
    """
    with open_warehouse() as connection:
        write_page(connection, task_name)
    address = page_address(task_name)
    create_link_artifact(
        key=f"{task_name.replace('_', '-')}-page",
        link=address,
        link_text=f"{task_name}: the page",
        description=f"Quality, drift and decisions of {task_name}.",
    )
    return address


def _printable(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value if isinstance(value, int | float | str | None) else str(value)
        for name, value in row.items()
    }
