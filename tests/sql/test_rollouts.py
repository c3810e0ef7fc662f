"""Rollouts: two versions side by side in planted outcomes, and the verdict that must come out.

Everything but the scoring set, the predictions and the outcomes is the real SQL. Each scenario is a
rollout of its own with its own households, so that one dbt run judges all of them at once. Every
rollout starts on 9 July 2017; outcomes are known four weeks later, from 6 August on.
"""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
import scipy.stats

from warehouse.rollouts import (
    RolloutRefused,
    record_assignments,
    record_rollout_act,
    start_rollout,
)

TASK = "household_churn"
START = date(2017, 7, 9)
SUNDAYS = [START + timedelta(weeks=week) for week in range(17)]
FIRST_KNOWN = date(2017, 8, 6)
UNITS = 400
BUILT = ("task_policy", "rollout_stages", "path:models/rollouts", "pred_household_churn")
Plant = dict[str, Any]

# What is planted, by name. `change` alters the columns of the households; the rest the rollout.
SCENARIOS: dict[str, Plant] = {
    "equal": {},
    "better": {"spend": 60.0},
    "worse": {"spend": -60.0},
    "better_early": {"spend": 60.0, "coverage": 0.05},
    "guardrail": {"baskets": -3.0},
    "better_but_guardrail_unproven": {"spend": 60.0, "baskets": -0.5},
    "skewed": {"treatment_share": 0.3},
    "unscored": {"unscored": 5},
    "not_a_number": {"spend": 60.0, "value": float("nan")},
    "infinite": {"spend": 60.0, "value": float("inf")},
    "null": {"spend": 60.0, "value": None},
    "few": {"spend": 60.0, "units": 60},
    "unlabelled": {"spend": 60.0, "labelled_share": 0.8},
    "skewed_labels": {"spend": 60.0, "unlabelled_treatment": 120},
    "unplanned": {"spend": 60.0, "planned": False},
    "nobody": {"units": 0},
    "champion_changed": {"control": 7},
    "rehearsal": {"purpose": "rehearsal"},
    "rehearsal_differs": {"purpose": "rehearsal", "spend": 60.0},
    "constant": {"flat": True},
    "ended": {"ended": date(2017, 7, 23)},
    "old": {"since": date(2017, 4, 16)},
    "old_rehearsal": {"since": date(2017, 4, 16), "purpose": "rehearsal"},
    "old_but_better": {"since": date(2017, 4, 16), "spend": 60.0},
    "old_and_broken": {"since": date(2017, 4, 16), "value": None},
}


def version_of(plant: Plant, arm: str) -> int:
    control = plant.get("control", 1)
    return control + 1 if arm == "treatment" and plant.get("purpose") != "rehearsal" else control


