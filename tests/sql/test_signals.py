"""What asks for training or rollback: signals planted in monitoring, and the rows that come out."""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import Any

import pytest

from tests.sql.test_decisions import (  # noqa: F401 - fixtures
    FIRST_LOOK,
    TASK,
    World,
    built,
    days,
    world,
)

FIRST = date(2013, 5, 1)


def live(world: World, day_count: int) -> list[date]:  # noqa: F811
    """Make version 1 champion on the first of May; return the days after it, all scored."""
    first, last = FIRST + timedelta(days=1), FIRST + timedelta(days=day_count)
    world.live(FIRST, last)
    world.version(1, FIRST)
    world.act(FIRST, 1, None, wait=0)
    world.scored(1, "champion", first, last)
    return days(first, last)


def plant(world: World, table: str, rows: dict[date, dict[str, Any]]) -> None:  # noqa: F811
    key = {"task": TASK, "model_version": 1}
    world.warehouse.insert(
        f"monitoring.{table}", [{**key, "as_of_date": day, **row} for day, row in rows.items()]
    )


def importances(world: World, **of_features: float | None) -> None:  # noqa: F811
    world.warehouse.insert(
        "recorded.feature_importances",
        [
            {"task": TASK, "model_version": 1, "feature": feature, "importance": importance}
            for feature, importance in of_features.items()
        ],
    )


def drifted(world: World, day: date, **severities: str | None) -> None:  # noqa: F811
    for feature, severity in severities.items():
        status = "insufficient" if severity is None else "ok"
        row = {"feature": feature, "status": status, "severity": severity}
        plant(world, "mon_feature_drift", {day: row | {"alarming_window_count": 3}})


def signals(world: World, on: date) -> dict[str, dict[str, Any]]:  # noqa: F811
    rows = world.warehouse.dicts(
        f"select * from decisions.decide_signals where task = '{TASK}' and as_of_date = '{on}'"
    )
    return {row["signal"]: row for row in rows}


def test_every_signal_has_a_row_each_day_and_none_fires_over_nothing(world: World) -> None:  # noqa: F811
    world.live(FIRST, FIRST)
    world.decide()
    rows = signals(world, FIRST)
    assert {(row["status"], row["is_firing"]) for row in rows.values()} == {("missing", False)}
    assert [name for name, row in rows.items() if row["action"] == "rollback"] == ["champion_worse"]
    assert set(rows) == {
        "schedule",
        "new_feature_version",
        "quality_decay",
        "estimated_decay",
        "feature_drift",
        "score_drift",
        "domain_drift",
        "champion_worse",
    }
    assert rows["domain_drift"]["sentence"] == "domain drift: nothing to judge it by"
    assert world.retrain(FIRST)["reason_codes"] == ["no_champion"]


# What monitoring may say of a window, and whether that asks for training. A cell is a day.
OK = {"status": "ok", "severity": "act", "alarming_window_count": 3}
CELLS: dict[str, tuple[dict[str, Any] | None, str, bool]] = {
    "lasting": (OK, "ok", True),
    "warned": (OK | {"severity": "warn", "alarming_window_count": 2}, "ok", False),
    "over": (OK | {"severity": "none", "alarming_window_count": 3}, "ok", False),
    "insufficient": ({"status": "insufficient", "alarming_window_count": 4}, "insufficient", False),
    "insufficient and act": (OK | {"status": "insufficient"}, "insufficient", False),
    "no status": (OK | {"status": None}, "insufficient", False),
    "no severity": (OK | {"severity": None}, "insufficient", False),
    "no count": (OK | {"alarming_window_count": None}, "ok", False),
    "no row": (None, "missing", False),
}


def test_drift_of_score_and_domain_fires_only_when_it_is_known_and_stays(world: World) -> None:  # noqa: F811
    grid = dict(zip(live(world, len(CELLS)), CELLS.values(), strict=True))
    planted = {day: row for day, (row, _, _) in grid.items() if row is not None}
    figures = {"psi": 0.4, "psi_null_quantile": 0.1}
    plant(world, "mon_score_drift", {day: row | figures for day, row in planted.items()})
    plant(world, "mon_domain_drift", {day: row | {"roc_auc": 0.6} for day, row in planted.items()})
    world.decide()
    for name in ("score_drift", "domain_drift"):
        found = [(signals(world, day)[name]["status"], signals(world, day)[name]["is_firing"])
                 for day in grid]  # fmt: skip
        assert dict(zip(CELLS, found, strict=True)) == {
            cell: (status, is_firing) for cell, (_, status, is_firing) in CELLS.items()
        }
    seventh = list(grid)[6]
    first, later = signals(world, min(grid))["domain_drift"], signals(world, seventh)["score_drift"]
    assert (first["observed_value"], first["reference_value"]) == (0.6, 0.55)
    assert (first["first_window_date"], first["last_window_date"]) == (min(grid), min(grid))
    # the last five of seven scored windows
    assert (later["first_window_date"], later["window_count"]) == (seventh - timedelta(days=4), 5)


