"""A policy that nobody should judge by: refused when the project is set up, before any decision."""

import json
import shutil

import pytest

from tests.conftest import PROJECT, run_python

pytestmark = pytest.mark.slow

SET_UP = """
import json, sys
from pathlib import Path
from flows import dbt_runs
from warehouse.connection import open_warehouse

seed = dbt_runs.PROJECT / "seeds" / "policy.csv"
answers = {}
with open_warehouse() as connection:
    for name, text in json.loads(sys.argv[1]).items():
        seed.write_text(text)
        try:
            dbt_runs.set_up(connection)
        except dbt_runs.DbtFailed as error:
            answers[name] = str(error)
        else:
            answers[name] = "built"
    made = connection.execute(
        "select table_name from duckdb_tables() where schema_name = 'decisions'"
    ).fetchall()
    builds = connection.execute("select count(*) from recorded.project_builds").fetchone()
print(json.dumps({"answers": answers, "made": made, "builds": builds[0]}))
"""
POLICY = (PROJECT / "dbt_project" / "seeds" / "policy.csv").read_text()
ALPHA, COOL_DOWN, MARGIN = (
    next(line for line in POLICY.splitlines(keepends=True) if line.startswith(f"{rule},*,"))
    for rule in ("alpha", "cool_down_days", "rollback_margin_share")
)
SOURCE = "docs/statistics.md section 4"
CASES = {
    "a missing rule": (POLICY.replace(COOL_DOWN, ""), "cool_down_days, *, the rule is missing"),
    "an unknown rule": (
        POLICY + COOL_DOWN.replace("cool_down", "pause"),
        "pause_days, *, 7.0, noth",
    ),
    "a duplicated rule": (POLICY + COOL_DOWN, "cool_down_days, *, 7.0, the rule is given 2 times"),
    "an unknown task": (
        POLICY + COOL_DOWN.replace(",*,", ",flight_dely,"),
        "cool_down_days, flight_dely, 7.0, no declared task has this name",
    ),
    "a negative margin": (
        POLICY.replace(MARGIN, MARGIN.replace(",0.01,", ",-0.01,")),
        "rollback_margin_share, *, -0.01, the value is not a number from 0.0 to 1.0",
    ),
    "no number": (
        POLICY.replace(MARGIN, MARGIN.replace(",0.01,", ",nan,")),
        "rollback_margin_share, *, nan, the value is not a number",
    ),
    "a missing reason": (
        POLICY.replace(COOL_DOWN, f"cool_down_days,*,7,days,,{SOURCE}\n"),
        "cool_down_days, *, 7.0, unit, reason or source is missing",
    ),
    "a missing source": (
        POLICY.replace(COOL_DOWN, COOL_DOWN.replace(SOURCE, "")),
        "cool_down_days, *, 7.0, unit, reason or source is missing",
    ),
    "looks without boundaries": (
        POLICY.replace("planned_looks,*,4,", "planned_looks,*,5,"),
        "planned_looks, *, 5.0, sequential_boundaries has no boundary",
    ),
}


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What setting up said of each policy, one after the other on one empty warehouse."""
    copied = tmp_path_factory.mktemp("bad_policy") / "project"
    for name in ("flows", "models_ml", "warehouse", "dbt_project"):
        shutil.copytree(PROJECT / name, copied / name)
    done = run_python(
        *("-c", SET_UP, json.dumps({name: text for name, (text, _) in CASES.items()})),
        state=copied.parent / "state",
        project=copied,
        PYTHONPATH=str(copied),
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", CASES)
def test_a_bad_policy_is_refused_by_name(refusals: dict[str, object], name: str) -> None:
    _, problem = CASES[name]
    message = refusals["answers"][name]
    assert "policy_is_sound" in message
    assert problem in message


def test_and_nothing_is_judged_by_it(refusals: dict[str, object]) -> None:
    assert (refusals["made"], refusals["builds"]) == ([], 0)