class Rollouts:
    """Planted rollouts, and what the SQL says of them."""

    def __init__(self, warehouse: Any) -> None:
        self.warehouse = warehouse
        self.units: dict[str, dict[str, np.ndarray]] = {}

    def prepare(self) -> None:
        self.warehouse.clear()
        self.warehouse.execute(
            """
            create schema scoring_sets;
            create schema labels;
            create table scoring_sets.score_household_churn_v1 (
                household_id bigint, as_of_date date, spend_28d_usd double
            );
            create table labels.label_household_spend (
                household_id bigint, as_of_date date, known_at date,
                spend_next_28d_usd double, basket_count_next_28d double
            );
            create table recorded.predictions_household_churn (
                household_id bigint, as_of_date date, model_version integer, role varchar,
                score double, scoring_run_id varchar
            );
            """
        )
        self.warehouse.dbt("seed", "--select", "policy")
        self.warehouse.dbt("run", "--select", "declared_tasks", *BUILT)

    def live(self, last: date) -> None:
        periods = [day for day in SUNDAYS if day <= last]
        self.warehouse.insert(
            "recorded.periods",
            [{"task": TASK, "as_of_date": day, "known_at": day} for day in periods],
        )
        self.warehouse.insert(
            "recorded.feature_builds",
            [
                {
                    "feature_table": "feat_household",
                    "feature_version": 1,
                    "known_at": day,
                    "first_as_of_date": day,
                    "last_as_of_date": day,
                    "row_count": 1,
                    "content_hash": "h",
                    "code_commit": "c",
                    "compiled_sql_sha256": "s",
                }
                for day in periods
            ],
        )
        self.scored(periods)

    def scored(self, periods: list[date]) -> None:
        self.warehouse.insert(
            "recorded.scoring_runs",
            [
                {
                    "scoring_run_id": f"1-{day}",
                    "task": TASK,
                    "model_version": 1,
                    "role": "champion",
                    "as_of_date": day,
                    "epoch": 1,
                    "row_count": 1,
                    "input_fingerprint": "f",
                    "engine": "python",
                    "model_sha256": "s",
                    "scoring_seconds": 1.0,
                    "rows_per_second": 1.0,
                    "peak_memory_bytes": 1,
                }
                for day in periods
            ],
        )

    def start(self, name: str, plant: Plant) -> None:
        control = plant.get("control", 1)
        planned = "map {'spend_next_28d_usd': 6.0::double, 'basket_count_next_28d': 0.2::double}"
        self.warehouse.execute(
            f"""
            insert into recorded.rollouts by name select
                '{name}' as rollout_id, '{TASK}' as task,
                '{plant.get("purpose", "promotion")}' as purpose, {control} as control_version,
                {version_of(plant, "treatment")} as treatment_version, '{name}' as salt,
                {planned if plant.get("planned", True) else "map {}::map(varchar, double)"}
                    as planned_standard_errors,
                date '2017-07-02' as as_of_date, null as decision_id, 'policy' as actor,
                'r' as reason, timestamp '2026-01-01' as recorded_at
            """
        )
        self.act(
            name,
            1,
            "start",
            on=date(2017, 7, 2),
            since=plant.get("since", START),
            share=plant.get("coverage", 1.0),
        )
        if "ended" in plant:
            ended = plant["ended"]
            self.act(name, 2, "abort", on=ended, since=ended + timedelta(days=1), share=0.0)

    def act(self, name: str, number: int, act: str, *, on: date, since: date, share: float) -> None:
        self.warehouse.insert(
            "recorded.rollout_acts",
            [
                {
                    "rollout_id": name,
                    "act_number": number,
                    "act": act,
                    "as_of_date": on,
                    "effective_from_date": since,
                    "coverage_share": share,
                    "actor": "policy",
                    "reason": "r",
                }
            ],
        )

    def promoted(self, number: int, version: int, previous: int | None, since: date) -> None:
        self.warehouse.insert(
            "recorded.promotions",
            [
                {
                    "promotion_id": f"p{number}",
                    "task": TASK,
                    "act_number": number,
                    "as_of_date": since,
                    "effective_from_date": since,
                    "act": "override",
                    "model_version": version,
                    "previous_version": previous,
                    "decision_id": None,
                    "actor": "Ada",
                    "reason": "r",
                }
            ],
        )

    def live_through(self, name: str, plant: Plant, number: int) -> None:
        """Give the households of a rollout their arms, scores and outcomes in every period."""
        count = plant.get("units", UNITS)
        if not count:
            return
        random = np.random.default_rng(number)
        ids = 100_000 * number + np.arange(count)
        share = plant.get("treatment_share", 0.5)
        is_treated = random.permutation(count) < round(share * count)
        past = random.gamma(2.0, 50.0, count)
        self.units[name] = {"ids": ids, "is_treated": is_treated, "past": past}
        self.warehouse.insert(
            "recorded.assignments",
            [
                {
                    "rollout_id": name,
                    "unit_id": str(unit),
                    "arm": "treatment" if treated else "control",
                    "first_as_of_date": START,
                }
                for unit, treated in zip(ids, is_treated, strict=True)
            ],
        )
        scored, labels, predictions = [], [], []
        for week, day in enumerate(SUNDAYS[:7]):
            spend = 0.8 * past + random.normal(0, 25, count) + plant.get("spend", 0.0) * is_treated
            baskets = 0.1 * past + random.normal(0, 1, count)
            baskets = baskets + plant.get("baskets", 0.0) * is_treated
            if plant.get("flat"):
                spend, baskets = np.full(count, 5.0), np.full(count, 2.0)
            values: list[Any] = list(spend)
            if "value" in plant:
                values[3] = plant["value"]
            known = np.arange(count) >= round(count * (1 - plant.get("labelled_share", 1.0)))
            known[np.flatnonzero(is_treated)[: plant.get("unlabelled_treatment", 0)]] = False
            scored.append(
                pa.table({"household_id": ids, "as_of_date": [day] * count, "spend_28d_usd": past})
            )
            labels.append(
                pa.table(
                    {
                        "household_id": ids,
                        "as_of_date": [day] * count,
                        "known_at": [day + timedelta(days=28)] * count,
                        "spend_next_28d_usd": pa.array(values, pa.float64()),
                        "basket_count_next_28d": baskets,
                    }
                ).filter(pa.array(known))
            )
            for arm in ("control", "treatment"):
                version = version_of(plant, arm)
                role = "champion" if version == plant.get("control", 1) else "challenger"
                if arm == "treatment" and role == "champion":
                    continue
                forgotten = plant.get("unscored", 0) if (week, arm) == (1, "treatment") else 0
                rows = np.delete(np.arange(count), np.flatnonzero(is_treated)[:forgotten])
                predictions.append(
                    pa.table(
                        {
                            "household_id": ids[rows],
                            "as_of_date": [day] * len(rows),
                            "model_version": pa.array([version] * len(rows), pa.int32()),
                            "role": [role] * len(rows),
                            "score": np.full(len(rows), version / 10),
                            "scoring_run_id": [f"{name}-{version}-{day}"] * len(rows),
                        }
                    )
                )
        for table, parts in {
            "scoring_sets.score_household_churn_v1": scored,
            "labels.label_household_spend": labels,
            "recorded.predictions_household_churn": predictions,
        }.items():
            self.warehouse.execute(
                f"insert into {table} by name select * from planted",
                planted=pa.concat_tables(parts),
            )

    def judge(self, *more: str) -> None:
        self.warehouse.dbt("run", "--select", "decide_rollout", *more)

    def verdict(self, name: str, on: date) -> tuple[str, list[str]]:
        row = self.row(name, on)
        return row["verdict"], row["reason_codes"]

    def row(self, name: str, on: date) -> dict[str, Any]:
        (row,) = self.warehouse.dicts(
            f"select * from decisions.decide_rollout where rollout_id = '{name}'"
            f" and as_of_date = '{on}'"
        )
        return row

    def check(self, name: str, on: date, check: str) -> dict[str, Any]:
        (row,) = self.warehouse.dicts(
            f"select * from decisions.decide_rollout_checks where rollout_id = '{name}'"
            f" and as_of_date = '{on}' and check_name = '{check}'"
        )
        return row


