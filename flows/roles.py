"""Who holds which role, as SQL derives it from acts; and MLflow's aliases, which mirror it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from flows.run import Run

__all__ = ["last_scored_date", "mirror_roles", "roles_at"]


def roles_at(run: Run) -> list[dict[str, Any]]:
    """Return the versions that hold a role at the run's date: the champion first."""
    return run.rows(
        """
        select
            model_roles.role,
            model_versions.*
        from decisions.model_roles
        inner join recorded.model_versions using (task, model_version)
        where task = $task
            and valid_from_date <= $as_of_date
            and (valid_to_date is null or $as_of_date < valid_to_date)
        order by role != 'champion', model_version
        """
    )


def last_scored_date(run: Run) -> date | None:
    """Return the newest period that was scored; None before the first."""
    return run.rows("select max(as_of_date) as last from recorded.scoring_runs where task = $task")[
        0
    ]["last"]


def mirror_roles(run: Run) -> None:
    """Make MLflow's aliases equal to the present roles: those of the period that comes next.

    Idempotent, so a crash between an act and its mirror is repaired by the next run.
    """
    last = last_scored_date(run)
    present = run.at(max(run.as_of_date, last or run.as_of_date) + timedelta(days=1))
    # Ordered by version: of several challengers the newest has the alias.
    aliases = {holder["role"]: holder["model_version"] for holder in roles_at(present)}
    run.registry.mirror_roles(run.task.name, aliases)
