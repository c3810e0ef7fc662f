"""Acts: a person's override with its reason, and the aliases that mirror what was recorded."""

import sqlite3
from pathlib import Path

import duckdb
import pytest

from tests.conftest import run_python

pytestmark = pytest.mark.slow

# Several acts in one process: importing Prefect, dbt and MLflow costs more than they do.
ACTS = """
from flows.cli import on_the_terminal
from flows.promote_champion import promote_champion
from flows.train_challenger import train_challenger
from datetime import date

def attempt(**act):
    try:
        with on_the_terminal():
            promote_champion("household_churn", **act)
        print("done")
    except Exception as refusal:
        print(type(refusal).__name__, refusal)

with on_the_terminal():
    print("trained", train_challenger("household_churn", date(2017, 7, 16), "manual"))
attempt(override_version=2, reason=" ", actor="Ada")
attempt(override_version=7, reason="why not", actor="Ada")
attempt(override_version=2, reason="the old one misprices students", actor="Ada")
attempt(override_version=1, reason="it was the data", actor="Grace")
"""


def rows(state: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(state / "warehouse.duckdb")) as connection:
        return connection.execute(sql).fetchall()


def aliases(state: Path) -> dict[str, int]:
    with sqlite3.connect(state / "mlflow" / "mlflow.db") as store:
        found = store.execute("select alias, version from registered_model_aliases").fetchall()
    return {alias: int(version) for alias, version in found}


def test_a_person_overrides_with_a_reason_and_the_next_run_repairs_a_lost_alias(
    state: Path, prefect_server: dict[str, str]
) -> None:
    done = run_python("-c", ACTS, state=state, **prefect_server)
    assert done.returncode == 0, done.stdout + done.stderr
    trained, without_reason, unknown, first, second = done.stdout.splitlines()
    assert trained == "trained 2"
    assert "needs a reason" in without_reason
    assert "no version 7" in unknown
    assert (first, second) == ("done", "done")
    acts = """
        select act_number, act, model_version, previous_version, actor, reason, effective_from_date
        from recorded.promotions order by act_number
    """
    assert [row[:6] for row in rows(state, acts)][1:] == [
        (2, "override", 2, 1, "Ada", "the old one misprices students"),
        (3, "override", 1, 2, "Grace", "it was the data"),
    ]
    # 2017-07-09 was scored by version 1 and stays so: both acts count from the day after.
    assert {str(row[6]) for row in rows(state, acts)[1:]} == {"2017-07-10"}
    assert aliases(state)["champion"] == 1

    with sqlite3.connect(state / "mlflow" / "mlflow.db") as store:
        store.execute("delete from registered_model_aliases")
    repaired = run_python(
        *("-m", "flows.daily", "household_churn", "--as-of", "2017-07-16"),
        state=state,
        **prefect_server,
    )
    assert repaired.returncode == 0, repaired.stderr
    assert aliases(state)["champion"] == 1
    assert rows(
        state,
        """
        select distinct model_version from recorded.predictions_household_churn
        where as_of_date = date '2017-07-16' and role = 'champion'
        """,
    ) == [(1,)]
