"""The fourth border: the predictions of one version for one period, before they are committed."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import duckdb

from warehouse.connection import quoted
from warehouse.expectations.engine import Judged, judge
from warehouse.expectations.judgement import Judgement, settle
from warehouse.expectations.row_sets import SET, RowSet, columns_rule, key_rules
from warehouse.sources import Rule

__all__ = ["judge_predictions"]

ERROR = "expected_absolute_error"


def judge_predictions(
    connection: duckdb.DuckDBPyConnection,
    *,
    task: str,
    as_of_date: date,
    model_version: int,
    kind: str,
    entity_key: Sequence[str],
    expected_row_count: int,
    folder: Path,
) -> Judgement:
    """Judge the predictions that a version made for a period, and record the judgement.

    Expected: as many rows as were scored; keys never null and unique; scores never null, NaN or
    infinite, and from 0 to 1 where they are probabilities; the expected absolute error of a
    regression null, or finite and not negative.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Which sees the predictions: inside the transaction that writes them.
    task : str
        The task's name.
    as_of_date : datetime.date
        The period.
    model_version : int
        Which version made them.
    kind : {'binary', 'regression', 'multiclass'}
        What the scores are.
    entity_key : sequence of str
        The key columns.
    expected_row_count : int
        How many rows the scoring set has.
    folder : pathlib.Path
        Of results and Data Docs.

    Raises
    ------
    JudgementFailed
        When an expectation does not hold. Broken rows are in `quarantine.judged_rows`.
    """
    rows = RowSet(
        connection,
        f"select * from recorded.{quoted(f'predictions_{task}')} "
        f"where as_of_date = date '{as_of_date}' and model_version = {model_version}",
        key=entity_key,
        features=["score", *([ERROR] if kind == "regression" else [])],
    )
    low, high = (-1e300, 1e300) if kind == "regression" else (0.0, 1.0)
    rules = [
        Rule("row_count_as_scored", "ExpectTableRowCountToEqual", {"value": expected_row_count}),
        *key_rules(rows.key),
        Rule("score_not_null", "ExpectColumnValuesToNotBeNull", {"column": "score"}),
        # NaN ranks above every number, so the bounds refuse it with the infinities.
        Rule("score_in_range", "ExpectColumnValuesToBeBetween",
             {"column": "score", "min_value": low, "max_value": high}),
    ]  # fmt: skip
    if kind == "regression":
        bounds = {"column": ERROR, "min_value": 0.0, "max_value": high}
        rules.append(Rule(f"{ERROR}_in_range", "ExpectColumnValuesToBeBetween", bounds))
    has_columns = set(rows.columns) <= rows.types.keys()
    judgement, _ = judge(
        connection,
        [Judged(SET, rules)] if has_columns else [columns_rule(rows)],
        border="predictions",
        subject=task,
        as_of_date=as_of_date,
        checked_row_count=int(connection.execute(f"select count(*) from {SET}").fetchall()[0][0]),
        folder=folder,
    )
    return settle(
        connection,
        judgement,
        broken_rows=_broken_rows(entity_key, low, high, kind) if has_columns else None,
        entity_key=entity_key,
    )


def _broken_rows(entity_key: Sequence[str], low: float, high: float, kind: str) -> str:
    is_wrong_error = f"not {ERROR} between 0 and {high:e}" if kind == "regression" else "false"
    key = ", ".join(quoted(name) for name in entity_key)
    is_null = " or ".join(f"{quoted(name)} is null" for name in entity_key)
    return f"""
        select *
        from (
            select
                *,
                list_filter(
                    [
                        case when {is_null} then 'key_not_null' end,
                        case when count(*) over (partition by {key}) > 1 then 'key_unique' end,
                        case when score is null then 'score_not_null' end,
                        case when not score between {low:e} and {high:e} then 'score_in_range' end,
                        case when {is_wrong_error} then '{ERROR}_in_range' end
                    ],
                    lambda rule: rule is not null
                ) as broken_rules
            from {SET}
        )
        where len(broken_rules) > 0
    """
