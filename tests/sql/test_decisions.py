"""Scenarios: a situation in recorded facts and outcomes, and the decision row that must come out.

The outcomes stand in tables of the names the decisions read; everything else is the real SQL. The
world: flights of 2013, version 1 is champion since 1 May, version 2 was trained on 8 May, labels
mature after two days, looks are due after 7, 14, 21 and 28 windows: on 17, 24, 31 May and 7 June.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

TASK = "flight_delay"
FEATURE_TABLES = {"flight_delay": "feat_flight", "household_churn": "feat_household"}
FIRST_LOOK = date(2013, 5, 17)
CLUSTERS = 110
ROWS_A_DAY = 130

DECISIONS = ("run", "--select", "path:models/decisions,config.materialized:incremental")
LOSSES = ("log_loss", "brier_score", "absolute_error", "squared_error", "error_rate")
Change = Callable[[dict[str, np.ndarray], int], None]


def days(first: date, last: date, step: int = 1) -> list[date]:
    """Return every `step`-th date from `first` to `last`."""
    return [first + timedelta(days=n) for n in range(0, (last - first).days + 1, step)]


def regression(day: date, number: int, error_share: float) -> dict[str, Any]:
    """Return labels and scores of a day; two versions' errors are alike, as in life."""
    shared = np.random.default_rng(day.toordinal())
    own = np.random.default_rng([day.toordinal(), number])
    label = shared.normal(0, 30, ROWS_A_DAY)
    error = shared.normal(0, 20, ROWS_A_DAY) + own.normal(0, 6, ROWS_A_DAY)
    score = label + error_share * error
    return {
        "kind": ["regression"] * ROWS_A_DAY,
        "score": score,
        "label_value": label,
        "absolute_error": abs(score - label),
        "squared_error": (score - label) ** 2,
    }


def binary(day: date, number: int, error_share: float) -> dict[str, Any]:
    """Return labels and scores of a day: the true log odds plus an error."""
    shared = np.random.default_rng(day.toordinal())
    own = np.random.default_rng([day.toordinal(), number])
    log_odds = shared.normal(0, 1.5, ROWS_A_DAY)
    label = (shared.random(ROWS_A_DAY) < 1 / (1 + np.exp(-log_odds))).astype(float)
    error = shared.normal(0, 1, ROWS_A_DAY) + own.normal(0, 0.2, ROWS_A_DAY)
    score = 1 / (1 + np.exp(-log_odds - error_share * error))
    return {
        "kind": ["binary"] * ROWS_A_DAY,
        "score": score,
        "label_value": label,
        "log_loss": -np.log(np.where(label == 1, score, 1 - score)),
        "brier_score": (score - label) ** 2,
    }


def multiclass(day: date, number: int, error_share: float) -> dict[str, Any]:
    """Return classes and scores of a day: the true log odds plus an error; Gumbel noise draws."""
    shared = np.random.default_rng(day.toordinal())
    own = np.random.default_rng([day.toordinal(), number])
    log_odds = shared.gumbel(0, 2, (ROWS_A_DAY, 3))
    happened = np.argmax(log_odds + shared.gumbel(0, 1, (ROWS_A_DAY, 3)), axis=1)
    error = shared.normal(0, 1, (ROWS_A_DAY, 3)) + own.normal(0, 0.2, (ROWS_A_DAY, 3))
    odds = np.exp(log_odds + error_share * error)
    shares = odds / odds.sum(axis=1, keepdims=True)
    return {
        "kind": ["multiclass"] * ROWS_A_DAY,
        "score": shares.max(axis=1),
        "label_class": happened.astype(str).tolist(),
        "log_loss": -np.log(shares[np.arange(ROWS_A_DAY), happened]),
        "brier_score": ((shares - np.eye(3)[happened]) ** 2).sum(axis=1),
        "error_rate": (shares.argmax(axis=1) != happened).astype(float),
    }