@pytest.fixture(scope="module")
def planted(warehouse_file: Any) -> Rollouts:
    """All scenarios, judged in every period up to 20 August in one dbt run."""
    rollouts = Rollouts(warehouse_file)
    rollouts.prepare()
    rollouts.live(date(2017, 8, 20))
    rollouts.promoted(1, 1, None, date(2017, 7, 2))
    rollouts.promoted(2, 1, 7, date(2017, 7, 30))  # only one scenario's control is version 7
    for number, (name, plant) in enumerate(SCENARIOS.items(), start=1):
        rollouts.start(name, plant)
        rollouts.live_through(name, plant, number)
    rollouts.judge()
    return rollouts


def means(planted: Rollouts, name: str, on: date) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each unit's mean outcome up to a day, its past, and whether it is treated."""
    rows = planted.warehouse.execute(
        f"""
        select household_id, avg(spend_next_28d_usd) from labels.label_household_spend
        where known_at <= date '{on}' and household_id // 100000 = {list(SCENARIOS).index(name) + 1}
        group by household_id order by household_id
        """
    )
    units = planted.units[name]
    return np.array([value for _, value in rows]), units["past"], units["is_treated"]


@pytest.mark.parametrize("weeks", [4, 5, 6])
def test_the_difference_and_cuped_are_those_of_numpy(planted: Rollouts, weeks: int) -> None:
    day = START + timedelta(weeks=weeks)
    row = planted.row("better", day)
    values, past, treated = means(planted, "better", day)
    theta = np.cov(values, past)[0, 1] / np.var(past, ddof=1)
    adjusted = values - theta * past

    def compared(sample: np.ndarray) -> tuple[float, float]:
        parts = [sample[treated], sample[~treated]]
        error = sum(part.var(ddof=1) / len(part) for part in parts) ** 0.5
        return parts[0].mean() - parts[1].mean(), error

    # Evidence is rounded to 10 significant digits.
    assert (row["difference"], row["standard_error"]) == pytest.approx(compared(values), rel=1e-9)
    assert row["theta"] == pytest.approx(theta, rel=1e-9)
    assert (row["cuped_difference"], row["cuped_standard_error"]) == pytest.approx(
        compared(adjusted), rel=1e-9
    )
    assert row["cuped_standard_error"] < 0.5 * row["standard_error"]
    assert row["treatment_sum"] == pytest.approx(values[treated].sum(), rel=1e-9)
    assert row["control_sum_of_squares"] == pytest.approx((values[~treated] ** 2).sum(), rel=1e-9)


