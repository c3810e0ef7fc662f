from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from task_examples import CUT_OFF

from models_ml.calibration import calibrated_out_of_fold, calibration_knots, expected_metrics
from models_ml.estimates import date_folds, reference_estimates
from models_ml.learned import arrays_sha256
from models_ml.nanny import SHAPES, ScoredRows, choose_shape, expected_absolute_errors, fit_nanny
from models_ml.scoring import predict, scorer
from models_ml.threads import fixed_threads
from models_ml.training import train


@pytest.fixture(autouse=True)
def _threads():
    """As in a training: on a busy machine more threads wait for each other."""
    with fixed_threads():
        yield


def estimated_metrics(happened, predictions, folds):
    return expected_metrics(predictions, calibrated_out_of_fold(happened, predictions, folds))


def calibrated(row_count, seed=11):
    """Scores that are the true probabilities, their labels, and 20 days."""
    rng = np.random.default_rng(seed)
    scores = rng.beta(1, 3, row_count)
    return scores, rng.random(row_count) < scores, np.arange(row_count) % 20


def test_knots_between_which_the_map_is_linear_are_those_of_scikit_learn():
    scores, happened, _ = calibrated(3000)
    knots = calibration_knots(happened[:, None], scores[:, None], ["1"])
    expected = IsotonicRegression(out_of_bounds="clip").fit(scores, happened).predict(scores)
    found = np.interp(scores, knots["score"].to_numpy(), knots["probability"].to_numpy())
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert knots["class_name"].unique().to_pylist() == ["1"]


def test_equal_scores_are_one_knot():
    knots = calibration_knots(
        np.array([[True], [False], [False]]), np.full((3, 1), 0.25), ["1"]
    ).to_pylist()
    assert knots == [{"class_name": "1", "score": 0.25, "probability": pytest.approx(1 / 3)}]


def test_folds_are_neighbouring_days_and_one_day_has_none():
    folds = date_folds(np.array([3, 1, 1, 2, 4, 5, 6]))
    assert [np.flatnonzero(fold).tolist() for fold in folds] == [[1, 2, 3], [0, 4], [5], [6]]
    assert len(date_folds(np.array([1, 2]))) == 2
    assert date_folds(np.array([1, 1])) == []


def test_the_out_of_fold_estimate_of_calibrated_scores_is_near_the_realised_metrics():
    scores, happened, days = calibrated(8000)
    found = estimated_metrics(happened[:, None], scores[:, None], date_folds(days))
    assert found["log_loss"] == pytest.approx(log_loss(happened, scores), rel=0.02)
    assert found["brier_score"] == pytest.approx(brier_score_loss(happened, scores), rel=0.02)
    assert found["roc_auc"] == pytest.approx(roc_auc_score(happened, scores), abs=0.01)


