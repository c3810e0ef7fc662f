"""A day from the outside: run twice, at once, interrupted, and with what it needs missing."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import pytest

from tests.conftest import PROJECT, run_python

pytestmark = pytest.mark.slow

DAY = ("-m", "flows.daily", "household_churn", "--as-of")

# Everything a day records about a task, without wall clocks.
FACTS = """
    select 'batches' as fact, count(*) as n, max(as_of_date) as last from recorded.batches
    union all select 'periods', count(*), max(as_of_date) from recorded.periods
    union all select 'model_versions', count(*), max(cut_off_date) from recorded.model_versions
    union all select 'scoring_runs', count(*), max(as_of_date) from recorded.scoring_runs
    union all select 'predictions', count(*), max(as_of_date)
        from recorded.predictions_household_churn
    union all select 'promotions', count(*), max(as_of_date) from recorded.promotions
    union all select 'feat_household_v1', count(*), max(as_of_date) from features.feat_household_v1
    union all select 'decisions', count(*), max(as_of_date) from decisions.decide_champion
    union all select 'drift', count(*), max(as_of_date) from monitoring.mon_feature_drift
    union all select 'domain_scores', count(*), max(as_of_date) from recorded.domain_scores
    order by fact
"""


def facts(state: Path) -> list[tuple[object, ...]]:
    with duckdb.connect(str(state / "warehouse.duckdb")) as connection:
        return connection.execute(FACTS).fetchall()


def one(state: Path, sql: str) -> tuple[object, ...] | None:
    with duckdb.connect(str(state / "warehouse.duckdb")) as connection:
        return connection.execute(sql).fetchone()


def test_the_first_version_is_promoted_by_a_rubber_stamp_with_a_decision(lived_in: Path) -> None:
    assert one(
        lived_in,
        """
        select promotions.act, promotions.model_version, promotions.previous_version,
            promotions.actor, decide_champion.is_rubber_stamp
        from recorded.promotions
        inner join decisions.decide_champion using (decision_id)
        """,
    ) == ("promote", 1, None, "policy", True)


def test_every_household_of_a_period_is_scored_exactly_once(lived_in: Path) -> None:
    assert one(
        lived_in,
        """
        select count(*) from (
            select household_id, as_of_date from scoring_sets.score_household_churn_v1
            where as_of_date in (date '2017-07-02', date '2017-07-09')
            except all
            select household_id, as_of_date from recorded.predictions_household_churn
        )
        """,
    ) == (0,)
    assert one(
        lived_in,
        """
        select count(*) = count(distinct (household_id, as_of_date, model_version)), count(*) > 4000
        from recorded.predictions_household_churn
        """,
    ) == (True, True)


def test_each_window_of_the_champion_is_compared_with_its_reference_by_1500_rows_a_side(
    lived_in: Path,
) -> None:
    with duckdb.connect(str(lived_in / "warehouse.duckdb")) as connection:
        compared = connection.execute(
            """
            select cast(as_of_date as varchar), reference_row_count, window_row_count, reason_code
            from monitoring.mon_domain_drift order by as_of_date
            """
        ).fetchall()
    assert compared == [
        ("2017-07-02", 1500, 1500, "no_drift"),
        ("2017-07-09", 1500, 1500, "no_drift"),
    ]


def test_the_same_day_twice_changes_nothing(state: Path, prefect_server: dict[str, str]) -> None:
    before = facts(state)
    again = run_python(*DAY, "2017-07-09", state=state, **prefect_server)
    assert again.returncode == 0, again.stderr
    assert facts(state) == before


def test_a_second_run_at_the_same_time_is_told_so_and_writes_nothing(
    state: Path, prefect_server: dict[str, str]
) -> None:
    before = facts(state)
    with duckdb.connect(str(state / "warehouse.duckdb")):  # this process now holds the file
        second = run_python(*DAY, "2017-07-16", state=state, **prefect_server)
    assert second.returncode != 0
    assert "warehouse.duckdb" in second.stderr
    assert str(os.getpid()) in second.stderr
    assert facts(state) == before


def test_control_c_in_the_middle_leaves_whole_facts_and_the_day_can_be_run_again(
    state: Path, prefect_server: dict[str, str]
) -> None:
    day = subprocess.Popen(
        [sys.executable, *DAY, "2017-07-16"],
        cwd=PROJECT,
        env={**os.environ, "WEIGHHOUSE_HOME": str(state), **prefect_server},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wal = state / "warehouse.duckdb.wal"
    started = time.monotonic()
    while not wal.exists() and time.monotonic() - started < 120:
        time.sleep(0.1)
    time.sleep(2)
    day.send_signal(signal.SIGINT)
    _, said = day.communicate(timeout=120)
    assert day.returncode != 0
    assert "stopped" in said
    half, counts = one(
        state,
        """
        select
            (select count(*) from recorded.scoring_runs where as_of_date = date '2017-07-16'),
            (select count(distinct scoring_run_id) from recorded.predictions_household_churn
             where as_of_date = date '2017-07-16')
        """,
    ) or (None, None)
    assert half == counts
    again = run_python(*DAY, "2017-07-16", state=state, **prefect_server)
    assert again.returncode == 0, again.stderr
    assert one(
        state,
        "select count(*) from recorded.day_runs where as_of_date = date '2017-07-16'",
    ) == (1,)


# One process for all: importing Prefect, dbt and MLflow costs more than the refusals.
REFUSALS = """
import sys
from datetime import date
from flows.cli import on_the_terminal
from flows.daily import daily

