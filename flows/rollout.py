"""Flow `rollout`: two versions serve at once, each its arm, until SQL says which one stays.

The verdicts are rows of `decisions.decide_rollout`; here they are applied, once each. A person may
rehearse or abort, and says why. Nothing here compares arms.
"""

from __future__ import annotations

import sys
from datetime import date, datetime, timedelta
from typing import Any, Literal

import click
from prefect import flow, get_run_logger

from flows.cli import on_the_terminal
from flows.roles import last_scored_date, mirror_roles, roles_at
from flows.run import Run, last_completed_date, open_run
from flows.steps import step
from warehouse.facts import ChampionChanged, record_promotion
from warehouse.rollouts import (
    RolloutRefused,
    record_assignments,
    record_rollout_act,
    running_rollout,
    start_rollout,
)

__all__ = [
    "RolloutNotPossible",
    "apply_rollout",
    "asks_for_rollout",
    "assign_arms",
    "rollout",
    "start_promotion",
]

Action = Literal["rehearse", "abort", "apply"]


class RolloutNotPossible(ValueError):
    """What a person asked of a rollout cannot be done as asked."""


@step(name="assign-arms")
def assign_arms(run: Run) -> None:
    """Give the units that a rollout covers from this period on their arms, before it is scored.

    A verdict that an earlier run was stopped in the middle of is applied first, and the declared
    rehearsal starts when its day has come.
    """
    if run.task.online is None:
        return
    apply_rollout(run)
    _start_declared_rehearsal(run)
    if running_rollout(run.connection, run.task.name) is not None:
        count = record_assignments(run.connection, run.task.name, run.as_of_date)
        get_run_logger().info("%s: %s units were given an arm", run.task.name, count)


def asks_for_rollout(run: Run, verdict: dict[str, Any]) -> bool:
    """Tell whether a verdict of decide_champion has to prove itself on the outcome first."""
    online = run.task.online
    return (
        online is not None
        and online.acting_changes_outcome
        and verdict["verdict"] == "promote"
        and not verdict["is_rubber_stamp"]
    )


def start_promotion(run: Run, verdict: dict[str, Any]) -> str | None:
    """Start the rollout that a `promote` asks for; a verdict that was overtaken is left a row.

    A rehearsal that runs gives way: it can be repeated any time.
    """
    decision_id = verdict["decision_id"]
    rehearsals = run.rows(
        """
        select rollout_id from recorded.rollouts
        where rollout_id = $rollout_id and purpose = 'rehearsal'
            and not exists (select 1 from recorded.rollouts where decision_id = $decision_id)
        """,
        rollout_id=running_rollout(run.connection, run.task.name),
        decision_id=decision_id,
    )
    if rehearsals:
        _abort(run, "policy", "a promotion goes first")
    try:
        rollout_id = start_rollout(
            run.connection,
            task=run.task.name,
            purpose="promotion",
            control_version=verdict["champion_version"],
            treatment_version=verdict["challenger_version"],
            as_of_date=run.as_of_date,
            effective_from_date=run.as_of_date + timedelta(days=1),
            decision_id=decision_id,
            actor="policy",
            reason=", ".join(verdict["reason_codes"]),
        )
    except RolloutRefused as error:
        get_run_logger().warning("%s: no rollout was started: %s", run.task.name, error)
        return None
    return _said(
        rollout_id
        and f"{rollout_id} started: version {verdict['challenger_version']} against version "
        f"{verdict['champion_version']}"
    )


def _start_declared_rehearsal(run: Run) -> None:
    online, last = run.task.online, last_scored_date(run)
    if online is None or online.rehearse_from is None or run.as_of_date < online.rehearse_from:
        return
    if last is not None and run.as_of_date <= last:  # what was served stays as it was served
        return
    if run.rows("select 1 from recorded.rollouts where task = $task and purpose = 'rehearsal'"):
        return
    if running_rollout(run.connection, run.task.name) is None:
        _rehearse(run, run.as_of_date, "policy", "declared: online.rehearse_from")


def _rehearse(run: Run, effective_from_date: date, actor: str, reason: str) -> None:
    champion = [
        holder["model_version"]
        for holder in roles_at(run.at(effective_from_date))
        if holder["role"] == "champion"
    ]
    if not champion:
        raise RolloutNotPossible(
            f"{run.task.name} has no champion on {effective_from_date}; the flow `daily` trains "
            "and promotes the first version"
        )
    rollout_id = start_rollout(
        run.connection,
        task=run.task.name,
        purpose="rehearsal",
        control_version=champion[0],
        treatment_version=champion[0],
        as_of_date=run.as_of_date,
        effective_from_date=effective_from_date,
        decision_id=None,
        actor=actor,
        reason=reason,
    )
    _said(f"{rollout_id} started: a rehearsal with version {champion[0]} in both arms")


