"""Histories of two versions of a task, planted by the hundred and judged by the real decision SQL.

A history is a task of its own: version 1 is champion from the first day, version 2 is its
challenger, or was promoted and has version 1 as its predecessor. Every day both score the same
units. Rows are not independent: a unit keeps its effect over the days, a day over its units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from benchmarks.judgement.scratch import Scratch

FIRST_DAY = date(2013, 3, 1)
UNITS = 120
ERROR = 20.0  # mean absolute error of both versions, in the unit of the label
OWN_NOISE, OWN_UNIT, OWN_DAY = 5.0, 1.5, 0.5  # how the versions' errors differ from each other
DECLARED = ("declared_tasks", "declared_metrics", "declared_guardrails", "declared_slices")
DECISIONS = (
    "task_policy",
    "model_roles",
    "decide_looks",
    "judged_samples",
    "paired_comparisons",
    "decide_checks",
    "judged_questions",
    "decide_champion",
)


@dataclass(frozen=True)
class Plan:
    """What a set of histories is like.

    Attributes
    ----------
    like : str
        The shipped task whose declaration and policy the histories have: flight_delay or
        household_churn.
    windows : int
        Days that both versions score.
    gain : float
        Share of its loss that version 2 saves; below 0: it is worse. 0: equal versions.
    is_promoted : bool
        Version 2 was promoted already: is it taken back?
    unit_share, day_share : float
        Factors on the effects that rows of one unit, and of one day, have in common.
    outcome_days : int
        Days that an outcome takes: predictions of so many days in a row share a day's effect.
    rules : mapping
        Rules of the policy that differ from the shipped ones.
    """

    like: str = "flight_delay"
    windows: int = 14
    gain: float = 0.0
    is_promoted: bool = False
    unit_share: float = 1.0
    day_share: float = 1.0
    outcome_days: int = 1
    rules: Mapping[str, float] = field(default_factory=dict)


class Histories:
    """Plants histories into a scratch warehouse and lets the real SQL models judge them."""

    def __init__(self, scratch: Scratch) -> None:
        self.scratch = scratch

    def judge(self, plan: Plan, first: int, count: int, seed: int) -> None:
        """Plant the histories `first`, .., `first + count - 1` and build the decisions."""
        scratch = self.scratch
        tasks = [f"history_{number:05d}" for number in range(first, first + count)]
        scratch.clear()
        scratch.dbt("seed", "policy", "sequential_boundaries")
        scratch.dbt("run", *DECLARED)
        scratch.insert("policy.policy", _rules(tasks, plan))
        horizon = plan.outcome_days
        self._declare(tasks, plan.like, horizon)
        days = [FIRST_DAY + timedelta(days=2 + n) for n in range(plan.windows)]
        self._record(tasks, plan, days, horizon)
        scratch.execute("create table intermediate.outcomes as " + OUTCOMES)
        for number, task in enumerate(tasks, start=first):
            rng = np.random.default_rng([seed, number])
            losses = _binary if plan.like == "household_churn" else _regression
            scratch.insert(
                "intermediate.outcomes", _outcomes(losses(rng, plan), task, days, horizon)
            )
        scratch.dbt("run", *DECISIONS)

    def _declare(self, tasks: list[str], like: str, days: int) -> None:
        """Give every history the declaration of a shipped task, with outcomes of so many days."""
        names = ", ".join(f"('{task}')" for task in tasks)
        for table in DECLARED:
            self.scratch.execute(
                f"create or replace table intermediate.{table} as"
                f" select history.task, declared.* exclude (task) from intermediate.{table} as"
                f" declared cross join (values {names}) as history (task)"
                f" where declared.task = '{like}'"
            )
        # A day apart: the dates stand for periods of any length.
        self.scratch.execute(
            f"update intermediate.declared_tasks set horizon_days = {days}, outcome_days = {days},"
            " cadence_days = 1, feature_table = 'planted'"
        )

    def _record(self, tasks: list[str], plan: Plan, days: list[date], horizon: int) -> None:
        """Plant what Python would have recorded."""
        scratch = self.scratch
        last = days[-1] + timedelta(days=horizon)
        periods = [FIRST_DAY + timedelta(days=n) for n in range((last - FIRST_DAY).days + 1)]
        scratch.insert(
            "recorded.periods",
            _product({"task": tasks, "as_of_date": periods}, same={"known_at": "as_of_date"}),
        )
        scratch.insert(
            "recorded.feature_builds",
            {"known_at": periods, "first_as_of_date": periods, "last_as_of_date": periods},
            feature_table="planted",
            feature_version=1,
            row_count=UNITS,
            content_hash="planted",
            code_commit="planted",
            compiled_sql_sha256="planted",
        )
        for version, cut_off in ((1, FIRST_DAY), (2, FIRST_DAY + timedelta(days=1))):
            common = {"model_version": np.int32(version).item()}
            scratch.insert("recorded.model_versions", {"task": tasks}, **common, **_facts(cut_off))
            scratch.insert(
                "recorded.parity_certificates",
                {"task": tasks},
                **common,
                engine="python",
                compared_row_count=UNITS,
                mismatch_count=0,
                max_absolute_difference=0.0,
                max_ulps=0,
                is_equal=True,
            )
            scratch.insert(
                "recorded.model_metrics",
                _product({"task": tasks, "metric": list(HOLDOUT)}).append_column(
                    "metric_value", pa.array(list(HOLDOUT.values()) * len(tasks))
                ),
                **common,
                scorer="model",
                split="holdout",
            )
            role = (
                {1: "predecessor", 2: "champion"}
                if plan.is_promoted
                else {1: "champion", 2: "challenger"}
            )
            runs = _product({"task": tasks, "as_of_date": days})
            scratch.insert(
                "recorded.scoring_runs",
                runs.append_column(
                    "scoring_run_id",
                    pa.array(
                        f"{task}-v{version}-{day}"
                        for task, day in zip(
                            runs["task"].to_pylist(), runs["as_of_date"].to_pylist(), strict=True
                        )
                    ),
                ),
                **common,
                role=role[version],
                epoch=1,
                row_count=UNITS,
                input_fingerprint="planted",
                engine="python",
                model_sha256="planted",
                scoring_seconds=1.0,
                rows_per_second=1.0,
                peak_memory_bytes=1,
            )
        acts: list[tuple[int, int, int | None, date]] = [(1, 1, None, FIRST_DAY)]
        if plan.is_promoted:
            acts.append((2, 2, 1, FIRST_DAY + timedelta(days=1)))
        for number, version, previous, day in acts:
            scratch.insert(
                "recorded.promotions",
                {
                    "task": tasks,
                    "promotion_id": [f"{task}-{number}" for task in tasks],
                    "previous_version": pa.array([previous] * len(tasks), pa.int32()),
                },
                act_number=number,
                as_of_date=day,
                effective_from_date=day if number == 1 else days[0],
                act="promote",
                model_version=version,
                decision_id="planted",
                actor="policy",
                reason="planted",
            )


HOLDOUT = {"absolute_error": ERROR, "squared_error": 450.0, "log_loss": 0.5, "brier_score": 0.16}

OUTCOMES = """
    select
        cast(null as varchar) as task, cast(null as varchar) as unit_id,
        cast(null as varchar) as cluster_id, cast(null as date) as as_of_date,
        cast(null as date) as matured_on_date, cast(null as integer) as model_version,
        cast(null as varchar) as role, cast(null as varchar) as kind,
        cast(null as double) as score, cast(null as double) as label_value,
        cast(null as varchar) as label_class, cast(null as date) as label_known_at,
        cast(null as double) as log_loss, cast(null as double) as brier_score,
        cast(null as double) as absolute_error, cast(null as double) as squared_error,
        cast(null as double) as error_rate, cast(null as varchar[]) as slices
    where false
