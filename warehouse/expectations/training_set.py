"""The second border: the training set, before a pipeline is fitted to it."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import duckdb

from warehouse.connection import quoted
from warehouse.expectations.engine import Judged
from warehouse.expectations.judgement import Judgement
from warehouse.expectations.row_sets import (
    FEATURES,
    KEYS,
    LABEL,
    RowSet,
    columns_rule,
    judge_rows,
    key_rules,
)
from warehouse.sources import Rule

__all__ = ["judge_training_set"]

FEATURE_RULES = [
    Rule("features_not_all_null", "ExpectColumnValuesToBeInSet",
         {"column": "is_all_null", "value_set": [False]}),
    Rule("features_not_constant", "ExpectColumnValuesToBeInSet",
         {"column": "is_constant", "value_set": [False]}),
    Rule("features_finite", "ExpectColumnValuesToBeInSet",
         {"column": "non_finite_count", "value_set": [0]}),
]  # fmt: skip


def judge_training_set(
    connection: duckdb.DuckDBPyConnection,
    *,
    task: str,
    as_of_date: date,
    query: str,
    entity_key: Sequence[str],
    feature_columns: Sequence[str],
    label_column: str,
    kind: str,
    folder: Path,
) -> Judgement:
    """Judge the rows that a version would learn from, and record the judgement.

    Expected: key, as_of_date, features and label in order; keys never null and unique; a label in
    every row, finite, of at least two values (0 and 1 for a binary task); no feature that is all
    null or constant, no value that is NaN or infinite.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        The warehouse, outside a transaction.
    task : str
        The task's name.
    as_of_date : datetime.date
        The training cut-off.
    query : str
        The `select` that gives the rows.
    entity_key, feature_columns : sequence of str
        Columns, in order.
    label_column : str
        The label.
    kind : {'binary', 'regression', 'multiclass'}
        What the label is.
    folder : pathlib.Path
        Of results and Data Docs.

    Raises
    ------
    JudgementFailed
        When an expectation does not hold. Broken rows are in `quarantine.judged_rows`.
    """
    rows = RowSet(
        connection,
        query,
        key=[*entity_key, "as_of_date"],
        features=feature_columns,
        label=label_column,
    )
    judged = [columns_rule(rows)]
    row_count = 0
    if rows.has_columns:
        label = quoted(label_column)
        row_count = rows.stage_keys(label if kind == "multiclass" else f"cast({label} as double)")
        rows.stage_features(rows.profile())
        judged += [
            Judged(KEYS, [*key_rules(rows.key), *_label_rules(kind)]),
            Judged(FEATURES, FEATURE_RULES, row_column="feature"),
        ]
    return judge_rows(
        rows,
        judged,
        border="training_set",
        task=task,
        as_of_date=as_of_date,
        row_count=row_count,
        entity_key=entity_key,
        folder=folder,
    )


def _label_rules(kind: str) -> list[Rule]:
    rules = [
        Rule("label_not_null", "ExpectColumnValuesToNotBeNull", {"column": LABEL}),
        Rule("label_has_two_values", "ExpectColumnUniqueValueCountToBeBetween",
             {"column": LABEL, "min_value": 2}),
    ]  # fmt: skip
    if kind == "binary":
        rules.append(
            Rule("label_is_0_or_1", "ExpectColumnValuesToBeInSet",
                 {"column": LABEL, "value_set": [0.0, 1.0]})
        )  # fmt: skip
    if kind == "regression":
        # NaN ranks above every number, so the bounds refuse it with the infinities.
        rules.append(
            Rule("label_finite", "ExpectColumnValuesToBeBetween",
                 {"column": LABEL, "min_value": -1e300, "max_value": 1e300})
        )  # fmt: skip
    return rules
