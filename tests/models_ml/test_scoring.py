from __future__ import annotations

import copy

import numpy as np
import pyarrow as pa
import pytest

from models_ml.errors import FeatureRefused, ScoringRefused
from models_ml.scoring import BLOCK_ROWS, parity, predict, scorer


def batch_of(table):
    return table.combine_chunks().to_batches()[0]


@pytest.fixture
def binary_batch(trained_binary):
    return batch_of(trained_binary.holdout)


@pytest.fixture
def score(trained_binary):
    columns = trained_binary.task.feature_columns(1)
    return scorer(trained_binary.pipeline, trained_binary.task, columns)


def changed(batch, name, values):
    return batch.set_column(batch.schema.names.index(name), name, pa.array(values))


def test_binary_scores_are_the_probability_of_the_positive_class(
    trained_binary, score, binary_batch
):
    scored = score(binary_batch)
    assert scored.schema == pa.schema([("score", pa.float64())])
    probabilities = trained_binary.pipeline.predict_proba(trained_binary.holdout)
    np.testing.assert_allclose(scored.column("score"), probabilities[:, 1], rtol=0, atol=1e-15)


def test_regression_scores_are_the_values(trained_regression):
    task, rows = trained_regression.task, trained_regression.holdout
    scored = scorer(trained_regression.pipeline, task, task.feature_columns(1))(batch_of(rows))
    assert scored.num_rows == rows.num_rows
    expected = trained_regression.pipeline.predict(rows)
    np.testing.assert_allclose(scored.column("score"), expected, rtol=1e-13)


def test_multiclass_scores_name_the_class_and_map_all_classes(trained_multiclass):
    task, rows = trained_multiclass.task, trained_multiclass.holdout
    scored = scorer(trained_multiclass.pipeline, task, task.feature_columns(1))(batch_of(rows))
    assert scored.schema.field("class_scores").type == pa.map_(pa.string(), pa.float64())
    for row in scored.to_pylist():
        by_class = dict(row["class_scores"])
        assert list(by_class) == trained_multiclass.classes
        assert sum(by_class.values()) == pytest.approx(1.0, abs=1e-12)
        assert row["score"] == max(by_class.values()) == by_class[row["predicted_class"]]


def test_an_empty_batch_gives_no_rows(score, binary_batch, trained_multiclass):
    assert score(binary_batch.slice(0, 0)).num_rows == 0
    task, rows = trained_multiclass.task, trained_multiclass.holdout
    score = scorer(trained_multiclass.pipeline, task, task.feature_columns(1))
    assert score(batch_of(rows).slice(0, 0)).schema.names == [
        "score",
        "predicted_class",
        "class_scores",
    ]


def test_unseen_categories_and_nulls_are_scored(score, binary_batch):
    count = binary_batch.num_rows
    unseen = score(changed(binary_batch, "size", ["enormous"] * count))
    assert np.isfinite(unseen.column("score")).all()
    nothing = score(binary_batch.set_column(11, "size", pa.nulls(count, pa.string())))
    assert np.isfinite(nothing.column("score")).all()


def test_blocks_do_not_change_the_order(trained_binary, score, binary_batch):
    copies = 2 * BLOCK_ROWS // binary_batch.num_rows + 1
    many = pa.Table.from_batches([binary_batch] * copies).combine_chunks()
    assert many.num_rows > 2 * BLOCK_ROWS
    scores = score(batch_of(many)).column("score").to_numpy()
    once = score(binary_batch).column("score").to_numpy()
    np.testing.assert_allclose(scores, np.tile(once, copies), rtol=1e-13)


