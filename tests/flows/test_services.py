"""`make up`, `prefect deployment run`, `make down`: real servers on free ports."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import duckdb
import psutil
import pytest

from tests.conftest import PROJECT, free_port, run_python

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent


def post(api: str, path: str, body: object) -> list[dict[str, object]]:
    request = urllib.request.Request(
        f"{api}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_a_deployment_runs_a_day_twice_shows_its_tables_and_everything_ends(state: Path) -> None:
    ports = {name: free_port() for name in ("prefect", "mlflow", "docs")}
    options = [part for name, port in ports.items() for part in (f"--{name}-port", str(port))]
    home = {"PREFECT_HOME": str(state / "prefect")}
    up = run_python("-m", "flows.services", "up", *options, state=state, **home)
    pids = [int(file.read_text().split()[0]) for file in (state / "services").glob("*.pid")]
    try:
        assert up.returncode == 0, up.stdout + up.stderr
        assert len(pids) == 4
        api = f"http://127.0.0.1:{ports['prefect']}/api"
        deployments = post(api, "deployments/filter", {})
        assert len(deployments) == 17
        with urllib.request.urlopen(f"http://127.0.0.1:{ports['docs']}/", timeout=30) as site:
            assert b"decide_champion" in site.read()
        for _ in range(2):  # the second run finds its work done
            day = subprocess.run(
                [
                    *(BIN / "prefect", "deployment", "run", "daily/household-churn"),
                    *("-p", "as_of_date=2017-07-16", "--watch"),
                ],
                cwd=PROJECT,
                env={**os.environ, "WEIGHHOUSE_HOME": str(state), **home},
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert day.returncode == 0, day.stdout + day.stderr
        keys = {artifact["key"] for artifact in post(api, "artifacts/filter", {})}
        assert {f"household-churn-{name}" for name in ("predictions", "drift", "decision")} <= keys
    finally:
        down = run_python("-m", "flows.services", "down", state=state, **home)
    assert down.returncode == 0, down.stdout + down.stderr
    assert not any(psutil.pid_exists(pid) for pid in pids)
    with duckdb.connect(str(state / "published.duckdb"), read_only=True) as published:
        assert published.execute(
            """
            select count(*), count(distinct scoring_run_id) from predictions.pred_household_churn
            where as_of_date = date '2017-07-16'
            """
        ).fetchone() == (2215, 1)
