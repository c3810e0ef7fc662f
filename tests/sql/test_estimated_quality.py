"""Estimated quality against scikit-learn, numpy and simulation, and as SQL models."""

import math

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

CALIBRATED = """
    select probability from ({{ calibrated_scores('s', 'k', ['m']) }}) as calibrated order by row_id
"""
AUC = (
    "select g, roc_auc, roc_auc_standard_error from ({{ expected_roc_auc('t', ['g']) }}) order by g"
)
LOSSES = "select {{ expected_log_loss('s', 'c') }}, {{ expected_brier_score('s', 'c') }} from t"
MULTICLASS = """
    select u, log_loss, brier_score, error_rate
    from ({{ expected_multiclass_losses('t', ['u']) }}) as losses order by u
"""
CLIP = 2.220446049250313e-16


def isotonic(scores, labels):
    return IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, labels)


def knots_of(**maps):
    """Columns of a relation with the knots of several fitted maps."""
    return {
        "m": [name for name, fitted in maps.items() for _ in fitted.X_thresholds_],
        "score": [float(x) for fitted in maps.values() for x in fitted.X_thresholds_],
        "probability": [float(y) for fitted in maps.values() for y in fitted.y_thresholds_],
    }


def asked(name, scores):
    return {
        "m": [name] * len(scores),
        "row_id": list(range(len(scores))),
        "score": [None if s is None else float(s) for s in scores],
    }


def calibrated(macros, name, scores, knots):
    return [row[0] for row in macros.rows(CALIBRATED, s=asked(name, scores), k=knots)]


def test_calibrated_scores_agree_with_isotonic_regression_also_beyond_the_ends(macros):
    generator = np.random.default_rng(20170201)
    scores = generator.random(2000)
    labels = generator.random(2000) < scores**2
    maps = {
        "smooth": isotonic(scores, labels),
        "tied": isotonic(np.round(scores, 1), labels),
        "reversed": isotonic(scores, generator.random(2000) > scores),
        "one_class": isotonic(scores, np.zeros(2000)),
        "two_rows": isotonic([0.2, 0.7], [0, 1]),
    }
    knots = knots_of(**maps)
    wanted = np.concatenate([[-0.5, 0.0, 1.0, 1.5], generator.random(500), scores[:500]])
    for name, fitted in maps.items():
        found = calibrated(macros, name, wanted, knots)
        np.testing.assert_allclose(found, fitted.predict(wanted), rtol=0, atol=1e-12, err_msg=name)


def test_a_map_of_one_knot_is_constant(macros):
    fitted = isotonic(np.full(10, 0.4), [0] * 7 + [1] * 3)
    assert len(fitted.X_thresholds_) == 1
    assert calibrated(macros, "a", [0.1, 0.4, 0.9], knots_of(a=fitted)) == [pytest.approx(0.3)] * 3


def test_no_number_and_no_map_have_no_probability_and_maps_do_not_mix(macros):
    knots = knots_of(a=isotonic([0.1, 0.9], [0, 1]), b=isotonic([0.1, 0.9], [1, 1]))
    scores = [None, math.nan, math.inf, 0.5]
    assert calibrated(macros, "a", scores, knots) == [None, None, None, pytest.approx(0.5)]
    assert calibrated(macros, "b", [0.5], knots) == [pytest.approx(1.0)]
    assert calibrated(macros, "unknown", [0.5], knots) == [None]


def weighted_auc(scores, chances):
    """The definition: every pair, the first as a positive, the second as a negative."""
    wins = (scores[:, None] > scores) + 0.5 * (scores[:, None] == scores)
    return (chances[:, None] * (1 - chances) * wins).sum() / (chances.sum() * (1 - chances).sum())


def weighted_auc_error(scores, chances):
    wins = (scores[:, None] > scores) + 0.5 * (scores[:, None] == scores)
    area, size = weighted_auc(scores, chances), len(scores)
    below = wins @ (1 - chances) / (1 - chances).sum()
    above = chances @ wins / chances.sum()
    influence = chances * (below - area) / chances.sum()
    influence += (1 - chances) * (above - area) / (1 - chances).sum()
    return math.sqrt(size / (size - 1) * (influence**2).sum())


def grouped(**groups):
    return {
        "g": [name for name, (scores, _) in groups.items() for _ in scores],
        "score": [float(s) for scores, _ in groups.values() for s in scores],
        "probability": [
            None if c is None else float(c) for _, chances in groups.values() for c in chances
        ],
    }


