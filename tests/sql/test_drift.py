"""Distances against scipy, and mon_feature_drift and mon_score_drift on planted windows."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.spatial import distance

BINS = "{{ bin_distances('t', ['g']) }} order by g"
SAMPLES = """
    select * from ({{ sample_distances('windows', 'refs', 'series', ['w'], ['r']) }}) order by w
"""


def bins(*groups):
    """Columns of a relation of cells: groups of (reference counts, window counts)."""
    return {
        "g": [g for g, (reference, _) in enumerate(groups) for _ in reference],
        "reference_count": [int(n) for reference, _ in groups for n in reference],
        "window_count": [int(m) for _, window in groups for m in window],
    }


def named(macros, query, **tables):
    """Rows of a query as dictionaries, by the column names of the macro's select."""
    columns = [name for name, *_ in macros.rows(f"describe ({query})", **tables)]
    return [dict(zip(columns, row, strict=True)) for row in macros.rows(query, **tables)]


def test_bin_distances_agree_with_scipy(macros):
    generator = np.random.default_rng(20170104)
    groups = [
        (generator.multinomial(n, p), generator.multinomial(m, q))
        for n, m in [(20_000, 900), (100, 100), (50_000, 3)]
        for p, q in [generator.dirichlet(np.ones(12), 2)]
    ]
    rows = named(macros, BINS, t=bins(*groups))
    for row, (all_reference, all_window) in zip(rows, groups, strict=True):
        kept = (all_reference + all_window) > 0
        reference, window = all_reference[kept], all_window[kept]
        r, w = reference / reference.sum(), window / window.sum()
        chi_square = stats.chi2_contingency([reference, window], correction=False)
        smooth_r = (reference + 0.5) / (reference + 0.5).sum()
        smooth_w = (window + 0.5) / (window + 0.5).sum()
        expected = {
            "jensen_shannon_distance": distance.jensenshannon(r, w),
            "hellinger_distance": math.sqrt(((np.sqrt(r) - np.sqrt(w)) ** 2).sum() / 2),
            "total_variation": abs(r - w).sum() / 2,
            "largest_difference": abs(r - w).max(),
            "psi": ((smooth_w - smooth_r) * np.log(smooth_w / smooth_r)).sum(),
            "chi_square_statistic": chi_square.statistic,
            "psi_null_quantile": (1 / reference.sum() + 1 / window.sum())
            * stats.chi2.ppf(0.95, chi_square.dof),
        }
        for column, value in expected.items():
            assert row[column] == pytest.approx(value, rel=1e-9, abs=1e-12), column
        assert row["chi_square_p_value"] == pytest.approx(chi_square.pvalue, rel=1e-9, abs=1e-12)
        assert row["bin_count"] == kept.sum()


def test_bins_empty_on_both_sides_change_nothing(macros):
    groups = [([5, 9, 0], [2, 2, 1]), ([5, 0, 9, 0], [2, 0, 2, 1])]
    plain, padded = named(macros, BINS, t=bins(*groups))
    del plain["g"], padded["g"]
    assert plain == pytest.approx(padded, rel=1e-12)


def test_equal_distributions_and_a_single_bin_are_no_distance(macros):
    for row in named(macros, BINS, t=bins(([70], [5]), ([100, 200], [10, 20]))):
        assert row["jensen_shannon_distance"] == pytest.approx(0, abs=1e-7)
        assert row["chi_square_statistic"] == pytest.approx(0, abs=1e-12)
        assert row["chi_square_p_value"] == pytest.approx(1)


def test_a_side_without_rows_has_no_distance(macros):
    for row in named(macros, BINS, t=bins(([0, 0], [5, 6]), ([5, 6], [0, 0]))):
        numbers = {"g", "reference_row_count", "window_row_count", "bin_count"}
        for column in set(row) - numbers:
            assert row[column] is None, column