@pytest.mark.parametrize(
    ("name", "verdict", "reasons"),
    [
        ("equal", "hold", ["not_proven_better", "under_watch"]),
        ("better", "complete", ["treatment_better"]),
        ("worse", "abort", ["outcome_worse"]),
        ("better_early", "advance", ["stage_passed"]),
        ("guardrail", "abort", ["guardrail_breached"]),
        ("skewed", "abort", ["sample_ratio_mismatch"]),
        ("not_a_number", "no_decision", ["metric_missing"]),
        ("infinite", "no_decision", ["metric_missing"]),
        ("null", "no_decision", ["metric_missing"]),
        ("few", "no_decision", ["too_few_units"]),
        ("unlabelled", "no_decision", ["low_coverage"]),
        ("skewed_labels", "abort", ["sample_ratio_mismatch"]),
        ("unplanned", "no_decision", ["too_few_units"]),
        ("champion_changed", "abort", ["champion_changed"]),
        ("rehearsal", "hold", ["under_watch"]),
        ("rehearsal_differs", "abort", ["arms_differ"]),
        ("constant", "no_decision", ["too_few_units"]),
        ("old", "abort", ["undecided"]),
        ("old_rehearsal", "abort", ["undecided"]),
        ("old_but_better", "complete", ["treatment_better"]),
        ("old_and_broken", "abort", ["undecided"]),
    ],
)
def test_a_planted_history_gets_its_verdict_once_outcomes_are_known(
    planted: Rollouts, name: str, verdict: str, reasons: list[str]
) -> None:
    assert planted.verdict(name, FIRST_KNOWN) == (verdict, reasons)


def test_before_any_outcome_is_known_nothing_is_decided(planted: Rollouts) -> None:
    for name in ("equal", "better", "worse", "guardrail"):
        verdict, reasons = planted.verdict(name, START)
        assert verdict == "no_decision"
        assert "outcome_not_mature" in reasons