class World:
    """Recorded facts and outcomes of the task, planted into a warehouse."""

    def __init__(self, warehouse: Any) -> None:
        self.warehouse = warehouse
        self.task, self.step, self.horizon, self.outcomes = TASK, 1, 2, regression
        self.act_count = 0

    def live(self, first: date, last: date) -> None:
        self.asked(first, last)
        self.built(first, last)

    def asked(self, first: date, last: date) -> None:
        self.warehouse.insert(
            "recorded.periods",
            [
                {"task": self.task, "as_of_date": day, "known_at": day}
                for day in days(first, last, self.step)
            ],
        )

    def built(self, first: date, last: date) -> None:
        self.warehouse.insert(
            "recorded.feature_builds",
            [
                {
                    "feature_table": FEATURE_TABLES[self.task],
                    "feature_version": 1,
                    "known_at": day,
                    "first_as_of_date": day,
                    "last_as_of_date": day,
                    "row_count": ROWS_A_DAY,
                    "content_hash": "h",
                    "code_commit": "c",
                    "compiled_sql_sha256": "s",
                }
                for day in days(first, last, self.step)
            ],
        )

    def version(self, number: int, cut_off: date, certified: bool = True, **more: Any) -> None:
        facts = {
            "task": self.task,
            "model_version": number,
            "cut_off_date": cut_off,
            "feature_table": "feat_flight",
            "feature_version": 1,
            "pipeline": "ridge",
            "hyperparameters": "{}",
            "fit_first_date": cut_off,
            "fit_last_date": cut_off,
            "fit_row_count": 1000,
            "holdout_first_date": cut_off,
            "holdout_last_date": cut_off,
            "holdout_row_count": 1000,
            "training_row_count": 2000,
            "training_content_hash": f"hash{number}",
            "code_commit": "c",
            "lock_sha256": "l",
            "seed": 1,
            "thread_count": 1,
            "artifact_sha256": f"sha{number}",
            "arrays_sha256": "a",
            "artifact_path": "p",
            "mlflow_run_id": "r",
            "trigger_reason": "manual",
        }
        self.warehouse.insert("recorded.model_versions", [facts | more])
        if certified:
            self.certify(number)

    def certify(self, number: int, is_equal: bool = True) -> None:
        self.warehouse.insert(
            "recorded.parity_certificates",
            [
                {
                    "task": self.task,
                    "model_version": number,
                    "engine": "python",
                    "compared_row_count": 100,
                    "mismatch_count": 0,
                    "max_absolute_difference": 0.0,
                    "max_ulps": 0,
                    "is_equal": is_equal,
                }
            ],
        )

    def metrics(self, number: int, scorer: str, **values: float) -> None:
        self.warehouse.insert(
            "recorded.model_metrics",
            [
                {
                    "task": self.task,
                    "model_version": number,
                    "scorer": scorer,
                    "split": "holdout",
                    "metric": metric,
                    "metric_value": value,
                }
                for metric, value in values.items()
            ],
        )

    def act(
        self, on: date, number: int, previous: int | None, act: str = "promote", wait: int = 1
    ) -> None:
        self.act_count += 1
        self.warehouse.insert(
            "recorded.promotions",
            [
                {
                    "promotion_id": f"{on}-{number}",
                    "task": self.task,
                    "act_number": self.act_count,
                    "as_of_date": on,
                    "act": act,
                    "effective_from_date": on + timedelta(days=wait),
                    "model_version": number,
                    "previous_version": previous,
                    "decision_id": "d",
                    "actor": "policy",
                    "reason": "r",
                }
            ],
        )

    def scored(
        self,
        number: int,
        role: str,
        first: date,
        last: date,
        *,
        error_share: float = 1.0,
        labelled_share: float = 1.0,
        change: Change | None = None,
    ) -> None:
        """Score every day; the error is `error_share` times that of an average version."""
        manifests, tables = [], []
        for day in days(first, last, self.step):
            columns = self.outcomes(day, number, error_share)
            if change is not None:
                change(columns, day.toordinal())
            known = np.arange(ROWS_A_DAY) < round(labelled_share * ROWS_A_DAY)
            tables.append(
                pa.table(
                    {
                        "task": [self.task] * ROWS_A_DAY,
                        "unit_id": [f"{day}|{row}" for row in range(ROWS_A_DAY)],
                        "cluster_id": [str(row % CLUSTERS) for row in range(ROWS_A_DAY)],
                        "as_of_date": [day] * ROWS_A_DAY,
                        "model_version": pa.array([number] * ROWS_A_DAY, pa.int32()),
                        "role": [role] * ROWS_A_DAY,
                        "label_known_at": [
                            day + timedelta(days=self.horizon) if row_known else None
                            for row_known in known
                        ],
                        "slices": [
                            [f"origin={'EWR' if row % 2 else 'JFK'}"] for row in range(ROWS_A_DAY)
                        ],
                        **columns,
                    }
                )
            )
            manifests.append(
                {
                    "scoring_run_id": f"{number}-{day}",
                    "task": self.task,
                    "model_version": number,
                    "role": role,
                    "as_of_date": day,
                    "epoch": 1,
                    "row_count": ROWS_A_DAY,
                    "input_fingerprint": "f",
                    "engine": "python",
                    "model_sha256": f"sha{number}",
                    "scoring_seconds": 1.0,
                    "rows_per_second": 1.0,
                    "peak_memory_bytes": 1,
                }
            )
        self.warehouse.insert("recorded.scoring_runs", manifests)
        self.warehouse.execute(
            f"insert into intermediate.outcomes_{self.task} by name select * from planted",
            planted=pa.concat_tables(tables),
        )

    def decide(self, *more: str) -> None:
        self.warehouse.dbt(*DECISIONS, *more)

    def decision(self, on: date, challenger: int | None = 2) -> dict[str, Any]:
        """Return the only decision of a day about a version."""
        wanted = "is null" if challenger is None else f"= {challenger}"
        (row,) = self.warehouse.dicts(
            f"select * from decisions.decide_champion where task = '{self.task}'"
            f" and as_of_date = '{on}' and challenger_version {wanted}"
        )
        return row

    def checks(self, on: date, **wanted: Any) -> list[dict[str, Any]]:
        conditions = "".join(f" and {column} = '{value}'" for column, value in wanted.items())
        return self.warehouse.dicts(
            f"select * from decisions.decide_checks where as_of_date = '{on}'{conditions}"
        )

    def retrain(self, on: date) -> dict[str, Any]:
        (row,) = self.warehouse.dicts(
            f"select * from decisions.decide_retrain where task = '{self.task}'"
            f" and as_of_date = '{on}'"
        )
        return row


