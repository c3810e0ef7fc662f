"""Features and labels on rows of the real data, against loops that read like their definitions."""

import math
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from itertools import pairwise
from statistics import mean, median
from typing import Any

import duckdb
import pytest

from tests.sql.conftest import Warehouse
from tests.sql.landed import land_flights, land_households

pytestmark = pytest.mark.slow

Record = dict[str, Any]
DAY = timedelta(days=1)
# The second period sees the same date a week later, and so the baskets that landed late.
PERIODS = [
    (date(2017, 4, 30), date(2017, 4, 30)),
    (date(2017, 4, 30), date(2017, 5, 7)),
    (date(2017, 6, 4), date(2017, 6, 4)),
]
FLIGHT_DAY = date(2013, 3, 10)  # clocks changed that night
# Landed on the Sunday that ends the week; every tenth basket a week later.
LANDED_LATE = (
    "cast(date_trunc('week', transaction_timestamp) as date)"
    " + case when isodow(transaction_timestamp) = 7 then 13 else 6 end"
    " + case when basket_id % 10 = 0 then 7 else 0 end"
)


@pytest.fixture(scope="module")
def built(warehouse_file: Warehouse) -> Iterator[Warehouse]:
    """Forty households and six weeks of flights, with features and labels built by dbt."""
    warehouse_file.clear()
    with duckdb.connect(str(warehouse_file.path)) as connection:
        land_households(connection, "household_id % 60 = 1", LANDED_LATE)
        land_flights(connection, "2013-01-25", "2013-03-10")
    for as_of_date, known_at in PERIODS:
        ask(warehouse_file, "household_churn", as_of_date, known_at)
    for day in (FLIGHT_DAY - 2 * DAY, FLIGHT_DAY):
        ask(warehouse_file, "flight_delay", day, day)
    warehouse_file.dbt("run", "--select", "+train_household_churn", "+train_flight_delay")
    warehouse_file.dbt("run", "--select", "feat_household_current", "score_household_churn")
    yield warehouse_file
    warehouse_file.clear()


def ask(warehouse: Warehouse, task: str, as_of_date: date, known_at: date) -> None:
    warehouse.insert(
        "recorded.periods", [{"task": task, "as_of_date": as_of_date, "known_at": known_at}]
    )


def same(expected: object, found: object) -> bool:
    if isinstance(expected, float) and isinstance(found, float):
        return math.isclose(expected, found, rel_tol=1e-12)
    return expected == found


def differences(expected: dict[Any, Record], found: dict[Any, Record]) -> list[str]:
    assert set(expected) == set(found)
    return [
        f"{key} {column}: expected {value}, found {found[key][column]}"
        for key, row in expected.items()
        for column, value in row.items()
        if not same(value, found[key][column])
    ]