def test_a_guardrail_that_may_have_been_breached_stops_the_promotion(planted: Rollouts) -> None:
    name = "better_but_guardrail_unproven"
    verdict, reasons = planted.verdict(name, FIRST_KNOWN)
    assert (verdict, reasons) == ("hold", ["guardrail_not_proven", "under_watch"])
    assert planted.check(name, FIRST_KNOWN, "outcome")["is_passed"]


def test_a_row_without_a_score_of_its_arm_is_no_decision(planted: Rollouts) -> None:
    assert planted.check("unscored", START, "arms_scored")["value"] == 0
    assert planted.verdict("unscored", SUNDAYS[1])[0] == "no_decision"
    check = planted.check("unscored", SUNDAYS[1], "arms_scored")
    assert (check["value"], check["status"], check["reason_code"]) == (
        5, "missing", "scores_missing",
    )  # fmt: skip
    assert check["sentence"] == "broken: 5 rows have no score of their arm"


def test_nobody_assigned_decides_nothing(planted: Rollouts) -> None:
    for day in SUNDAYS[:7]:
        verdict, reasons = planted.verdict("nobody", day)
        assert verdict == "no_decision"
        assert "no_assigned_unit" in reasons


def test_a_skewed_split_ends_a_rollout_before_any_outcome(planted: Rollouts) -> None:
    assert planted.verdict("skewed", START) == ("abort", ["sample_ratio_mismatch"])
    check = planted.check("skewed", START, "sample_ratio_assigned")
    assert check["p_value"] == pytest.approx(scipy.stats.chisquare([280, 120]).pvalue, rel=1e-8)
    # Labels that are missing for one arm only show at the third stage.
    stages = ("assigned", "scored", "labelled")
    breaches = [
        planted.check("skewed_labels", FIRST_KNOWN, f"sample_ratio_{stage}")["is_breach"]
        for stage in stages
    ]
    assert breaches == [False, False, True]


def test_too_few_units_do_not_stop_a_stage_but_never_prove_anything(planted: Rollouts) -> None:
    check = planted.check("few", FIRST_KNOWN, "outcome")
    assert (check["status"], check["is_passed"], check["is_breach"]) == (
        "insufficient", False, False,
    )  # fmt: skip


def test_the_interval_holds_at_every_look(planted: Rollouts, macros: Any) -> None:
    row = planted.row("better", FIRST_KNOWN)
    half = macros.value(
        "select {{ always_valid_half_width('se', 'planned', two_sided_level('0.05E0')) }} from t",
        t={"se": [row["cuped_standard_error"]], "planned": [row["planned_standard_error"]]},
    )
    assert row["upper_bound"] - row["cuped_difference"] == pytest.approx(half, rel=1e-8)
    assert row["cuped_difference"] - row["lower_bound"] == pytest.approx(half, rel=1e-8)


def test_a_rollout_is_judged_until_the_day_of_its_end(planted: Rollouts) -> None:
    days = planted.warehouse.execute(
        "select as_of_date from decisions.decide_rollout where rollout_id = 'ended' order by 1"
    )
    assert [day for (day,) in days] == SUNDAYS[:3]


def test_one_pass_over_the_history_gives_the_same_decisions(planted: Rollouts) -> None:
    ids = "select rollout_id, as_of_date, decision_id from decisions.decide_rollout order by all"
    at_once = planted.warehouse.execute(ids)
    planted.warehouse.execute(
        f"delete from decisions.decide_rollout where as_of_date > date '{FIRST_KNOWN}'"
    )
    planted.judge()
    assert planted.warehouse.execute(ids) == at_once
    planted.judge("--full-refresh")
    assert planted.warehouse.execute(ids) == at_once
    assert len(at_once) == len({decision for _, _, decision in at_once})


def test_each_check_has_a_sentence_and_evidence_in_the_row(planted: Rollouts) -> None:
    assert planted.warehouse.execute(
        "select count(*) from decisions.decide_rollout_checks where sentence is null"
    ) == [(0,)]
    assert planted.check("better", FIRST_KNOWN, "duration")["sentence"] == "passed: day 28 of 112"
    planted.warehouse.dbt("test", "--select", "decide_rollout", "declared_online")