def test_small_drift_has_psi_of_eight_squared_hellinger_and_chi_square_over_the_sizes(macros):
    generator = np.random.default_rng(20170105)
    groups = []
    for bin_count in (2, 5, 10, 20):
        for _ in range(5):
            share = generator.dirichlet(np.full(bin_count, 20.0))
            moved = share * (1 + generator.uniform(-0.04, 0.04, bin_count))
            sizes = generator.integers(150_000, 400_000, 2)
            groups.append(
                (
                    generator.multinomial(sizes[0], share),
                    generator.multinomial(sizes[1], moved / moved.sum()),
                )
            )
    for row in named(macros, BINS, t=bins(*groups)):
        psi = row["psi"]
        assert psi == pytest.approx(8 * row["hellinger_distance"] ** 2, rel=0.01)
        assert psi == pytest.approx(8 * row["jensen_shannon_distance"] ** 2, rel=0.01)
        sizes = 1 / row["reference_row_count"] + 1 / row["window_row_count"]
        assert psi == pytest.approx(row["chi_square_statistic"] * sizes, rel=0.02)


def test_psi_without_drift_passes_its_null_quantile_in_about_one_window_of_twenty(macros):
    generator = np.random.default_rng(20170106)
    share = np.full(10, 0.1)
    groups = [
        (generator.multinomial(5_000, share), generator.multinomial(1_000, share))
        for _ in range(2_000)
    ]
    passed = macros.value(
        "select avg(case when psi > psi_null_quantile then 1e0 else 0e0 end) from (" + BINS + ")",
        t=bins(*groups),
    )
    # 2,000 windows: the Monte Carlo standard error is 0.005
    assert passed == pytest.approx(0.05, abs=0.015)


def sample_tables(references, windows):
    """Tables of the macro: `windows` names, for each window, its reference and its values."""
    return {
        "refs": {
            "r": [r for r, values in enumerate(references) for _ in values],
            "sample_value": [float(v) for values in references for v in values],
            "row_count": [1 for values in references for _ in values],
        },
        "windows": {
            "w": [w for w, (_, values) in enumerate(windows) for _ in values],
            "sample_value": [float(v) for _, values in windows for v in values],
            "row_count": [1 for _, values in windows for _ in values],
        },
        "series": {"w": list(range(len(windows))), "r": [r for r, _ in windows]},
    }


def test_sample_distances_agree_with_scipy_with_ties_heavy_tails_and_permuted_rows(macros):
    generator = np.random.default_rng(20170107)
    references = [
        generator.normal(size=3_000),
        np.round(generator.normal(size=2_000), 1),
        generator.standard_cauchy(1_500),
        1e9 + generator.normal(size=1_000),
    ]
    windows = [
        (0, generator.normal(0.2, 1, 400)),
        (1, np.round(generator.normal(0, 2, 300), 1)),
        (2, generator.standard_cauchy(200)),
        (3, 1e9 + generator.normal(size=100)),
        (0, np.array([0.0, 50.0])),
        (1, np.full(30, -99.0)),
    ]
    tables = sample_tables(references, windows)
    order = generator.permutation(len(tables["windows"]["w"]))
    tables["windows"] = {k: [v[i] for i in order] for k, v in tables["windows"].items()}
    for row, (r, values) in zip(named(macros, SAMPLES, **tables), windows, strict=True):
        reference = references[r]
        low, high = np.quantile(reference, [0.001, 0.999], method="inverted_cdf")
        clipped = np.clip(reference, low, high)
        wasserstein = stats.wasserstein_distance(clipped, np.clip(values, low, high))
        statistic = stats.ks_2samp(reference, values).statistic
        scale = math.sqrt(len(reference) * len(values) / (len(reference) + len(values)))
        assert row["ks_statistic"] == pytest.approx(statistic, abs=1e-12)
        p_value = stats.kstwobign.sf(scale * statistic)
        assert row["ks_p_value"] == pytest.approx(p_value, rel=1e-9, abs=1e-14)
        assert row["wasserstein_distance"] == pytest.approx(wasserstein / clipped.std(), rel=1e-9)
        assert row["clipped_share"] == pytest.approx(((values < low) | (values > high)).mean())
        outside = (values < reference.min()) | (values > reference.max())
        assert row["out_of_range_share"] == pytest.approx(outside.mean())


