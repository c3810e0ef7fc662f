"""The domain classifier: what it must find, what it must not, and why folds go by unit."""

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from models_ml.domain import FOLD_COUNT, domain_scores
from models_ml.tasks import Column


def table(matrix: np.ndarray) -> pa.Table:
    return pa.table({f"f{number}": matrix[:, number] for number in range(matrix.shape[1])})


def columns(count: int) -> list[Column]:
    return [Column(name=f"f{number}", data_type="double") for number in range(count)]


def auc(scores: pa.Table) -> float:
    counts = [scores["reference_row_count"].to_numpy(), scores["window_row_count"].to_numpy()]
    return roc_auc_score(
        np.repeat([0, 1], [count.sum() for count in counts]),
        np.concatenate([np.repeat(scores["score"].to_numpy(), count) for count in counts]),
    )


def compare(reference: np.ndarray, window: np.ndarray, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    scores = domain_scores(
        table(reference),
        table(window),
        columns(reference.shape[1]),
        reference_folds=rng.integers(0, FOLD_COUNT, len(reference)),
        window_folds=rng.integers(0, FOLD_COUNT, len(window)),
    )
    assert scores is not None
    return scores


def correlated(rng: np.random.Generator, correlation: float, rows: int = 1_500) -> np.ndarray:
    matrix = rng.normal(size=(rows, 5))
    matrix[:, 1] = correlation * matrix[:, 0] + np.sqrt(1 - correlation**2) * matrix[:, 1]
    return matrix


def test_a_flipped_correlation_is_found_although_no_margin_moved() -> None:
    rng = np.random.default_rng(20171)
    reference, window = correlated(rng, 0.8), correlated(rng, -0.8)
    assert auc(compare(reference, window)) > 0.8
    # each column alone tells nothing
    alone = [auc(compare(reference[:, [n]], window[:, [n]])) for n in range(5)]
    assert max(alone) < 0.55


def test_without_drift_the_auc_lies_around_a_half() -> None:
    rng = np.random.default_rng(20172)
    found = [auc(compare(correlated(rng, 0.5), correlated(rng, 0.5), seed)) for seed in range(15)]
    assert abs(np.mean(found) - 0.5) < 0.01
    assert max(found) < 0.55


def households(rng: np.random.Generator, unit_count: int = 300) -> tuple[np.ndarray, ...]:
    """Four weeks of reference and one of window, of the same households: 0.95 correlated."""
    nature = rng.normal(size=(unit_count, 10))
    weeks = [
        np.sqrt(0.95) * nature + np.sqrt(0.05) * rng.normal(size=nature.shape) for _ in range(5)
    ]
    return np.concatenate(weeks[:4]), weeks[4], np.tile(np.arange(unit_count), 4)


def test_the_same_households_on_both_sides_give_a_half_only_when_folds_go_by_household() -> None:
    rng = np.random.default_rng(20173)
    by_unit, by_row = [], []
    for _ in range(12):
        reference, window, units = households(rng)
        fold_of_unit = rng.integers(0, FOLD_COUNT, len(window))
        folds = {
            "by unit": (fold_of_unit[units], fold_of_unit),
            "by row": (
                rng.integers(0, FOLD_COUNT, len(reference)),
                rng.integers(0, FOLD_COUNT, len(window)),
            ),
        }
        for name, found in (("by unit", by_unit), ("by row", by_row)):
            of_reference, of_window = folds[name]
            scores = domain_scores(
                table(reference),
                table(window),
                columns(10),
                reference_folds=of_reference,
                window_folds=of_window,
            )
            assert scores is not None
            found.append(auc(scores))
    assert abs(np.mean(by_unit) - 0.5) < 0.02
    # a household's four reference rows pull its window row to the wrong side: drift hides
    assert np.mean(by_row) < 0.4


def test_the_counts_are_of_all_rows_and_the_scores_rounded_distinct_and_repeatable() -> None:
    rng = np.random.default_rng(20174)
    reference, window = rng.normal(size=(700, 3)), rng.normal(size=(90, 3))
    scores = compare(reference, window)
    assert scores["reference_row_count"].to_numpy().sum() == 700
    assert scores["window_row_count"].to_numpy().sum() == 90
    values = scores["score"].to_numpy()
    assert np.array_equal(values, np.unique(np.round(values, 3)))
    assert scores.equals(compare(reference, window))


def test_missing_values_and_categories_are_seen_too() -> None:
    rng = np.random.default_rng(20175)
    side = {"band": ["a", "b"] * 300, "value": [None if n % 3 == 0 else 1.0 for n in range(600)]}
    full = {"band": ["a", "b"] * 300, "value": [1.0] * 600}
    features = [Column(name="band", data_type="varchar"), Column(name="value", data_type="double")]
    scores = domain_scores(
        pa.table(full),
        pa.table(side),
        features,
        reference_folds=rng.integers(0, FOLD_COUNT, 600),
        window_folds=rng.integers(0, FOLD_COUNT, 600),
    )
    assert scores is not None
    assert auc(scores) == pytest.approx(
        2 / 3, abs=0.03
    )  # the third that is missing gives itself away


@pytest.mark.parametrize(
    ("features", "folds"),
    [(columns(0), [0, 1, 2]), (columns(1), [0, 0, 0])],
    ids=["no feature", "one unit"],
)
def test_what_cannot_be_learned_is_not_compared(features: list[Column], folds: list[int]) -> None:
    rows = table(np.arange(3.0).reshape(3, 1))
    both = np.array(folds)
    assert domain_scores(rows, rows, features, reference_folds=both, window_folds=both) is None
