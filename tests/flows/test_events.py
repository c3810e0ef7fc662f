"""When a period's wish for training has had its answer."""

from datetime import date
from typing import Any

import duckdb
import pytest

from flows.dbt_runs import manifest
from flows.run import Run
from flows.signals import is_left_to_automation, wanted_training
from models_ml.tasks import load_task

TASK = "household_churn"


@pytest.fixture
def run() -> Any:
    """A run of 9 July, for which and for the week after it SQL asked for a training."""
    with duckdb.connect() as connection:
        connection.execute(
            f"""
            create schema decisions;
            create schema recorded;
            create table decisions.decide_retrain as
            select '{TASK}' as task, as_of_date, verdict, date '2017-07-02' as newest_cut_off_date,
                ['domain_drift', 'feature_drift'] as reason_codes
            from (values
                (date '2017-07-09', 'retrain'), (date '2017-07-16', 'retrain'),
                (date '2017-07-23', 'hold')
            ) as days (as_of_date, verdict);
            create table recorded.model_versions as
            select '{TASK}' as task, 1 as model_version, date '2017-07-02' as cut_off_date;
            """
        )
        yield Run(load_task(manifest(), TASK), date(2017, 7, 9), connection, manifest())


def test_a_training_is_wanted_until_a_later_version_than_sql_knew_of_exists(run: Run) -> None:
    second = run.at(date(2017, 7, 16))
    assert wanted_training(run) == wanted_training(second) == "domain_drift, feature_drift"
    assert wanted_training(run.at(date(2017, 7, 23))) is None
    run.connection.execute(
        f"insert into recorded.model_versions values ('{TASK}', 2, date '2017-07-09')"
    )
    # the second day asked before the training of the first had run: one version answers both
    assert wanted_training(run) is None
    assert wanted_training(second) is None


def test_a_run_without_a_deployment_trains_by_itself() -> None:
    assert not is_left_to_automation()
