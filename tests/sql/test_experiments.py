"""Two arms: the macros against hashlib, scipy and numpy, and the false alarms about the split."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats

ARMS = "select * from ({{ compared_arms('units', ['key']) }}) order by key"
SPLIT = """
    select {{ sample_ratio_p_value('control', 'treatment') }},
        {{ sample_ratio_log_e_value('control', 'treatment') }}
    from splits
"""


def units(values: Any, covariate: Any, treated: Any, key: int = 1) -> dict[str, Any]:
    return {
        "key": [key] * len(values),
        "arm": ["treatment" if is_treated else "control" for is_treated in treated],
        "unit_value": values,
        "unit_covariate": covariate,
    }


def compared(macros: Any, **columns: Any) -> dict[str, Any]:
    names = [
        "key",
        *(
            f"{arm}_{column}"
            for arm in ("control", "treatment")
            for column in ("unit_count", "valid_unit_count", "sum", "sum_of_squares")
        ),
        *("difference", "standard_error", "theta", "cuped_difference", "cuped_standard_error"),
    ]
    (row,) = macros.rows(ARMS, units=units(**columns))
    return dict(zip(names, row, strict=True))


def by_numpy(values: np.ndarray, past: np.ndarray, treated: np.ndarray) -> dict[str, float]:
    varies = np.ptp(past) > 0
    theta = np.polyfit(past, values, 1)[0] if varies else 0.0
    expected = {"theta": theta}
    for name, sample in (("", values), ("cuped_", values - theta * (past - past.mean()))):
        arms = [sample[treated], sample[~treated]]
        expected[f"{name}difference"] = arms[0].mean() - arms[1].mean()
        expected[f"{name}standard_error"] = math.sqrt(
            sum(arm.var(ddof=1) / len(arm) for arm in arms)
        )
    return expected


def samples() -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    random = np.random.default_rng(11)
    count = 500
    treated = random.random(count) < 0.5
    past = random.gamma(2, 50, count)
    spend = 0.7 * past + random.normal(0, 20, count)
    return {
        "spend": (spend, past, treated),
        "uneven arms": (spend, past, np.arange(count) < 20),
        "two in each arm": (spend[:4], past[:4], np.array([True, True, False, False])),
        "heavy tails": (random.standard_t(1.5, count) * 100, past, treated),
        "a large offset": (1e6 + spend, 1e6 + past, treated),
        "tiny values": (spend * 1e-9, past * 1e-9, treated),
        "many ties": (np.round(spend / 50), np.round(past / 50), treated),
        "a covariate that explains nothing": (spend, random.normal(0, 1, count), treated),
        "a covariate that does not vary": (spend, np.full(count, 3.0), treated),
    }


@pytest.mark.parametrize("name", samples())
def test_the_difference_of_two_arms_and_cuped_are_those_of_numpy(macros: Any, name: str) -> None:
    values, past, treated = samples()[name]
    row = compared(macros, values=values, covariate=past, treated=treated)
    for column, value in by_numpy(values, past, treated).items():
        assert (row[column] or 0.0) == pytest.approx(value, rel=1e-9, abs=1e-12 * np.ptp(values))
    assert row["treatment_sum"] == pytest.approx(values[treated].sum(), rel=1e-12)
    assert row["control_sum_of_squares"] == pytest.approx((values[~treated] ** 2).sum(), rel=1e-12)
    assert (row["control_unit_count"], row["treatment_unit_count"]) == (
        (~treated).sum(), treated.sum(),
    )  # fmt: skip


def test_cuped_agrees_to_1e_12_on_ordinary_values(macros: Any) -> None:
    values, past, treated = samples()["spend"]
    row = compared(macros, values=values, covariate=past, treated=treated)
    theta = np.cov(values, past)[0, 1] / past.var(ddof=1)
    adjusted = values - theta * past
    assert row["theta"] == pytest.approx(theta, rel=1e-12)
    assert row["cuped_difference"] == pytest.approx(
        adjusted[treated].mean() - adjusted[~treated].mean(), rel=1e-11
    )
    welch = scipy.stats.ttest_ind(adjusted[treated], adjusted[~treated], equal_var=False)
    assert row["cuped_difference"] / row["cuped_standard_error"] == pytest.approx(
        welch.statistic, rel=1e-11
    )


def test_the_order_of_the_rows_does_not_matter_to_the_last_bit(macros: Any) -> None:
    values, past, treated = samples()["heavy tails"]
    order = np.random.default_rng(1).permutation(len(values))
    rows = [
        compared(macros, values=values[by], covariate=past[by], treated=treated[by])
        for by in (np.arange(len(values)), order)
    ]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("broken", [math.nan, math.inf, None])
def test_a_value_that_is_no_number_is_counted_and_not_averaged(macros: Any, broken: Any) -> None:
    values, past, treated = samples()["spend"]
    row = compared(
        macros, values=[*values, broken], covariate=[*past, 1.0], treated=[*treated, True]
    )
    assert row["treatment_unit_count"] == treated.sum() + 1
    assert row["treatment_valid_unit_count"] == treated.sum()
    assert row["difference"] == pytest.approx(
        values[treated].mean() - values[~treated].mean(), rel=1e-9
    )


def test_a_unit_without_a_past_counts_as_one_with_the_mean_past(macros: Any) -> None:
    values, past, treated = samples()["spend"]
    unknown = past.copy()
    unknown[:50] = math.nan
    filled = np.where(np.isnan(unknown), np.nanmean(unknown), unknown)
    row = compared(macros, values=values, covariate=unknown, treated=treated)
    for column, value in by_numpy(values, filled, treated).items():
        assert row[column] == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("treated", [[True], [True, False], [True, True, False]])
def test_an_arm_of_one_unit_has_no_standard_error(macros: Any, treated: list[bool]) -> None:
    row = compared(
        macros,
        values=[1.0, 2.0, 4.0][: len(treated)],
        covariate=[1.0] * len(treated),
        treated=treated,
    )
    assert row["standard_error"] is None
    assert row["cuped_standard_error"] is None


def test_equal_values_have_a_standard_error_of_nothing(macros: Any) -> None:
    row = compared(macros, values=[5.0] * 8, covariate=[1.0, 2.0] * 4, treated=[True, False] * 4)
    assert (row["difference"], row["standard_error"], row["control_sum"]) == (0, 0, 20)


def test_a_hash_share_is_that_of_hashlib_and_evenly_spread(macros: Any) -> None:
    texts = [f"salt:arm:{unit}" for unit in range(5000)]
    shares = [
        share for (share,) in macros.rows("select {{ hash_share('t') }} from a", a={"t": texts})
    ]
    assert shares == [int(hashlib.md5(t.encode()).hexdigest()[:13], 16) / 2**52 for t in texts]
    assert scipy.stats.kstest(shares, "uniform").pvalue > 0.01
    others = [int(hashlib.md5(t[:-1].encode()).hexdigest()[:13], 16) / 2**52 for t in texts]
    assert abs(np.corrcoef(shares, others)[0, 1]) < 0.05
    assert macros.value("select {{ hash_share('cast(null as varchar)') }}") is None


def test_the_split_is_tested_as_scipy_does(macros: Any) -> None:
    splits = [(50, 50), (0, 1), (1, 0), (400, 500), (5000, 5300), (1, 30), (10**6, 10**6 + 9000)]
    rows = macros.rows(
        SPLIT,
        splits={"control": [c for c, _ in splits], "treatment": [t for _, t in splits]},
    )
    for (control, treatment), (p_value, log_e_value) in zip(splits, rows, strict=True):
        assert p_value == pytest.approx(
            scipy.stats.chisquare([control, treatment]).pvalue, abs=1e-12
        )
        expected = scipy.special.betaln(control + 1, treatment + 1) + (
            control + treatment
        ) * math.log(2)
        assert log_e_value == pytest.approx(expected, rel=1e-9, abs=1e-8)
    assert macros.rows(SPLIT, splits={"control": [0], "treatment": [0]}) == [(None, 0.0)]
    assert macros.rows(SPLIT, splits={"control": [None], "treatment": [1]}) == [(None, None)]


def test_the_split_raises_a_false_alarm_no_more_often_than_it_states(macros: Any) -> None:
    """1,000 rollouts of equal arms, 60 days each: chi-square once, the e-value at every look."""
    random = np.random.default_rng(2026)
    days, rollouts = 60, 1000
    arrivals = random.poisson(15, (rollouts, days)).cumsum(axis=1)
    fresh = np.diff(arrivals, axis=1, prepend=0)
    treated = random.binomial(fresh, 0.5).cumsum(axis=1)
    rows = np.array(
        macros.rows(
            SPLIT,
            splits={
                "control": (arrivals - treated).ravel(),
                "treatment": treated.ravel(),
            },
        ),
        dtype=float,
    ).reshape(rollouts, days, 2)
    stated, monte_carlo = 0.001, 3 * math.sqrt(0.001 / rollouts)
    one_look = (rows[:, -1, 0] < stated).mean()
    any_look = (rows[:, :, 1] >= -math.log(stated)).any(axis=1).mean()
    assert one_look <= stated + monte_carlo
    assert any_look <= stated + monte_carlo


def test_a_skewed_split_is_found(macros: Any) -> None:
    random = np.random.default_rng(7)
    treated = random.binomial(4000, 0.55, 200)
    rows = macros.rows(SPLIT, splits={"control": 4000 - treated, "treatment": treated})
    assert np.mean([log_e >= math.log(1000) for _, log_e in rows]) > 0.95
    assert np.mean([p < 0.001 for p, _ in rows]) > 0.99
