from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa

from models_ml.profile import SAMPLE_ROWS, reference_bins, reference_sample, reference_values


def bins_of(values, kind, fitted=None):
    rows = pa.table({"x": pa.array(values)})
    learned_on = rows if fitted is None else pa.table({"x": pa.array(fitted)})
    return reference_bins(rows, {"x": kind}, learned_on).to_pylist()


def test_deciles_hold_a_tenth_each_and_have_open_ends():
    bins = bins_of(np.arange(1.0, 101.0), "numeric")
    intervals = [one for one in bins if one["bin_kind"] == "interval"]
    # 100 values, edges at 10, 20, .. 90: (-inf, 10], (10, 20], ..
    assert [one["upper_bound"] for one in intervals] == [10, 20, 30, 40, 50, 60, 70, 80, 90, None]
    assert [one["lower_bound"] for one in intervals] == [None, 10, 20, 30, 40, 50, 60, 70, 80, 90]
    assert [one["row_count"] for one in intervals] == [10] * 10
    assert [one["bin"] for one in bins] == list(range(12))
    assert [one["bin_kind"] for one in bins[-2:]] == ["missing", "non_finite"]


def test_twenty_bins_from_20_000_rows_on():
    def interval_count(row_count):
        bins = bins_of(np.arange(float(row_count)), "numeric")
        return sum(one["bin_kind"] == "interval" for one in bins)

    assert interval_count(19_999) == 10
    assert interval_count(20_000) == 20


def test_equal_deciles_are_one_edge_and_every_row_has_a_bin():
    values = [0.0] * 70 + [1.0] * 25 + [None] * 5
    bins = bins_of(values, "numeric")
    # deciles of 95 values: 0 up to the seventh, then 1; an edge at the maximum cuts off nothing
    assert [(b["bin_kind"], b["upper_bound"], b["row_count"]) for b in bins] == [
        ("interval", 0.0, 70),
        ("interval", None, 25),
        ("missing", None, 5),
        ("non_finite", None, 0),
    ]


def test_booleans_are_the_numbers_0_and_1():
    bins = bins_of([True, False, False, None], "boolean")
    assert bins[0]["column_kind"] == "numeric"
    assert [(b["upper_bound"], b["row_count"]) for b in bins[:2]] == [(0.0, 2), (None, 1)]


def test_rare_categories_are_named_others_and_new_means_never_seen():
    values = ["a"] * 600 + ["b"] * 397 + ["rare"] * 2 + [None]
    bins = bins_of(values, "categorical", fitted=[*values, "only in the fitted rows"])
    # 2 of 1,000 rows are 0.2 %: below 0.5 %
    assert [(b["bin_kind"], b["category"], b["row_count"]) for b in bins] == [
        ("category", "a", 600),
        ("category", "b", 397),
        ("other", "rare", 2),
        ("other", "only in the fitted rows", 0),
        ("new", None, 0),
        ("missing", None, 1),
    ]


def test_at_most_50_categories_have_a_bin():
    values = [f"category {number:02d}" for number in range(60) for _ in range(10)]
    kinds = [one["bin_kind"] for one in bins_of(values, "categorical")]
    assert kinds.count("category") == 50
    assert kinds.count("other") == 10


def test_values_are_counted_and_text_and_null_left_out():
    rows = pa.table({"x": pa.array([2, 2, None, 3]), "y": pa.array(["a", "b", "c", "d"])})
    values = reference_values(rows, {"x": "numeric", "y": "categorical"})
    assert values.to_pylist() == [
        {"column_name": "x", "column_value": 2.0, "row_count": 2},
        {"column_name": "x", "column_value": 3.0, "row_count": 1},
    ]


def test_the_sample_is_chosen_by_the_md5_of_the_key_whatever_the_order():
    count = SAMPLE_ROWS + 500
    ids = np.arange(count)
    keys = pa.table({"id": ids, "as_of_date": pa.array(["2017-01-01"] * count)})
    chosen = set(ids[reference_sample(keys, ["as_of_date", "id"])])
    assert len(chosen) == SAMPLE_ROWS
    turned = keys.take(ids[::-1])
    assert set(ids[::-1][reference_sample(turned, ["as_of_date", "id"])]) == chosen

    def digest(number):
        return hashlib.md5(f"2017-01-01|{number}".encode()).digest()

    left_out = [digest(number) for number in set(ids) - chosen]
    assert max(map(digest, chosen)) < min(left_out)


def test_the_profile_of_a_version_covers_features_and_score(trained_binary):
    bins = trained_binary.reference_bins.to_pylist()
    names = {one["column_name"] for one in bins}
    assert names == {*trained_binary.task.feature_columns(1), "score"}
    for name in names:
        counts = [one["row_count"] for one in bins if one["column_name"] == name]
        assert sum(counts) == trained_binary.holdout.num_rows