def test_a_constant_reference_has_no_wasserstein_distance_and_a_missing_side_no_row(macros):
    tables = sample_tables([[3.0] * 50, [1.0, 2.0]], [(0, [3.0, 4.0]), (1, [math.nan])])
    (row,) = named(macros, SAMPLES, **tables)
    assert row["w"] == 0
    assert row["wasserstein_distance"] is None
    assert row["ks_statistic"] == 0.5


def test_values_that_are_no_numbers_are_left_out_of_the_samples(macros):
    clean = sample_tables([[1.0, 2.0, 3.0]], [(0, [1.5, 2.5])])
    dirty = sample_tables([[1.0, 2.0, 3.0]], [(0, [1.5, math.nan, 2.5, math.inf])])
    assert named(macros, SAMPLES, **clean) == named(macros, SAMPLES, **dirty)


# Planted windows through dbt. The reference of version 1 has spend 1 .. 100, ten rows each, and
# scores 0.001 .. 1, both in deciles; band a, b, c in 500, 300 and 200 rows.
TASK = "household_churn"
SUNDAYS = [f"2017-07-{day:02}" for day in (2, 9, 16, 23, 30)]


def plant(warehouse, windows):
    """Record version 1 with its reference and one scored window for each Sunday.

    windows: for each window its columns as {name: values}; numbers or texts, None for missing.
    """
    warehouse.execute(VALUES_TABLES)
    numeric = {"spend": np.repeat(np.arange(1, 101), 10), "score": np.arange(1, 1001) / 1000}
    for name, values in numeric.items():
        deciles = np.quantile(values, np.arange(1, 10) / 10, method="inverted_cdf")
        edges = [None, *deciles.tolist(), None]
        warehouse.insert(
            "recorded.reference_bins",
            [
                {**reference(name, "numeric", number), "bin_kind": "interval", "row_count": 100}
                | {"lower_bound": edges[number], "upper_bound": edges[number + 1]}
                for number in range(10)
            ]
            + [
                {**reference(name, "numeric", 10), "bin_kind": "missing", "row_count": 0}
                | {"lower_bound": None, "upper_bound": None}
            ],
        )
        distinct, counts = np.unique(values, return_counts=True)
        warehouse.execute(
            f"""insert into recorded.reference_values
            select '{TASK}', 1, '{name}', sample_value, row_count from sample""",
            sample={"sample_value": distinct.astype(float), "row_count": counts},
        )
    cells = [("category", "a", 500), ("category", "b", 300), ("category", "c", 200)]
    cells += [("other", None, 0), ("new", None, 0), ("missing", None, 0)]
    warehouse.insert(
        "recorded.reference_bins",
        [
            {**reference("band", "categorical", number), "bin_kind": kind}
            | {"category": category, "row_count": count}
            for number, (kind, category, count) in enumerate(cells)
        ],
    )
    score(warehouse, list(zip(SUNDAYS, windows, strict=False)))
    warehouse.dbt("seed", "--select", "drift_thresholds", "drift_exceptions")


def reference(name, kind, number):
    key = {"task": TASK, "model_version": 1, "column_name": name}
    return {**key, "column_kind": kind, "bin": number}


def score(warehouse, windows, epoch=1):
    """Record scoring runs, and count the values of their windows."""
    rows = []
    for day, columns in windows:
        warehouse.insert(
            "recorded.scoring_runs",
            [
                {
                    "scoring_run_id": f"{day}-{epoch}",
                    "task": TASK,
                    "model_version": 1,
                    "role": "champion",
                    "as_of_date": day,
                    "epoch": epoch,
                    "row_count": len(columns["score"]),
                    "input_fingerprint": "f",
                    "engine": "python",
                    "model_sha256": "s",
                    "scoring_seconds": 1.0,
                    "rows_per_second": 1.0,
                    "peak_memory_bytes": 1,
                }
            ],
        )
        for name, values in columns.items():
            kind = "categorical" if name == "band" else "numeric"
            for value in dict.fromkeys(values):
                number, category = (None, value) if kind == "categorical" else (value, None)
                key = {"task": TASK, "model_version": 1, "as_of_date": day, "scoring_epoch": epoch}
                rows.append(
                    {**key, "column_name": name, "column_kind": kind, "value_number": number}
                    | {"value_category": category, "row_count": list(values).count(value)}
                )
    warehouse.insert(f"intermediate.values_{TASK}", rows)


