"""Metrics against scikit-learn, and mon_quality on planted outcomes."""

import math

import numpy as np
import pytest
from sklearn import metrics

RANKING = """
    select g, roc_auc, roc_auc_standard_error, average_precision
    from ({{ ranking_metrics('t', ['g']) }}) order by g
"""
RELIABILITY = """
    select g, bin, row_count, mean_score, mean_label, standard_error, least_score, greatest_score
    from ({{ reliability_table('t', ['g']) }}) as reliability order by g, bin
"""


def scored(**groups):
    """Columns of a relation with group, score and label."""
    return {
        "g": [name for name, (scores, _) in groups.items() for _ in scores],
        "score": [float(s) for scores, _ in groups.values() for s in scores],
        "label_value": [
            None if y is None else float(y) for _, labels in groups.values() for y in labels
        ],
    }


def hard_shapes():
    generator = np.random.default_rng(20170102)
    scores = generator.random(500)
    labels = (generator.random(500) < scores).astype(int)
    order = generator.permutation(500)
    return {
        "continuous": (scores, labels),
        "coarse": (np.round(scores, 1), labels),
        "heavy": (generator.standard_cauchy(300), labels[:300]),
        "order": (scores[order], labels[order]),
        "rare": (scores, (np.arange(500) == 17).astype(int)),
        "same": (np.full(40, 0.5), labels[:40]),
        "two": ([0.2, 0.7], [1, 0]),
    }


def test_roc_auc_and_average_precision_agree_with_scikit_learn_on_hard_shapes(macros):
    shapes = hard_shapes()
    rows = {row[0]: row[1:] for row in macros.rows(RANKING, t=scored(**shapes))}
    for name, (scores, labels) in shapes.items():
        auc, _, precision = rows[name]
        assert auc == pytest.approx(metrics.roc_auc_score(labels, scores), abs=1e-12), name
        expected = metrics.average_precision_score(labels, scores)
        assert precision == pytest.approx(expected, abs=1e-12), name
    assert rows["order"] == pytest.approx(rows["continuous"], abs=1e-12)


def test_roc_auc_standard_error_is_delongs(macros):
    shapes = hard_shapes()
    rows = {row[0]: row[2] for row in macros.rows(RANKING, t=scored(**shapes))}
    for name in ("continuous", "coarse"):
        scores, labels = (np.asarray(values) for values in shapes[name])
        positives, negatives = scores[labels == 1], scores[labels == 0]
        wins = (positives[:, None] > negatives) + 0.5 * (positives[:, None] == negatives)
        variance = wins.mean(1).var(ddof=1) / len(positives)
        variance += wins.mean(0).var(ddof=1) / len(negatives)
        assert rows[name] == pytest.approx(math.sqrt(variance), rel=1e-9)
    assert rows["two"] is None


def test_duplicating_every_row_changes_no_ranking_metric(macros):
    scores, labels = hard_shapes()["coarse"]
    once, twice = macros.rows(
        RANKING, t=scored(once=(scores, labels), twice=(np.tile(scores, 2), np.tile(labels, 2)))
    )
    assert once[1] == pytest.approx(twice[1], abs=1e-12)
    assert once[3] == pytest.approx(twice[3], abs=1e-12)


def test_flipping_the_labels_mirrors_the_auc_and_a_monotone_transform_keeps_it(macros):
    scores, labels = hard_shapes()["continuous"]
    groups = {
        "a": (scores, labels),
        "b": (scores, 1 - labels),
        "c": (np.exp(3 * scores), labels),
    }
    plain, flipped, transformed = (row[1] for row in macros.rows(RANKING, t=scored(**groups)))
    assert flipped == pytest.approx(1 - plain, abs=1e-12)
    assert transformed == pytest.approx(plain, abs=1e-12)


def test_ranking_metrics_are_null_with_one_class_or_a_score_that_is_no_number(macros):
    rows = macros.rows(
        RANKING,
        t=scored(
            ones=([0.1, 0.2], [1, 1]), zeros=([0.1], [0]), nan=([0.1, math.nan, 0.3], [0, 1, 1])
        ),
    )
    assert [row[1:] for row in rows] == [(None, None, None)] * 3


def test_rows_without_a_label_are_no_part_of_a_ranking(macros):
    with_gaps, without = macros.rows(
        RANKING,
        t=scored(a=([0.1, 0.9, 0.4, 0.8], [0, None, 1, 1]), b=([0.1, 0.4, 0.8], [0, 1, 1])),
    )
    assert with_gaps[1:] == without[1:]


