"""Rollouts as recorded facts: their start, their acts, and which arm each unit was given.

SQL derives what is due; these functions record it, once, by compare-and-set. Nothing here decides,
and nothing here changes an arm. Promotions are recorded by `warehouse/facts.py`.
"""

import hashlib
import threading
from datetime import date

import duckdb

from warehouse.connection import WarehouseError, transaction
from warehouse.facts import insert_facts, newest_champion

__all__ = [
    "RolloutRefused",
    "record_assignments",
    "record_rollout_act",
    "running_rollout",
    "start_rollout",
]

# Only one process can write the file, so a lock of this process makes compare-and-set whole.
_acting = threading.Lock()


class RolloutRefused(WarehouseError):
    """An act on a rollout that does not fit the state it is in."""


def running_rollout(connection: duckdb.DuckDBPyConnection, task: str) -> str | None:
    """Return the id of the task's rollout that no act has ended; None when there is none."""
    rows = connection.execute(
        """
        select rollout_id
        from recorded.rollouts
        where task = ? and not exists (
            select 1 from recorded.rollout_acts
            where rollout_acts.rollout_id = rollouts.rollout_id and act in ('complete', 'abort')
        )
        """,
        [task],
    ).fetchall()
    return str(rows[0][0]) if rows else None


def start_rollout(
    connection: duckdb.DuckDBPyConnection,
    *,
    task: str,
    purpose: str,
    control_version: int,
    treatment_version: int,
    as_of_date: date,
    effective_from_date: date,
    decision_id: str | None,
    actor: str,
    reason: str,
) -> str | None:
    """Start a rollout: the rollout and its first act, or neither.

    It begins with the least share of `intermediate.rollout_coverages`. The standard error it is
    planned for comes from the newest outcomes known on the day (`intermediate.rollout_history`),
    and is fixed here.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Outside a transaction.
    task : str
        The task's name.
    purpose : {'rehearsal', 'promotion'}
        A rehearsal has the same version in both arms.
    control_version, treatment_version : int
        What serves the arms. The control is the champion.
    as_of_date : date
        The day it was decided.
    effective_from_date : date
        The first as_of_date that is served by arms.
    decision_id : str or None
        The decision that asks for it; None for a person or a declared rehearsal.
    actor : str
        `policy`, or the person's name.
    reason : str
        Why.

    Returns
    -------
    str or None
        The rollout's id; None when this very decision has started one already.

    Raises
    ------
    RolloutRefused
        When another rollout of the task runs, or the control is not the champion.
    """
    with _acting, transaction(connection):
        if decision_id is not None and _count(
            connection, "rollouts", "decision_id = ?", [decision_id]
        ):
            return None
        running = running_rollout(connection, task)
        if running is not None:
            raise RolloutRefused(
                f"{running} is still running, and a task has one rollout at a time; "
                f"abort it, or wait for its end, before version {treatment_version} is rolled out"
            )
        champion, _, _ = newest_champion(connection, task)
        if champion != control_version:
            raise RolloutRefused(
                f"the champion of {task} is {champion or 'not chosen yet'}, but "
                f"the {purpose} was decided against version {control_version}; judge again"
            )
        number = _count(connection, "rollouts", "task = ?", [task]) + 1
        rollout_id = f"{task}-r{number}"
        planned = connection.execute(
            """
            select metric, arg_max(planned_standard_error, as_of_date)
            from intermediate.rollout_history
            where task = $task and known_at <= $as_of_date and planned_standard_error > 0
            group by metric
            order by metric
            """,
            {"task": task, "as_of_date": as_of_date},
        ).fetchall()
        rollout = {
            "rollout_id": rollout_id,
            "task": task,
            "purpose": purpose,
            "control_version": control_version,
            "treatment_version": treatment_version,
            "salt": hashlib.sha256(f"{rollout_id}|{as_of_date}".encode()).hexdigest()[:16],
            "planned_standard_errors": planned,
            "as_of_date": as_of_date,
            "decision_id": decision_id,
            "actor": actor,
            "reason": reason,
        }
        insert_facts(connection, "rollouts", [rollout])
        ((coverage_share,),) = connection.execute(
            "select min(coverage_share) from intermediate.rollout_coverages"
        ).fetchall()
        start = {
            "rollout_id": rollout_id,
            "act_number": 1,
            "act": "start",
            "as_of_date": as_of_date,
            "effective_from_date": effective_from_date,
            "coverage_share": coverage_share,
            "actor": actor,
            "reason": reason,
        }
        insert_facts(connection, "rollout_acts", [start])
        return rollout_id