def test_an_estimate_fires_after_three_of_five_windows_that_alarm(world: World) -> None:  # noqa: F811
    alarm = {
        "metric": "absolute_error",
        "status": "ok",
        "estimated_value": 20.0,
        "reference_value": 15.0,
        "is_alarming": True,
        "alarming_window_count": 3,
    }
    cells = [
        (alarm, "ok", True),
        (alarm | {"alarming_window_count": 2}, "ok", False),
        (alarm | {"is_alarming": False}, "ok", False),
        (alarm | {"is_alarming": None}, "ok", False),
        (alarm | {"status": "insufficient"}, "insufficient", False),
        (alarm | {"metric": "squared_error"}, "missing", False),  # a guardrail asks for nothing
    ]
    grid = dict(zip(live(world, len(cells)), cells, strict=True))
    plant(world, "mon_estimated_quality", {day: row for day, (row, _, _) in grid.items()})
    world.decide()
    found = [signals(world, day)["estimated_decay"] for day in grid]
    assert [(row["status"], row["is_firing"]) for row in found] == [c[1:] for c in cells]
    assert world.retrain(list(grid)[1])["verdict"] == "hold"


def test_drift_counts_by_the_importance_of_the_features_in_which_it_stays(world: World) -> None:  # noqa: F811
    one, two, three = live(world, 3)
    # In all 100, a useless feature aside: 3 and 2 of a hundred together are enough.
    importances(world, main=95.0, small=3.0, tiny=2.0, useless=-5.0)
    drifted(world, one, main="warn", small="act", tiny="none", useless="act")
    drifted(world, two, main="warn", small="act", tiny="act", useless="act")
    drifted(world, three, main="act", small="none", tiny="none", useless="none")
    world.decide()
    rows = [world.retrain(day) for day in (one, two, three)]
    assert [row["drifted_importance_share"] for row in rows] == [0.03, 0.05, 0.95]
    assert [row["drifted_features"] for row in rows] == [["small"], ["small", "tiny"], ["main"]]
    assert [row["verdict"] for row in rows] == ["hold", "retrain", "retrain"]
    assert rows[1]["reason_codes"] == ["feature_drift"]
    assert signals(world, two)["feature_drift"]["sentence"] == (
        "feature drift asks to retrain: lasting drift in features with 0.05 of all importance, "
        "needed 0.05 (small, tiny); windows 2013-05-02 to 2013-05-03 (2)"
    )


@pytest.mark.parametrize(
    ("known", "status"),
    [({}, "insufficient"), ({"main": 0.0}, "insufficient"), ({"main": math.nan}, "insufficient")],
    ids=["no importances", "nothing is used", "not a number"],
)
def test_drift_that_cannot_be_weighed_asks_for_nothing(
    world: World,  # noqa: F811
    known: dict[str, float],
    status: str,
) -> None:
    (day,) = live(world, 1)
    importances(world, **known) if known else None
    drifted(world, day, main="act")
    world.decide()
    row = signals(world, day)["feature_drift"]
    assert (row["status"], row["is_firing"], row["subjects"]) == (status, False, [])


def test_a_window_that_no_feature_could_be_judged_in_is_insufficient(world: World) -> None:  # noqa: F811
    (day,) = live(world, 1)
    importances(world, main=1.0)
    drifted(world, day, main=None)
    world.decide()
    assert signals(world, day)["feature_drift"]["status"] == "insufficient"


def test_a_champion_proven_worse_than_its_predecessor_is_a_signal_for_rollback(
    world: World,  # noqa: F811
) -> None:
    world.live(FIRST, FIRST_LOOK)
    world.version(1, FIRST)
    world.version(2, date(2013, 5, 2))
    world.act(FIRST, 1, None, wait=0)
    world.act(date(2013, 5, 8), 2, 1)
    world.scored(1, "predecessor", date(2013, 5, 9), date(2013, 5, 16))
    world.scored(2, "champion", date(2013, 5, 9), date(2013, 5, 16), error_share=1.5)
    world.decide()
    row = signals(world, FIRST_LOOK)["champion_worse"]
    assert (row["action"], row["status"], row["is_firing"]) == ("rollback", "ok", True)
    assert row["subjects"] == ["guardrail_breached", "primary_worse"]
    assert row["observed_value"] > row["reference_value"]
    before = signals(world, FIRST_LOOK - timedelta(days=1))["champion_worse"]
    assert (before["status"], before["is_firing"]) == ("missing", False)
    # it asks for a rollback, not for training
    assert "champion_worse" not in world.retrain(FIRST_LOOK)["reason_codes"]


def test_days_decided_one_by_one_and_in_one_pass_give_the_same_rows(world: World) -> None:  # noqa: F811
    every = "select * from decisions.decide_signals order by all"
    grid = live(world, 9)
    importances(world, main=1.0, other=2.0)
    for day in grid[4:]:
        drifted(world, day, main="act", other="warn")
    world.warehouse.execute("delete from recorded.feature_builds where known_at > '2013-05-06'")
    world.decide()
    for day in grid[5:]:
        world.built(day, day)
        world.decide()
    daily = world.warehouse.dicts(every)
    world.decide("--full-refresh")
    assert world.warehouse.dicts(every) == daily
    assert len(daily) == 10 * 8