VALUES_TABLES = "create schema intermediate;" + "".join(
    f"""create table intermediate.values_{task} (
        task varchar, model_version integer, as_of_date date, scoring_epoch bigint,
        column_name varchar, column_kind varchar, value_number double, value_category varchar,
        row_count bigint
    );"""
    for task in ("household_churn", "flight_delay")
)


def window(**changed):
    """A window of 200 rows that looks like the reference, but for the columns given."""
    return {
        "spend": [1 + row % 100 for row in range(200)],
        "band": ["a"] * 100 + ["b"] * 60 + ["c"] * 40,
        "score": [(row * 5 + 3) / 1000 for row in range(200)],
        **changed,
    }


def judge(warehouse):
    warehouse.dbt("run", "--select", "mon_feature_drift", "mon_score_drift")


def verdicts(warehouse, feature):
    return warehouse.execute(
        f"""select status, severity, reason_code, alarming_window_count
        from monitoring.mon_feature_drift where feature = '{feature}' order by as_of_date"""
    )


def judged_rows(warehouse, table):
    """Rows with their figures rounded: sums of doubles depend on the order of threads."""
    rows = warehouse.execute(f"select * from monitoring.{table} order by all")
    return [tuple(round(v, 9) if isinstance(v, float) else v for v in row) for row in rows]


def score_verdicts(warehouse):
    return warehouse.execute(
        """select status, severity, reason_code, alarming_window_count
        from monitoring.mon_score_drift order by as_of_date"""
    )


def test_an_alarm_of_more_than_seventy_days_ago_is_not_counted(warehouse):
    shifted = window(spend=[51 + row % 50 for row in range(200)])
    plant(warehouse, [shifted, shifted])  # 2 and 9 July
    judge(warehouse)
    score(warehouse, [("2017-09-17", shifted)])  # 77 and 70 days after them
    for options in ((), ("--full-refresh",)):  # day by day, and all days at once
        warehouse.dbt("run", "--select", "mon_feature_drift", "mon_score_drift", *options)
        assert [count for *_, count in verdicts(warehouse, "spend")] == [1, 2, 2]


def test_a_lasting_shift_warns_twice_and_then_acts_and_the_other_columns_stay_quiet(warehouse):
    shifted = window(spend=[51 + row % 50 for row in range(200)])
    plant(warehouse, [window(), shifted, shifted, shifted])
    judge(warehouse)
    assert verdicts(warehouse, "spend") == [
        ("ok", "none", "no_drift", 0),
        ("ok", "warn", "distribution_shifted", 1),
        ("ok", "warn", "distribution_shifted", 2),
        ("ok", "act", "distribution_shifted", 3),
    ]
    assert set(verdicts(warehouse, "band")) == {("ok", "none", "no_drift", 0)}
    assert set(score_verdicts(warehouse)) == {("ok", "none", "no_drift", 0)}


def test_windows_judged_one_day_at_a_time_give_the_rows_of_one_pass(warehouse):
    shifted = window(spend=[51 + row % 50 for row in range(200)], score=[0.9] * 200)
    windows = [window(), shifted, shifted, shifted]
    plant(warehouse, windows[:1])
    judge(warehouse)
    for day, columns in zip(SUNDAYS[1:], windows[1:], strict=False):
        score(warehouse, [(day, columns)])
        judge(warehouse)
    tables = ("mon_feature_drift", "mon_score_drift")
    daily = [judged_rows(warehouse, table) for table in tables]
    warehouse.dbt("run", "--full-refresh", "--select", *tables)
    assert [judged_rows(warehouse, table) for table in tables] == daily
    assert score_verdicts(warehouse)[-1] == ("ok", "act", "distribution_shifted", 3)