def record_rollout_act(
    connection: duckdb.DuckDBPyConnection,
    rollout_id: str,
    *,
    act: str,
    stage_number: int,
    as_of_date: date,
    effective_from_date: date,
    coverage_share: float,
    actor: str,
    reason: str,
) -> bool:
    """Advance or end a rollout, if it still is in the stage the act was decided in.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Outside a transaction.
    rollout_id : str
        The rollout.
    act : {'advance', 'complete', 'abort'}
        What happens to it.
    stage_number : int
        The number of the act that the decision stands on: the rollout's newest.
    as_of_date : date
        The day it was decided.
    effective_from_date : date
        The first as_of_date that is scored under it.
    coverage_share : float
        Share of the units covered from then on; 0 when the rollout ends.
    actor : str
        `policy`, or the person's name.
    reason : str
        Why.

    Returns
    -------
    bool
        False when this very act is recorded already, and nothing was written.

    Raises
    ------
    RolloutRefused
        When the rollout does not exist, has ended, or is in another stage by now.
    """
    with _acting, transaction(connection):
        newest = connection.execute(
            """
            select act_number, act, as_of_date, effective_from_date
            from recorded.rollout_acts where rollout_id = ?
            order by act_number desc limit 1
            """,
            [rollout_id],
        ).fetchone()
        if newest is None:
            raise RolloutRefused(f"there is no rollout {rollout_id}; see recorded.rollouts")
        number, present, decided_on, since = newest
        if (number, present, decided_on) == (stage_number + 1, act, as_of_date):
            return False
        if present in ("complete", "abort"):
            raise RolloutRefused(
                f"{rollout_id} has ended: {present} on {decided_on}; it cannot {act} any more"
            )
        if number != stage_number:
            raise RolloutRefused(
                f"{rollout_id} is in stage {number} since {since}, but the {act} of {as_of_date} "
                f"was decided in stage {stage_number}; judge it again"
            )
        if effective_from_date < since:
            raise RolloutRefused(
                f"the {act} of {rollout_id} would take effect on {effective_from_date}, before its "
                f"present stage did on {since}; give a date from {since} on"
            )
        row = {
            "rollout_id": rollout_id,
            "act_number": number + 1,
            "act": act,
            "as_of_date": as_of_date,
            "effective_from_date": effective_from_date,
            "coverage_share": coverage_share,
            "actor": actor,
            "reason": reason,
        }
        insert_facts(connection, "rollout_acts", [row])
        return True


def record_assignments(connection: duckdb.DuckDBPyConnection, task: str, as_of_date: date) -> int:
    """Record the arm of each unit that is covered from this period on, and has none yet.

    One transaction; a unit that has an arm keeps it.

    Returns
    -------
    int
        How many units were given an arm.
    """
    with transaction(connection):
        inserted = connection.execute(
            """
            insert into recorded.assignments (rollout_id, unit_id, arm, first_as_of_date)
            select rollout_id, unit_id, arm, as_of_date
            from intermediate.rollout_assignments_due
            where task = ? and as_of_date = ?
            order by rollout_id, unit_id
            """,
            [task, as_of_date],
        ).fetchone()
    return int(inserted[0]) if inserted else 0


def _count(
    connection: duckdb.DuckDBPyConnection, table: str, condition: str, values: list[object]
) -> int:
    (count,) = connection.execute(
        f"select count(*) from recorded.{table} where {condition}", values
    ).fetchall()[0]
    return int(count)
