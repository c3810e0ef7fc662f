"""`make prove-judgement` at its small size: every part runs, and its claims are judged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.judgement import report
from tests.conftest import run_python

SHARES = (
    "false_promotion_share",
    "point_comparison_share",
    "naive_repeated_share",
    "row_independent_share",
)


@pytest.mark.slow
def test_the_small_proof_measures_every_rate_and_its_claims_hold(state: Path) -> None:
    done = run_python(
        "-m", "benchmarks.judgement", "--size", "small", "--no-peers", state=state, timeout=400
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = json.loads((state / "proofs" / "judgement.json").read_text())
    a_a = found["a_a"]
    assert a_a["histories"] >= 50
    assert a_a["looks"] == 8
    assert all(0 <= a_a[share] <= 1 for share in SHARES)
    # What the usual templates do promotes about half of all equal challengers.
    assert a_a["point_comparison_share"] > 0.3 > a_a["false_promotion_share"]
    assert a_a["row_independent_share"] > a_a["false_promotion_share"]
    better = [
        row["share"] for row in found["power"] if row["verdict"] == "promote" and row["gain"] > 0
    ]
    assert better == sorted(better)
    assert better[-1] > 0.8
    assert all(claim["holds"] for claim in found["claims"])
    assert (state / "proofs" / "judgement.md").read_text().count("|") > 100


def test_a_rate_above_its_limit_is_a_claim_that_does_not_hold() -> None:
    rates = {"alpha": 0.05, "monte_carlo_standard_error": 0.007, "false_promotion_share": 0.08} | {
        "primary_proven_share": 0.06
    }
    found = {
        "a_a": rates,
        "a_a_others": {},
        "power": [{"verdict": "promote", "gain": -0.02, "share": 0.0, "histories": 200}],
        "drift": {"rates": [], "agreement": {"PSI": 1e-12}},
        "estimates": {"concept_drift": []},
    }
    broken = [claim for claim in report.claims(found) if not claim["holds"]]
    assert [claim["claim"] for claim in broken] == [
        "A/A, clustered by unit and day: falsely promoted"
    ]
    assert broken[0]["at_most"] == pytest.approx(0.071)
