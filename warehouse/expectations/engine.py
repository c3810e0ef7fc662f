"""Great Expectations over the process's own DuckDB connection.

It is imported when it first judges, because the import takes seconds. Its SQL runs on the caller's
connection, so it sees temporary tables and no second configuration of the file can arise. It
decides nothing: borders say what is expected, callers what follows.

Two traps are handled here. Its SQL engine closes the connection between executing and fetching (for
every dialect but three). And it would begin, roll back and close a connection that is not its own.
"""

# ruff: noqa: PLC0415  (imports within functions: see above)
# ruff: noqa: ANN401  (Great Expectations' objects are of types that only its import gives)

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from warehouse.connection import WarehouseError, quoted
from warehouse.expectations.context import context, great_expectations, store
from warehouse.expectations.judgement import Border, Failure, Judgement
from warehouse.sources import Rule

__all__ = ["BrokenRule", "ExpectationRefused", "Judged", "judge"]

SAMPLE = 5  # unexpected values shown in Data Docs and errors


class ExpectationRefused(WarehouseError):
    """An expectation that Great Expectations cannot evaluate."""


@dataclass(frozen=True)
class Judged:
    """A relation to judge: a name that the connection sees, its rules, and perhaps a row identity.

    With `row_column`, a column that numbers the rows, broken rows can be told apart.
    """

    relation: str
    rules: Sequence[Rule]
    row_column: str | None = None


@dataclass(frozen=True)
class BrokenRule:
    """A rule that rows of a judged relation break, and the query that gives their numbers."""

    name: str
    rows_query: str


def judge(
    connection: duckdb.DuckDBPyConnection,
    judged: Sequence[Judged],
    *,
    border: Border,
    subject: str,
    as_of_date: date,
    checked_row_count: int,
    folder: Path,
) -> tuple[Judgement, list[BrokenRule]]:
    """Evaluate rules on relations, where the rows are, and store the result for Data Docs.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Which sees the relations.
    judged : sequence of Judged
        What is expected of which relation.
    border, subject, as_of_date, checked_row_count
        What the judgement says that it is about.
    folder : pathlib.Path
        Where results and Data Docs lie.

    Returns
    -------
    tuple of Judgement and list of BrokenRule
        The rules that rows break are listed for relations with a `row_column`.

    Raises
    ------
    ExpectationRefused
        When an expectation does not exist, or its arguments do not fit the relation.
    """
    failures: list[Failure] = []
    broken: list[BrokenRule | None] = []
    results: list[Any] = []
    for part in judged:
        validator = _validator(connection, part.relation, folder)
        found = _evaluate(validator, part.rules, {"result_format": "BOOLEAN_ONLY"})
        failed = [rule for rule in part.rules if not found[rule.name].success]
        for rule in part.rules:
            if "column_list" in rule.arguments and found[rule.name].success:
                # Data Docs read it, and a match has observed what was expected.
                found[rule.name].result["observed_value"] = rule.arguments["column_list"]
        # Only what failed is asked for details: each costs a few queries.
        found |= _evaluate(validator, failed, _detailed(part))
        results += found.values()
        failures += [_failure(rule, found[rule.name].result) for rule in failed]
        if part.row_column is not None:
            broken += [_broken(part, rule, found[rule.name].result) for rule in failed]
    judgement = Judgement(
        border, subject, as_of_date, checked_row_count, len(results), tuple(failures)
    )
    store(results, judgement, folder)
    return judgement, [rule for rule in broken if rule is not None]


@cache
def _classes() -> tuple[type, type]:
    from duckdb_sqlalchemy import ConnectionWrapper
    from great_expectations.execution_engine import SqlAlchemyExecutionEngine

    class BorrowedConnection(ConnectionWrapper):
        """The caller's connection: its transaction and its life are the caller's affair."""

        def begin(self) -> None:
            """Do nothing: the statement runs in the caller's transaction, or on its own."""

        def commit(self) -> None:
            """Do nothing."""

        def rollback(self) -> None:
            """Do nothing."""

        def close(self) -> None:
            """Do nothing."""

    class OpenEngine(SqlAlchemyExecutionEngine):
        """An engine that keeps its connection open until the rows are fetched."""

        @contextmanager
        def get_connection(self) -> Iterator[Any]:
            if self._connection is None:
                self._connection = self.engine.connect()
            yield self._connection

    return BorrowedConnection, OpenEngine