def test_clipped_log_loss_agrees_with_scikit_learn_also_at_certainty(macros):
    scores, labels = [0.0, 1.0, 0.3, 1.0, 0.0, 1e-20], [1, 0, 1, 1, 0, 1]
    rows = macros.rows(
        "select {{ clipped_log_loss('case when y = 1 then s else 1e0 - s end') }} from t",
        t={"s": scores, "y": labels},
    )
    for (loss,), score, label in zip(rows, scores, labels, strict=True):
        expected = metrics.log_loss([label], [[1 - score, score]], labels=[0, 1])
        assert loss == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_a_missing_or_impossible_probability_has_no_log_loss(macros):
    rows = macros.rows("select {{ clipped_log_loss('s') }} from t", t={"s": [None, math.nan]})
    assert rows == [(None,), (None,)]


def test_reliability_bins_have_equal_mass_and_ties_share_a_bin(macros):
    scores, labels = hard_shapes()["continuous"]
    table = macros.rows(RELIABILITY, t=scored(a=(scores, labels)))
    order = np.argsort(scores)
    for (_, number, count, mean_score, mean_label, *_), part in zip(
        table, np.array_split(order, 10), strict=True
    ):
        assert count == 50, number
        assert mean_score == pytest.approx(scores[part].mean(), rel=1e-12)
        assert mean_label == pytest.approx(labels[part].mean(), rel=1e-12)
    assert len(macros.rows(RELIABILITY, t=scored(a=(np.full(40, 0.5), labels[:40])))) == 1


def test_the_error_of_a_bins_mean_outcome_is_numpys_also_for_ties_and_large_outcomes(macros):
    generator = np.random.default_rng(20170104)
    scores = np.round(generator.random(400), 2)
    shapes = {
        "far_from_zero": 1e9 + generator.normal(size=400),
        "heavy": generator.standard_t(2, 400),
        "binary": (generator.random(400) < scores).astype(float),
        "constant": np.full(400, 0.1),
    }
    rows = macros.rows(RELIABILITY, t=scored(**{n: (scores, y) for n, y in shapes.items()}))
    assert len(rows) == 40
    for name, _, count, _, mean, error, least, greatest in rows:
        outcomes = shapes[name][(scores >= least) & (scores <= greatest)]
        assert count == len(outcomes)
        assert mean == pytest.approx(outcomes.mean(), rel=1e-12)
        expected = outcomes.std(ddof=1) / math.sqrt(len(outcomes))
        assert error == pytest.approx(expected, rel=1e-6, abs=1e-15), name
    ((*_, error, _, _),) = macros.rows(RELIABILITY, t=scored(one=([0.5], [1])))
    assert error is None


def test_expected_calibration_error_and_spiegelhalter_follow_their_definitions(macros):
    scores, labels = hard_shapes()["continuous"]
    ece = macros.value(
        "select {{ expected_calibration_error() }} from (" + RELIABILITY + ")",
        t=scored(a=(scores, labels)),
    )
    parts = np.array_split(np.argsort(scores), 10)
    expected = sum(len(p) / 500 * abs(labels[p].mean() - scores[p].mean()) for p in parts)
    assert ece == pytest.approx(expected, rel=1e-10)
    z = macros.value(
        "select {{ spiegelhalter_z('score', 'label_value') }} from t",
        t=scored(a=(scores, labels)),
    )
    spread = 1 - 2 * scores
    top = ((labels - scores) * spread).sum()
    assert z == pytest.approx(top / math.sqrt((spread**2 * scores * (1 - scores)).sum()))


def test_spiegelhalter_is_null_when_every_score_is_certain(macros):
    z = macros.value(
        "select {{ spiegelhalter_z('score', 'label_value') }} from t",
        t=scored(a=([0.0, 1.0], [0, 1])),
    )
    assert z is None


def test_r_squared_agrees_with_scikit_learn_and_is_null_for_equal_labels(macros):
    generator = np.random.default_rng(20170103)
    labels = 1e6 + generator.standard_t(2, 400)
    scores = labels + generator.normal(size=400)
    query = "select {{ r_squared('score', 'label_value') }} from t"
    value = macros.value(query, t=scored(a=(scores, labels)))
    assert value == pytest.approx(metrics.r2_score(labels, scores), rel=1e-9)
    assert macros.value(query, t=scored(a=([1, 2], [3, 3]))) is None
    assert macros.value(query, t=scored(a=([1], [3]))) is None