def prepare(warehouse: Any) -> None:
    """Make what the decisions read, empty, and build them once."""
    warehouse.clear()
    losses = ", ".join(f"{loss} double" for loss in LOSSES)
    warehouse.execute(
        f"""
        create schema intermediate;
        create schema monitoring;
        create table monitoring.mon_feature_drift (
            task varchar, model_version integer, as_of_date date, feature varchar,
            status varchar, severity varchar, alarming_window_count integer
        );
        create table monitoring.mon_score_drift (
            task varchar, model_version integer, as_of_date date, status varchar,
            severity varchar, alarming_window_count integer, psi double, psi_null_quantile double
        );
        create table monitoring.mon_domain_drift (
            task varchar, model_version integer, as_of_date date, status varchar,
            severity varchar, alarming_window_count integer, roc_auc double
        );
        create table monitoring.mon_estimated_quality (
            task varchar, model_version integer, as_of_date date, metric varchar, status varchar,
            estimated_value double, reference_value double, is_alarming boolean,
            alarming_window_count integer
        );
        create table intermediate.outcomes_flight_delay (
            task varchar, unit_id varchar, cluster_id varchar, as_of_date date,
            matured_on_date date, model_version integer, role varchar, kind varchar,
            score double, label_value double, label_class varchar, label_known_at date,
            {losses}, slices varchar[]
        );
        create table intermediate.outcomes_household_churn as
            select * from intermediate.outcomes_flight_delay;
        """
    )
    warehouse.dbt("seed", "--select", "policy", "sequential_boundaries", "drift_thresholds")
    warehouse.dbt("run", "--select", "path:models/decisions", "outcomes")


@pytest.fixture(scope="module")
def built(warehouse_file: Any) -> Any:
    """A warehouse in which the decisions are built, over nothing."""
    prepare(warehouse_file)
    return warehouse_file


@pytest.fixture
def world(built: Any) -> World:
    """An empty world: the tables stay, their rows go."""
    emptied = built.execute(
        """
        select schema_name || '.' || table_name from duckdb_tables()
        where schema_name in ('recorded', 'monitoring', 'decisions')
            or (schema_name = 'intermediate' and not starts_with(table_name, 'declared_')
                and table_name <> 'task_policy')
        """
    )
    built.execute("".join(f"delete from {table};" for (table,) in emptied))
    return World(built)


@pytest.fixture
def always_valid_world(world: World) -> Iterator[World]:
    """A world in which nobody planned how often to look; half a unit of 20 is worth a promotion."""
    world.warehouse.execute(
        "update intermediate.task_policy set planned_looks = 0, planned_effect_share = 0.025,"
        " trial_days = 30"
    )
    yield world
    world.warehouse.dbt("run", "--select", "task_policy")


@pytest.fixture
def multiclass_world(world: World) -> Iterator[World]:
    """A world whose flights are declared to be of classes, judged by log_loss and error_rate."""
    world.outcomes = multiclass
    world.warehouse.execute(
        f"""
        update intermediate.declared_tasks set kind = 'multiclass', primary_metric = 'log_loss'
        where task = '{TASK}';
        delete from intermediate.declared_metrics where task = '{TASK}';
        insert into intermediate.declared_metrics values ('{TASK}', 'log_loss', true),
            ('{TASK}', 'brier_score', false), ('{TASK}', 'error_rate', false);
        update intermediate.declared_guardrails set metric = 'error_rate', margin = 0.02
        where task = '{TASK}';
        """
    )
    yield world
    world.warehouse.dbt(
        "run", "--select", "declared_tasks", "declared_metrics", "declared_guardrails"
    )


def start(world: World, last: date = FIRST_LOOK, **challenger: Any) -> None:
    """Plant champion 1 and challenger 2, both scored until the day before `last`."""
    world.live(date(2013, 5, 1), last)
    world.version(1, date(2013, 5, 1))
    world.version(2, date(2013, 5, 8))
    world.act(date(2013, 5, 1), 1, None, wait=0)
    world.scored(1, "champion", date(2013, 5, 9), last - timedelta(days=1))
    world.scored(2, "challenger", date(2013, 5, 9), last - timedelta(days=1), **challenger)


def test_without_any_fact_there_is_no_decision_row(world: World) -> None:
    world.decide()
    assert world.warehouse.dicts("select * from decisions.decide_champion") == []
    assert world.warehouse.dicts("select * from decisions.decide_checks") == []
    assert world.warehouse.dicts("select * from decisions.decide_retrain") == []


@pytest.mark.parametrize(
    ("model", "baseline", "verdict", "reasons"),
    [
        (
            {"absolute_error": 20.0, "squared_error": 900.0},
            {"absolute_error": 25.0, "squared_error": 1000.0},
            "promote",
            ["first_version"],
        ),
        (
            {"absolute_error": 26.0, "squared_error": 900.0},
            {"absolute_error": 25.0, "squared_error": 1000.0},
            "hold",
            ["worse_than_baseline"],
        ),
        (
            {"absolute_error": math.nan, "squared_error": 900.0},
            {"absolute_error": 25.0, "squared_error": 1000.0},
            "no_decision",
            ["metric_missing"],
        ),
        (
            {"absolute_error": 20.0},
            {"absolute_error": 25.0, "squared_error": 1000.0},
            "no_decision",
            ["metric_missing"],
        ),
    ],
)
def test_a_first_version_is_judged_by_absolute_gates(
    world: World,
    model: Mapping[str, float],
    baseline: Mapping[str, float],
    verdict: str,
    reasons: list[str],
) -> None:
    day = date(2013, 5, 1)
    world.live(day, day)
    world.version(1, day)
    world.metrics(1, "model", **model)
    world.metrics(1, "baseline", **baseline)
    world.decide()
    row = world.decision(day, 1)
    assert (row["verdict"], row["reason_codes"]) == (verdict, reasons)
    assert row["is_rubber_stamp"] is True
    assert row["champion_version"] is None


