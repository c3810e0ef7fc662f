"""The third border: a scoring set, against the profile of the rows its version was judged on.

It asks whether the version may be applied at all. Whether a distribution moved is a question of
drift, which SQL models in `monitoring/` answer; so the limits here are wide.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from warehouse.connection import quoted, relation_name
from warehouse.expectations.engine import Judged
from warehouse.expectations.judgement import Judgement
from warehouse.expectations.row_sets import (
    FEATURES,
    KEYS,
    RowSet,
    columns_rule,
    judge_rows,
    key_rules,
)
from warehouse.sources import Rule

__all__ = ["judge_scoring_set"]

# On the day an airline changes its schedule, up to 18 points more flights than in the reference
# have no history (flight_delay, May 2013). A join that lost its key takes nearly all of them.
NULL_SHARE_CHANGE = 0.25
UNSEEN_SHARE = 0.05  # of the rows
ROW_COUNT_RATIO = (0.5, 2.0)  # of the mean period of the reference

FEATURE_RULES = [
    Rule("reference_exists", "ExpectColumnValuesToNotBeNull", {"column": "null_share_change"}),
    Rule("null_share_as_in_reference", "ExpectColumnValuesToBeBetween",
         {"column": "null_share_change",
          "min_value": -NULL_SHARE_CHANGE, "max_value": NULL_SHARE_CHANGE}),
    Rule("categories_seen_in_reference", "ExpectColumnValuesToBeBetween",
         {"column": "unseen_share", "max_value": UNSEEN_SHARE}),
    Rule("features_not_all_null", "ExpectColumnValuesToBeInSet",
         {"column": "is_all_null", "value_set": [False]}),
    Rule("features_not_constant", "ExpectColumnValuesToBeInSet",
         {"column": "is_constant", "value_set": [False]}),
    Rule("features_finite", "ExpectColumnValuesToBeInSet",
         {"column": "non_finite_count", "value_set": [0]}),
]  # fmt: skip


def judge_scoring_set(
    connection: duckdb.DuckDBPyConnection,
    *,
    task: str,
    as_of_date: date,
    relation: str,
    entity_key: Sequence[str],
    feature_columns: Sequence[str],
    model_version: int,
    folder: Path,
) -> Judgement:
    """Judge a period's scoring set for one model version, and record the judgement.

    Expected: key and features in order; keys never null and unique; half to twice as many rows as
    a period of the reference (the version's holdout periods); in each feature no NaN or infinity, a
    null share within 25 points of the reference, at most 5 % of rows in categories that neither
    the reference nor the fitted rows had, and not one value throughout when no period of the
    reference was like that. A feature such as the month is constant in every period, so it may be
    in this one.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        The warehouse, outside a transaction.
    task : str
        The task's name.
    as_of_date : datetime.date
        The period.
    relation : str
        `schema.table` of the scoring set.
    entity_key, feature_columns : sequence of str
        Columns, in order.
    model_version : int
        Whose reference the set is held against.
    folder : pathlib.Path
        Of results and Data Docs.

    Raises
    ------
    JudgementFailed
        When an expectation does not hold. Broken rows are in `quarantine.judged_rows`.
    """
    rows = RowSet(
        connection,
        f"select * from {relation_name(relation)} where as_of_date = date '{as_of_date}'",
        key=entity_key,
        features=feature_columns,
    )
    judged = [columns_rule(rows)]
    row_count = 0
    if rows.has_columns:
        holdout = _holdout(connection, task, model_version)
        row_count = rows.stage_keys()
        rows.stage_features(_compared(rows, relation, task, model_version, holdout))
        judged += [
            Judged(
                KEYS,
                [_row_count_rule(connection, relation, holdout), *key_rules(rows.key)],
            ),
            Judged(FEATURES, FEATURE_RULES, row_column="feature"),
        ]
    return judge_rows(
        rows,
        judged,
        border="scoring_set",
        task=task,
        as_of_date=as_of_date,
        row_count=row_count,
        entity_key=entity_key,
        folder=folder,
    )


def _holdout(
    connection: duckdb.DuckDBPyConnection, task: str, model_version: int
) -> tuple[date, date] | None:
    found = connection.execute(
        "select holdout_first_date, holdout_last_date from recorded.model_versions "
        "where task = ? and model_version = ?",
        [task, model_version],
    ).fetchall()
    return found[0] if found else None


def _row_count_rule(
    connection: duckdb.DuckDBPyConnection, relation: str, holdout: tuple[date, date] | None
) -> Rule:
    bounds: dict[str, int] = {"min_value": 1}
    mean = (
        connection.execute(
            f"select count(*) / count(distinct as_of_date) from {relation_name(relation)} "
            "where as_of_date between $first and $last having count(*) > 0",
            {"first": holdout[0], "last": holdout[1]},
        ).fetchall()
        if holdout
        else []
    )
    if mean:
        low, high = ROW_COUNT_RATIO
        bounds = {"min_value": max(1, int(low * mean[0][0])), "max_value": int(high * mean[0][0])}
    return Rule("row_count_as_in_reference", "ExpectTableRowCountToBeBetween", bounds)


def _compared(
    rows: RowSet,
    relation: str,
    task: str,
    model_version: int,
    holdout: tuple[date, date] | None,
) -> dict[str, dict[str, Any]]:
    """Return the profile of each feature, beside what the reference says of it."""
    references = _references(rows.connection, task, model_version)
    profiles = rows.profile(
        {name: found["categories"] for name, found in references.items() if found["categories"]}
    )
    suspects = [name for name in rows.features if profiles[name]["is_constant"]]
    dead = _varying_in_reference(rows.connection, relation, suspects, holdout)
    compared = {}
    for name, found in profiles.items():
        reference = references.get(name)
        change = unseen = None
        if reference is not None and found["null_share"] is not None:
            change = float(found["null_share"]) - reference["null_share"]
            unseen = found["unlisted_share"]
        compared[name] = {
            "null_share": found["null_share"],
            "null_share_change": change,
            "unseen_share": unseen,
            "non_finite_count": found["non_finite_count"],
            "is_all_null": bool(found["is_all_null"])
            and reference is not None
            and reference["null_share"] < 1,
            "is_constant": name in dead,
        }
    return compared


def _references(
    connection: duckdb.DuckDBPyConnection, task: str, model_version: int
) -> Mapping[str, dict[str, Any]]:
    found = connection.execute(
        """
        select
            column_name,
            coalesce(sum(row_count) filter (where bin_kind = 'missing'), 0) / sum(row_count),
            list(category) filter (where category is not null)
        from recorded.reference_bins
        where task = ? and model_version = ?
        group by column_name
        having sum(row_count) > 0
        """,
        [task, model_version],
    ).fetchall()
    return {
        name: {"null_share": null_share, "categories": categories}
        for name, null_share, categories in found
    }


def _varying_in_reference(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    names: Sequence[str],
    holdout: tuple[date, date] | None,
) -> set[str]:
    """Return the columns that had more than one value in every period of the reference."""
    if not names or holdout is None:
        return set()
    varies = ", ".join(
        f"coalesce(bool_and({quoted(f'varies_{place}')}), false)" for place in range(len(names))
    )
    per_period = ", ".join(
        f"min({quoted(name)}) != max({quoted(name)}) as {quoted(f'varies_{place}')}"
        for place, name in enumerate(names)
    )
    found = connection.execute(
        f"""
        select {varies}
        from (
            select {per_period}
            from {relation_name(relation)}
            where as_of_date between $first and $last
            group by as_of_date
        )
        """,
        {"first": holdout[0], "last": holdout[1]},
    ).fetchall()[0]
    return {name for name, is_varying in zip(names, found, strict=True) if is_varying}