# Planted outcomes through dbt: 40 predictions a window, horizon 28 days, weekly live periods.
OUTCOMES = "create schema intermediate;" + "".join(
    f"""create table intermediate.outcomes_{task} (
        task varchar, unit_id varchar, cluster_id varchar, as_of_date date, matured_on_date date,
        model_version integer, role varchar, kind varchar, score double, label_value double,
        label_class varchar, label_known_at date, log_loss double, brier_score double,
        absolute_error double, squared_error double, error_rate double, slices varchar[]
    );"""
    for task in ("household_churn", "flight_delay")
)
DAYS = {
    "household_churn": ["2017-07-02", "2017-07-30", "2017-08-06", "2017-08-13"],
    "flight_delay": ["2013-07-02", "2013-07-03", "2013-07-04", "2013-07-05"],
}


FEATURE_TABLES = {"household_churn": "feat_household", "flight_delay": "feat_flight"}


def ask(warehouse, task, days):
    """Record live periods that are not built yet."""
    warehouse.insert(
        "recorded.periods", [{"task": task, "as_of_date": day, "known_at": day} for day in days]
    )


def build(warehouse, task, days):
    """Record that features and labels of live periods are built."""
    shared = {"feature_table": FEATURE_TABLES[task], "feature_version": 1, "row_count": 40}
    shared |= {"content_hash": "h", "code_commit": "c", "compiled_sql_sha256": "s"}
    warehouse.insert(
        "recorded.feature_builds",
        [
            {**shared, "known_at": day, "first_as_of_date": day, "last_as_of_date": day}
            for day in days
        ],
    )


def plant(warehouse, task, live_days, outcomes):
    """Record live periods and one window, scored on the task's first day, with its outcomes."""
    known = warehouse.execute("select 1 from duckdb_tables() where table_name like 'outcomes_%'")
    if not known:
        warehouse.execute(OUTCOMES)
        warehouse.dbt("seed", "--select", "drift_thresholds")
        warehouse.dbt("run", "--select", "declared_tasks", "outcomes")
    window = DAYS[task][0]
    ask(warehouse, task, live_days)
    build(warehouse, task, live_days)
    warehouse.insert(
        "recorded.scoring_runs",
        [
            {
                "scoring_run_id": f"{task}-1",
                "task": task,
                "model_version": 1,
                "role": "champion",
                "as_of_date": window,
                "epoch": 1,
                "row_count": len(outcomes),
                "input_fingerprint": "f",
                "engine": "python",
                "model_sha256": "s",
                "scoring_seconds": 1.0,
                "rows_per_second": 1.0,
                "peak_memory_bytes": 1,
            }
        ],
    )
    matured_on = DAYS[task][1] if task == "household_churn" else DAYS[task][2]
    shared = {"task": task, "as_of_date": window, "matured_on_date": matured_on}
    shared |= {"model_version": 1, "role": "champion"}
    warehouse.insert(
        f"intermediate.outcomes_{task}",
        [
            {**shared, "unit_id": str(number), "cluster_id": str(number)} | outcome
            for number, outcome in enumerate(outcomes)
        ],
    )


def churn(score, label, known_at="2017-07-30", band="a"):
    """One outcome of the binary task; its losses are those of the label."""
    given = score if label == 1 else 1 - score
    return {
        "kind": "binary",
        "score": score,
        "label_value": None if known_at is None else float(label),
        "label_known_at": known_at,
        "log_loss": None if known_at is None else -math.log(given),
        "brier_score": None if known_at is None else (score - label) ** 2,
        "slices": [f"band={band}"],
    }


def quality(warehouse, where):
    """Judge, and return {metric: (value, status)} of the rows that `where` picks."""
    warehouse.dbt("run", "--select", "mon_quality")
    rows = warehouse.execute(
        f"select metric, metric_value, status from monitoring.mon_quality where {where}"
    )
    return {metric: (value, status) for metric, value, status in rows}