def plain_household(lines: list[Record], as_of: date, known_at: date) -> Record | None:
    seen = [
        line
        for line in lines
        if as_of - 56 * DAY <= line["at"].date() < as_of and line["known_at"] <= known_at
    ]
    if not seen:
        return None
    for line in seen:
        line["days"] = (as_of - line["at"].date()).days
    days = sorted({line["days"] for line in seen})
    long_days = sorted(
        {
            (as_of - line["at"].date()).days
            for line in lines
            if as_of - 84 * DAY <= line["at"].date() < as_of and line["known_at"] <= known_at
        }
    )
    past_gaps = [later - earlier for earlier, later in pairwise(long_days)]
    gaps = [days[0], *(later - earlier for earlier, later in pairwise(days))]
    paid = sum(line["cents"] for line in seen)
    shelf = paid + sum(line["discount_cents"] for line in seen)
    row: Record = {
        "days_since_last_purchase": days[0],
        "days_since_first_purchase_56d": days[-1],
        "active_day_count_56d": len(days),
        "active_week_count_56d": len({(day - 1) // 7 for day in days}),
        "mean_days_between_visits_56d": float(mean(gaps[1:])) if len(days) > 1 else None,
        "store_count_56d": len({line["store_id"] for line in seen}),
        "longest_gap_56d_days": max(gaps),
        "active_day_count_29d_to_56d": sum(day > 28 for day in days),
        "active_day_count_57d_to_84d": sum(day > 56 for day in long_days),
        "active_week_count_84d": len({(day - 1) // 7 for day in long_days}),
        "longest_past_gap_84d_days": max(past_gaps, default=None),
        "median_past_gap_84d_days": float(median(past_gaps)) if past_gaps else None,
        "open_to_longest_past_gap_84d_ratio": days[0] / max(past_gaps) if past_gaps else None,
        "line_count_56d": len(seen),
        "department_count_56d": len({line["department"] for line in seen} - {None}),
        "private_label_spend_56d_share": (
            sum(line["cents"] for line in seen if line["brand"] == "Private") / paid
            if paid
            else None
        ),
        "discount_56d_share": 1 - paid / shelf if shelf else None,
    }
    for window in (56, 28, 14, 7):
        recent = [line for line in seen if line["days"] <= window]
        row[f"basket_count_{window}d"] = len({line["basket_id"] for line in recent})
        row[f"spend_{window}d_usd"] = sum(line["cents"] for line in recent)
    return row


def test_households_equal_a_plain_recomputation(built: Warehouse) -> None:
    lines: dict[int, list[Record]] = {}
    for line in built.dicts(
        """
        select household_id, store_id, basket_id, transaction_timestamp as at,
            transactions.known_at, cast(round(sales_value * 100) as bigint) as cents,
            cast(round((retail_disc + coupon_disc + coupon_match_disc) * 100) as bigint)
                as discount_cents,
            department, brand
        from raw.transactions left join raw.products using (product_id)
        """
    ):
        lines.setdefault(line["household_id"], []).append(line)
    expected = {
        (household, *period): row
        for household, bought in lines.items()
        for period in PERIODS
        if (row := plain_household(bought, *period))
    }
    found = {}
    for row in built.dicts("select * from features.feat_household_v2"):
        for window in (56, 28, 14, 7):
            row[f"spend_{window}d_usd"] = int(row[f"spend_{window}d_usd"] * 100)
        found[row["household_id"], row["as_of_date"], row["known_at"]] = row

    assert len(expected) > 90
    # the share of the discount is a difference here and a quotient there
    for row in (*expected.values(), *found.values()):
        row["discount_56d_share"] = round(row["discount_56d_share"] or 0, 12)
    assert differences(expected, found) == []


def test_churn_equals_a_plain_recomputation(built: Warehouse) -> None:
    as_of, matured = date(2017, 4, 30), date(2017, 6, 4)
    bought = {
        line["household_id"]
        for line in built.dicts(
            "select household_id, transaction_timestamp as at, known_at from raw.transactions"
        )
        if as_of <= line["at"].date() < as_of + 28 * DAY and line["known_at"] <= matured
    }
    labels = built.dicts("select * from labels.label_household_churned")

    # 2017-06-04 is not over on the last recorded period, so only the first date has labels
    assert {(row["as_of_date"], row["known_at"]) for row in labels} == {(as_of, matured)}
    assert {row["household_id"]: row["is_churned"] for row in labels} == {
        row["household_id"]: int(row["household_id"] not in bought)
        for row in built.dicts(
            f"select household_id from features.feat_household_v1 where as_of_date = '{as_of}'"
        )
    }


def plain_delays(prefix: str, window: int, past: list[Record]) -> Record:
    delays = [
        flight["delay"]
        for flight in past
        if FLIGHT_DAY - flight["reported"] <= window * DAY and flight["delay"] is not None
    ]
    return {
        f"{prefix}_flight_count_{window}d": len(delays),
        f"{prefix}_mean_arrival_delay_{window}d_minutes": (
            sum(min(delay, 180) for delay in delays) / len(delays) if delays else None
        ),
        f"{prefix}_late_share_{window}d": (
            sum(delay > 15 for delay in delays) / len(delays) if delays else None
        ),
    }


GROUPS: list[tuple[str, list[int], Callable[[Record], object]]] = [
    ("carrier", [28, 7], lambda flight: flight["carrier"]),
    ("route", [28, 7], lambda flight: (flight["origin"], flight["dest"])),
    ("departure_hour", [28, 7], lambda flight: (flight["origin"], flight["hour"])),
    ("airport", [1], lambda flight: flight["origin"]),
    ("plane", [28], lambda flight: flight["tailnum"]),
    (
        "flight_number",
        [28],
        lambda flight: (flight["carrier"], flight["flight"], flight["origin"]),
    ),
]


def test_flights_equal_a_plain_recomputation_on_the_day_the_clocks_change(
    built: Warehouse,
) -> None:
    flights = built.dicts(
        "select *, arr_delay as delay, make_date(year, month, day) + 1 as reported from raw.flights"
    )
    # reported before the day begins: the flights of the day before are not
    past = [
        flight for flight in flights if FLIGHT_DAY - 28 * DAY <= flight["reported"] < FLIGHT_DAY
    ]
    today = [flight for flight in flights if flight["reported"] == FLIGHT_DAY + DAY]
    expected: dict[Any, Record] = {}
    grouped: dict[tuple[str, object], list[Record]] = {}
    for flight in past:
        for prefix, _, key in GROUPS:
            grouped.setdefault((prefix, key(flight)), []).append(flight)
    for flight in today:
        row: Record = {"destination": flight["dest"], "departure_day_of_week": 7}
        for prefix, windows, key in GROUPS:
            is_known = key(flight) is not None  # no tail number: no plane to look back on
            same_group = grouped.get((prefix, key(flight)), []) if is_known else []
            for window in windows:
                row |= plain_delays(prefix, window, same_group)
        utc = datetime.combine(flight["time_hour"].date(), flight["time_hour"].time())
        departs = utc + timedelta(minutes=flight["minute"])
        expected[flight["carrier"], flight["flight"], flight["origin"], departs] = row
    found = {
        (row["carrier"], row["flight_number"], row["origin"], row["scheduled_departure_at"]): row
        for row in built.dicts(
            f"select * from features.feat_flight_v1 where as_of_date = '{FLIGHT_DAY}'"
        )
    }

    assert len(expected) > 800
    assert differences(expected, found) == []


def test_labels_hold_the_flights_that_arrived(built: Warehouse) -> None:
    day = FLIGHT_DAY - 2 * DAY
    landed = {
        (row["carrier"], row["flight"], row["origin"]): row["arr_delay"]
        for row in built.dicts(
            f"select * from raw.flights where make_date(year, month, day) = '{day}'"
        )
        if row["arr_delay"] is not None
    }
    labels = built.dicts("select * from labels.label_flight_arrival_delay")

    assert {(row["as_of_date"], row["known_at"]) for row in labels} == {(day, FLIGHT_DAY)}
    assert {
        (row["carrier"], row["flight_number"], row["origin"]): row["arrival_delay_minutes"]
        for row in labels
    } == landed


def test_training_scoring_and_readers_see_each_row_as_first_known(built: Warehouse) -> None:
    first, later = date(2017, 4, 30), date(2017, 5, 7)
    spend = built.dicts(
        "select first.household_id, cast(first.spend_56d_usd as double) as spend"
        " from features.feat_household_v2 as first"
        " inner join features.feat_household_v2 as later using (household_id, as_of_date)"
        f" where first.known_at = '{first}' and later.known_at = '{later}'"
        " and first.spend_56d_usd < later.spend_56d_usd"
    )
    assert spend  # some baskets did land late
    for relation, known_at in (
        ("training_sets.train_household_churn_v2", "features_known_at"),
        ("scoring_sets.score_household_churn_v2", "features_known_at"),
        ("features.feat_household", "known_at"),
    ):
        rows = {
            row["household_id"]: row
            for row in built.dicts(
                f"select *, {known_at} as k from {relation} where as_of_date = '{first}'"
            )
        }
        for row in spend:
            assert rows[row["household_id"]]["k"] == first
            assert float(rows[row["household_id"]]["spend_56d_usd"]) == row["spend"]


def test_one_more_period_appends_its_rows_and_touches_no_other(built: Warehouse) -> None:
    history = "select * from features.feat_household_v1 order by all"
    before = built.execute(history)
    built.dbt("run", "--select", "feat_household")
    assert built.execute(history) == before

    added = date(2017, 5, 14)
    ask(built, "household_churn", added, added)
    built.dbt("run", "--select", "feat_household")
    after = built.execute(history)
    assert [row for row in after if row[1] != added] == before
    assert len(after) > len(before)


def test_a_history_that_lost_a_row_is_found(built: Warehouse) -> None:
    as_of = date(2017, 6, 4)
    counted = f"select count(*) from features.feat_household_v1 where known_at = '{as_of}'"
    build = {
        "feature_table": "feat_household",
        "feature_version": 1,
        "known_at": as_of,
        "first_as_of_date": as_of,
        "last_as_of_date": as_of,
        "row_count": built.execute(counted)[0][0],
        "content_hash": "a",
        "code_commit": "b",
        "compiled_sql_sha256": "c",
    }
    built.insert("recorded.feature_builds", [build])
    check = ("test", "--select", "history_keeps_its_rows_feat_household_v1_feat_household__1")
    built.dbt(*check)

    built.execute(
        "delete from features.feat_household_v1 where household_id ="
        f" (select min(household_id) from features.feat_household_v1 where known_at = '{as_of}')"
        f" and known_at = '{as_of}'"
    )
    with pytest.raises(AssertionError, match="history_keeps_its_rows"):
        built.dbt(*check)
