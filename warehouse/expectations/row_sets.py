"""What the borders of training and scoring sets share: rows, profile of features, judgement.

Rows are never copied out: keys (and a label) go to one temporary table, and one scan makes a
second one with a row per feature. So the number of expectations, each of which costs queries, does
not grow with the number of features.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import duckdb

from warehouse.connection import quoted
from warehouse.expectations.engine import Judged, judge
from warehouse.expectations.judgement import Border, Judgement, settle
from warehouse.reading import relation_columns
from warehouse.sources import Rule

__all__ = [
    "FEATURES",
    "KEYS",
    "LABEL",
    "SET",
    "RowSet",
    "columns_rule",
    "judge_rows",
    "key_rules",
]

SET = "judged_set"  # temporary view: the rows
KEYS = "judged_keys"  # temporary table: their keys, and the label as a number
FEATURES = "judged_features"  # temporary table: one row per feature
LABEL = "label_value"

FLOATS = ("DOUBLE", "FLOAT")


class RowSet:
    """The rows of a query, seen by name on one connection.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        The warehouse.
    query : str
        A whole `select`.
    key : sequence of str
        Columns that identify a row.
    features : sequence of str
        Columns to profile.
    label : str, optional
        The label's column.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        query: str,
        *,
        key: Sequence[str],
        features: Sequence[str],
        label: str | None = None,
    ) -> None:
        self.connection = connection
        self.key = list(key)
        self.features = list(features)
        self.label = label
        connection.execute(f"create or replace temp view {SET} as {query}")
        self.types = relation_columns(connection, SET)

    @property
    def columns(self) -> list[str]:
        """The columns that the set must have, in order."""
        return [*self.key, *self.features, *([] if self.label is None else [self.label])]

    @property
    def has_columns(self) -> bool:
        """Whether all of them are there, in order; others may stand between them."""
        return [name for name in self.types if name in self.columns] == self.columns

    def stage_keys(self, label_value: str | None = None) -> int:
        """Make the table of keys, and return how many rows there are."""
        label = "" if label_value is None else f", {label_value} as {LABEL}"
        key = ", ".join(quoted(name) for name in self.key)
        self.connection.execute(
            f"create or replace temp table {KEYS} as select {key}{label} from {SET}"
        )
        return int(self.connection.execute(f"select count(*) from {KEYS}").fetchall()[0][0])

    def profile(
        self, listed_categories: Mapping[str, Sequence[str]] | None = None
    ) -> dict[str, dict[str, float | int | bool | None]]:
        """Return, for each feature, its counts: one scan.

        `unlisted_count` counts values that are not among the listed categories of the feature.
        """
        listed = listed_categories or {}
        counts = ["count(*)"]
        for name in self.features:
            value = quoted(name)
            finite = f"isfinite({value})" if self.types[name] in FLOATS else "true"
            unlisted = (
                f"list_contains($listed_{len(counts)}, cast({value} as varchar))"
                if name in listed
                else "true"
            )
            counts += [
                f"count({value})",
                f"count(*) filter (where not {finite})",
                f"coalesce(min({value}) = max({value}), true)",
                f"count(*) filter (where not {unlisted})",
            ]
        parameters = {
            f"listed_{1 + 4 * place}": list(listed[name])
            for place, name in enumerate(self.features)
            if name in listed
        }
        found = self.connection.execute(
            f"select {', '.join(counts)} from {SET}", parameters
        ).fetchall()[0]
        row_count = found[0]
        profiles: dict[str, dict[str, float | int | bool | None]] = {}
        for place, name in enumerate(self.features):
            present, non_finite, is_constant, unlisted = found[1 + 4 * place : 5 + 4 * place]
            profiles[name] = {
                "null_share": (row_count - present) / row_count if row_count else None,
                "non_finite_count": non_finite,
                "is_all_null": present == 0,
                "is_constant": is_constant and present > 0,
                "unlisted_share": unlisted / row_count if name in listed and row_count else None,
            }
        return profiles

    def stage_features(self, profiles: Mapping[str, Mapping[str, object]]) -> None:
        """Make the table of features."""
        kinds = {bool: "boolean", int: "bigint", float: "double"}
        names = list(dict.fromkeys(name for row in profiles.values() for name in row))
        columns = {}
        for name in names:
            values = [row[name] for row in profiles.values() if row[name] is not None]
            columns[name] = kinds[type(values[0])] if values else "double"
        described = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
        self.connection.execute(
            f"create or replace temp table {FEATURES} (feature varchar, {described})"
        )
        place = f"(?{', ?' * len(names)})"
        self.connection.execute(
            f"insert into {FEATURES} values {', '.join([place] * len(profiles))}",
            [
                value
                for feature, row in profiles.items()
                for value in (feature, *(row[name] for name in names))
            ],
        )

    def broken_rows(self) -> str:
        """Return the query of the rows that show a fault, with the names of the rules."""
        key = ", ".join(quoted(name) for name in self.key)
        is_null = " or ".join(f"{quoted(name)} is null" for name in self.key)
        non_finite = " or ".join(
            f"not isfinite({quoted(name)})" for name in self.features if self.types[name] in FLOATS
        )
        label = "false" if self.label is None else f"{quoted(self.label)} is null"
        return f"""
            select *
            from (
                select
                    *,
                    list_filter(
                        [
                            case when {is_null} then 'key_not_null' end,
                            case when count(*) over (partition by {key}) > 1 then 'key_unique' end,
                            case when {non_finite or "false"} then 'features_finite' end,
                            case when {label} then 'label_not_null' end
                        ],
                        lambda rule: rule is not null
                    ) as broken_rules
                from {SET}
            )
            where len(broken_rules) > 0
        """


def columns_rule(rows: RowSet) -> Judged:
    """Return the expectation that the set has its columns in order."""
    present = ", ".join(quoted(name) for name in rows.types if name in rows.columns)
    rows.connection.execute(
        f"create or replace temp view {SET}_columns as "
        f"select {present or '1 as nothing'} from {SET}"
    )
    rule = Rule(
        "columns_as_declared", "ExpectTableColumnsToMatchOrderedList", {"column_list": rows.columns}
    )
    return Judged(f"{SET}_columns", [rule])


def key_rules(key: Sequence[str]) -> list[Rule]:
    """Return the expectations that a key is never null, and unique."""
    rules = [
        Rule(f"key_{name}_not_null", "ExpectColumnValuesToNotBeNull", {"column": name})
        for name in key
    ]
    unique = (
        Rule("key_unique", "ExpectColumnValuesToBeUnique", {"column": key[0]})
        if len(key) == 1
        else Rule("key_unique", "ExpectCompoundColumnsToBeUnique", {"column_list": list(key)})
    )
    return [*rules, unique]


def judge_rows(
    rows: RowSet,
    judged: Sequence[Judged],
    *,
    border: Border,
    task: str,
    as_of_date: date,
    row_count: int,
    entity_key: Sequence[str],
    folder: Path,
) -> Judgement:
    """Judge a set of rows, record the judgement, and stop the set when an expectation fails.

    Raises
    ------
    JudgementFailed
        When an expectation does not hold. Broken rows are kept, unless the set lacks a column.
    """
    judgement, _ = judge(
        rows.connection,
        judged,
        border=border,
        subject=task,
        as_of_date=as_of_date,
        checked_row_count=row_count,
        folder=folder,
    )
    broken = rows.broken_rows() if rows.has_columns else None
    return settle(rows.connection, judgement, broken_rows=broken, entity_key=entity_key)