for task, day in (
    ("household_chrun", date(2017, 7, 16)),
    ("household_churn", date(2999, 1, 6)),
    ("household_churn", date(2017, 7, 18)),
    ("household_churn", date(2017, 1, 1)),
    ("household_churn", date(2017, 6, 25)),
):
    try:
        with on_the_terminal():
            daily(task, day)
    except Exception as refusal:
        print(type(refusal).__name__, refusal)
    else:
        sys.exit(f"{task} at {day} was not refused")
"""


def test_a_wrong_task_or_date_is_refused_in_a_sentence_and_nothing_is_written(
    state: Path, prefect_server: dict[str, str]
) -> None:
    before = facts(state)
    done = run_python("-c", REFUSALS, state=state, **prefect_server)
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.splitlines()
    assert len(said) == 5
    assert all(line.startswith("ClickException") for line in said)
    for line, words in zip(
        said,
        [
            "household_churn",  # the unknown task: the known ones are listed
            "in the future",
            "2017-07-16",  # off its cadence: the nearest dates are named
            "history_from 2017-02-26",
            "2017-07-09",  # out of order: the newest landed batch is named
        ],
        strict=True,
    ):
        assert words in line
    assert facts(state) == before


def test_a_malformed_date_is_refused_before_anything_is_opened(state: Path) -> None:
    refused = run_python("-m", "flows.daily", "household_churn", "--as-of", "9.7.17", state=state)
    assert refused.returncode == 2
    assert "9.7.17" in refused.stderr
    assert "%Y-%m-%d" in refused.stderr


def test_a_prefect_server_that_is_not_there_is_named(state: Path) -> None:
    before = facts(state)
    lost = run_python(*DAY, "2017-07-16", state=state, PREFECT_API_URL="http://127.0.0.1:9/api")
    assert lost.returncode != 0
    assert "http://127.0.0.1:9/api" in lost.stderr
    assert "make up" in lost.stderr
    assert facts(state) == before


def test_a_damaged_mlflow_store_is_named_and_the_day_completes_once_it_is_mended(
    state: Path, prefect_server: dict[str, str]
) -> None:
    acts = "select count(*) from recorded.promotions"
    completed = "select count(*) from recorded.day_runs where as_of_date = date '2017-07-16'"
    before = one(state, acts)
    store = state / "mlflow" / "mlflow.db"
    whole = store.read_bytes()
    store.write_bytes(b"this is no database" * 100)
    lost = run_python(*DAY, "2017-07-16", state=state, **prefect_server)
    assert lost.returncode != 0
    assert "mlflow.db" in lost.stderr
    assert one(state, acts) == before
    assert one(state, completed) == (0,)
    store.write_bytes(whole)
    mended = run_python(*DAY, "2017-07-16", state=state, **prefect_server)
    assert mended.returncode == 0, mended.stderr
    assert one(state, completed) == (1,)


def test_a_reader_that_holds_the_published_file_neither_blocks_a_run_nor_is_blocked(
    state: Path, prefect_server: dict[str, str]
) -> None:
    published = str(state / "published.duckdb")
    stop, answers = threading.Event(), []
    reader = duckdb.connect(published, read_only=True)

    def read() -> None:
        while not stop.is_set():
            answers.append(
                reader.execute("select count(*) from predictions.pred_household_churn").fetchone()
            )
            time.sleep(0.05)

    reading = threading.Thread(target=read)
    reading.start()
    day = run_python(*DAY, "2017-07-16", state=state, **prefect_server)
    stop.set()
    reading.join()
    reader.close()
    assert day.returncode == 0, day.stderr
    assert len(set(answers)) == 1, "the reader kept the copy that it had opened"
    with duckdb.connect(published, read_only=True) as later:
        assert later.execute(
            "select max(as_of_date) = date '2017-07-16' from predictions.pred_household_churn"
        ).fetchone() == (True,)