def shapes():
    generator = np.random.default_rng(20170202)
    scores = generator.random(300)
    order = generator.permutation(300)
    return {
        "continuous": (scores, scores**2),
        "coarse": (np.round(scores, 1), generator.random(300)),
        "certain": (scores, (scores > 0.5).astype(float)),
        "permuted": (scores[order], scores[order] ** 2),
        "same": (np.full(40, 0.5), np.full(40, 0.2)),
        "two": (np.array([0.2, 0.7]), np.array([0.3, 0.6])),
    }


def test_the_expected_auc_and_its_error_follow_their_definitions_on_hard_shapes(macros):
    rows = {row[0]: row[1:] for row in macros.rows(AUC, t=grouped(**shapes()))}
    for name, (scores, chances) in shapes().items():
        area, error = rows[name]
        assert area == pytest.approx(weighted_auc(scores, chances), abs=1e-12), name
        assert error == pytest.approx(weighted_auc_error(scores, chances), abs=1e-10), name
    assert rows["same"][0] == pytest.approx(0.5, abs=1e-12)
    assert rows["permuted"] == pytest.approx(rows["continuous"], abs=1e-12)


def test_the_expected_auc_is_null_when_only_one_class_is_possible_or_a_number_is_missing(macros):
    rows = macros.rows(
        AUC,
        t=grouped(
            all_negative=([0.1, 0.2], [0, 0]),
            all_positive=([0.1, 0.2], [1, 1]),
            missing=([0.1, 0.2], [0.5, None]),
            no_number=([0.1, math.nan], [0.5, 0.5]),
        ),
    )
    assert [row[1:] for row in rows] == [(None, None)] * 4
    ((_, area, error),) = macros.rows(AUC, t=grouped(one=([0.3], [0.4])))
    assert area == pytest.approx(0.5)
    assert error is None


def test_the_error_of_the_expected_auc_is_that_of_drawing_other_rows(macros):
    generator = np.random.default_rng(20170203)
    draws = {}
    for number in range(300):
        scores = generator.beta(1, 4, 200)
        draws[f"{number:03d}"] = (scores, scores)
    rows = macros.rows(AUC, t=grouped(**draws))
    spread = np.std([row[1] for row in rows], ddof=1)
    assert np.mean([row[2] for row in rows]) == pytest.approx(spread, rel=0.15)


def test_expected_losses_are_the_mean_over_what_can_happen(macros):
    scores, chances = [0.0, 1.0, 0.3, 0.7, 1e-20], [0.0, 0.5, 0.2, 1.0, 0.5]
    for (log_loss, brier), s, c in zip(
        macros.rows(LOSSES, t={"s": scores, "c": chances}), scores, chances, strict=True
    ):
        if_positive, if_negative = (-math.log(min(max(p, CLIP), 1 - CLIP)) for p in (s, 1 - s))
        assert log_loss == pytest.approx(c * if_positive + (1 - c) * if_negative, rel=1e-12)
        assert brier == pytest.approx(c * (1 - s) ** 2 + (1 - c) * s**2, abs=1e-15)
    missing = macros.rows(LOSSES, t={"s": [None, 0.5], "c": [0.5, None]})
    assert missing == [(None, None), (None, None)]


def class_table(scores, chances):
    """Rows of a relation: one per unit and class."""
    units, classes = np.shape(scores)
    best = np.argmax(scores, axis=1)
    return {
        "u": [unit for unit in range(units) for _ in range(classes)],
        "score": [float(s) for row in scores for s in row],
        "probability": [None if c is None else float(c) for row in chances for c in row],
        "is_predicted": [place == best[unit] for unit in range(units) for place in range(classes)],
    }


def test_expected_multiclass_losses_renormalise_and_follow_their_definitions(macros):
    generator = np.random.default_rng(20170204)
    scores = generator.dirichlet([1, 1, 1], 50)
    chances = generator.random((50, 3))
    chances[0] = 0  # nothing is known: each class alike
    rows = np.array(macros.rows(MULTICLASS, t=class_table(scores, chances)))
    shares = chances / np.where(chances.sum(1) > 0, chances.sum(1), 1)[:, None]
    shares[0] = 1 / 3
    losses = -np.log(np.clip(scores, CLIP, 1 - CLIP))
    np.testing.assert_allclose(rows[:, 1], (shares * losses).sum(1), rtol=1e-12)
    squares = [
        sum(shares[u, k] * np.square(scores[u] - np.eye(3)[k]).sum() for k in range(3))
        for u in range(50)
    ]
    np.testing.assert_allclose(rows[:, 2], squares, rtol=1e-12)
    np.testing.assert_allclose(
        rows[:, 3], 1 - shares[np.arange(50), scores.argmax(1)], rtol=0, atol=1e-12
    )