"""


def _rules(tasks: list[str], plan: Plan) -> pa.Table:
    rows = [
        {
            "rule": rule,
            "task": task,
            "value": float(value),
            "unit": "-",
            "reason": "planted",
            "source": "planted",
        }
        for task in tasks
        for rule, value in plan.rules.items()
    ]
    schema = pa.schema(
        [
            (name, pa.float64() if name == "value" else pa.string())
            for name in ("rule", "task", "value", "unit", "reason", "source")
        ]
    )
    return pa.Table.from_pylist(rows, schema=schema)


def _facts(cut_off: date) -> dict[str, object]:
    return {
        "cut_off_date": cut_off,
        "feature_table": "planted",
        "feature_version": 1,
        "pipeline": "planted",
        "hyperparameters": "{}",
        "fit_first_date": cut_off,
        "fit_last_date": cut_off,
        "fit_row_count": 1,
        "holdout_first_date": cut_off,
        "holdout_last_date": cut_off,
        "holdout_row_count": 1,
        "training_row_count": 1,
        "training_content_hash": "planted",
        "code_commit": "planted",
        "lock_sha256": "planted",
        "seed": 1,
        "thread_count": 1,
        "artifact_sha256": "planted",
        "arrays_sha256": "planted",
        "artifact_path": "planted",
        "mlflow_run_id": "planted",
        "trigger_reason": "planted",
    }


def _product(lists: dict[str, list], same: dict[str, str] | None = None) -> pa.Table:
    """Every combination of the lists' values; `same`: further columns that repeat one of them."""
    (first, outer), (second, inner) = lists.items()
    columns = {
        first: [one for one in outer for _ in inner],
        second: [other for _ in outer for other in inner],
    }
    return pa.table(columns | {new: columns[old] for new, old in (same or {}).items()})


