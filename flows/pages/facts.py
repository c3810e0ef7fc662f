"""What a task's page shows, read from the warehouse by SQL.

The queries stand in `present`, `monitored` and `judged`. Every number comes from a SQL model or a
recorded fact; nothing is computed there but the ends of an interval and which rows are the newest.
Neither they nor this module know how anything is drawn.
"""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb

from flows.pages import judged, monitored, present
from warehouse.reading import query_rows

__all__ = ["read_facts"]

Rows = list[dict[str, Any]]


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, **parameters: object) -> Rows:
    return [
        {name: _shown(value) for name, value in row.items()}
        for row in query_rows(connection, sql, **parameters)
    ]


def _shown(value: object) -> object:
    # JSON knows no decimals, no NaN and no infinity; what is not a number is shown as not known.
    if isinstance(value, Decimal):
        value = float(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_facts(connection: duckdb.DuckDBPyConnection, task: str) -> dict[str, Any]:
    """Read all that the page of a task shows.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        The warehouse, with every SQL model built (its tables may be empty).
    task : str
        A declared task.

    Returns
    -------
    dict of str to object
        `task`: the declared row and the dates reached; `champion`, `retrain`, `checked`, `rollout`:
        one row or None; the others: lists of rows, each a dict by column.

    Raises
    ------
    LookupError
        The warehouse knows no such task.
    """
    found = _rows(connection, present.TASK, task=task)
    if not found:
        raise LookupError(
            f"intermediate.declared_tasks has no task {task!r}; name it in the list `tasks` of "
            "dbt_project/dbt_project.yml"
        )
    declared = found[0]
    bound: dict[str, Any] = {"task": task, "primary_metric": declared["primary_metric"]}

    def rows(sql: str, **more: object) -> Rows:
        return _rows(connection, sql, **bound, **more)

    def first(sql: str) -> dict[str, Any] | None:
        return next(iter(rows(sql)), None)

    checked, rollout = first(judged.CHECKED), first(judged.ROLLOUT)
    verdicts_by_date: dict[date, Rows] = {}
    for verdict in rows(present.PERIOD_VERDICTS):
        verdicts_by_date.setdefault(verdict["as_of_date"], []).append(verdict)
    return {
        "task": declared,
        "champion": first(present.CHAMPION),
        "verdicts": rows(present.VERDICTS),
        "next_looks": rows(present.NEXT_LOOKS),
        "retrain": first(present.RETRAIN),
        "signals": rows(present.SIGNALS),
        "periods": [
            {**period, "verdicts": verdicts_by_date.get(period["as_of_date"], [])}
            for period in rows(present.PERIODS)
        ],
        "quality": rows(monitored.QUALITY),
        "holdout": rows(monitored.HOLDOUT),
        "estimates": rows(monitored.ESTIMATES),
        "drift": rows(monitored.DRIFT),
        "looks": rows(judged.LOOKS),
        "guardrails": rows(judged.GUARDRAILS),
        "roles": rows(judged.ROLES),
        "acts": rows(judged.ACTS),
        "checked": checked,
        "checks": rows(
            judged.CHECKS,
            as_of_date=checked["as_of_date"],
            challenger_version=checked["challenger_version"],
        )
        if checked
        else [],
        "calibration": rows(monitored.CALIBRATION),
        "rollout": rollout,
        "rollout_history": rows(judged.ROLLOUT_HISTORY, rollout_id=rollout["rollout_id"])
        if rollout
        else [],
        "rollout_checks": rows(
            judged.ROLLOUT_CHECKS,
            rollout_id=rollout["rollout_id"],
            as_of_date=rollout["as_of_date"],
        )
        if rollout
        else [],
    }