def test_a_better_challenger_is_promoted_at_a_look_and_the_chain_holds(world: World) -> None:
    start(world, error_share=0.8)
    world.decide()
    before, row = world.decision(date(2013, 5, 16)), world.decision(FIRST_LOOK)
    assert (before["verdict"], before["reason_codes"]) == ("no_decision", ["too_few_windows"])
    assert (row["verdict"], row["reason_codes"]) == ("promote", ["challenger_better"])
    assert (row["look_number"], row["window_count"], row["row_count"]) == (1, 7, 7 * ROWS_A_DAY)
    assert row["primary_lower_bound"] > 0
    assert row["previous_decision_id"] == before["decision_id"]
    assert world.decision(date(2013, 5, 8), None)["reason_codes"] == ["no_challenger"]
    assert all(check["is_passed"] for check in world.checks(FIRST_LOOK))

    decided = world.warehouse.dicts("select * from decisions.decide_champion order by all")
    world.decide()
    assert world.warehouse.dicts("select * from decisions.decide_champion order by all") == decided
    # What happens afterwards does not change the past.
    world.act(FIRST_LOOK, 2, 1)
    world.decide("--full-refresh")
    assert world.warehouse.dicts("select * from decisions.decide_champion order by all") == decided

    world.warehouse.dbt("test", "--select", "decide_champion", "decide_checks")
    world.warehouse.execute(
        f"update decisions.decide_champion set primary_delta = 99 where as_of_date = '{FIRST_LOOK}'"
    )
    with pytest.raises(AssertionError, match="decision_chain_is_whole"):
        world.warehouse.dbt("test", "--select", "decide_champion")


def test_an_equal_challenger_is_held_at_each_look_and_in_between(world: World) -> None:
    start(world, last=date(2013, 6, 8))
    world.decide()
    looks = [date(2013, 5, 17), date(2013, 5, 24), date(2013, 5, 31)]
    for number, day in enumerate(looks, start=1):
        row = world.decision(day)
        assert (row["look_number"], row["verdict"]) == (number, "hold")
        assert row["reason_codes"] == ["not_proven_better"]
    assert world.decision(date(2013, 5, 18))["reason_codes"] == ["between_looks"]
    last = world.decision(date(2013, 6, 7))
    assert last["reason_codes"] == ["looks_used_up", "not_proven_better"]
    assert last["information_share"] == 1.0
    # Its role has ended with the last look.
    assert world.decision(date(2013, 6, 8), None)["reason_codes"] == ["no_challenger"]


def test_a_worse_challenger_is_held_and_named_worse(world: World) -> None:
    start(world, error_share=1.3)
    world.decide()
    row = world.decision(FIRST_LOOK)
    assert row["verdict"] == "hold"
    assert {"not_proven_better", "metric_worse", "slice_worse"} <= set(row["reason_codes"])


def test_a_weekly_binary_task_is_judged_by_log_loss_with_the_auc_as_guardrail(world: World) -> None:
    world.task, world.step, world.horizon, world.outcomes = "household_churn", 7, 28, binary
    # Looks at 7, 8, 9 and 10 windows from 9 July on; the tenth, 10 September, matures on 8 October.
    first, look = date(2017, 7, 2), date(2017, 10, 8)
    world.live(first, look)
    world.version(1, first)
    world.version(2, first, feature_version=2)
    world.act(first, 1, None, wait=0)
    world.scored(1, "champion", date(2017, 7, 9), look - timedelta(days=7))
    world.scored(2, "challenger", date(2017, 7, 9), look - timedelta(days=7), error_share=0.1)
    world.decide()
    row = world.decision(look)
    (auc,) = world.checks(look, check_name="guardrail", metric="roc_auc")
    assert auc["is_passed"], auc
    assert auc["challenger_value"] > auc["champion_value"]
    # The slices are called origin here, and the task declares income_band.
    assert (row["verdict"], row["reason_codes"]) == (
        "no_decision",
        ["looks_used_up", "slice_missing"],
    )
    assert (row["look_number"], row["window_count"]) == (4, 10)
    assert row["primary_lower_bound"] > 0
    assert world.decision(date(2017, 9, 10))["reason_codes"] == ["too_few_windows"]


@pytest.mark.parametrize(
    ("error_share", "verdict", "reasons"),
    [(0.3, "promote", ["challenger_better"]), (1.0, "hold", ["not_proven_better"])],
    ids=["better", "equal"],
)
def test_a_multiclass_task_is_judged_by_log_loss_with_the_error_rate_as_guardrail(
    multiclass_world: World, error_share: float, verdict: str, reasons: list[str]
) -> None:
    second_look = FIRST_LOOK + timedelta(days=7)
    start(multiclass_world, last=second_look, error_share=error_share)
    multiclass_world.decide()
    row = multiclass_world.decision(second_look)
    assert (row["verdict"], row["reason_codes"]) == (verdict, reasons)
    assert (row["look_number"], row["window_count"]) == (2, 14)
    (guardrail,) = multiclass_world.checks(second_look, check_name="guardrail")
    assert (guardrail["metric"], guardrail["is_passed"]) == ("error_rate", True)


def _put_the_first_row_into_a_slice_of_its_own(columns: dict[str, Any], ordinal: int) -> None:
    airports = ["LGA"] + ["JFK"] * (ROWS_A_DAY - 1)
    columns["slices"] = [[f"origin={airport}"] for airport in airports]


def test_a_slice_with_too_few_rows_is_not_judged_and_stops_no_promotion(world: World) -> None:
    start(world, error_share=0.8, change=_put_the_first_row_into_a_slice_of_its_own)
    world.decide()
    (small,) = world.checks(FIRST_LOOK, slice="origin=LGA")
    assert (small["is_required"], small["is_passed"]) == (False, False)
    assert (small["status"], small["reason_code"]) == ("insufficient", None)
    assert small["sentence"].startswith("not judged: too few rows")
    assert world.decision(FIRST_LOOK)["reason_codes"] == ["challenger_better"]


