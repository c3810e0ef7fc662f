"""The paired comparison against plain numpy: differences, clustered errors, DeLong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

LOSS = """
    with comparison as ({{ clustered_difference('parts', ['question'], '1E0') }})
    select
        champion_value, challenger_value, difference, row_count, valid_row_count, cluster_count,
        cluster_standard_error, date_count, date_standard_error
    from comparison
"""
AUC = """
    with parts as ({{ roc_auc_parts('scored', ['question']) }}),
    comparison as ({{ clustered_difference('parts', ['question'], '2E0') }})
    select
        champion_value, challenger_value, difference, row_count, valid_row_count, cluster_count,
        cluster_standard_error, date_count, date_standard_error
    from comparison
"""


def clustered_error(influence: np.ndarray, groups: np.ndarray) -> float:
    """Return the standard error of a sum of influences that are independent between groups."""
    sums = np.array([influence[groups == group].sum() for group in np.unique(groups)])
    return float(np.sqrt(len(sums) / (len(sums) - 1) * np.square(sums).sum()))


def placements(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return DeLong's placement values of the positives and the negatives."""
    positives, negatives = scores[labels == 1], scores[labels == 0]
    wins = (positives[:, None] > negatives) + 0.5 * (positives[:, None] == negatives)
    return wins.mean(axis=1), wins.mean(axis=0)


def losses(rows: int, seed: int = 7) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "question": ["q"] * rows,
        "cluster_id": rng.integers(0, 40, rows).astype(str),
        "block_date": rng.integers(0, 9, rows),
        "champion_part": rng.lognormal(0, 2, rows),
        "challenger_part": rng.lognormal(0, 2, rows),
        "weight": np.ones(rows),
    }


def scored(rows: int, digits: int = 1, seed: int = 3) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    labels = (rng.random(rows) < 0.3).astype(float)
    shared = rng.normal(labels, 1)
    return {
        "question": ["q"] * rows,
        "cluster_id": rng.integers(0, 30, rows).astype(str),
        "block_date": rng.integers(0, 8, rows),
        "label_value": labels,
        "champion_score": (shared + rng.normal(0, 0.5, rows)).round(digits),
        "challenger_score": (shared + rng.normal(0, 0.5, rows)).round(digits),
    }


def test_the_two_way_error_agrees_with_numpy_and_is_never_below_either(macros: Any) -> None:
    parts = losses(500)
    ((both, by_unit, by_date),) = macros.rows(
        """
        with comparison as ({{ clustered_difference('parts', ['question'], '1E0') }})
        select
            {{ two_way('comparison', 'standard_error') }},
            cluster_standard_error, date_standard_error
        from comparison
        """,
        parts=parts,
    )
    difference = parts["champion_part"] - parts["challenger_part"]
    influence = (difference - difference.mean()) / 500
    units, dates = parts["cluster_id"], parts["block_date"].astype(str)
    pairs = np.char.add(np.char.add(units, "|"), dates)
    expected = [clustered_error(influence, groups) ** 2 for groups in (units, dates, pairs)]
    variance = max(expected[0] + expected[1] - expected[2], expected[0], expected[1])
    assert both == pytest.approx(np.sqrt(variance), rel=1e-9)
    assert both >= max(by_unit, by_date)


@pytest.mark.parametrize(
    ("by_unit", "by_date", "by_pair", "expected"),
    [(3.0, 4.0, 0.0, 5.0), (3.0, 4.0, 12.0, 4.0), (3.0, 4.0, None, None), (None, 4.0, 1.0, None)],
)
def test_two_way_needs_all_three_and_never_narrows(
    macros: Any, by_unit: float, by_date: float, by_pair: float, expected: float | None
) -> None:
    columns = {"cluster_h": [by_unit], "date_h": [by_date], "cell_h": [by_pair]}
    assert macros.value("select {{ two_way('t', 'h') }} from t", t=columns) == expected


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
def test_a_mean_difference_and_both_errors_agree_with_numpy(macros: Any, scale: float) -> None:
    parts = losses(500)
    for side in ("champion_part", "challenger_part"):
        parts[side] = parts[side] * scale
    (row,) = macros.rows(LOSS, parts=parts)
    difference = parts["champion_part"] - parts["challenger_part"]
    influence = (difference - difference.mean()) / 500
    assert row[0] == pytest.approx(parts["champion_part"].mean(), rel=1e-10)
    assert row[1] == pytest.approx(parts["challenger_part"].mean(), rel=1e-10)
    assert row[2] == pytest.approx(difference.mean(), rel=1e-9)
    assert row[3:6] == (500, 500, 40)
    assert row[6] == pytest.approx(clustered_error(influence, parts["cluster_id"]), rel=1e-9)
    assert row[7] == 9
    assert row[8] == pytest.approx(clustered_error(influence, parts["block_date"]), rel=1e-9)