def test_a_rescored_window_is_judged_again_and_replaces_its_rows(warehouse):
    plant(warehouse, [window(), window()])
    judge(warehouse)
    score(warehouse, [(SUNDAYS[1], window(spend=[100] * 200))], epoch=2)
    judge(warehouse)
    first, second = verdicts(warehouse, "spend")
    assert first == ("ok", "none", "no_drift", 0)
    assert second == ("ok", "warn", "distribution_shifted", 1)


def test_a_lost_column_acts_at_once_and_missing_values_warn(warehouse):
    lost = window(spend=[None] * 200)
    # 12 of 200 missing against none of 1,000: six points
    gaps = window(spend=[None if row % 17 == 0 else 1 + row % 100 for row in range(200)])
    plant(warehouse, [lost, gaps])
    judge(warehouse)
    assert verdicts(warehouse, "spend") == [
        ("ok", "act", "all_null", 1),
        ("ok", "warn", "null_share_changed", 2),
    ]


def test_a_new_category_warns_from_half_a_percent_and_acts_from_five(warehouse):
    few = window(band=["a"] * 100 + ["b"] * 60 + ["c"] * 38 + ["z"] * 2)
    many = window(band=["a"] * 100 + ["b"] * 60 + ["c"] * 28 + ["z"] * 12)
    plant(warehouse, [few, many])
    judge(warehouse)
    assert [row[1:3] for row in verdicts(warehouse, "band")] == [
        ("warn", "new_categories"),
        ("act", "new_categories"),
    ]
    shares = warehouse.execute(
        "select new_category_share from monitoring.mon_feature_drift where feature = 'band'"
        " order by as_of_date"
    )
    assert shares == [(0.01,), (0.06,)]


def test_a_window_of_few_rows_is_insufficient_and_not_free_of_drift(warehouse):
    few = {name: values[:20] for name, values in window().items()}
    plant(warehouse, [few])
    judge(warehouse)
    assert verdicts(warehouse, "spend") == [("insufficient", None, "too_few_rows", 0)]
    assert score_verdicts(warehouse) == [("insufficient", None, "too_few_rows", 0)]


def test_a_version_without_reference_is_named_and_not_left_out(warehouse):
    plant(warehouse, [window()])
    warehouse.execute("delete from recorded.reference_bins; delete from recorded.reference_values")
    judge(warehouse)
    assert verdicts(warehouse, "spend") == [("insufficient", None, "no_reference", 0)]
    assert score_verdicts(warehouse) == [("insufficient", None, "no_reference", 0)]


def test_half_the_usual_rows_alarm_from_the_fourth_window_on(warehouse):
    halved = {name: values[::3] for name, values in window().items()}
    plant(warehouse, [window(), window(), halved, window(), halved])
    judge(warehouse)
    reasons = [row[2] for row in score_verdicts(warehouse)]
    assert reasons == ["no_drift", "no_drift", "no_drift", "no_drift", "row_count_changed"]


def test_distances_do_not_depend_on_the_order_of_rows_nor_samples_on_a_duplicated_partition(macros):
    generator = np.random.default_rng(20170108)
    cells = bins((generator.integers(1, 90, 12), generator.integers(1, 90, 12)))
    order = generator.permutation(12)
    permuted = {name: [values[i] for i in order] for name, values in cells.items()}
    (plain,), (other,) = named(macros, BINS, t=cells), named(macros, BINS, t=permuted)
    assert plain == pytest.approx(other, rel=1e-12)

    reference, values = generator.normal(size=500), generator.normal(size=80)
    once = sample_tables([reference], [(0, values)])
    twice = sample_tables([np.tile(reference, 2)], [(0, np.tile(values, 2))])
    (single,), (double,) = named(macros, SAMPLES, **once), named(macros, SAMPLES, **twice)
    for column in ("ks_statistic", "wasserstein_distance", "clipped_share", "out_of_range_share"):
        assert single[column] == pytest.approx(double[column], rel=1e-9, abs=1e-12), column
    # but twice the rows are twice the evidence: a duplicated partition is not harmless
    assert double["ks_p_value"] <= single["ks_p_value"]


