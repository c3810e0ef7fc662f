"""The first border: a batch, staged in a temporary table, before it enters `raw`."""

from datetime import date
from pathlib import Path

import duckdb

from warehouse.connection import quoted
from warehouse.expectations.engine import BrokenRule, Judged, judge
from warehouse.expectations.judgement import Judgement
from warehouse.sources import Rule, SourceTable

__all__ = ["KEY_IS_COMPLETE", "KEY_IS_NEW", "broken_rows_query", "judge_landed_batch"]

# Columns of the staged batch: no key column is null; no earlier batch landed the same key.
KEY_IS_COMPLETE = "__key_is_complete"
KEY_IS_NEW = "__key_is_new"


def judge_landed_batch(
    connection: duckdb.DuckDBPyConnection,
    table: SourceTable,
    as_of_date: date,
    *,
    staged: str,
    row_column: str,
    row_count: int,
    folder: Path,
) -> tuple[Judgement, list[BrokenRule]]:
    """Judge a staged batch by its declaration, and by its key: never null, unique, and new.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Which sees the staged batch.
    table : SourceTable
        The declaration.
    as_of_date : datetime.date
        The batch's date.
    staged : str
        The temporary table: the declared columns, `row_column`, `KEY_IS_COMPLETE` and `KEY_IS_NEW`.
    row_column : str
        The column that numbers its rows.
    row_count : int
        How many rows it has.
    folder : pathlib.Path
        Of results and Data Docs.

    Returns
    -------
    tuple of Judgement and list of BrokenRule
        The rules that rows break, with the queries of their row numbers.
    """
    rules = [*_key_rules(table.key), *table.rules]
    return judge(
        connection,
        [Judged(staged, rules, row_column)],
        border="landing",
        subject=table.label,
        as_of_date=as_of_date,
        checked_row_count=row_count,
        folder=folder,
    )


def _key_rules(key: tuple[str, ...]) -> list[Rule]:
    is_true = {"value_set": [True]}
    return [
        Rule("key_not_null", "ExpectColumnValuesToBeInSet", {"column": KEY_IS_COMPLETE, **is_true}),
        Rule("key_not_in_raw", "ExpectColumnValuesToBeInSet", {"column": KEY_IS_NEW, **is_true}),
        Rule("key_unique", "ExpectColumnValuesToBeUnique", {"column": key[0]})
        if len(key) == 1
        else Rule(
            "key_unique",
            "ExpectCompoundColumnsToBeUnique",
            {"column_list": list(key), "ignore_row_if": "any_value_is_missing"},
        ),
    ]


def broken_rows_query(broken: list[BrokenRule], row_column: str) -> str:
    """Return SQL that gives each broken row's number with the names of the rules it breaks."""
    row = quoted(row_column)
    pairs = " union all ".join(
        f"select {row}, '{rule.name}' as rule from ({rule.rows_query})" for rule in broken
    )
    return (
        f"select {row}, list(distinct rule order by rule) as broken_rules "
        f"from ({pairs}) group by {row}"
    )