def _validator(connection: duckdb.DuckDBPyConnection, relation: str, folder: Path) -> Any:
    data_context = context(folder)
    import sqlalchemy
    from great_expectations.core.batch import Batch
    from great_expectations.execution_engine.sqlalchemy_batch_data import SqlAlchemyBatchData
    from great_expectations.validator.validator import Validator

    borrowed, engine_class = _classes()
    engine = engine_class(
        engine=sqlalchemy.create_engine(
            "duckdb://",
            creator=lambda: borrowed(connection),
            poolclass=sqlalchemy.pool.StaticPool,
        ),
        create_temp_table=False,
    )
    data = SqlAlchemyBatchData(
        execution_engine=engine, table_name=relation, create_temp_table=False
    )
    batch = Batch(data=data)  # type: ignore[arg-type]
    return Validator(execution_engine=engine, batches=[batch], data_context=data_context)


def _detailed(part: Judged) -> dict[str, Any]:
    detailed = {"result_format": "SUMMARY", "partial_unexpected_count": SAMPLE}
    if part.row_column is None:
        return detailed
    return detailed | {
        "unexpected_index_column_names": [part.row_column],
        "return_unexpected_index_query": True,
    }


def _evaluate(
    validator: Any, rules: Sequence[Rule], result_format: dict[str, Any]
) -> dict[str, Any]:
    if not rules:
        return {}
    found = validator.graph_validate(
        configurations=[_configuration(rule) for rule in rules],
        runtime_configuration={"result_format": result_format},
    )
    # Results come in an order of their own.
    by_rule = {result.expectation_config.meta["rule"]: result for result in found}
    for rule in rules:
        message = _exception_message(by_rule[rule.name].exception_info)
        if message is not None:
            raise ExpectationRefused(
                f"rule {rule.name} ({rule.expectation} {dict(rule.arguments)}) cannot be "
                f"evaluated: {message}; correct its declaration"
            )
    return {rule.name: by_rule[rule.name] for rule in rules}


def _configuration(rule: Rule) -> Any:
    expectation = getattr(great_expectations().expectations, rule.expectation, None)
    if expectation is None:
        raise ExpectationRefused(
            f"rule {rule.name}: Great Expectations has no {rule.expectation}; correct its type"
        )
    try:
        return expectation(
            **rule.arguments, meta={"rule": rule.name}, notes=f"rule: {rule.name}"
        ).configuration
    except ValueError as error:
        raise ExpectationRefused(
            f"rule {rule.name} ({rule.expectation} {dict(rule.arguments)}) is wrongly declared: "
            f"{error}"
        ) from error


def _exception_message(exception_info: dict[str, Any]) -> str | None:
    # One dict, or one per metric.
    infos = (
        [exception_info]
        if "raised_exception" in exception_info
        else [info for info in exception_info.values() if isinstance(info, dict)]
    )
    for info in infos:
        if info.get("raised_exception"):
            return str(info.get("exception_message"))
    return None


def _failure(rule: Rule, found: dict[str, Any]) -> Failure:
    count = found.get("unexpected_count")
    if count is None:
        return Failure(rule.name, f"found {found.get('observed_value')}")
    # With a row identity each sample says which row or feature it is.
    samples = found.get("partial_unexpected_index_list") or found.get("partial_unexpected_list")
    values = ", ".join(str(sample) for sample in (samples or [])[:SAMPLE])
    sample = f", for instance {values}" if values else ""
    return Failure(rule.name, f"{count} of {found.get('element_count')} rows{sample}")


def _broken(part: Judged, rule: Rule, found: dict[str, Any]) -> BrokenRule | None:
    """Return the query of the rows that break a rule, or None for a rule about the whole."""
    row = quoted(str(part.row_column))
    if rule.expectation.endswith("ToBeUnique"):
        # Great Expectations' own query of rows that share a key has unbound parameters.
        columns = rule.arguments.get("column_list") or [rule.arguments["column"]]
        key = ", ".join(quoted(name) for name in columns)
        given = " and ".join(f"{quoted(name)} is not null" for name in columns)
        return BrokenRule(
            rule.name,
            f"select {row} from (select {row}, count(*) over (partition by {key}) as sharing "
            f"from {quoted(part.relation)} where {given}) where sharing > 1",
        )
    query = found.get("unexpected_index_query")
    if query is None:
        return None
    return BrokenRule(rule.name, f"select {row} from ({query.rstrip().rstrip(';')})")