@pytest.mark.parametrize("digits", [0, 1, 9], ids=["many ties", "ties", "no ties"])
def test_the_auc_and_its_clustered_delong_error_agree_with_numpy(macros: Any, digits: int) -> None:
    data = scored(400, digits)
    (row,) = macros.rows(AUC, scored=data)
    labels = data["label_value"]
    assert row[0] == pytest.approx(roc_auc_score(labels, data["champion_score"]), abs=1e-12)
    assert row[1] == pytest.approx(roc_auc_score(labels, data["challenger_score"]), abs=1e-12)
    v10, v01 = (
        champion - challenger
        for champion, challenger in zip(
            placements(data["champion_score"], labels),
            placements(data["challenger_score"], labels),
            strict=True,
        )
    )
    delta = v10.mean()
    assert row[2] == pytest.approx(delta, abs=1e-12)
    influence = np.empty(400)
    influence[labels == 1] = (v10 - delta) / len(v10)
    influence[labels == 0] = (v01 - delta) / len(v01)
    assert row[6] == pytest.approx(clustered_error(influence, data["cluster_id"]), rel=1e-9)
    assert row[8] == pytest.approx(clustered_error(influence, data["block_date"]), rel=1e-9)


def test_rows_that_are_their_own_clusters_give_delongs_variance(macros: Any) -> None:
    data = scored(300)
    data["cluster_id"] = np.arange(300).astype(str)
    (row,) = macros.rows(AUC, scored=data)
    labels = data["label_value"]
    first, second = (
        placements(data[f"{side}_score"], labels) for side in ("champion", "challenger")
    )
    plain = np.sqrt(sum(np.var(a - b, ddof=1) / len(a) for a, b in zip(first, second, strict=True)))
    # They differ by the degrees of freedom only: N / (N - 1) against m / (m - 1) and n / (n - 1).
    assert row[6] == pytest.approx(plain, rel=0.01)


def test_equal_versions_differ_by_nothing_with_no_error(macros: Any) -> None:
    data = scored(200)
    data["challenger_score"] = data["champion_score"]
    (row,) = macros.rows(AUC, scored=data)
    assert (row[2], row[6], row[8]) == (0, 0, 0)


def test_the_order_of_rows_and_a_monotone_transform_change_nothing(macros: Any) -> None:
    data = scored(400)
    (row,) = macros.rows(AUC, scored=data)
    order = np.random.default_rng(1).permutation(400)
    moved = {name: np.asarray(values)[order] for name, values in data.items()}
    for side in ("champion_score", "challenger_score"):
        moved[side] = np.exp(moved[side])
    assert macros.rows(AUC, scored=moved) == [row]


def test_one_class_or_one_group_has_no_value_rather_than_a_wrong_one(macros: Any) -> None:
    one_class = scored(50)
    one_class["label_value"] = np.zeros(50)
    (row,) = macros.rows(AUC, scored=one_class)
    assert row[:3] == (None, None, None)
    assert row[4] == 0
    one_group = losses(50)
    one_group["cluster_id"] = ["same"] * 50
    (row,) = macros.rows(LOSS, parts=one_group)
    assert (row[5], row[6]) == (1, None)


@pytest.mark.parametrize("broken", [np.nan, np.inf, 1e200])
def test_a_loss_that_is_not_finite_is_counted_and_not_hidden(macros: Any, broken: float) -> None:
    parts = losses(50)
    parts["challenger_part"][3] = broken
    (row,) = macros.rows(LOSS, parts=parts)
    assert row[3:5] == (50, 49)