def test_a_unit_with_a_class_that_has_no_probability_has_no_expected_loss(macros):
    rows = macros.rows(
        MULTICLASS, t=class_table([[0.5, 0.5], [0.2, 0.8]], [[0.1, None], [0.3, 0.7]])
    )
    assert rows[0][1:] == (None, None, None)
    assert None not in rows[1]


def test_of_calibrated_scores_the_estimate_is_the_realised_value_within_its_error(macros):
    """Labels drawn at the calibrated probability: over 40 windows no metric is off by much."""
    generator = np.random.default_rng(20170205)
    gaps = {"auc": [], "log_loss": [], "brier": []}
    windows, truths = {}, {}
    for number in range(40):
        scores = generator.beta(1, 4, 500)
        chances = scores**1.5
        labels = generator.random(500) < chances
        windows[f"{number:02d}"] = (scores, chances)
        truths[f"{number:02d}"] = labels
    areas = {row[0]: row[1] for row in macros.rows(AUC, t=grouped(**windows))}
    losses = macros.rows(
        "select g, avg({{ expected_log_loss('score', 'probability') }}),"
        " avg({{ expected_brier_score('score', 'probability') }}) from t group by g order by g",
        t=grouped(**windows),
    )
    for name, log_loss, brier in losses:
        scores, labels = windows[name][0], truths[name]
        wins = scores[labels][:, None] > scores[~labels]
        gaps["auc"].append(areas[name] - wins.mean())
        gaps["log_loss"].append(
            log_loss + np.where(labels, np.log(scores), np.log(1 - scores)).mean()
        )
        gaps["brier"].append(brier - np.square(labels - scores).mean())
    for metric, found in gaps.items():
        z = np.mean(found) / (np.std(found, ddof=1) / math.sqrt(40))
        assert abs(z) < 3, metric


# Planted scores through dbt: household_churn is binary, flight_delay a regression.
PREDICTIONS = """
    create schema predictions;
    create table predictions.pred_household_churn_all_versions (
        household_id bigint, as_of_date date, score double, model_version integer,
        scoring_run_id varchar, role varchar
    );
    create table predictions.pred_flight_delay_all_versions (
        flight_number bigint, as_of_date date, score double, expected_absolute_error double,
        model_version integer, scoring_run_id varchar, role varchar
    );
    create schema monitoring;
    create table monitoring.mon_quality (
        task varchar, model_version integer, role varchar, as_of_date date,
        judged_as_of_date date, slice varchar, metric varchar, metric_value double,
        standard_error double, status varchar
    );
"""
CHURN, DELAY = "household_churn", "flight_delay"


def register_reference(warehouse, task, metric, version=1, **values):
    """Record what was estimated of the holdout, and by how much it is off for a window."""
    shared = {"task": task, "model_version": version, "split": "holdout", "metric": metric}
    warehouse.insert(
        "recorded.model_metrics",
        [{**shared, "scorer": scorer, "metric_value": value} for scorer, value in values.items()],
    )


@pytest.fixture
def planted(warehouse):
    """A warehouse in which version 1 of both tasks is registered with its reference values."""
    warehouse.execute(PREDICTIONS)
    warehouse.dbt("seed", "--select", "drift_thresholds")
    warehouse.dbt("run", "--select", "declared_tasks", "declared_metrics")
    references = {
        CHURN: {"log_loss": 0.3, "brier_score": 0.09, "roc_auc": 0.85},
        DELAY: {"absolute_error": 20.0},
    }
    for task, values in references.items():
        for metric, value in values.items():
            register_reference(warehouse, task, metric, estimate=value, estimate_error=0.0)
    # a map that leaves scores as they are
    shared = {"task": CHURN, "model_version": 1, "class_name": "1"}
    warehouse.insert(
        "recorded.calibration_knots",
        [{**shared, "score": end, "probability": end} for end in (0.0, 1.0)],
    )
    return warehouse


def score_window(warehouse, task, day, rows, *, epoch=1, version=1):
    """Write one window: the rows' prediction columns, and the manifest row."""
    table = f"predictions.pred_{task}_all_versions"
    where = f"where as_of_date = '{day}' and model_version = {version}"
    warehouse.execute(f"delete from {table} {where}")
    shared = {"as_of_date": day, "model_version": version, "role": "champion"}
    key = "household_id" if task == CHURN else "flight_number"
    warehouse.insert(table, [{**shared, key: n, **row} for n, row in enumerate(rows)])
    warehouse.insert(
        "recorded.scoring_runs",
        [
            {
                "scoring_run_id": f"{task}-v{version}-{day}-e{epoch}",
                "task": task,
                **shared,
                "epoch": epoch,
                "row_count": len(rows),
                "input_fingerprint": "f",
                "engine": "python",
                "model_sha256": "s",
                "scoring_seconds": 1.0,
                "rows_per_second": 1.0,
                "peak_memory_bytes": 1,
            }
        ],
    )


