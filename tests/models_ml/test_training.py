from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from task_examples import CUT_OFF

from models_ml.errors import FeatureRefused, TrainingRefused
from models_ml.metrics import is_better, measure
from models_ml.training import train

HERE = Path(__file__).resolve().parent


def refused(example, rows, error=TrainingRefused):
    with pytest.raises(error) as caught:
        train(example.task, rows, 1, CUT_OFF)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_a_trained_version_beats_the_baseline_that_ignores_the_features(kind, request):
    trained = request.getfixturevalue(f"trained_{kind}")
    metric = trained.task.primary_metric
    for split in ("fit", "tune", "holdout"):
        assert trained.model_metrics[split][metric] < trained.baseline_metrics[split][metric]


def test_the_winner_has_the_smallest_primary_metric_on_tune(trained_binary):
    losses = [candidate.metrics["tune"]["log_loss"] for candidate in trained_binary.candidates]
    assert trained_binary.winner.metrics["tune"]["log_loss"] == min(losses)
    assert len(losses) == 6  # three of each declared pipeline
    assert "holdout" not in trained_binary.winner.metrics


def test_a_refit_gives_the_same_bits(binary, trained_binary):
    again = train(binary.task, binary.rows, 1, CUT_OFF)
    assert again.arrays_sha256 == trained_binary.arrays_sha256
    assert again.model_metrics == trained_binary.model_metrics
    assert again.importances == trained_binary.importances
    assert again.reference_bins == trained_binary.reference_bins
    assert again.reference_values == trained_binary.reference_values


def test_another_row_gives_other_arrays(regression, trained_regression):
    values = regression.rows.column("measure_05").to_pylist()
    values[0] += 1e-9
    changed = train(regression.task, regression.replace("measure_05", values), 1, CUT_OFF)
    assert changed.arrays_sha256 != trained_regression.arrays_sha256


@pytest.mark.slow
def test_another_process_gives_the_same_bits(trained_binary):
    code = (
        "from task_examples import CUT_OFF, binary_example\n"
        "from models_ml.training import train\n"
        "example = binary_example()\n"
        "print(train(example.task, example.rows, 1, CUT_OFF).arrays_sha256)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": f"{HERE}:{HERE.parents[1]}", "PYTHONHASHSEED": "7"},
    )
    assert done.stdout.strip() == trained_binary.arrays_sha256


def test_the_artifact_never_saw_the_holdout(regression, trained_regression):
    """Other labels in the holdout change its metrics and nothing that was learned."""
    held_out = set(trained_regression.split.holdout)
    days = regression.rows.column("as_of_date").to_pylist()
    labels = regression.rows.column("outcome").to_pylist()
    moved = [
        label + 1000 if day in held_out else label for day, label in zip(days, labels, strict=True)
    ]
    other = train(regression.task, regression.replace("outcome", moved), 1, CUT_OFF)
    assert other.arrays_sha256 == trained_regression.arrays_sha256
    assert other.model_metrics["tune"] == trained_regression.model_metrics["tune"]
    assert other.model_metrics["holdout"]["absolute_error"] > 500


def test_importance_is_given_for_every_feature_and_noise_has_little(regression):
    noise = np.random.default_rng(5).normal(size=regression.rows.num_rows)
    trained = train(regression.task, regression.replace("measure_09", noise), 1, CUT_OFF)
    assert list(trained.importances) == regression.task.feature_columns(1)
    assert trained.importances["measure_09"] < max(trained.importances.values()) / 4


def test_pictures_are_png_files(trained_binary, trained_regression, trained_multiclass):
    both = {"calibration.png", "importance.png", "scores.png"}
    assert set(trained_binary.pictures) == set(trained_multiclass.pictures) == both
    assert set(trained_regression.pictures) == {"residuals.png", "importance.png"}
    for picture in trained_binary.pictures.values():
        assert picture.startswith(b"\x89PNG")


def test_no_rows_are_refused(binary):
    message = refused(binary, binary.rows.slice(0, 0))
    assert "train_benign_v1 has no rows with mature labels at 2017-06-25" in message


def test_too_few_periods_are_refused(binary):
    first = binary.rows.filter(pa.compute.less(binary.rows["as_of_date"], date(2017, 2, 1)))
    assert "first possible cut-off" in refused(binary, first)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_a_label_of_one_class_is_refused(kind, request):
    example = request.getfixturevalue(kind)
    one = [example.rows.column("outcome")[0].as_py()] * example.rows.num_rows
    assert "has the single value" in refused(example, example.replace("outcome", one))


