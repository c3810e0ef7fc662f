"""Rollouts in life: real households are given arms; acts happen once, also after a kill."""

from pathlib import Path

import duckdb
import pytest

from tests.conftest import run_python

pytestmark = pytest.mark.slow

# Everything in one process: importing Prefect, dbt and MLflow costs more than the acts do.
ACTS = """
from datetime import date
from prefect import flow
from flows.cli import on_the_terminal
from flows.promote_champion import apply_verdict
from flows.rollout import apply_rollout, rollout
from flows.run import Run, last_completed_date, open_run
from flows.train_challenger import train_challenger
from warehouse.facts import record_promotion

TASK = "household_churn"

def attempt(*action, **who):
    try:
        with on_the_terminal():
            rollout(TASK, *action, **who)
        print("done")
    except Exception as refusal:
        print(type(refusal).__name__, refusal)

def plant(run, table, **columns):
    changed = ", ".join(f"{value} as {name}" for name, value in columns.items())
    run.connection.execute(
        f"insert into decisions.{table} select * replace ({changed}) from decisions.{table} "
        "where task = 'household_churn' and as_of_date = date '2017-07-09' limit 1"
    )

@flow
def promote():
    with open_run(TASK, default=last_completed_date) as run:
        online = run.task.online.model_copy(update={"acting_changes_outcome": True})
        task = run.task.model_copy(update={"online": online})
        acting = Run(task, run.as_of_date, run.connection, run.manifest)
        plant(run, "decide_champion", verdict="'promote'", challenger_version=2,
              champion_version=1, decision_id="'better on labels'")
        print(apply_verdict(acting), "/", apply_verdict(acting))
        plant(run, "decide_rollout", rollout_id="'household_churn-r3'", verdict="'complete'",
              control_version=1, treatment_version=2, stage_number=1,
              reason_codes="['treatment_better']", next_coverage_share=0.0,
              decision_id="'better in life'")
        # Killed here the last time: the promotion is recorded, the act is not.
        record_promotion(
            run.connection, task=TASK, as_of_date=date(2017, 7, 9),
            effective_from_date=date(2017, 7, 10), act="promote", model_version=2,
            previous_version=1, decision_id="better in life", actor="policy",
            reason="treatment_better",
        )
        print(apply_rollout(acting), "/", apply_rollout(acting))

attempt("abort", reason="", actor="Ada")
attempt("abort", reason="the till was broken", actor="Ada")
attempt("abort", reason="once more", actor="Ada")
attempt("rehearse", reason="does it work again?", actor="Grace")
attempt("rehearse", reason="two at once?", actor="Grace")
with on_the_terminal():
    train_challenger(TASK, date(2017, 7, 16), "manual")
    promote()
"""


def rows(state: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(state / "warehouse.duckdb")) as connection:
        return connection.execute(sql).fetchall()


def test_the_declared_rehearsal_gives_households_their_arms_before_they_are_scored(
    lived_in: Path,
) -> None:
    assert rows(
        lived_in,
        """
        select rollout_id, purpose, control_version, treatment_version, actor, as_of_date::varchar
        from recorded.rollouts
        """,
    ) == [("household_churn-r1", "rehearsal", 1, 1, "policy", "2017-07-09")]
    ((planned,),) = rows(lived_in, "select planned_standard_errors from recorded.rollouts")
    assert set(planned) == {"spend_next_28d_usd", "basket_count_next_28d"}
    assert 4 < planned["spend_next_28d_usd"] < 12
    ((assigned, treated),) = rows(
        lived_in,
        "select count(*), count(*) filter (where arm = 'treatment') from recorded.assignments",
    )
    assert 70 < assigned < 150  # 5 % of 2,222 households
    assert 30 < treated < 80


def test_what_is_served_names_the_arm_and_holds_each_household_once(lived_in: Path) -> None:
    assert rows(
        lived_in,
        """
        select as_of_date::varchar, count(arm) > 0, count(*) = count(distinct household_id),
            count(*) > 2000, count(*) filter (where model_version <> 1)
        from predictions.pred_household_churn group by as_of_date order by as_of_date
        """,
    ) == [("2017-07-02", False, True, True, 0), ("2017-07-09", True, True, True, 0)]
    assert rows(
        lived_in,
        """
        select count(*) from recorded.assignments
        left join predictions.pred_household_churn as served
            on unit_id = household_id::varchar and served.as_of_date = date '2017-07-09'
        where served.arm is distinct from assignments.arm
        """,
    ) == [(0,)]


def test_it_is_judged_and_nothing_is_decided_before_the_outcome_is_known(lived_in: Path) -> None:
    assert rows(
        lived_in,
        """
        select as_of_date::varchar, verdict, list_contains(reason_codes, 'outcome_not_mature')
        from decisions.decide_rollout
        """,
    ) == [("2017-07-09", "no_decision", True)]


def test_what_households_spent_is_exact_to_the_cent(lived_in: Path) -> None:
    assert rows(
        lived_in,
        """
        select count(*) > 20000, count(*) filter (where spend_next_28d_usd <> coalesce(spent, 0)),
            count(*) filter (where basket_count_next_28d <> coalesce(baskets, 0)),
            count(*) filter (where (is_churned = 1) <> (basket_count_next_28d = 0))
        from labels.label_household_spend
        inner join labels.label_household_churned using (household_id, as_of_date)
        left join (
            select household_id, as_of_date, sum(sales_value::decimal(12, 2)) as spent,
                count(distinct basket_id) as baskets
            from raw.transactions, (select distinct as_of_date from labels.label_household_spend)
            where transaction_timestamp >= as_of_date and transaction_timestamp < as_of_date + 28
            group by household_id, as_of_date
        ) using (household_id, as_of_date)
        """,
    ) == [(True, 0, 0, 0)]


def test_people_and_verdicts_act_once_and_a_kill_between_two_acts_is_repaired(
    state: Path, prefect_server: dict[str, str]
) -> None:
    done = run_python("-c", ACTS, state=state, **prefect_server)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    said = [line for line in done.stdout.splitlines() if line.strip()]
    assert "needs a reason and the name" in said[0]
    assert said[1] == "done"
    assert "household_churn has no running rollout" in said[2]
    assert said[3] == "done"
    assert "household_churn-r2 is still running" in said[4]
    assert said[5] == "household_churn-r3 started: version 2 against version 1 / None"
    assert said[6].startswith("household_churn-r3: complete (treatment_better)")
    assert said[6].endswith("/ None")
    acts = rows(
        state,
        """
        select rollout_id, act, effective_from_date::varchar, coverage_share, actor
        from recorded.rollout_acts order by rollout_id, act_number
        """,
    )
    assert acts == [
        ("household_churn-r1", "start", "2017-07-09", 0.05, "policy"),
        ("household_churn-r1", "abort", "2017-07-10", 0.0, "Ada"),
        ("household_churn-r2", "start", "2017-07-10", 0.05, "Grace"),
        ("household_churn-r2", "abort", "2017-07-10", 0.0, "policy"),
        ("household_churn-r3", "start", "2017-07-10", 0.05, "policy"),
        ("household_churn-r3", "complete", "2017-07-10", 0.0, "policy"),
    ]
    assert rows(
        state,
        """
        select act, model_version, previous_version, decision_id from recorded.promotions
        order by act_number desc limit 1
        """,
    ) == [("promote", 2, 1, "better in life")]
    # The arms of a rehearsal that was aborted stay what they were; nothing new is served by them.
    assert rows(
        state,
        """
        select count(arm) > 0 from predictions.pred_household_churn
        where as_of_date = date '2017-07-09'
        """,
    ) == [(True,)]