@pytest.mark.parametrize(
    ("reference", "window"),
    [([1.0, 2.0], [1.5, 9.0]), ([3.0] * 40, [3.0] * 5), ([5.0, 6.0], [7.0])],
    ids=["two values", "one value everywhere", "a window of one row"],
)
def test_the_smallest_samples_agree_with_scipy(macros, reference, window):
    (row,) = named(macros, SAMPLES, **sample_tables([reference], [(0, window)]))
    assert row["ks_statistic"] == pytest.approx(stats.ks_2samp(reference, window).statistic)
    assert 0 <= row["ks_p_value"] <= 1
    assert 0 <= row["out_of_range_p_value"] <= 1


def test_the_chance_of_values_out_of_range_is_that_of_samples_without_drift(macros):
    generator = np.random.default_rng(20170109)
    size, rows = 400, 600
    tables = sample_tables(
        [generator.standard_cauchy(rows) for _ in range(300)],
        [(number, generator.standard_cauchy(size)) for number in range(300)],
    )
    found = named(macros, SAMPLES, **tables)
    counts = np.array([round(row["out_of_range_share"] * size) for row in found])
    p_values = np.array([row["out_of_range_p_value"] for row in found])
    # heavy tails or not, the count beyond both ends is negative binomial with two ends
    assert p_values == pytest.approx(stats.nbinom.sf(counts - 1, 2, rows / (rows + size)), rel=1e-9)
    for level in (0.05, 0.2):
        assert (p_values <= level).mean() <= level + 3 * math.sqrt(level * (1 - level) / 300)


AUC = "{{ counted_auc('t', ['g']) }} order by g"


def counted(*groups):
    """Columns of a relation of counted scores: groups of (reference scores, window scores)."""
    rows = []
    for number, (reference, window_scores) in enumerate(groups):
        for value in np.unique([*reference, *window_scores]):
            sides = [int(np.sum(np.asarray(side) == value)) for side in (reference, window_scores)]
            rows.append((number, float(value), *sides))
    return dict(
        zip(
            ("g", "score", "reference_row_count", "window_row_count"),
            map(list, zip(*rows, strict=True)),
            strict=True,
        )
    )


def placement_auc(reference, window_scores):
    """DeLong's estimate and standard error from placement values, pair by pair."""
    wins = np.sign(np.subtract.outer(window_scores, reference)) / 2 + 0.5
    placements = wins.mean(axis=1), wins.mean(axis=0)
    variance = sum(np.var(p, ddof=1) / len(p) for p in placements)
    return wins.mean(), math.sqrt(variance)


def test_the_counted_auc_agrees_with_placement_values_with_ties_in_any_order_of_rows(macros):
    generator = np.random.default_rng(20170110)
    groups = [
        (generator.normal(size=700), generator.normal(0.3, 1, 90)),
        (np.round(generator.normal(size=300), 1), np.round(generator.normal(size=200), 1)),
        (np.zeros(50), np.zeros(60)),
        (np.array([0.1, 0.2]), np.array([0.15, 0.3])),
        (generator.standard_cauchy(100), 5 + generator.standard_cauchy(100)),
    ]
    columns = counted(*groups)
    order = generator.permutation(len(columns["g"]))
    columns = {name: [values[i] for i in order] for name, values in columns.items()}
    for row, (reference, scores) in zip(named(macros, AUC, t=columns), groups, strict=True):
        expected, standard_error = placement_auc(np.asarray(reference), np.asarray(scores))
        assert row["roc_auc"] == pytest.approx(expected, rel=1e-12)
        assert row["standard_error"] == pytest.approx(standard_error, rel=1e-9, abs=1e-9)
        assert (row["reference_row_count"], row["window_row_count"]) == (
            len(reference),
            len(scores),
        )


def test_one_side_alone_has_no_auc_and_a_single_row_no_standard_error(macros):
    columns = counted(([0.1, 0.2], []), ([], [0.5]), ([0.1, 0.2], [0.3]))
    rows = [(r["roc_auc"], r["standard_error"]) for r in named(macros, AUC, t=columns)]
    assert rows == [(None, None), (None, None), (1.0, None)]