def estimate(warehouse, *flags):
    warehouse.dbt("run", *flags, "--select", "estimated_quality", "mon_estimated_quality")


def estimates(warehouse, where="true"):
    rows = warehouse.dicts(
        f"from monitoring.mon_estimated_quality where {where} order by task, metric, as_of_date"
    )
    return {(row["as_of_date"].isoformat(), row["metric"]): row for row in rows}


def test_windows_are_estimated_when_they_are_scored_with_numpys_figures(planted):
    generator = np.random.default_rng(20170206)
    scores = generator.beta(1, 4, 300)
    errors = generator.gamma(2, 10, 200)
    score_window(planted, CHURN, "2017-07-02", [{"score": float(s)} for s in scores])
    delays = [{"score": 1.0, "expected_absolute_error": float(e)} for e in errors]
    score_window(planted, DELAY, "2013-07-02", delays)
    estimate(planted)
    found = estimates(planted)
    losses = -scores * np.log(scores) - (1 - scores) * np.log(1 - scores)
    brier = scores * (1 - scores)
    expected = {
        "log_loss": (losses.mean(), losses.std(ddof=1) / math.sqrt(300)),
        "brier_score": (brier.mean(), brier.std(ddof=1) / math.sqrt(300)),
        "roc_auc": (weighted_auc(scores, scores), weighted_auc_error(scores, scores)),
        "absolute_error": (errors.mean(), errors.std(ddof=1) / math.sqrt(200)),
    }
    assert {metric for _, metric in found} == set(expected)
    for (_, metric), row in found.items():
        value, error = expected[metric]
        assert row["estimated_value"] == pytest.approx(value, rel=1e-9), metric
        assert row["standard_error"] == pytest.approx(error, rel=1e-9), metric
        assert row["upper_bound"] - row["estimated_value"] == pytest.approx(1.6448536 * error)
        assert row["estimated_value"] - row["lower_bound"] == pytest.approx(1.6448536 * error)
        assert row["method"] == ("dle" if metric == "absolute_error" else "cbpe")
        assert row["status"] == "ok"
        assert row["realised_value"] is None
        assert row["judged_as_of_date"] is None


def delays(mean):
    """100 rows whose expected errors are `mean` on average, with standard error 0.1."""
    return [{"score": 0.0, "expected_absolute_error": mean + (-1) ** n} for n in range(100)]


def test_an_alarm_needs_even_the_milder_bound_to_pass_the_margin_and_alarms_are_counted(planted):
    # the reference is 20 and the margin 5 percent: above 21 by 0.1653 at a standard error of 0.1005
    means = [20.0, 21.1, 21.2, 15.0, 22.0, 22.0, 20.0]
    for number, mean in enumerate(means, start=1):
        score_window(planted, DELAY, f"2013-07-0{number}", delays(mean))
        if number in {3, 7}:
            estimate(planted)
    found = [
        (row["is_alarming"], row["alarming_window_count"]) for row in estimates(planted).values()
    ]
    assert found == [
        (False, 0), (False, 0), (True, 1), (False, 1), (True, 2), (True, 3), (False, 3),
    ]  # fmt: skip
    before = estimates(planted)
    estimate(planted, "--full-refresh")
    assert estimates(planted) == before
    assert before["2013-07-03", "absolute_error"]["reason_code"] == "estimated_decay"


def test_what_the_estimate_is_off_by_for_a_window_widens_the_interval(planted):
    register_reference(planted, DELAY, "absolute_error", 2, estimate=20.0, estimate_error=3.0)
    for version in (1, 2):
        score_window(planted, DELAY, "2013-07-01", delays(25.0), version=version)
    estimate(planted)
    rows = planted.dicts("from monitoring.mon_estimated_quality order by model_version")
    sampling = math.sqrt(100 / 99) / 10
    assert rows[0]["standard_error"] == pytest.approx(sampling, rel=1e-9)
    assert rows[1]["standard_error"] == pytest.approx(math.hypot(sampling, 3.0), rel=1e-9)
    assert [row["is_alarming"] for row in rows] == [True, False]