@step(name="apply-rollout")
def apply_rollout(run: Run) -> str | None:
    """Apply the newest verdict on the running rollout, unless it is applied.

    The promotion comes first: a run that is stopped between it and the act finds the rollout still
    running and its verdict unapplied, and only adds what is missing.

    Returns
    -------
    str or None
        The act in words, or None when nothing changes.
    """
    if run.task.online is None:
        return None
    rollout_id = running_rollout(run.connection, run.task.name)
    newest = run.rows(
        """
        select decided.*
        from decisions.decide_rollout as decided
        inner join (
            select rollout_id, max(act_number) as stage_number
            from recorded.rollout_acts group by rollout_id
        ) as present using (rollout_id, stage_number)
        where rollout_id = $rollout_id and decided.as_of_date <= $as_of_date
        order by decided.as_of_date desc
        limit 1
        """,
        rollout_id=rollout_id,
    )
    if not newest or newest[0]["verdict"] not in ("advance", "complete", "abort"):
        return None
    verdict = newest[0]
    if verdict["verdict"] == "complete" and not _promote(run, verdict):
        return None
    record_rollout_act(
        run.connection,
        verdict["rollout_id"],
        act=verdict["verdict"],
        stage_number=verdict["stage_number"],
        as_of_date=verdict["as_of_date"],
        effective_from_date=_after(verdict),
        coverage_share=verdict["next_coverage_share"],
        actor="policy",
        reason=", ".join(verdict["reason_codes"]),
    )
    mirror_roles(run)
    return _said(
        f"{verdict['rollout_id']}: {verdict['verdict']} ({', '.join(verdict['reason_codes'])}), "
        f"{verdict['next_coverage_share']:.0%} of the units are covered from {_after(verdict)} on"
    )


def _promote(run: Run, verdict: dict[str, Any]) -> bool:
    """Make the treatment the champion; tell whether it is now."""
    try:
        record_promotion(
            run.connection,
            task=run.task.name,
            as_of_date=verdict["as_of_date"],
            effective_from_date=_after(verdict),
            act="promote",
            model_version=verdict["treatment_version"],
            previous_version=verdict["control_version"],
            decision_id=verdict["decision_id"],
            actor="policy",
            reason=", ".join(verdict["reason_codes"]),
        )
    except ChampionChanged as error:
        # A person or a rollback was faster: the next judgement ends the rollout.
        get_run_logger().warning("%s: the verdict was overtaken: %s", run.task.name, error)
        return False
    return True


def _after(verdict: dict[str, Any]) -> date:
    decided_on: date = verdict["as_of_date"]
    return decided_on + timedelta(days=1)


def _said(message: str | None) -> str | None:
    if message:
        get_run_logger().info(message)
    return message


def _next_date(run: Run) -> date:
    """Return the first date that is not scored yet: what was served stays as it was served."""
    last = last_scored_date(run)
    return run.as_of_date if last is None else last + timedelta(days=1)


def _abort(run: Run, actor: str, reason: str) -> None:
    rollout_id = running_rollout(run.connection, run.task.name)
    if rollout_id is None:
        raise RolloutNotPossible(f"{run.task.name} has no running rollout; there is none to abort")
    stage = run.rows(
        """
        select max(act_number) as number from recorded.rollout_acts
        where rollout_id = $rollout_id
        """,
        rollout_id=rollout_id,
    )
    record_rollout_act(
        run.connection,
        rollout_id,
        act="abort",
        stage_number=stage[0]["number"],
        as_of_date=run.as_of_date,
        effective_from_date=_next_date(run),
        coverage_share=0.0,
        actor=actor,
        reason=reason,
    )
    mirror_roles(run)
    _said(f"{rollout_id}: aborted by {actor}")


@flow(name="rollout")
def rollout(
    task_name: str,
    action: Action = "apply",
    as_of_date: date | None = None,
    reason: str = "",
    actor: str = "",
) -> None:
    """Apply the newest verdict on a task's rollout; or rehearse or abort, as a person decided.

    Without a date: as of the last completed period. What a person decides takes effect from the
    period after the last scored one, and is recorded with the reason and the name.
    """
    with open_run(task_name, as_of_date, default=last_completed_date) as run:
        if run.task.online is None:
            raise RolloutNotPossible(
                f"{task_name} declares no `online`; docs/online-rollout.md says how to"
            )
        if action == "apply":
            apply_rollout(run)
            return
        if not reason.strip() or not actor.strip():
            raise RolloutNotPossible(
                f"to {action} {task_name} needs a reason and the name of who gives it; got reason "
                f"{reason!r}, actor {actor!r}"
            )
        if action == "rehearse":
            _rehearse(run, _next_date(run), actor, reason)
        else:
            _abort(run, actor, reason)


@click.command()
@click.argument("task_name", metavar="TASK")
@click.argument("action", type=click.Choice(["rehearse", "abort", "apply"]))
@click.option("--as-of", "as_of", type=click.DateTime(["%Y-%m-%d"]), help="Default: last period.")
@click.option("--reason", default="", help="Why; needed to rehearse or abort.")
@click.option("--actor", default="", help="Your name; needed to rehearse or abort.")
def main(task_name: str, action: Action, as_of: datetime | None, reason: str, actor: str) -> None:
    """Rehearse, abort, or apply the newest verdict on TASK's rollout."""
    with on_the_terminal():
        rollout(task_name, action, as_of.date() if as_of else None, reason, actor)
    click.echo(f"{task_name}: {action} done; see recorded.rollout_acts")


if __name__ == "__main__":
    sys.exit(main())