def test_other_columns_are_refused(trained_binary, score, binary_batch):
    names = binary_batch.schema.names
    with pytest.raises(ScoringRefused, match="lacks measure_00"):
        score(binary_batch.select(names[1:]))
    with pytest.raises(ScoringRefused, match="has surprise too much"):
        score(binary_batch.append_column("surprise", binary_batch.column("measure_01")))
    with pytest.raises(ScoringRefused, match="lacks measure_00 and has renamed too much"):
        score(binary_batch.rename_columns(["renamed", *names[1:]]))
    with pytest.raises(ScoringRefused, match="has the order"):
        score(binary_batch.select(names[::-1]))
    with pytest.raises(ScoringRefused, match="the scoring set of benign lacks"):
        scorer(trained_binary.pipeline, trained_binary.task, names[1:])


def test_other_types_nan_and_infinity_are_refused(score, binary_batch):
    values = binary_batch.column("measure_05").to_pylist()
    with pytest.raises(FeatureRefused, match="'measure_05' has type string"):
        score(changed(binary_batch, "measure_05", [str(value) for value in values]))
    with pytest.raises(FeatureRefused, match="'size' has type int64"):
        score(changed(binary_batch, "size", list(range(len(values)))))
    for value in (np.nan, np.inf):
        with pytest.raises(FeatureRefused, match="'measure_05' holds 1 NaN or infinite"):
            score(changed(binary_batch, "measure_05", [value, *values[1:]]))


def test_a_score_that_is_not_finite_is_refused(trained_regression):
    task, rows = trained_regression.task, trained_regression.holdout
    score = scorer(trained_regression.pipeline, task, task.feature_columns(1))
    huge = changed(batch_of(rows), "measure_02", [1e308] * rows.num_rows)
    huge = changed(huge, "measure_03", [-1e308] * rows.num_rows)
    huge = changed(huge, "measure_08", [1e308] * rows.num_rows)
    with np.errstate(all="ignore"), pytest.raises((ScoringRefused, ValueError)):
        score(huge)


def test_integers_decimals_and_booleans_become_the_same_numbers(trained_binary, binary_batch):
    encoder = trained_binary.pipeline[0]
    expected = encoder.transform(binary_batch)
    whole = changed(binary_batch, "measure_05", [1.0] * binary_batch.num_rows)
    place = binary_batch.schema.names.index("measure_05")
    for kind in (pa.int16(), pa.int64(), pa.decimal128(18, 2), pa.float32()):
        retyped = whole.set_column(place, "measure_05", whole.column(place).cast(kind))
        np.testing.assert_array_equal(encoder.transform(retyped), encoder.transform(whole))
    first = encoder.groups_["is_large"][0]
    assert set(expected[:, first]) <= {0.0, 1.0}


def test_parity_finds_a_pipeline_that_differs(trained_binary, binary):
    task, rows = trained_binary.task, trained_binary.holdout
    same = parity(trained_binary.pipeline, trained_binary.pipeline, task, rows)
    assert same["is_equal"]
    assert same["compared_row_count"] == rows.num_rows
    other = copy.deepcopy(trained_binary.pipeline)
    shifted = changed(batch_of(rows), "measure_05", [0.0] * rows.num_rows)
    found = parity(other, trained_binary.pipeline, task, pa.Table.from_batches([shifted]))
    assert found["is_equal"]
    estimator = other[-1]
    if hasattr(estimator, "coef_"):
        estimator.coef_ = estimator.coef_ * (1 + 1e-6)
    else:
        estimator._baseline_prediction = estimator._baseline_prediction + 1e-6
    differs = parity(other, trained_binary.pipeline, task, rows)
    assert not differs["is_equal"]
    assert differs["mismatch_count"] > 0
    assert differs["max_ulps"] > 0
    assert 0 < differs["max_absolute_difference"] < 1e-3


def test_predict_takes_a_frame_as_mlflow_gives_it(trained_binary):
    frame = trained_binary.holdout.to_pandas()
    found = predict(trained_binary.pipeline, "binary", frame)
    expected = predict(trained_binary.pipeline, "binary", trained_binary.holdout)
    np.testing.assert_array_equal(found, expected)
