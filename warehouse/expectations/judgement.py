"""What a judgement at a border is, and how it is recorded.

Owns the row in `recorded.validations` and the rows kept in `quarantine.judged_rows`. It does not
judge, and does not import Great Expectations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

import duckdb
import pyarrow as pa

from warehouse.connection import WarehouseError, quoted, transaction
from warehouse.facts import insert_facts

__all__ = ["Border", "Failure", "Judgement", "JudgementFailed", "settle"]

Border = Literal["landing", "training_set", "scoring_set", "predictions"]

KEPT_ROWS = 10_000  # of one judgement; the rest of a set that is broken throughout says no more


class JudgementFailed(WarehouseError):
    """A set of rows broke an expectation, so it does not cross the border."""


@dataclass(frozen=True)
class Failure:
    """An expectation that does not hold, with what was found instead."""

    rule: str
    observed: str

    def __str__(self) -> str:
        return f"{self.rule} ({self.observed})"


@dataclass(frozen=True)
class Judgement:
    """What Great Expectations found about one set of rows at one border."""

    border: Border
    subject: str
    as_of_date: date
    checked_row_count: int
    expectation_count: int
    failures: tuple[Failure, ...]

    @property
    def success(self) -> bool:
        """Whether every expectation holds."""
        return not self.failures

    def row(self, *, is_passed: bool) -> dict[str, Any]:
        """Return the row for `recorded.validations`.

        A batch with a few broken rows passes without them: then `is_passed` is true, and the failed
        expectations are named.
        """
        now = datetime.now(UTC).replace(tzinfo=None)
        about = f"{self.border}-{self.subject}-{self.as_of_date}"
        return {
            "validation_id": f"{about}-{now:%Y%m%dT%H%M%S%f}",
            "border": self.border,
            "subject": self.subject,
            "as_of_date": self.as_of_date,
            "checked_row_count": self.checked_row_count,
            "expectation_count": self.expectation_count,
            "failed_expectations": [failure.rule for failure in self.failures],
            "is_passed": is_passed,
            "recorded_at": now,
        }


def settle(
    connection: duckdb.DuckDBPyConnection,
    judgement: Judgement,
    *,
    broken_rows: str | None = None,
    entity_key: Sequence[str] = (),
) -> Judgement:
    """Record a judgement, keep the broken rows, and stop what was judged if it failed.

    Both are written in a transaction of their own: they stay when the caller's, in which the judged
    rows were written, is rolled back.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Which sees the judged rows.
    judgement : Judgement
        What was found.
    broken_rows : str, optional
        A query: the rows that break a rule, with their rules in the column `broken_rules`.
    entity_key : sequence of str
        Which of its columns say whose row it is.

    Returns
    -------
    Judgement
        The same, when it is a success.

    Raises
    ------
    JudgementFailed
        When an expectation does not hold.
    """
    kept: pa.Table | None = None
    if judgement.failures and broken_rows is not None:
        kept = _rows_to_keep(connection, broken_rows, entity_key)
    recorder = connection.cursor()
    try:
        with transaction(recorder):
            insert_facts(recorder, "validations", [judgement.row(is_passed=judgement.success)])
            if kept is not None:
                _keep(recorder, judgement, kept)
    finally:
        recorder.close()
    if judgement.success:
        return judgement
    where = f"; {len(kept)} rows are kept in quarantine.judged_rows" if kept else ""
    raise JudgementFailed(
        f"the {judgement.border.replace('_', ' ')} of {judgement.subject} at "
        f"{judgement.as_of_date} ({judgement.checked_row_count} rows) breaks "
        f"{len(judgement.failures)} of {judgement.expectation_count} expectations: "
        f"{'; '.join(str(failure) for failure in judgement.failures)}{where}. "
        "Correct the data or the SQL model that made them, and run again"
    )


def _rows_to_keep(
    connection: duckdb.DuckDBPyConnection, broken_rows: str, entity_key: Sequence[str]
) -> pa.Table:
    unit_id = " || '|' || ".join(
        f"coalesce(cast({quoted(name)} as varchar), '')" for name in entity_key
    )
    return connection.execute(
        f"""
        select
            {unit_id or "cast(null as varchar)"} as unit_id,
            broken_rules,
            cast(to_json(broken) as varchar) as row_values
        from ({broken_rows}) as broken
        order by unit_id
        limit {KEPT_ROWS}
        """
    ).to_arrow_table()


def _keep(recorder: duckdb.DuckDBPyConnection, judgement: Judgement, kept: pa.Table) -> None:
    # They replace those of an earlier judgement of the same border, subject and date.
    about = {
        "border": judgement.border,
        "task": judgement.subject,
        "as_of_date": judgement.as_of_date,
    }
    recorder.execute(
        "delete from quarantine.judged_rows "
        "where border = $border and task = $task and as_of_date = $as_of_date",
        about,
    )
    recorder.register("kept_rows", kept)
    recorder.execute(
        "insert into quarantine.judged_rows by name "
        "select $border as border, $task as task, $as_of_date as as_of_date, *, "
        "$recorded_at as recorded_at from kept_rows",
        about | {"recorded_at": datetime.now(UTC).replace(tzinfo=None)},
    )
