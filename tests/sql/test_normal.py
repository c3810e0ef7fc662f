"""The normal and Student t macros against scipy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats


def test_normal_cdf_agrees_with_scipy_on_a_grid_and_in_the_tails(macros: Any) -> None:
    z = np.concatenate([np.linspace(-9, 9, 1801), [-40, -37.6, -20, 20, 40, -np.inf, np.inf]])
    rows = macros.rows("select z, {{ normal_cdf('z') }} from grid", grid={"z": z})
    found = np.array(rows)
    expected = stats.norm.cdf(found[:, 0])
    assert np.abs(found[:, 1] - expected).max() <= 4e-16
    # Far out on the left the digits count, not only their distance from zero.
    tail = (found[:, 0] < -1) & (found[:, 0] > -30)
    assert np.abs(found[tail, 1] / expected[tail] - 1).max() < 1e-7


def test_normal_cdf_of_nan_and_null_is_null(macros: Any) -> None:
    rows = macros.rows(
        "select {{ normal_cdf('z') }} from (values (cast('nan' as double)), (null)) as v (z)"
    )
    assert rows == [(None,), (None,)]


def test_normal_quantile_agrees_with_scipy(macros: Any) -> None:
    p = np.concatenate([np.linspace(0.0005, 0.9995, 1999), [1e-300, 1e-100, 1e-12, 1 - 1e-12]])
    found = np.array(macros.rows("select p, {{ normal_quantile('p') }} from grid", grid={"p": p}))
    expected = stats.norm.ppf(found[:, 0])
    np.testing.assert_allclose(found[:, 1], expected, rtol=2e-14, atol=1e-15)


def test_normal_quantile_outside_its_domain_is_null(macros: Any) -> None:
    rows = macros.rows(
        "select {{ normal_quantile('p') }} from (values (0e0), (1e0), (-1e0), (2e0),"
        " (cast('nan' as double)), (null)) as v (p)"
    )
    assert rows == [(None,)] * 6


@pytest.mark.parametrize(("df", "least"), [(6, 0.86), (9, 0.93), (27, 0.993), (2000, 0.9999)])
def test_student_t_critical_value_errs_towards_a_larger_quantile(
    macros: Any, df: int, least: float
) -> None:
    z = np.linspace(-4, 4, 81)
    found = np.array(
        macros.rows(
            f"select z, {{{{ student_t_critical_value('z', '{df}') }}}} from grid", grid={"z": z}
        )
    )
    share = stats.t.sf(np.abs(found[:, 1]), df) / stats.norm.sf(np.abs(found[:, 0]))
    assert share.min() >= least
    assert share.max() <= 1.0013


def test_student_t_critical_value_without_degrees_of_freedom_is_null(macros: Any) -> None:
    rows = macros.rows(
        "select {{ student_t_critical_value('z', 'df') }}"
        " from (values (2e0, 0), (2e0, -1), (null, 5), (cast('nan' as double), 5), (10e0, 5),"
        " (2e0, null)) as v (z, df)"
    )
    assert rows == [(None,)] * 6
