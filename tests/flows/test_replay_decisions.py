"""Decisions derived again from what was recorded: the same ids, and whatever was edited by name."""

import hashlib
import subprocess
from pathlib import Path

import duckdb
import pytest

from tests.conftest import run_python

pytestmark = pytest.mark.slow

WORKING_FILE = "warehouse.duckdb"


def replay(state: Path) -> subprocess.CompletedProcess[str]:
    return run_python("-m", "flows.replay_decisions", "household_churn", state=state)


def test_the_same_facts_give_the_same_ids_and_an_edited_row_is_named(state: Path) -> None:
    file = state / WORKING_FILE
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    done = replay(state)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == ["3 decisions derived again with the same id, 0 differences"]
    assert hashlib.sha256(file.read_bytes()).hexdigest() == before
    assert list((state / "cache").glob("replay-*")) == []

    with duckdb.connect(str(file)) as connection:
        judged = connection.execute(
            "select count(distinct decision_sql_sha256), count(*) from decisions.decide_champion"
            " where code_commit is not null"
        ).fetchall()
        assert judged == [(1, 2)]
        connection.execute(
            "update decisions.decide_champion set verdict = 'hold', decision_id = 'x'"
            " where as_of_date = '2017-07-02';"
            "update decisions.decide_checks set delta = 9 where check_name = 'baseline'"
            " and metric = 'log_loss';"
            "update decisions.decide_rollout set verdict = 'complete'"
        )
    done = replay(state)
    assert done.returncode == 1
    # The id of the row after it is still whole: what was edited is named, not what follows.
    assert done.stdout.splitlines() == [
        "household_churn 2017-07-02 1: differs in verdict, decision_id",
        "household_churn 2017-07-02 1 baseline log_loss all: differs in delta",
        "household_churn household_churn-r1 2017-07-09: differs in verdict",
        "1 decisions derived again with the same id, 3 differences",
    ]


def test_an_unknown_task_is_refused_before_anything_is_copied(state: Path) -> None:
    done = run_python("-m", "flows.replay_decisions", "churn", state=state)
    assert done.returncode == 1
    assert "churn" in done.stderr
    assert "household_churn" in done.stderr