def test_days_built_one_by_one_equal_days_built_at_once(world: World) -> None:
    start(world, error_share=0.8, last=date(2013, 5, 24))
    world.decide()
    at_once = world.warehouse.dicts("select * from decisions.decide_champion order by all")
    world.warehouse.execute(
        "delete from recorded.periods where as_of_date > '2013-05-16';"
        "delete from recorded.feature_builds where known_at > '2013-05-16'"
    )
    world.decide("--full-refresh")
    for day in days(FIRST_LOOK, FIRST_LOOK + timedelta(days=1)):
        world.live(day, day)
        world.decide()
    world.live(date(2013, 5, 19), date(2013, 5, 24))
    world.decide()
    assert world.warehouse.dicts("select * from decisions.decide_champion order by all") == at_once


@pytest.mark.parametrize("planned_looks", [4, 0])
def test_a_life_with_acts_is_derived_again_in_one_pass(world: World, planned_looks: int) -> None:
    world.warehouse.execute(f"update intermediate.task_policy set planned_looks = {planned_looks}")
    decisions = f"select * from {CHAMPION} order by all"
    start(world, error_share=0.8)
    for number in (1, 2, 3):
        world.metrics(number, "model", absolute_error=20.0, squared_error=900.0)
    world.decide()
    assert world.decision(FIRST_LOOK)["verdict"] == "promote"
    world.act(FIRST_LOOK, 2, 1)
    world.version(3, date(2013, 5, 18))
    world.scored(1, "champion", FIRST_LOOK, FIRST_LOOK)
    world.scored(2, "challenger", FIRST_LOOK, FIRST_LOOK, error_share=0.8)
    for first, last in [(18, 27), (28, 31)]:
        lived = (date(2013, 5, first), date(2013, 5, last))
        world.live(*lived)
        world.scored(2, "champion", *lived, error_share=0.8)
        world.scored(1, "predecessor", *lived)
        challenged = (max(lived[0], date(2013, 5, 19)), lived[1])
        world.scored(3, "challenger", *challenged, error_share=0.7)
        world.decide()
    lived_through = world.warehouse.dicts(decisions)
    compared = {row["comparison"] for row in lived_through if row["look_number"] is not None}
    assert compared == {"challenger", "predecessor"}
    world.decide("--full-refresh")
    assert world.warehouse.dicts(decisions) == lived_through
    world.warehouse.execute("update intermediate.task_policy set planned_looks = 4")


def test_a_period_asked_for_but_not_built_is_not_judged_until_it_is_built(world: World) -> None:
    last_look = date(2013, 6, 7)
    start(world, last=last_look - timedelta(days=1))
    for number, role in [(1, "champion"), (2, "challenger")]:
        world.scored(number, role, last_look - timedelta(days=1), last_look)
    world.asked(last_look, last_look)
    # Another task's build of that day is none of this task's.
    world.task = "household_churn"
    world.live(last_look, last_look)
    world.task = TASK
    world.decide()
    for table in (
        "intermediate.decide_looks",
        "decisions.decide_champion",
        "decisions.decide_retrain",
    ):
        newest = world.warehouse.execute(
            f"select max(as_of_date) from {table} where task = '{TASK}'"
        )
        assert newest == [(last_look - timedelta(days=1),)], table
    role_ends = (
        "select valid_to_date from decisions.model_roles"
        f" where task = '{TASK}' and role = 'challenger'"
    )
    assert world.warehouse.execute(role_ends) == [(None,)]

    world.built(last_look, last_look)
    world.decide()
    row = world.decision(last_look)
    assert (row["look_number"], row["window_count"]) == (4, 28)
    assert row["reason_codes"] == ["looks_used_up", "not_proven_better"]
    assert world.warehouse.execute(role_ends) == [(last_look + timedelta(days=1),)]


@pytest.fixture
def unsound(world: World) -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """Change the policy by SQL, and return the rows with which its test then fails."""
    warehouse = world.warehouse
    tables = ("policy.policy", "intermediate.declared_metrics", "intermediate.declared_guardrails")
    before = {table: warehouse.dicts(f"select * from {table}") for table in tables}

    def change(sql: str) -> list[dict[str, Any]]:
        warehouse.execute(sql)
        with pytest.raises(AssertionError, match="policy_is_sound"):
            warehouse.dbt("test", "--select", "policy_is_sound", "--store-failures")
        return warehouse.dicts("from dbt_test__audit.policy_is_sound order by all")

    yield change
    warehouse.execute("drop schema if exists dbt_test__audit cascade")
    for table, rows in before.items():
        warehouse.execute(f"delete from {table}")
        warehouse.insert(table, rows)


SET = "update policy.policy set"
NOT_A_SHARE = "the value is not a number from 0.0 to 1.0"
NO_BOUNDARY = "sequential_boundaries has no boundary of every look at the alpha of this task"
INCOMPLETE = "unit, reason or source is missing"


