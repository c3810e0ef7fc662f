"""Looks, boundaries and the always-valid interval against their definitions."""

from __future__ import annotations

import csv
from math import log, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import multivariate_normal, norm

SEED = Path(__file__).resolve().parents[2] / "dbt_project" / "seeds" / "sequential_boundaries.csv"


def boundaries(planned_looks: int, challenger_count: int) -> list[float]:
    with SEED.open() as lines:
        return [
            float(row["boundary_z"])
            for row in csv.DictReader(lines)
            if int(row["planned_looks"]) == planned_looks
            and int(row["challenger_count"]) == challenger_count
        ]


def test_the_boundaries_are_those_of_the_published_tables() -> None:
    assert boundaries(4, 1) == pytest.approx([3.750, 2.540, 2.016, 1.720], abs=6e-4)
    assert boundaries(8, 1) == pytest.approx(
        [5.421, 3.750, 3.002, 2.566, 2.277, 2.067, 1.906, 1.778], abs=6e-4
    )


@pytest.mark.parametrize("challenger_count", [1, 2, 5])
def test_four_looks_spend_alpha_and_no_more(challenger_count: int) -> None:
    found = np.array(boundaries(4, challenger_count))
    looks = np.arange(1, 5)
    # Z_j and Z_k of growing samples correlate as sqrt(j / k).
    correlation = np.sqrt(np.minimum.outer(looks, looks) / np.maximum.outer(looks, looks))
    held = multivariate_normal(np.zeros(4), correlation, seed=1, abseps=1e-6).cdf(found)
    assert 1 - held == pytest.approx(0.05 / challenger_count, abs=1e-4)
    assert found[0] == pytest.approx(
        norm.isf(2 * norm.sf(norm.isf(0.025 / challenger_count) * 2)), abs=1e-5
    )


def test_looks_that_come_early_together_spend_less_than_alpha() -> None:
    # 7, 8, 9 and 10 windows, judged with boundaries made for 2.5, 5, 7.5 and 10.
    windows = np.arange(7, 11)
    correlation = np.sqrt(np.minimum.outer(windows, windows) / np.maximum.outer(windows, windows))
    held = multivariate_normal(np.zeros(4), correlation, seed=1, abseps=1e-6).cdf(boundaries(4, 1))
    assert 1 - held < 0.05


def test_look_numbers_count_from_the_first_look_up_to_the_planned_ones(macros: Any) -> None:
    rows = macros.rows(
        "select {{ look_number('n', '7', '7', '4') }} from counts order by n",
        counts={"n": [0, 6, 7, 13, 14, 27, 28, 99]},
    )
    assert [look for (look,) in rows] == [0, 0, 1, 1, 2, 3, 4, 4]


def test_looks_of_unknown_number_come_with_every_window(macros: Any) -> None:
    rows = macros.rows(
        "select {{ look_number('n', '7', '2', '0') }} from counts order by n",
        counts={"n": [0, 6, 7, 8, 9, 99]},
    )
    assert [look for (look,) in rows] == [0, 0, 1, 2, 3, 93]


def test_the_always_valid_half_width_is_the_formula(macros: Any) -> None:
    alpha, planned = 0.05, 0.4
    errors = [0.05, 0.4, 3.0]
    rows = macros.rows(
        "select {{ always_valid_half_width('se', '4e-1', '5e-2') }} from e order by se",
        e={"se": errors},
    )
    c = -2 * log(alpha) + log(1 - 2 * log(alpha))
    for error, (found,) in zip(errors, rows, strict=True):
        k = c * (planned / error) ** 2
        assert found == pytest.approx(
            error * sqrt((1 + k) / k * (log(1 + k) - 2 * log(alpha))), rel=1e-12
        )
        # An interval for every look is wider than one for a single look.
        assert found > error * norm.isf(alpha / 2)


def test_the_always_valid_half_width_needs_finite_errors_above_zero(macros: Any) -> None:
    rows = macros.rows(
        "select {{ always_valid_half_width('se', '4e-1', '5e-2') }}"
        " from (values (0e0), (-1e0), (cast('nan' as double)), (cast('inf' as double)),"
        " (null)) as v (se)"
    )
    assert rows == [(None,)] * 5


@pytest.mark.parametrize("alpha", [0.05, 0.025, 0.01])
def test_the_planned_effect_is_just_decidable_at_the_planned_error(
    macros: Any, alpha: float
) -> None:
    ((planned, half_width),) = macros.rows(
        "select planned, {{ always_valid_z('planned', 'planned', 'a') }} * planned from (select"
        " {{ planned_standard_error('effect', 'a') }} as planned, a from given) as plans",
        given={"effect": [0.3], "a": [alpha]},
    )
    assert half_width == pytest.approx(0.3, rel=1e-12)
    level = 2 * alpha / (1 + alpha)
    c = -2 * log(level) + log(1 - 2 * log(level))
    assert planned == pytest.approx(0.3 / sqrt((1 + c) / c * (log(1 + c) - 2 * log(level))))


@pytest.mark.parametrize("effect", [0.0, -1.0, float("nan"), float("inf"), None])
def test_no_error_is_planned_for_an_effect_that_is_none(macros: Any, effect: float | None) -> None:
    given = pa.table({"effect": pa.array([effect], pa.float64())})
    sql = "select {{ planned_standard_error('effect', '5E-2') }} from given"
    assert macros.value(sql, given=given) is None


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), None])
def test_an_always_valid_interval_needs_two_errors_above_0(
    macros: Any, value: float | None
) -> None:
    given = pa.table(
        {"broken": pa.array([value], pa.float64()), "sound": pa.array([0.1], pa.float64())}
    )
    for error, planned in [("broken", "sound"), ("sound", "broken")]:
        sql = f"select {{{{ always_valid_z('{error}', '{planned}', '5E-2') }}}} from given"
        assert macros.value(sql, given=given) is None


@pytest.mark.parametrize("planned_share", [0.3, 1.0, 3.0], ids=["small", "as planned", "large"])
def test_equal_versions_are_promoted_at_most_at_alpha_by_looks_at_every_window(
    macros: Any, planned_share: float
) -> None:
    """Histories of daily means around 0, the error from so many days: the t of few days counts."""
    histories, last = 2_000, 60
    daily = np.random.default_rng(7).normal(0, 1, (histories, last))
    counts = np.arange(1, last + 1)
    means = daily.cumsum(axis=1) / counts
    squares = (daily**2).cumsum(axis=1) / counts
    with np.errstate(invalid="ignore", divide="ignore"):
        errors = np.sqrt((squares - means**2) / (counts - 1))
    looks = slice(6, last)
    (number,) = np.broadcast_arrays(counts, means)[:1]
    share = macros.value(
        """
        select avg(cast(is_promoted as double)) from (
            select bool_or(delta > t * error) as is_promoted
            from (
                select *, {{ student_t_critical_value('z', '(n - 1)') }} as t
                from (
                    select *, {{ always_valid_z('error', 'planned', '5E-2') }} as z from looks
                ) as bounded
            ) as corrected
            group by history
        ) as histories
        """,
        looks={
            "history": np.repeat(np.arange(histories), last - 6),
            "n": number[:, looks].ravel(),
            "delta": means[:, looks].ravel(),
            "error": errors[:, looks].ravel(),
            # An error that is reached after 30 days, or long before, or long after.
            "planned": np.full(histories * (last - 6), planned_share / sqrt(30)),
        },
    )
    assert share <= 0.05 + 3 * sqrt(0.05 * 0.95 / histories)
    assert share >= 0.002, "an interval that never errs would be useless"
