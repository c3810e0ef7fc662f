"""Quality estimated without labels, beside what came true, over a finished replay.

Two changes are planted into copies of its warehouse: one that estimates can see (the easy half of
the units is gone), and one that they cannot and must not claim to see (the units are the same, what
happens to them is not). The real SQL models estimate and judge all three.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.judgement.promotion import Progress
from benchmarks.judgement.scratch import Scratch

MODELS = ("mon_quality", "estimated_quality", "mon_estimated_quality")

PAIRS = """
select task, model_version, as_of_date, metric, estimated_value, realised_value, reference_value,
    is_alarming
from monitoring.mon_estimated_quality
where status = 'ok' and realised_value is not null
"""

# The outcome no longer depends on the features as it did: a third of the units, chosen by a hash.
CONCEPT_DRIFT = {
    "household_churn": """
        update labels.label_household_churned set is_churned = not is_churned
        where substr(md5(cast(household_id as varchar)), 1, 1) < '5'
    """,
    "flight_delay": """
        update labels.label_flight_arrival_delay
        set arrival_delay_minutes = arrival_delay_minutes + 45
        where substr(md5(cast(flight_number as varchar)), 1, 1) < '5'
    """,
}
# Other units than before, of whom the features say that they are hard.
COVARIATE_SHIFT = {
    "household_churn": """
        delete from recorded.predictions_household_churn as easy
        where score < (select median(score) from recorded.predictions_household_churn)
    """,
    "flight_delay": """
        delete from recorded.predictions_flight_delay as easy
        where expected_absolute_error
            < (select median(expected_absolute_error) from recorded.predictions_flight_delay)
    """,
}


def measure(scratch: Scratch, state: Path, progress: Progress) -> dict[str, Any]:
    """Compare estimates with what came true: as replayed, and with each planted change.

    Parameters
    ----------
    scratch : Scratch
        Ends with a changed copy of the replay's warehouse.
    state : Path
        State folder of the replay; only read.
    progress : callable

    Returns
    -------
    dict
        For each task and metric: ``replayed`` (windows, and the mean absolute difference between
        realised value and estimate, and between realised value and the holdout's),
        ``covariate_shift`` and ``concept_drift`` (by how much realised value and estimate moved
        on average, and the share of windows in which the estimate alarmed before and after).
    """
    cases: dict[str, dict[tuple, dict[str, Any]]] = {}
    for number, (name, changes) in enumerate(
        {"replayed": {}, "covariate_shift": COVARIATE_SHIFT, "concept_drift": CONCEPT_DRIFT}.items()
    ):
        progress(f"estimates: {name}", number, 3)
        scratch.take(state / "warehouse.duckdb")
        for change in changes.values():
            scratch.execute(change)
        scratch.dbt("run", *MODELS)
        cases[name] = {
            (row["task"], row["metric"], row["model_version"], row["as_of_date"]): row
            for row in scratch.dicts(PAIRS)
        }
    measured: dict[str, Any] = {name: [] for name in cases}
    for task, metric in sorted({key[:2] for key in cases["replayed"]}):
        before = {key: row for key, row in cases["replayed"].items() if key[:2] == (task, metric)}
        named = {"task": task, "metric": metric, "windows": len(before)}
        measured["replayed"].append(
            named
            | {
                "estimate_error": _mean_difference(before, "estimated_value"),
                "reference_error": _mean_difference(before, "reference_value"),
            }
        )
        for name in ("covariate_shift", "concept_drift"):
            both = {key: cases[name][key] for key in before if key in cases[name]}
            measured[name].append(
                named
                | {
                    "windows": len(both),
                    "realised_moved_by": _moved(before, both, "realised_value"),
                    "estimate_moved_by": _moved(before, both, "estimated_value"),
                    "estimate_moved_at_most": max(
                        abs(row["estimated_value"] - before[key]["estimated_value"])
                        for key, row in both.items()
                    ),
                    "alarm_share_before": _mean(before[key]["is_alarming"] for key in both),
                    "alarm_share_after": _mean(row["is_alarming"] for row in both.values()),
                }
            )
    return measured


def _mean(values: Any) -> float:  # noqa: ANN401 - any iterable of numbers
    numbers = [float(value) for value in values]
    return sum(numbers) / len(numbers)


def _mean_difference(rows: dict[tuple, dict[str, Any]], column: str) -> float:
    return _mean(abs(row["realised_value"] - row[column]) for row in rows.values())


def _moved(
    before: dict[tuple, dict[str, Any]], after: dict[tuple, dict[str, Any]], column: str
) -> float:
    return _mean(row[column] - before[key][column] for key, row in after.items())
