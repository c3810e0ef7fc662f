"""Survival functions, quantiles, two proportions and Benjamini-Hochberg against scipy."""

import math

import numpy as np
import pytest
from scipy import special, stats

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def test_chi_square_survival_agrees_with_scipy_for_each_df_and_far_into_the_tail(macros):
    grid = [
        (float(x), df)
        for df in [*range(1, 61), 100, 999]
        for x in [0, 1e-12, 0.01, 0.5, 1, 3.84, 10, 42.5, df, 2 * df, 200, 700]
    ]
    rows = macros.rows(
        "select x, df, {{ chi_square_survival('x', 'df') }} from t order by df, x",
        t={"x": [x for x, _ in grid], "df": [df for _, df in grid]},
    )
    assert len(rows) == len(grid)
    for x, df, survival in rows:
        assert survival == pytest.approx(stats.chi2.sf(x, df), rel=1e-9, abs=1e-12), (x, df)


def test_chi_square_survival_is_null_outside_its_domain(macros):
    rows = macros.rows(
        "select {{ chi_square_survival('x', 'df') }} from t",
        t={"x": [-1.0, math.nan, math.inf, None, 1.0], "df": [2, 2, 2, 2, 0]},
    )
    assert rows == [(None,)] * 5


def test_chi_square_quantile_agrees_with_scipy_and_is_null_beyond_the_table(macros):
    rows = macros.rows(
        "select df, {{ chi_square_quantile_95('df') }} from t order by df",
        t={"df": [0, *range(1, 61), 61]},
    )
    assert rows[0] == (0, None)
    assert rows[-1] == (61, None)
    for df, quantile in rows[1:-1]:
        assert quantile == pytest.approx(stats.chi2.ppf(0.95, df), rel=1e-12)


def test_kolmogorov_survival_agrees_with_scipy_on_both_branches(macros):
    grid = [*np.linspace(0.0, 1.3, 261), 1.18, np.nextafter(1.18, 0), *np.linspace(1.3, 9, 78)]
    rows = macros.rows(
        "select x, {{ kolmogorov_survival('x') }} from t", t={"x": [float(x) for x in grid]}
    )
    for x, survival in rows:
        assert survival == pytest.approx(special.kolmogorov(x), abs=1e-14, rel=1e-9), x


def test_kolmogorov_survival_is_one_at_or_below_zero_and_null_for_no_number(macros):
    rows = macros.rows(
        "select {{ kolmogorov_survival('x') }} from t",
        t={"x": [-1.0, 0.0, 1e-300, math.nan, None, math.inf]},
    )
    assert rows == [(1.0,), (1.0,), (1.0,), (None,), (None,), (None,)]


def test_two_proportion_z_is_the_signed_root_of_chi_square(macros):
    counts = [(3, 50, 10, 400), (0, 10, 5, 20), (10, 10, 3, 9), (499, 1000, 1, 2)]
    rows = macros.rows(
        "select {{ two_proportion_z('a', 'n', 'b', 'm') }} from t",
        t=dict(zip("anbm", map(list, zip(*counts, strict=True)), strict=True)),
    )
    for (z,), (a, n, b, m) in zip(rows, counts, strict=True):
        table = [[a, n - a], [b, m - b]]
        expected = math.sqrt(stats.chi2_contingency(table, correction=False).statistic)
        assert abs(z) == pytest.approx(expected, rel=1e-12)
        assert (z > 0) == (a / n > b / m)


def test_two_proportion_z_of_equal_certainties_is_zero_and_of_no_rows_is_null(macros):
    rows = macros.rows(
        "select {{ two_proportion_z('a', 'n', 'b', 'm') }} from t",
        t={"a": [0, 7, 0], "n": [9, 7, 0], "b": [0, 5, 1], "m": [4, 5, 3]},
    )
    assert rows == [(0.0,), (0.0,), (None,)]


def test_benjamini_hochberg_agrees_with_scipy_within_each_group_with_ties(macros):
    generator = np.random.default_rng(20170101)
    groups = {
        1: generator.random(37) ** 3,
        2: np.array([0.04, 0.04, 0.04, 0.9, 0.01, 0.01]),
        3: np.array([0.2]),
        4: np.zeros(4),
    }
    members = [(group, row, float(p)) for group, ps in groups.items() for row, p in enumerate(ps)]
    generator.shuffle(members)
    rows = macros.rows(
        """select g, i, adjusted_p_value
        from ({{ benjamini_hochberg('t', 'p', ['g']) }}) order by g, i""",
        t={
            "g": [int(g) for g, _, _ in members],
            "i": [int(i) for _, i, _ in members],
            "p": [float(p) for *_, p in members],
        },
    )
    for group, ps in groups.items():
        adjusted = [value for g, _, value in rows if g == group]
        assert adjusted == pytest.approx(list(stats.false_discovery_control(ps)), rel=1e-12)


def test_benjamini_hochberg_leaves_an_absent_test_out_of_the_count(macros):
    rows = macros.rows(
        "select p, adjusted_p_value from ({{ benjamini_hochberg('t', 'p', ['g']) }}) order by p",
        t={"g": [1, 1, 1], "p": [0.01, 0.04, None]},
    )
    # two tests: 0.01 * 2 / 1 and 0.04 * 2 / 2
    assert rows == [(0.01, 0.02), (0.04, 0.04), (None, None)]