def test_the_maps_of_multiclass_scores_are_one_against_the_rest():
    rng = np.random.default_rng(12)
    scores = rng.dirichlet([1, 1, 1], 6000)
    label = (rng.random(6000)[:, None] > scores.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    happened = label[:, None] == np.arange(3)
    knots = calibration_knots(happened, scores, ["a", "b", "c"])
    assert knots["class_name"].unique().to_pylist() == ["a", "b", "c"]
    found = estimated_metrics(happened, scores, date_folds(np.arange(6000) % 20))
    right = scores[np.arange(6000), label]
    assert found["log_loss"] == pytest.approx(-np.log(right).mean(), rel=0.03)
    assert found["error_rate"] == pytest.approx((scores.argmax(1) != label).mean(), abs=0.02)
    squared = np.square(scores - happened).sum(axis=1).mean()
    assert found["brier_score"] == pytest.approx(squared, rel=0.03)


def test_one_class_in_the_holdout_gives_no_auc_and_no_error():
    scores, _, days = calibrated(200)
    found = estimated_metrics(np.zeros((200, 1)), scores[:, None], date_folds(days))
    assert np.isnan(found["roc_auc"])
    assert np.isfinite(found["log_loss"])


def test_a_trained_classifier_has_knots_and_estimates_near_its_holdout_metrics(
    trained_binary, trained_multiclass
):
    assert trained_binary.calibration_knots["class_name"].unique().to_pylist() == ["1"]
    estimates = trained_binary.estimates
    assert set(estimates.values) == set(estimates.errors) == {"log_loss", "brier_score", "roc_auc"}
    assert estimates.values["roc_auc"] == pytest.approx(
        trained_binary.model_metrics["holdout"]["roc_auc"], abs=0.05
    )
    assert set(trained_multiclass.estimates.values) == {"log_loss", "brier_score", "error_rate"}
    classes = trained_multiclass.calibration_knots["class_name"].unique().to_pylist()
    assert classes == trained_multiclass.classes
    assert trained_binary.nanny is None
    assert trained_multiclass.nanny is None


def noisy(row_count, seed=13):
    """Rows whose error grows with the first feature: 10 times as large at 1 as at 0."""
    rng = np.random.default_rng(seed)
    size, other = rng.random(row_count), rng.random(row_count)
    scores = 5 * other
    labels = scores + rng.normal(size=row_count) * (0.5 + 4.5 * size)
    table = pa.table({"size": size, "other": other})
    return ScoredRows(table, ["numeric", "numeric"], scores, labels), size


def test_a_nanny_learns_where_the_errors_are_large():
    rows, _ = noisy(4000)
    later, size = noisy(4000, seed=14)
    shape, _ = choose_shape(rows, 1, date_folds(np.arange(4000) % 20))
    assert shape == SHAPES[-1]
    nanny = fit_nanny(rows, shape, seed=1)
    expected = expected_absolute_errors(nanny, later.features, later.scores)
    errors = np.abs(later.scores - later.labels)
    assert expected.mean() == pytest.approx(errors.mean(), rel=0.05)
    few, many = size < 0.2, size > 0.8
    assert expected[few].mean() == pytest.approx(errors[few].mean(), rel=0.15)
    assert expected[many].mean() == pytest.approx(errors[many].mean(), rel=0.15)
    assert (expected >= 0).all()


def test_what_a_nanny_expects_of_the_holdout_is_out_of_fold():
    rows, _ = noisy(400)
    folds = date_folds(np.arange(400) % 8)
    shape, found = choose_shape(rows, 1, folds)
    for fold in folds:
        nanny, held_out = fit_nanny(rows.where(~fold), shape, 1), rows.where(fold)
        expected = expected_absolute_errors(nanny, held_out.features, held_out.scores)
        np.testing.assert_array_equal(found[fold], expected)
    assert choose_shape(rows, 1, []) == (SHAPES[0], None)


def test_a_nanny_that_only_knows_the_days_by_heart_is_kept_small():
    """Errors differ by day and a feature names the day: nothing that helps on another day."""
    rng = np.random.default_rng(15)
    days = np.repeat(np.arange(14), 200)
    level = rng.gamma(2, 10, 14)[days]
    labels = rng.normal(size=len(days)) * level
    table = pa.table(
        {"day_before": rng.permutation(14)[days].astype(float), "other": rng.random(2800)}
    )
    rows = ScoredRows(table, ["numeric", "numeric"], np.zeros(2800), labels)
    shape, expected = choose_shape(rows, 1, date_folds(days))
    assert shape == SHAPES[0]
    errors = np.abs(labels)
    assert np.square(expected - errors).mean() < 1.5 * errors.var()


def test_the_error_of_an_estimate_is_how_far_it_missed_single_days():
    dates = np.array([1, 1, 2, 2, 3, 3])
    realised = np.array([1.0, 3.0, 5.0, 5.0, np.nan, np.nan])
    found = reference_estimates(
        dates,
        lambda some: {"loss": 3.0, "auc": np.nan},
        lambda some: {"loss": realised[some].mean(), "auc": 0.5, "other": 1.0},
    )
    assert found.values["loss"] == 3.0
    assert found.errors["loss"] == pytest.approx(np.sqrt((1 + 4) / 2))  # day 3 has no figure
    assert np.isnan(found.errors["auc"])


def test_a_trained_regression_has_a_nanny_of_the_same_bits_each_time(
    regression, trained_regression
):
    again = train(regression.task, regression.rows, 1, CUT_OFF)
    assert arrays_sha256(again.nanny) == arrays_sha256(trained_regression.nanny)
    assert again.estimates == trained_regression.estimates
    assert trained_regression.calibration_knots.num_rows == 0
    holdout = trained_regression.model_metrics["holdout"]["absolute_error"]
    assert trained_regression.estimates.values["absolute_error"] == pytest.approx(holdout, rel=0.2)


def test_scores_of_a_regression_carry_the_error_to_expect(trained_regression):
    task, rows = trained_regression.task, trained_regression.holdout
    batch = rows.combine_chunks().to_batches()[0]
    columns = task.feature_columns(1)
    scored = scorer(trained_regression.pipeline, task, columns, trained_regression.nanny)(batch)
    assert scored.schema.names == ["score", "expected_absolute_error"]
    scores = predict(trained_regression.pipeline, "regression", rows)
    expected = expected_absolute_errors(trained_regression.nanny, rows, scores)
    np.testing.assert_allclose(scored.column(1), expected, rtol=1e-12)
    alone = scorer(trained_regression.pipeline, task, columns)(batch)
    assert alone.column("expected_absolute_error").null_count == rows.num_rows
    assert scorer(trained_regression.pipeline, task, columns, trained_regression.nanny)(
        batch.slice(0, 0)
    ).schema.equals(scored.schema)