@pytest.mark.parametrize(
    ("change", "rule", "task", "problem"),
    [
        (
            "delete from policy.policy where rule = 'cool_down_days'",
            *("cool_down_days", "*", "the rule is missing for all tasks"),
        ),
        (
            "insert into policy.policy select 'cooldown', * exclude (rule) from policy.policy"
            " where rule = 'cool_down_days'",
            *("cooldown", "*", "nothing reads a rule of this name"),
        ),
        (
            f"{SET} task = 'flight_dely' where rule = 'windows_per_look' and task <> '*'",
            *("windows_per_look", "flight_dely", "no declared task has this name"),
        ),
        (
            "insert into policy.policy from policy.policy where rule = 'cool_down_days'",
            *("cool_down_days", "*", "the rule is given 2 times for this task"),
        ),
        (
            f"{SET} value = 'nan' where rule = 'slice_margin_share'",
            *("slice_margin_share", "*", NOT_A_SHARE),
        ),
        (
            f"{SET} value = 'inf' where rule = 'slice_margin_share'",
            *("slice_margin_share", "*", NOT_A_SHARE),
        ),
        (
            f"{SET} value = null where rule = 'slice_margin_share'",
            *("slice_margin_share", "*", NOT_A_SHARE),
        ),
        (
            f"{SET} value = -0.01 where rule = 'rollback_margin_share'",
            *("rollback_margin_share", "*", NOT_A_SHARE),
        ),
        (
            f"{SET} value = 1.5 where rule = 'min_coverage_share'",
            *("min_coverage_share", "*", NOT_A_SHARE),
        ),
        (
            f"{SET} value = 6.5 where rule = 'cool_down_days'",
            *("cool_down_days", "*", "the value is not a whole number from 0.0 to 36500.0"),
        ),
        (f"{SET} reason = ' ' where rule = 'alpha'", "alpha", "*", INCOMPLETE),
        (f"{SET} source = null where rule = 'alpha'", "alpha", "*", INCOMPLETE),
        (f"{SET} unit = null where rule = 'alpha'", "alpha", "*", INCOMPLETE),
        (f"{SET} value = 5 where rule = 'planned_looks'", "planned_looks", "*", NO_BOUNDARY),
        (f"{SET} value = 0.01 where rule = 'alpha'", "planned_looks", "*", NO_BOUNDARY),
        (
            f"insert into intermediate.declared_metrics values ('{TASK}', 'rocauc', false)",
            *("metric rocauc", TASK, "a task of kind regression is not judged by this metric"),
        ),
        (
            f"update intermediate.declared_guardrails set margin = -0.1 where task = '{TASK}'",
            *("guardrail squared_error", TASK, "the margin is not a number of 0 or more"),
        ),
    ],
)
def test_an_unsound_policy_fails_by_name(
    unsound: Callable[[str], list[dict[str, Any]]],
    change: str,
    rule: str,
    task: str,
    problem: str,
) -> None:
    found = [(row["rule"], row["task"], row["problem"]) for row in unsound(change)]
    assert set(found) == {(rule, task, problem)}


def test_looks_of_unknown_number_need_no_boundary(world: World) -> None:
    sql = "update policy.policy set value = {} where rule = 'planned_looks'"
    for planned_looks in (0, 8, 4):
        world.warehouse.execute(sql.format(planned_looks))
        world.warehouse.dbt("test", "--select", "policy_is_sound")


def _break_squared_error(value: float | None) -> Change:
    def change(columns: dict[str, Any], ordinal: int) -> None:
        broken = columns["squared_error"].tolist()
        broken[0] = value
        columns["squared_error"] = pa.array(broken, pa.float64())

    return change


@pytest.mark.parametrize("value", [math.nan, math.inf, None], ids=["nan", "infinite", "null"])
def test_a_guardrail_with_a_broken_value_never_passes(world: World, value: float | None) -> None:
    start(world, error_share=0.8, change=_break_squared_error(value))
    world.decide()
    row = world.decision(FIRST_LOOK)
    assert (row["verdict"], row["reason_codes"]) == ("no_decision", ["metric_missing"])
    (guardrail,) = world.checks(FIRST_LOOK, check_name="guardrail")
    assert (guardrail["status"], guardrail["is_passed"]) == ("missing", False)


def test_missing_labels_certificates_and_rows_allow_no_decision(world: World) -> None:
    start(world, error_share=0.8, labelled_share=0.8)
    world.warehouse.execute("delete from recorded.parity_certificates where model_version = 2")
    world.warehouse.execute(
        "delete from intermediate.outcomes_flight_delay where unit_id = '2013-05-10|3'"
    )
    world.decide()
    row = world.decision(FIRST_LOOK)
    assert row["verdict"] == "no_decision"
    assert row["reason_codes"] == ["low_coverage", "parity_not_proven", "scoring_incomplete"]


def test_a_version_that_proves_worse_than_its_predecessor_is_rolled_back(world: World) -> None:
    world.live(date(2013, 5, 1), FIRST_LOOK)
    world.version(1, date(2013, 5, 1))
    world.version(2, date(2013, 5, 2))
    world.act(date(2013, 5, 1), 1, None, wait=0)
    world.act(date(2013, 5, 8), 2, 1)
    world.scored(1, "predecessor", date(2013, 5, 9), date(2013, 5, 16))
    world.scored(2, "champion", date(2013, 5, 9), date(2013, 5, 16), error_share=1.5)
    world.decide()
    row = world.decision(FIRST_LOOK, 1)
    assert (row["comparison"], row["champion_version"]) == ("predecessor", 2)
    assert row["verdict"] == "rollback"
    assert row["reason_codes"] == ["guardrail_breached", "primary_worse"]


def test_a_good_promotion_is_not_rolled_back(world: World) -> None:
    world.live(date(2013, 5, 1), FIRST_LOOK)
    world.version(1, date(2013, 5, 1))
    world.version(2, date(2013, 5, 2))
    world.act(date(2013, 5, 1), 1, None, wait=0)
    world.act(date(2013, 5, 8), 2, 1)
    world.scored(1, "predecessor", date(2013, 5, 9), date(2013, 5, 16))
    world.scored(2, "champion", date(2013, 5, 9), date(2013, 5, 16))
    world.decide()
    row = world.decision(FIRST_LOOK, 1)
    assert (row["verdict"], row["reason_codes"]) == ("hold", ["predecessor_not_better"])