def test_a_window_is_judged_when_it_has_matured_with_scikit_learns_figures(warehouse):
    generator = np.random.default_rng(20170108)
    scores = np.round(generator.random(200), 2).clip(0.01, 0.99)
    labels = (generator.random(200) < scores).astype(int)
    outcomes = [churn(float(s), int(y)) for s, y in zip(scores, labels, strict=True)]
    plant(warehouse, "household_churn", DAYS["household_churn"][:1], outcomes)
    assert quality(warehouse, "true") == {}
    ask(warehouse, "household_churn", ["2017-07-30"])
    assert quality(warehouse, "true") == {}, "judged before its labels are built"
    build(warehouse, "household_churn", ["2017-07-30"])
    found = quality(warehouse, "slice = 'all' and judged_as_of_date = '2017-07-30'")
    expected = {
        "log_loss": metrics.log_loss(labels, scores),
        "brier_score": metrics.brier_score_loss(labels, scores),
        "roc_auc": metrics.roc_auc_score(labels, scores),
        "average_precision": metrics.average_precision_score(labels, scores),
        "calibration_gap": labels.mean() - scores.mean(),
    }
    for metric, value in expected.items():
        assert found[metric] == (pytest.approx(value, abs=1e-12), "ok"), metric
    assert set(found) == {*expected, "ece", "spiegelhalter_z"}
    before = warehouse.execute("from monitoring.mon_quality order by all")
    warehouse.dbt("run", "--select", "mon_quality")
    assert warehouse.execute("from monitoring.mon_quality order by all") == before


CALIBRATION = """
    select bin, row_count, mean_score, mean_label, standard_error, status
    from monitoring.mon_calibration where judged_as_of_date = '{}' order by bin
"""


def calibration(warehouse, day):
    warehouse.dbt("run", "--select", "mon_quality", "mon_calibration")
    return warehouse.execute(CALIBRATION.format(day))


def test_calibration_is_kept_by_window_in_bins_of_equal_mass(warehouse):
    generator = np.random.default_rng(20170110)
    scores = generator.random(200).clip(0.01, 0.99)
    labels = (generator.random(200) < scores).astype(int)
    outcomes = [churn(float(s), int(y)) for s, y in zip(scores, labels, strict=True)]
    plant(warehouse, "household_churn", DAYS["household_churn"][:2], outcomes)
    found = calibration(warehouse, "2017-07-30")
    for (number, *figures), part in zip(found, np.array_split(np.argsort(scores), 10), strict=True):
        error = labels[part].std(ddof=1) / math.sqrt(20)
        expected = [20, scores[part].mean(), labels[part].mean(), error]
        assert figures == [*(pytest.approx(value, rel=1e-9) for value in expected), "ok"], number
    before = warehouse.execute("from monitoring.mon_calibration order by all")
    warehouse.dbt("run", "--select", "mon_calibration")
    assert warehouse.execute("from monitoring.mon_calibration order by all") == before
    warehouse.dbt("run", "--full-refresh", "--select", "mon_calibration")
    assert warehouse.execute("from monitoring.mon_calibration order by all") == before


def test_a_window_with_late_labels_has_an_immature_calibration_and_a_later_one(warehouse):
    on_time = [churn(0.25, number % 4 == 0) for number in range(30)]
    late = [churn(0.25, 1, known_at="2017-08-06") for _ in range(10)]
    plant(warehouse, "household_churn", DAYS["household_churn"], on_time + late)
    ((*_, count, _, share, _, status),) = calibration(warehouse, "2017-07-30")
    assert (count, share, status) == (30, pytest.approx(8 / 30), "immature")
    ((*_, count, _, share, _, status),) = calibration(warehouse, "2017-08-06")
    assert (count, share, status) == (40, pytest.approx(18 / 40), "ok")


def test_calibration_of_a_regression_and_of_classes(warehouse):
    delays = [
        {
            "kind": "regression",
            "score": float(number),
            "label_value": 2.0 * number,
            "label_known_at": "2013-07-04",
            "absolute_error": float(number),
            "slices": [],
        }
        for number in range(40)
    ]
    plant(warehouse, "flight_delay", DAYS["flight_delay"], delays)
    classes = [
        {
            "kind": "multiclass",
            "score": 0.5,
            "label_class": "b",
            "label_known_at": "2017-07-30",
            "log_loss": math.log(2),
            "error_rate": float(number % 4 == 0),
            "slices": [],
        }
        for number in range(29)
    ]
    plant(warehouse, "household_churn", DAYS["household_churn"][:2], classes)
    first, *_, last = calibration(warehouse, "2013-07-04")
    assert first[:4] == (0, 4, 1.5, 3.0)
    assert last[:4] == (9, 4, 37.5, 75.0)
    ((*_, share, _, status),) = calibration(warehouse, "2017-07-30")
    assert (share, status) == (pytest.approx(21 / 29), "insufficient")