def test_an_edited_verdict_or_check_no_longer_has_its_id(planted: Rollouts) -> None:
    whole = ("test", "--select", "decide_rollout,test_name:rollout_ids_are_whole")
    planted.warehouse.dbt(*whole)
    for change in ("verdict = 'complete'", "upper_bound = upper_bound + 1", "checks = checks[2:]"):
        planted.warehouse.execute(
            f"update decisions.decide_rollout set {change} where as_of_date = '{FIRST_KNOWN}'"
        )
        with pytest.raises(AssertionError, match="rollout_ids_are_whole"):
            planted.warehouse.dbt(*whole)
        planted.judge("--full-refresh")
    planted.warehouse.dbt(*whole)


# Coverage, arms and what is served: the functions that the flow calls, on a file of its own.


class Served(Rollouts):
    """A task that has scored two versions for 4,000 households, and no rollout yet."""

    households = 4000

    def connect(self) -> duckdb.DuckDBPyConnection:
        return duckdb.connect(str(self.warehouse.path))

    def fill(self) -> None:
        self.live(SUNDAYS[4])
        self.promoted(1, 1, None, date(2017, 7, 2))
        self.warehouse.execute(
            f"""
            insert into scoring_sets.score_household_churn_v1
            select household_id, as_of_date, 10.0
            from range({self.households}) as households (household_id),
                (select distinct as_of_date from recorded.periods) as periods;
            insert into recorded.predictions_household_churn
            select household_id, as_of_date, model_version,
                if(model_version = 1, 'champion', 'challenger'), model_version / 10, 'run'
            from scoring_sets.score_household_churn_v1, range(1, 3) as versions (model_version)
            """
        )

    def begin(self, on: date, purpose: str = "promotion", **more: Any) -> str | None:
        facts = {
            "task": TASK,
            "purpose": purpose,
            "control_version": 1,
            "treatment_version": 2,
            "as_of_date": on,
            "effective_from_date": on,
            "decision_id": "d1",
            "actor": "policy",
            "reason": "challenger_better",
        }
        with self.connect() as connection:
            return start_rollout(connection, **(facts | more))

    def advance(self, stage: int, share: float, on: date, act: str = "advance") -> bool:
        with self.connect() as connection:
            return record_rollout_act(
                connection,
                f"{TASK}-r1",
                act=act,
                stage_number=stage,
                as_of_date=on,
                effective_from_date=on + timedelta(days=1),
                coverage_share=share,
                actor="policy",
                reason="stage_passed",
            )

    def assign(self, on: date) -> int:
        with self.connect() as connection:
            return record_assignments(connection, TASK, on)

    def arms(self) -> dict[str, str]:
        return dict(self.warehouse.execute("select unit_id, arm from recorded.assignments"))

    def served(self, on: date) -> dict[str | None, tuple[int, float]]:
        rows = self.warehouse.execute(
            f"""
            select arm, count(*), min(score), max(score) from predictions.pred_household_churn
            where as_of_date = date '{on}' group by arm
            """
        )
        assert all(least == greatest for _, _, least, greatest in rows)
        return {arm: (count, score) for arm, count, score, _ in rows}


@pytest.fixture
def served(warehouse_file: Any) -> Served:
    world = Served(warehouse_file)
    world.prepare()
    world.fill()
    return world