def _own(rng: np.random.Generator, plan: Plan) -> np.ndarray:
    """Errors of one version that the other lacks, shape (windows, UNITS): noise, unit and day."""
    days = rng.normal(size=plan.windows + plan.outcome_days - 1)
    shared = np.convolve(days, np.ones(plan.outcome_days), mode="valid") / plan.outcome_days**0.5
    return (
        OWN_NOISE * rng.normal(size=(plan.windows, UNITS))
        + plan.unit_share * OWN_UNIT * rng.normal(size=(1, UNITS))
        + plan.day_share * OWN_DAY * shared[:, None]
    )


def _regression(rng: np.random.Generator, plan: Plan) -> list[dict[str, np.ndarray]]:
    shape = (plan.windows, UNITS)
    label = rng.normal(0, 30, shape)
    side = rng.choice([-1.0, 1.0], shape)
    shared = ERROR + 4 * rng.normal(size=shape)
    versions = []
    for gain in (0.0, plan.gain):
        error = np.abs(shared + _own(rng, plan)) * (1 - gain)
        versions.append(
            {
                "score": label + side * error,
                "label_value": label,
                "absolute_error": error,
                "squared_error": error**2,
            }
        )
    return versions


def _binary(rng: np.random.Generator, plan: Plan) -> list[dict[str, np.ndarray]]:
    shape = (plan.windows, UNITS)
    log_odds = -0.5 + 1.2 * rng.normal(size=(1, UNITS)) + 0.8 * rng.normal(size=shape)
    label = (rng.random(shape) < 1 / (1 + np.exp(-log_odds))).astype(float)
    shared = 0.5 * rng.normal(size=shape)
    versions = []
    for gain in (0.0, plan.gain):
        error = (shared + 0.08 * _own(rng, plan)) * (1 - gain)
        score = 1 / (1 + np.exp(-log_odds - error))
        versions.append(
            {
                "score": score,
                "label_value": label,
                "log_loss": -np.log(np.where(label == 1, score, 1 - score)),
                "brier_score": (score - label) ** 2,
            }
        )
    return versions


def _outcomes(
    versions: list[dict[str, np.ndarray]], task: str, days: list[date], horizon: int
) -> pa.Table:
    """Rows of `intermediate.outcomes` of both versions, one per version, day and unit."""
    kind = "binary" if "log_loss" in versions[0] else "regression"
    slices = "income_band" if kind == "binary" else "origin"
    rows = len(days) * UNITS
    units = np.tile(np.arange(UNITS), len(days))
    dates = np.repeat(np.array(days, dtype="datetime64[D]"), UNITS)
    tables = []
    for version, columns in enumerate(versions, start=1):
        tables.append(
            pa.table(
                {
                    "task": [task] * rows,
                    "unit_id": units.astype(str),
                    "cluster_id": units.astype(str),
                    "as_of_date": dates,
                    "matured_on_date": dates + np.timedelta64(horizon),
                    "label_known_at": dates + np.timedelta64(horizon),
                    "model_version": np.full(rows, version, dtype=np.int32),
                    "role": ["planted"] * rows,
                    "kind": [kind] * rows,
                    "slices": [[f"{slices}={'AB'[unit % 2]}"] for unit in units],
                    **{name: values.ravel() for name, values in columns.items()},
                }
            )
        )
    return pa.concat_tables(tables)
