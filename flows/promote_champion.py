"""Flow `promote-champion`: apply a verdict that SQL reached, or the will of a person who says why.

The verdict is read, never computed. The act is a compare-and-set row; MLflow's aliases then mirror
it, also after a crash between the two.
"""

from __future__ import annotations

from datetime import date, timedelta

from prefect import flow, get_run_logger

from flows.run import Run, open_run
from flows.score_batch import roles_at
from flows.steps import step
from warehouse.facts import record_promotion

__all__ = ["OverrideRefused", "apply_verdict", "mirror_roles", "promote_champion"]


class OverrideRefused(ValueError):
    """A person's act that cannot be recorded as asked."""


def mirror_roles(run: Run) -> None:
    """Make MLflow's aliases equal to the roles the warehouse derives for the next period."""
    tomorrow = run.at(run.as_of_date + timedelta(days=1))
    # Ordered by version: of several challengers the newest has the alias.
    aliases = {holder["role"]: holder["model_version"] for holder in roles_at(tomorrow)}
    run.registry.mirror_roles(run.task.name, aliases)


@step(name="apply-verdict")
def apply_verdict(run: Run) -> str | None:
    """Apply the period's `promote` or `rollback`, if there is one.

    Returns
    -------
    str or None
        The act in words, or None when the champion stays.
    """
    verdicts = run.rows(
        """
        select * from decisions.decide_champion
        where task = $task and as_of_date = $as_of_date and verdict in ('promote', 'rollback')
        order by challenger_version
        """
    )
    for verdict in verdicts[:1]:
        rolls_back = verdict["verdict"] == "rollback"
        first = verdict["is_rubber_stamp"]
        record_promotion(
            run.connection,
            task=run.task.name,
            as_of_date=run.as_of_date,
            effective_from_date=run.as_of_date + timedelta(days=0 if first else 1),
            act=verdict["verdict"],
            model_version=verdict["challenger_version"],
            previous_version=verdict["champion_version"],
            decision_id=verdict["decision_id"],
            actor="policy",
            reason=", ".join(verdict["reason_codes"]),
        )
        mirror_roles(run)
        outcome = "rolled back to" if rolls_back else "promoted"
        message = f"{run.task.name}: {outcome} version {verdict['challenger_version']}"
        get_run_logger().info(message)
        return message
    mirror_roles(run)
    return None


def _override(run: Run, model_version: int, reason: str, actor: str) -> None:
    if not reason.strip() or not actor.strip():
        raise OverrideRefused(
            f"an override of {run.task.name} needs a reason and the name of who gives it; "
            f"got reason {reason!r}, actor {actor!r}"
        )
    known = run.rows("select model_version from recorded.model_versions where task = $task")
    versions = sorted(int(row["model_version"]) for row in known)
    if model_version not in versions:
        raise OverrideRefused(
            f"{run.task.name} has no version {model_version}; registered are {versions}"
        )
    tomorrow = run.at(run.as_of_date + timedelta(days=1))
    champion = [row["model_version"] for row in roles_at(tomorrow) if row["role"] == "champion"]
    record_promotion(
        run.connection,
        task=run.task.name,
        as_of_date=run.as_of_date,
        effective_from_date=tomorrow.as_of_date,
        act="override",
        model_version=model_version,
        previous_version=champion[0] if champion else None,
        decision_id=None,
        actor=actor,
        reason=reason,
    )
    mirror_roles(run)


@flow(name="promote-champion")
def promote_champion(
    task_name: str,
    as_of_date: date | None = None,
    override_version: int | None = None,
    reason: str = "",
    actor: str = "",
) -> None:
    """Apply the verdict of a date; or, with `override_version`, what a person decided.

    An override (also a rollback by hand) takes effect from the next period and is recorded with
    its reason and the person's name.
    """
    with open_run(task_name, as_of_date) as run:
        if override_version is None:
            apply_verdict(run)
        else:
            _override(run, override_version, reason, actor)