def except_from_drift(warehouse, feature, is_constant_expected):
    warehouse.execute("delete from policy.drift_exceptions")
    warehouse.insert(
        "policy.drift_exceptions",
        [
            {
                "task": TASK,
                "feature": feature,
                "is_constant_expected": is_constant_expected,
                "reason": "a test",
            }
        ],
    )


def test_an_excepted_feature_may_shift_but_not_vanish_nor_stand_still(warehouse):
    shifted = window(spend=[51 + row % 50 for row in range(200)])
    still, lost = window(spend=[7] * 200), window(spend=[None] * 200)
    plant(warehouse, [shifted, still, still, still, lost])
    except_from_drift(warehouse, "spend", is_constant_expected=False)
    judge(warehouse)
    assert [row[1:3] for row in verdicts(warehouse, "spend")] == [
        ("none", "excepted"),
        ("warn", "constant"),
        ("warn", "constant"),
        ("act", "constant"),
        ("act", "all_null"),
    ]


def test_a_feature_whose_windows_hold_one_value_by_nature_alarms_only_when_it_is_gone(warehouse):
    plant(warehouse, [window(spend=[7] * 200), window(spend=[None] * 200)])
    except_from_drift(warehouse, "spend", is_constant_expected=True)
    judge(warehouse)
    assert [row[1:3] for row in verdicts(warehouse, "spend")] == [
        ("none", "excepted"),
        ("act", "all_null"),
    ]


def test_values_beyond_the_reference_warn_though_no_bin_moves_and_act_when_many_stay(warehouse):
    def beyond(count):  # the values of the last decile, far out: the bins see no difference
        values = [1 + row % 100 for row in range(200)]
        highest = sorted(range(200), key=lambda row: -values[row])[:count]
        return window(spend=[1e6 if row in highest else v for row, v in enumerate(values)])

    plant(warehouse, [beyond(1), beyond(6), beyond(16), beyond(16)])
    judge(warehouse)
    assert [row[1:3] for row in verdicts(warehouse, "spend")] == [
        ("none", "no_drift"),  # 1 of 200: 0.5 %
        ("warn", "out_of_range"),
        ("warn", "out_of_range"),
        ("act", "out_of_range"),  # the third alarm of five, and 8 % of the rows
    ]


def test_the_window_of_a_champion_is_judged_as_a_whole_by_its_domain_scores(warehouse):
    plant(warehouse, [window()] * 5)
    key = {"task": TASK, "model_version": 1}
    # 200 rows each side; a share of the window's stand above all of the reference's
    for day, above in zip(SUNDAYS[:4], (0, 30, 30, 30), strict=True):
        warehouse.insert(
            "recorded.domain_scores",
            [
                {**key, "as_of_date": day, "score": score_value}
                | {"reference_row_count": reference_rows, "window_row_count": window_rows}
                for score_value, reference_rows, window_rows in [
                    (0.4, 100, 100 - above // 2),
                    (0.5, 100, 100 - above // 2),
                    (0.9, 0, above),
                ]
            ],
        )
    warehouse.dbt("run", "--select", "mon_domain_drift")
    rows = warehouse.dicts("select * from monitoring.mon_domain_drift order by as_of_date")
    assert [(r["status"], r["severity"], r["reason_code"]) for r in rows] == [
        ("ok", "none", "no_drift"),
        ("ok", "warn", "distribution_shifted"),
        ("ok", "warn", "distribution_shifted"),
        ("ok", "act", "distribution_shifted"),
        ("insufficient", None, "not_compared"),
    ]
    assert rows[0]["roc_auc"] == 0.5
    assert rows[1]["roc_auc"] == pytest.approx(0.5 + 0.15 / 2)  # 15 % of the rows above all
    assert rows[4]["is_alarming"] is None
    assert all(r["lower_bound"] < r["roc_auc"] < r["upper_bound"] for r in rows[:4])
