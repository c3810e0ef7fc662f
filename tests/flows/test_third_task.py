"""Somebody else's task: SQL and YAML only, through the whole loop, in a copy of the project."""

import shutil
from pathlib import Path

import duckdb
import pytest

from tests.conftest import PROJECT, run_python

pytestmark = pytest.mark.slow

PYTHON = ("flows", "models_ml", "warehouse")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with tests/third_task laid over dbt_project, and the task's name added."""
    copied = tmp_path_factory.mktemp("third_task") / "project"
    copied.mkdir()
    for name in (*PYTHON, "dbt_project", "requirements.lock", "pyproject.toml"):
        source = PROJECT / name
        place = shutil.copytree if source.is_dir() else shutil.copyfile
        place(source, copied / name)
    shutil.copytree(
        PROJECT / "tests" / "third_task" / "models",
        copied / "dbt_project" / "models",
        dirs_exist_ok=True,
    )
    settings = copied / "dbt_project" / "dbt_project.yml"
    text = settings.read_text()
    before = "tasks: [household_churn, flight_delay]"
    assert before in text
    settings.write_text(text.replace(before, before[:-1] + ", temperature_change]"))
    return copied


@pytest.fixture(scope="module")
def state(copy: Path, prefect_server: dict[str, str]) -> Path:
    """The copy's state after five days of the new task."""
    made = copy.parent / "state"
    done = run_python(
        *("-m", "flows.replay", "temperature_change"),
        state=made,
        project=copy,
        PYTHONPATH=str(copy),
        **prefect_server,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return made


def answer(state: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(state / "published.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_no_python_was_changed_for_it(copy: Path) -> None:
    for package in PYTHON:
        for file in (copy / package).rglob("*.py"):
            assert file.read_bytes() == (PROJECT / file.relative_to(copy)).read_bytes()


def test_it_is_landed_trained_promoted_and_scored(state: Path) -> None:
    trained = answer(state, "select task, model_version, classes from recorded.model_versions")
    assert trained[0] == ("temperature_change", 1, ["colder", "similar", "warmer"])
    assert answer(state, "select act, model_version, actor from recorded.promotions") == [
        ("promote", 1, "policy")
    ]
    days, rows, complete = answer(
        state,
        """
        select count(distinct as_of_date), min(n), bool_and(total between 1 - 1e-9 and 1 + 1e-9)
        from (
            select as_of_date, count(*) over (partition by as_of_date) as n,
                list_sum(map_values(class_scores)) as total
            from predictions.pred_temperature_change
        )
        """,
    )[0]
    assert (days, complete) == (5, True)
    assert rows >= 60  # 3 airports x 24 hours, some not measured


def test_it_is_monitored_and_judged(state: Path) -> None:
    metrics = answer(
        state,
        """
        select distinct metric from monitoring.mon_quality
        where task = 'temperature_change' and slice = 'all' and status = 'ok' order by metric
        """,
    )
    assert {"log_loss", "brier_score", "error_rate"} <= {name for (name,) in metrics}
    assert answer(
        state,
        "select count(distinct feature) from monitoring.mon_feature_drift where status = 'ok'",
    ) == [(8,)]
    estimated = answer(
        state,
        """
        select
            count(*),
            count(realised_value),
            min(abs(estimated_value - realised_value) / standard_error)
        from monitoring.mon_estimated_quality
        where task = 'temperature_change' and method = 'cbpe' and status = 'ok'
        """,
    )
    windows_and_metrics, realised, nearest = estimated[0]
    ((windows,),) = answer(state, "select count(*) from recorded.scoring_runs")
    assert windows_and_metrics == 3 * windows
    assert realised >= 3
    assert nearest < 2
    assert answer(
        state,
        "select min(mean_label) >= 0, max(mean_label) <= 1 from monitoring.mon_calibration",
    ) == [(True, True)]
    verdicts = answer(
        state,
        "select as_of_date, verdict from decisions.decide_champion order by as_of_date",
    )
    assert [verdict for _, verdict in verdicts] == ["promote"] + ["no_decision"] * 4