def test_coverage_only_grows_arms_never_change_and_each_unit_is_served_its_arm(
    served: Served,
) -> None:
    assert served.begin(SUNDAYS[1]) == f"{TASK}-r1"
    assert served.begin(SUNDAYS[1]) is None, "a decision starts one rollout"
    seen: list[dict[str, str]] = []
    for stage, share in enumerate((0.05, 0.25, 0.5, 1.0), start=1):
        day = SUNDAYS[stage]
        added = served.assign(day)
        assert served.assign(day) == 0, "what is assigned is left alone"
        arms = served.arms()
        assert added == len(arms) - (len(seen[-1]) if seen else 0)
        assert len(arms) == pytest.approx(share * 4000, abs=4 * (4000 * share * (1 - share)) ** 0.5)
        if seen:
            assert seen[-1].items() <= arms.items()
        treated = sum(arm == "treatment" for arm in arms.values())
        assert treated == pytest.approx(len(arms) / 2, abs=2 * len(arms) ** 0.5)
        counted = {None: (4000 - len(arms), 0.1), "control": (len(arms) - treated, 0.1)}
        expected = {arm: row for arm, row in counted.items() if row[0]}
        assert served.served(day) == expected | {"treatment": (treated, 0.2)}
        seen.append(arms)
        if share < 1:
            assert served.advance(stage, (0.25, 0.5, 1.0)[stage - 1], day)
            assert not served.advance(stage, (0.25, 0.5, 1.0)[stage - 1], day)
    # What was served before the rollout, and in its stages, stays as it was served.
    assert served.served(SUNDAYS[0]) == {None: (4000, 0.1)}
    assert served.served(SUNDAYS[1])["treatment"][0] == sum(
        arm == "treatment" for arm in seen[0].values()
    )
    served.warehouse.dbt("test", "--select", "pred_household_churn")


def test_the_arm_is_that_of_a_hash_that_others_can_compute(served: Served) -> None:
    served.begin(SUNDAYS[1])
    served.assign(SUNDAYS[1])
    ((salt,),) = served.warehouse.execute("select salt from recorded.rollouts")

    def share(word: str, unit: int) -> float:
        return int(hashlib.md5(f"{salt}:{word}:{unit}".encode()).hexdigest()[:13], 16) / 2**52

    assert served.arms() == {
        str(unit): "treatment" if share("arm", unit) < 0.5 else "control"
        for unit in range(4000)
        if share("coverage", unit) < 0.05
    }


def test_the_end_of_a_rollout_ends_the_arms_from_the_next_period_on(served: Served) -> None:
    served.begin(SUNDAYS[1])
    served.assign(SUNDAYS[1])
    assert served.advance(1, 0.0, SUNDAYS[1], act="abort")
    assert served.assign(SUNDAYS[2]) == 0
    assert set(served.served(SUNDAYS[1])) == {None, "control", "treatment"}
    assert served.served(SUNDAYS[2]) == {None: (4000, 0.1)}


def test_the_arms_end_when_somebody_changes_the_champion(served: Served) -> None:
    served.begin(SUNDAYS[1])
    served.assign(SUNDAYS[1])
    served.promoted(2, 2, 1, SUNDAYS[2])
    served.warehouse.execute(
        f"update recorded.predictions_household_churn set role = if(model_version = 2, 'champion',"
        f" 'predecessor') where as_of_date >= date '{SUNDAYS[2]}'"
    )
    assert served.assign(SUNDAYS[2]) == 0
    assert served.served(SUNDAYS[2]) == {None: (4000, 0.2)}
    served.judge()
    verdict, reasons = served.verdict(f"{TASK}-r1", SUNDAYS[2])
    assert (verdict, reasons) == ("abort", ["champion_changed"])


def test_a_treated_household_without_a_score_of_the_treatment_fails_a_data_test(
    served: Served,
) -> None:
    served.begin(SUNDAYS[1])
    served.assign(SUNDAYS[1])
    unit = next(unit for unit, arm in served.arms().items() if arm == "treatment")
    served.warehouse.execute(
        f"delete from recorded.predictions_household_churn where household_id = {unit}"
        f" and model_version = 2 and as_of_date = date '{SUNDAYS[1]}'"
    )
    with pytest.raises(AssertionError, match="serves_every_entity"):
        served.warehouse.dbt("test", "--select", "pred_household_churn")
    served.judge()
    assert served.verdict(f"{TASK}-r1", SUNDAYS[1])[0] == "no_decision"