def test_within_the_cool_down_a_better_challenger_waits(world: World) -> None:
    start(world, error_share=0.8)
    world.version(3, date(2013, 5, 1))
    world.warehouse.execute("update recorded.promotions set model_version = 3")
    world.act(date(2013, 5, 14), 1, 3)
    world.decide()
    row = world.decision(FIRST_LOOK)
    assert (row["verdict"], row["reason_codes"]) == ("hold", ["cool_down"])


@pytest.mark.parametrize("is_lifted", [False, True])
def test_two_rollbacks_within_two_weeks_freeze_the_task_until_an_override(
    world: World, is_lifted: bool
) -> None:
    start(world, error_share=0.8)
    world.version(3, date(2013, 5, 1))
    world.act(date(2013, 5, 3), 3, 1, act="rollback")
    world.act(date(2013, 5, 8), 1, 3, act="rollback")
    if is_lifted:
        world.act(date(2013, 5, 10), 1, 1, act="override")
    world.decide()
    row = world.decision(FIRST_LOOK)
    expected = ("promote", ["challenger_better"]) if is_lifted else ("hold", ["frozen"])
    assert (row["verdict"], row["reason_codes"]) == expected


def test_of_two_better_challengers_the_better_one_is_promoted_with_alpha_split(
    world: World,
) -> None:
    start(world, error_share=0.8)
    world.version(3, date(2013, 5, 8))
    world.scored(3, "challenger", date(2013, 5, 9), date(2013, 5, 16), error_share=0.5)
    world.decide()
    best, other = world.decision(FIRST_LOOK, 3), world.decision(FIRST_LOOK, 2)
    assert (best["verdict"], best["alpha"], best["challenger_count"]) == ("promote", 0.025, 2)
    assert (other["verdict"], other["reason_codes"]) == ("hold", ["other_challenger_better"])


def test_looks_of_unknown_number_are_taken_at_every_new_window(always_valid_world: World) -> None:
    world = always_valid_world
    start(world, error_share=0.8, last=date(2013, 5, 20))
    world.metrics(1, "model", absolute_error=20.0, squared_error=900.0)
    world.decide()
    assert world.decision(date(2013, 5, 16))["reason_codes"] == ["too_few_windows"]
    rows = [world.decision(day) for day in days(FIRST_LOOK, date(2013, 5, 20))]
    assert [row["look_number"] for row in rows] == [1, 2, 3, 4]
    assert [row["window_count"] for row in rows] == [7, 8, 9, 10]
    assert {row["verdict"] for row in rows} == {"promote"}
    first = rows[0]
    assert (first["sequential_method"], first["planned_looks"]) == ("always_valid", 0)
    assert (first["boundary_z"], first["information_share"]) == (None, None)
    # One error planned for the whole trial: half a minute is decidable there, two-sided 2a/(1+a).
    level = 2 * 0.05 / 1.05
    c = -2 * math.log(level) + math.log(1 - 2 * math.log(level))
    multiplier = math.sqrt((1 + c) / c * (math.log(1 + c) - 2 * math.log(level)))
    (planned,) = {row["planned_standard_error"] for row in rows}
    assert planned == pytest.approx(0.5 / multiplier, rel=1e-9)
    for row in rows:
        error = row["primary_standard_error"]
        k = c * (row["planned_standard_error"] / error) ** 2
        z = math.sqrt((1 + k) / k * (math.log(1 + k) - 2 * math.log(level)))
        # Student's t of as many degrees of freedom, wider than the normal quantile z.
        assert row["critical_value"] > z
        half_width = row["critical_value"] * error
        assert row["primary_lower_bound"] == pytest.approx(row["primary_delta"] - half_width)


def test_a_trial_of_unknown_looks_ends_after_its_days(always_valid_world: World) -> None:
    world = always_valid_world
    start(world, last=date(2013, 6, 10))
    world.metrics(1, "model", absolute_error=20.0, squared_error=900.0)
    world.decide()
    last = world.decision(date(2013, 6, 7))
    assert (last["verdict"], last["reason_codes"]) == ("hold", ["not_proven_better"])
    assert last["look_number"] == 22
    # Version 2 became a challenger on 9 May; on the thirtieth day after it is none any more.
    assert world.decision(date(2013, 6, 8), None)["reason_codes"] == ["no_challenger"]


def test_without_a_holdout_value_an_always_valid_look_decides_nothing(
    always_valid_world: World,
) -> None:
    start(always_valid_world, error_share=0.8)
    always_valid_world.decide()
    row = always_valid_world.decision(FIRST_LOOK)
    assert row["verdict"] == "no_decision"
    assert row["reason_codes"] == ["no_boundary", "no_standard_error"]


def test_a_harmful_promotion_is_taken_back_at_a_look_nobody_planned(
    always_valid_world: World,
) -> None:
    world = always_valid_world
    world.live(date(2013, 5, 1), FIRST_LOOK)
    world.version(1, date(2013, 5, 1))
    world.version(2, date(2013, 5, 2))
    world.metrics(2, "model", absolute_error=20.0, squared_error=900.0)
    world.act(date(2013, 5, 1), 1, None, wait=0)
    world.act(date(2013, 5, 8), 2, 1)
    world.scored(1, "predecessor", date(2013, 5, 9), date(2013, 5, 16))
    world.scored(2, "champion", date(2013, 5, 9), date(2013, 5, 16), error_share=1.5)
    world.decide()
    row = world.decision(FIRST_LOOK, 1)
    assert (row["verdict"], row["reason_codes"]) == (
        "rollback",
        ["guardrail_breached", "primary_worse"],
    )
    assert row["planned_standard_error"] is not None