def test_null_and_non_finite_and_odd_labels_are_refused(binary, regression):
    labels = regression.rows.column("outcome").to_pylist()
    for value, fact in ((None, "is null in 1 of"), (np.nan, "is NaN or"), (np.inf, "infinite")):
        rows = regression.replace("outcome", [value, *labels[1:]])
        assert fact in refused(regression, rows)
    rows = binary.replace("outcome", [2, *[0, 1] * 284])
    assert "of a binary task holds 2" in refused(binary, rows)
    rows = regression.replace("outcome", [str(label) for label in labels])
    assert "has type string" in refused(regression, rows)


def test_constant_and_all_null_columns_are_named_together(binary):
    count = binary.rows.num_rows
    rows = binary.replace("measure_03", [1.5] * count)
    place = rows.column_names.index("size")
    rows = rows.set_column(place, "size", pa.nulls(count, pa.string()))
    message = refused(binary, rows)
    assert "measure_03 is 1.5, size is null" in message
    assert "features.exclude" in message


def test_one_value_and_nulls_are_no_constant_column(regression):
    values = [None if place % 3 else 1.0 for place in range(regression.rows.num_rows)]
    rows = regression.replace("measure_03", values)
    assert train(regression.task, rows, 1, CUT_OFF).importances["measure_03"] is not None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_in_a_feature_are_refused(binary, value):
    values = binary.rows.column("measure_05").to_pylist()
    message = refused(binary, binary.replace("measure_05", [value, *values[1:]]), FeatureRefused)
    assert "feature 'measure_05' holds 1 NaN or infinite values" in message


def test_missing_extra_and_retyped_columns_are_refused(binary):
    assert "lack measure_05" in refused(binary, binary.rows.drop_columns("measure_05"))
    extra = binary.rows.append_column("surprise", binary.rows.column("measure_05"))
    assert "surprise too much" in refused(binary, extra)
    texts = [str(value) for value in binary.rows.column("measure_05").to_pylist()]
    message = refused(binary, binary.replace("measure_05", texts), FeatureRefused)
    assert "has type string, not number or boolean" in message
    numbers = list(range(binary.rows.num_rows))
    assert "has type int64" in refused(binary, binary.replace("size", numbers), FeatureRefused)


def test_nan_never_wins_a_selection():
    assert not is_better(np.nan, np.nan)
    assert not is_better(np.nan, 1.0)
    assert not is_better(np.inf, np.nan)
    assert is_better(1.0, np.nan)
    assert not is_better(1.0, 1.0)


def test_a_class_that_only_the_holdout_has_counts_as_wrong(multiclass):
    labels = multiclass.rows.column("outcome").to_pylist()
    rows = multiclass.replace("outcome", [*labels[:-1], "tempranillo"])
    trained = train(multiclass.task, rows, 1, CUT_OFF)
    assert trained.classes == ["barbera", "barolo", "grignolino"]
    assert np.isfinite(trained.model_metrics["holdout"]["log_loss"])
    assert trained.model_metrics["holdout"]["error_rate"] >= 1 / trained.holdout.num_rows


def test_metrics_equal_those_of_scikit_learn():
    rng = np.random.default_rng(3)
    labels, scores = rng.integers(0, 2, 200), np.round(rng.random(200), 2)
    found = measure("binary", labels, scores)
    assert found["log_loss"] == pytest.approx(log_loss(labels, scores), abs=1e-12)
    assert found["roc_auc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert found["brier_score"] == pytest.approx(brier_score_loss(labels, scores), abs=1e-12)
    classes = rng.integers(0, 3, 200)
    shares = rng.dirichlet([1.0, 1.0, 1.0], 200)
    found = measure("multiclass", classes, shares)
    assert found["log_loss"] == pytest.approx(log_loss(classes, shares), abs=1e-12)
    assert found["error_rate"] == np.mean(shares.argmax(axis=1) != classes)


def test_an_undefined_metric_is_nan():
    assert np.isnan(measure("binary", np.ones(3, dtype=int), np.full(3, 0.5))["roc_auc"])
    assert all(np.isnan(v) for v in measure("regression", np.empty(0), np.empty(0)).values())