def test_an_act_that_does_not_fit_is_refused_by_name(served: Served) -> None:
    with pytest.raises(RolloutRefused, match=r"champion of household_churn is 1.*version 7"):
        served.begin(SUNDAYS[1], control_version=7)
    with pytest.raises(duckdb.ConstraintException):  # a rehearsal of two versions
        served.begin(SUNDAYS[1], purpose="rehearsal")
    served.begin(SUNDAYS[1])
    with pytest.raises(RolloutRefused, match=f"{TASK}-r1 is still running"):
        served.begin(SUNDAYS[1], decision_id="d2")
    with pytest.raises(RolloutRefused, match=r"is in stage 1 .* decided in stage 3"):
        served.advance(3, 0.5, SUNDAYS[1])
    with pytest.raises(RolloutRefused, match="before its present stage"):
        served.advance(1, 0.25, date(2017, 7, 1))
    served.advance(1, 0.0, SUNDAYS[1], act="abort")
    with pytest.raises(RolloutRefused, match="has ended: abort on 2017-07-16"):
        served.advance(2, 0.25, SUNDAYS[2])
    assert served.begin(SUNDAYS[2], decision_id="d2") == f"{TASK}-r2"


def test_the_planned_error_comes_from_what_was_known_on_the_day(served: Served) -> None:
    values = np.random.default_rng(5).gamma(2, 50, 4000)
    for week, scale in ((0, 1.0), (1, 9.0)):
        day = SUNDAYS[week] - timedelta(weeks=6)
        served.warehouse.execute(
            "insert into labels.label_household_spend by name select * from planted",
            planted={
                "household_id": np.arange(4000),
                "as_of_date": [day] * 4000,
                "known_at": [SUNDAYS[week]] * 4000,
                "spend_next_28d_usd": values * scale,
                "basket_count_next_28d": np.full(4000, 2.0),
            },
        )
    served.begin(SUNDAYS[0])
    ((planned,),) = served.warehouse.execute(
        "select planned_standard_errors from recorded.rollouts"
    )
    # A metric that does not vary cannot be planned for; the later week was not known.
    expected = (values.var(ddof=1) * 4 / 4000) ** 0.5
    assert planned == {"spend_next_28d_usd": pytest.approx(expected, rel=1e-9)}


def test_a_version_in_a_rollout_is_scored_until_the_rollout_has_ended(served: Served) -> None:
    served.warehouse.execute(
        """
        insert into recorded.model_versions by name
        select 'household_churn' as task, 2 as model_version, date '2017-07-02' as cut_off_date,
            'feat_household' as feature_table, 1 as feature_version, 'p' as pipeline,
            '{}' as hyperparameters, date '2017-06-01' as fit_first_date,
            date '2017-06-01' as fit_last_date, 1 as fit_row_count,
            date '2017-06-01' as holdout_first_date, date '2017-06-01' as holdout_last_date,
            1 as holdout_row_count, 1 as training_row_count, 'h' as training_content_hash,
            'c' as code_commit, 'l' as lock_sha256, 1 as seed, 1 as thread_count,
            's' as artifact_sha256, 'a' as arrays_sha256, 'p' as artifact_path,
            'r' as mlflow_run_id, 'manual' as trigger_reason, timestamp '2026-01-01' as recorded_at
        """
    )
    role = (
        "select valid_from_date, valid_to_date from decisions.model_roles"
        " where role = 'challenger' and model_version = 2"
    )
    served.warehouse.dbt("run", "--select", "model_roles")
    served.begin(SUNDAYS[1])
    assert served.warehouse.execute(role) == [(date(2017, 7, 3), None)]
    served.advance(1, 0.0, SUNDAYS[2], act="abort")
    assert served.warehouse.execute(role) == [(date(2017, 7, 3), SUNDAYS[2] + timedelta(days=1))]