def _worsen_squared_error(columns: dict[str, Any], ordinal: int) -> None:
    columns["squared_error"] = columns["squared_error"] + 500.0


def test_a_predecessor_that_is_worse_in_another_metric_is_not_brought_back(world: World) -> None:
    world.live(date(2013, 5, 1), FIRST_LOOK)
    world.version(1, date(2013, 5, 1))
    world.version(2, date(2013, 5, 2))
    world.act(date(2013, 5, 1), 1, None, wait=0)
    world.act(date(2013, 5, 8), 2, 1)
    scored = (date(2013, 5, 9), date(2013, 5, 16))
    world.scored(1, "predecessor", *scored, error_share=0.8, change=_worsen_squared_error)
    world.scored(2, "champion", *scored)
    world.decide()
    row = world.decision(FIRST_LOOK, 1)
    (primary,) = world.checks(FIRST_LOOK, check_name="rollback_primary")
    assert primary["is_passed"]
    assert row["verdict"] == "hold"
    assert "metric_worse" in row["reason_codes"]


CHAMPION, CHECKS = "decisions.decide_champion", "decisions.decide_checks"
TAMPERING = (
    f"update {CHAMPION} set verdict = 'hold' where as_of_date = '{FIRST_LOOK}'",
    f"update {CHAMPION} set code_commit = 'other' where as_of_date = '2013-05-10'",
    f"update {CHAMPION} set decision_id = 'x' where as_of_date = '2013-05-10'",
    f"update {CHECKS} set delta = delta + 0.001 where check_name = 'primary'",
    f"update {CHECKS} set is_passed = not is_passed where check_name = 'coverage'",
    f"delete from {CHECKS} where check_name = 'guardrail'",
    f"insert into {CHECKS} select * replace ('copy' as slice) from {CHECKS}"
    " where check_name = 'primary'",
    f"delete from {CHAMPION} where as_of_date = '2013-05-10'",
    f"update {CHAMPION} set as_of_date = case as_of_date when date '2013-05-10'"
    " then date '2013-05-11' else date '2013-05-10' end"
    " where as_of_date in ('2013-05-10', '2013-05-11')",
    f"delete from {CHAMPION} where as_of_date = '{FIRST_LOOK}'",
    f"update {CHECKS} set sentence = 'holds: everything' where check_name = 'coverage'",
)


def test_the_chain_breaks_when_a_row_is_edited_taken_out_added_or_swapped(world: World) -> None:
    start(world, error_share=0.8)
    judgements = [
        {"task": TASK, "as_of_date": day, "code_commit": "c", "decision_sql_sha256": "s"}
        for day in days(date(2013, 5, 9), FIRST_LOOK)
    ]
    world.warehouse.insert("recorded.judgements", judgements)
    world.decide()
    assert world.decision(date(2013, 5, 8), None)["code_commit"] is None
    assert world.decision(FIRST_LOOK)["decision_sql_sha256"] == "s"
    whole = ("test", "--select", "decide_champion,test_name:decision_chain_is_whole")
    world.warehouse.dbt(*whole)
    before = {
        table: world.warehouse.dicts(f"select * from {table}") for table in (CHAMPION, CHECKS)
    }
    for change in TAMPERING:
        world.warehouse.execute(change)
        with pytest.raises(AssertionError, match="decision_chain_is_whole"):
            world.warehouse.dbt(*whole)
        for table, rows in before.items():
            world.warehouse.execute(f"delete from {table}")
            world.warehouse.insert(table, rows)
    world.warehouse.dbt(*whole)


def test_training_waits_for_a_comparison_and_follows_the_schedule(world: World) -> None:
    start(world, last=date(2013, 6, 8))
    world.decide()
    assert world.retrain(date(2013, 5, 1))["reason_codes"] == ["no_champion"]
    scheduled = world.retrain(date(2013, 5, 8))
    assert (scheduled["verdict"], scheduled["reason_codes"]) == ("retrain", ["scheduled"])
    assert world.retrain(date(2013, 5, 4))["reason_codes"] == ["no_signal", "quality_unknown"]
    waiting = world.retrain(date(2013, 5, 20))
    assert waiting["verdict"] == "hold"
    assert waiting["reason_codes"] == ["challenger_under_comparison", "scheduled"]
    assert world.retrain(date(2013, 6, 7))["verdict"] == "retrain"


@pytest.mark.parametrize(
    ("holdout", "is_decayed"), [(13.0, True), (16.5, False)], ids=["decayed", "as before"]
)
def test_realised_quality_below_the_holdout_asks_for_training(
    world: World, holdout: float, is_decayed: bool
) -> None:
    # |N(0, sqrt(20^2 + 6^2))| has mean 20.88 * 0.798 = 16.7 minutes.
    world.live(date(2013, 5, 1), date(2013, 5, 17))
    world.version(1, date(2013, 5, 1))
    world.version(2, date(2013, 5, 12))
    world.metrics(1, "model", absolute_error=holdout)
    world.act(date(2013, 5, 1), 1, None, wait=0)
    world.scored(1, "champion", date(2013, 5, 1), date(2013, 5, 16))
    world.decide()
    row = world.retrain(date(2013, 5, 17))
    assert ("quality_decay" in row["reason_codes"]) is is_decayed
    assert row["quality_window_count"] == 7
    assert row["realised_value"] == pytest.approx(16.7, abs=1.0)