def test_late_labels_leave_a_window_immature_and_restate_it_in_new_rows(warehouse):
    on_time = [churn(0.25, number % 4 == 0) for number in range(30)]
    late = [churn(0.25, 1, known_at="2017-08-06") for _ in range(10)]
    plant(warehouse, "household_churn", DAYS["household_churn"], on_time + late)
    found = quality(warehouse, "slice = 'all' and judged_as_of_date = '2017-07-30'")
    # 30 of 40 labels are there, 8 of them 1: mean squared error 22/30 x 1/16 + 8/30 x 9/16
    assert found["brier_score"] == (pytest.approx((22 + 72) / 480), "immature")
    found = quality(warehouse, "slice = 'all' and judged_as_of_date = '2017-08-06'")
    # 18 of 40 are 1: 22/40 x 1/16 + 18/40 x 9/16
    assert found["brier_score"] == (pytest.approx((22 + 162) / 640), "ok")
    days = warehouse.execute(
        "select distinct judged_as_of_date::varchar from monitoring.mon_quality"
    )
    assert sorted(days) == [("2017-07-30",), ("2017-08-06",)]


def test_one_class_and_few_rows_are_insufficient_and_never_a_number_that_looks_good(warehouse):
    outcomes = [churn(0.25, 0) for _ in range(35)] + [churn(0.5, 0, band="b") for _ in range(5)]
    plant(warehouse, "household_churn", DAYS["household_churn"][:2], outcomes)
    found = quality(warehouse, "slice = 'all'")
    assert found["roc_auc"] == (None, "insufficient")
    assert found["average_precision"] == (None, "insufficient")
    assert found["log_loss"][1] == "ok"
    found = quality(warehouse, "slice = 'band=b'")
    assert found["log_loss"] == (pytest.approx(math.log(2)), "insufficient")


def test_a_window_without_any_label_is_immature_with_no_figure(warehouse):
    plant(
        warehouse,
        "household_churn",
        DAYS["household_churn"][:2],
        [churn(0.25, 0, known_at=None) for _ in range(40)],
    )
    found = quality(warehouse, "slice = 'all'")
    assert set(found.values()) == {(None, "immature")}
    assert len(found) == 7


def test_regression_and_multiclass_have_their_own_metrics(warehouse):
    generator = np.random.default_rng(20170109)
    labels = generator.normal(5, 20, 60)
    scores = labels + generator.normal(1, 5, 60)
    delays = [
        {
            "kind": "regression",
            "score": float(s),
            "label_value": float(y),
            "label_known_at": "2013-07-04",
            "absolute_error": abs(float(s - y)),
            "squared_error": float((s - y) ** 2),
            "slices": ["origin=JFK"],
        }
        for s, y in zip(scores, labels, strict=True)
    ]
    plant(warehouse, "flight_delay", DAYS["flight_delay"], delays)
    classes = [
        {
            "kind": "multiclass",
            "score": 0.5,
            "label_class": "b",
            "label_known_at": "2017-07-30",
            "log_loss": math.log(2),
            "brier_score": 0.5,
            "error_rate": float(number % 4 == 0),
            "slices": ["band=a"],
        }
        for number in range(40)
    ]
    plant(warehouse, "household_churn", DAYS["household_churn"][:2], classes)
    found = quality(warehouse, "slice = 'all' and task = 'flight_delay'")
    assert found == {
        "absolute_error": (pytest.approx(metrics.mean_absolute_error(labels, scores)), "ok"),
        "squared_error": (pytest.approx(metrics.mean_squared_error(labels, scores)), "ok"),
        "rmse": (pytest.approx(metrics.root_mean_squared_error(labels, scores)), "ok"),
        "r2": (pytest.approx(metrics.r2_score(labels, scores)), "ok"),
        "bias": (pytest.approx((scores - labels).mean()), "ok"),
    }
    found = quality(warehouse, "slice = 'all' and task = 'household_churn'")
    assert found == {
        "log_loss": (pytest.approx(math.log(2)), "ok"),
        "brier_score": (pytest.approx(0.5), "ok"),
        "error_rate": (pytest.approx(0.25), "ok"),
    }
