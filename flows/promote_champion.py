"""Flow `promote-champion`: apply a verdict that SQL reached, or the will of a person who says why.

The verdict is read, never computed. The act is a compare-and-set row; MLflow's aliases then mirror
it, also after a crash between the two.
"""

from __future__ import annotations

from datetime import date, timedelta

from prefect import flow, get_run_logger

from flows.roles import last_scored_date, mirror_roles, roles_at
from flows.rollout import asks_for_rollout, start_promotion
from flows.run import Run, last_completed_date, open_run
from flows.signals import announce_rollback
from flows.steps import step
from warehouse.facts import ChampionChanged, record_promotion

__all__ = ["OverrideRefused", "apply_verdict", "promote_champion"]


class OverrideRefused(ValueError):
    """A person's act that cannot be recorded as asked."""


@step(name="apply-verdict")
def apply_verdict(run: Run) -> str | None:
    """Apply the period's `promote` or `rollback`, if there is one.

    Where acting on the scores changes the outcome, `promote` starts a rollout: only that can
    prove it.

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
    message = None
    if verdicts:
        verdict = verdicts[0]
        version = verdict["challenger_version"]
        if asks_for_rollout(run, verdict):
            message = start_promotion(run, verdict)
            mirror_roles(run)
            return message
        try:
            is_new = record_promotion(
                run.connection,
                task=run.task.name,
                as_of_date=run.as_of_date,
                # The first version serves the very period that it was trained for.
                effective_from_date=run.as_of_date
                + timedelta(days=0 if verdict["is_rubber_stamp"] else 1),
                act=verdict["verdict"],
                model_version=version,
                previous_version=verdict["champion_version"],
                decision_id=verdict["decision_id"],
                actor="policy",
                reason=", ".join(verdict["reason_codes"]),
            )
        except ChampionChanged as error:
            # A person was faster: the verdict stays a row, and is not applied.
            get_run_logger().warning("%s: the verdict was overtaken: %s", run.task.name, error)
            is_new = False
        if is_new:
            outcome = "rolled back to" if verdict["verdict"] == "rollback" else "promoted"
            message = f"{run.task.name}: {outcome} version {version}"
            get_run_logger().info(message)
            if verdict["verdict"] == "rollback":
                announce_rollback(run, version, ", ".join(verdict["reason_codes"]))
    mirror_roles(run)
    return message


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
    last = last_scored_date(run)
    # What was scored stays as it was scored; a task without a champion has one at once.
    effective = run.as_of_date if last is None else last + timedelta(days=1)
    present = roles_at(run.at(effective))
    champion = [row["model_version"] for row in present if row["role"] == "champion"]
    is_new = record_promotion(
        run.connection,
        task=run.task.name,
        as_of_date=run.as_of_date,
        effective_from_date=effective,
        act="override",
        model_version=model_version,
        previous_version=champion[0] if champion else None,
        decision_id=None,
        actor=actor,
        reason=reason,
    )
    if not is_new:
        get_run_logger().info("version %s is the champion by this very override", model_version)
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

    Without a date: that of the last completed period. An override (also a rollback by hand) takes
    effect from the period after the last scored one, and is recorded with its reason and the
    person's name.
    """
    with open_run(task_name, as_of_date, default=last_completed_date) as run:
        if override_version is None:
            apply_verdict(run)
        else:
            _override(run, override_version, reason, actor)