def test_a_lower_auc_alarms_and_a_higher_one_does_not(planted):
    generator = np.random.default_rng(20170207)
    shapes = {"2017-07-02": (0.2, 1.0), "2017-07-09": (2.0, 12.0)}
    for day, (a, b) in shapes.items():
        scores = generator.beta(a, b, 400)
        score_window(planted, CHURN, day, [{"score": float(s)} for s in scores])
    estimate(planted)
    found = estimates(planted, "metric = 'roc_auc'")
    better, worse = found["2017-07-02", "roc_auc"], found["2017-07-09", "roc_auc"]
    assert better["estimated_value"] > 0.85 > worse["estimated_value"]
    assert (better["is_alarming"], worse["is_alarming"]) == (False, True)


def test_what_cannot_be_estimated_says_why_and_never_reads_as_no_decay(planted):
    fine = delays(20.0)
    score_window(planted, DELAY, "2013-07-01", fine[:49])
    without = [{**fine[0], "expected_absolute_error": None}, *fine[1:]]
    score_window(planted, DELAY, "2013-07-02", without)
    score_window(planted, DELAY, "2013-07-03", fine, version=2)  # no reference of version 2
    register_reference(planted, DELAY, "absolute_error", 3, estimate=20.0)  # of unknown error
    score_window(planted, DELAY, "2013-07-04", fine, version=3)
    score_window(planted, CHURN, "2017-07-02", [{"score": 0.5}] * 60, version=2)  # no map
    planted.insert(
        "recorded.calibration_knots",
        [{"task": CHURN, "model_version": 3, "class_name": "1", "score": 0.1, "probability": 0.0}],
    )
    score_window(planted, CHURN, "2017-07-09", [{"score": 0.5}] * 60, version=3)
    estimate(planted)
    found = estimates(planted)
    assert {(day, metric): row["reason_code"] for (day, metric), row in found.items()} == {
        ("2013-07-01", "absolute_error"): "too_few_rows",
        ("2013-07-02", "absolute_error"): "not_calibrated",
        ("2013-07-03", "absolute_error"): "no_reference",
        ("2013-07-04", "absolute_error"): "no_reference",
        **{
            ("2017-07-02", metric): "not_calibrated"
            for metric in ("log_loss", "brier_score", "roc_auc")
        },
        ("2017-07-09", "log_loss"): "no_reference",
        ("2017-07-09", "brier_score"): "no_reference",
        ("2017-07-09", "roc_auc"): "not_computable",
    }
    assert {row["status"] for row in found.values()} == {"insufficient"}
    assert {row["is_alarming"] for row in found.values()} == {None}
    assert {row["alarming_window_count"] for row in found.values()} == {0}
    assert found["2013-07-02", "absolute_error"]["estimated_value"] is None


def test_a_window_that_is_scored_again_is_estimated_again(planted):
    score_window(planted, DELAY, "2013-07-01", delays(20.0))
    estimate(planted)
    score_window(planted, DELAY, "2013-07-01", delays(30.0), epoch=2)
    estimate(planted)
    (row,) = estimates(planted).values()
    assert row["estimated_value"] == pytest.approx(30.0)
    assert row["is_alarming"]


def test_the_realised_figure_stands_beside_the_estimate_once_it_is_judged_with_enough_labels(
    planted,
):
    score_window(planted, DELAY, "2013-07-01", delays(20.0))
    estimate(planted)
    shared = {"task": DELAY, "model_version": 1, "role": "champion", "as_of_date": "2013-07-01"}
    shared |= {"metric": "absolute_error", "standard_error": 0.5, "slice": "all", "status": "ok"}
    judged = [
        {"judged_as_of_date": "2013-07-03", "metric_value": 30.0, "status": "immature"},
        {"judged_as_of_date": "2013-07-04", "metric_value": 31.0},
        {"judged_as_of_date": "2013-07-05", "metric_value": 32.0},
        {"judged_as_of_date": "2013-07-05", "metric_value": 9.0, "slice": "origin=JFK"},
    ]
    expected = [(None, None), (31.0, "2013-07-04"), (32.0, "2013-07-05"), (32.0, "2013-07-05")]
    for rows, (value, day) in zip(judged, expected, strict=True):
        planted.insert("monitoring.mon_quality", [shared | rows])
        (row,) = estimates(planted).values()
        assert row["realised_value"] == value
        assert (row["judged_as_of_date"] and row["judged_as_of_date"].isoformat()) == day
        # a concept drift: labels say 31, the estimate still says what the holdout taught it
        assert row["estimated_value"] == pytest.approx(20.0)
        assert row["is_alarming"] is False
