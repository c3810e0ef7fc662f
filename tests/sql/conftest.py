"""Run the project's SQL against a small DuckDB: macros in memory, SQL models through dbt.

`macros` renders a Jinja template with the project's macros and runs it in memory (milliseconds).
`warehouse` is a warehouse file of its own with the empty recorded tables, on which `dbt run` builds
real SQL models (about a second a call). Both start from one parse of the project per session.
It must not hold statistics: the references come from scipy and scikit-learn in the tests.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from dbt.adapters.factory import get_adapter_by_type
from dbt.cli.main import dbtRunner
from dbt.clients.jinja import get_rendered
from dbt.context.providers import generate_runtime_macro_context
from dbt.contracts.graph.manifest import Manifest

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT = REPOSITORY / "dbt_project"

Row = tuple[Any, ...]
Columns = Mapping[str, Sequence[Any]]


@contextmanager
def _environment(home: Path) -> Iterator[None]:
    """Point dbt at `home` for the duration of one call."""
    wanted = {
        "WEIGHHOUSE_HOME": str(home),
        "DBT_TARGET_PATH": str(home / "target"),
        "DBT_LOG_PATH": str(home / "log"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _invoke(home: Path, manifest: Manifest | None, *arguments: str) -> Any:
    """Run one dbt command in this process and raise with dbt's own message when it fails."""
    with _environment(home):
        outcome = dbtRunner(manifest=manifest).invoke(
            [
                *arguments,
                "--quiet",
                "--no-write-json",  # nobody reads the artifacts, and writing them is half the time
                "--project-dir",
                str(PROJECT),
                "--profiles-dir",
                str(PROJECT),
            ]
        )
    if not outcome.success:
        failed = [
            f"{result.node.name}: {result.message}"
            for result in getattr(outcome.result, "results", [])
            if result.status not in ("success", "pass", "skipped")
        ]
        raise AssertionError(
            f"dbt {' '.join(arguments)} failed: {outcome.exception or '; '.join(failed)}"
        )
    return outcome.result


class Macros:
    """The project's macros, callable on data given as columns.

    For instance `macros.value("select {{ normal_cdf('z') }} from t", t={"z": [1.96]})`.
    """

    def __init__(self, manifest: Manifest, home: Path) -> None:
        self.manifest = manifest
        self.home = home
        _invoke(
            home, manifest, "ls", "--resource-type", "seed"
        )  # makes the adapter of this project
        adapter = get_adapter_by_type("duckdb")
        any_macro = next(m for m in manifest.macros.values() if m.package_name == "weighhouse")
        self._context = generate_runtime_macro_context(
            any_macro, adapter.config, manifest, "weighhouse"
        )

    def render(self, template: str) -> str:
        """Return `template` with every macro call written out as SQL."""
        return str(get_rendered(template, self._context))

    def rows(self, template: str, /, **tables: Columns) -> list[Row]:
        """Render `template`, run it with `tables` (name -> columns, or Arrow), return its rows."""
        with duckdb.connect() as connection:
            for name, columns in tables.items():
                table = columns if isinstance(columns, pa.Table) else pa.table(dict(columns))
                connection.register(name, table)
            return connection.execute(self.render(template)).fetchall()

    def value(self, template: str, /, **tables: Columns) -> Any:
        """Return the only value of the only row."""
        ((value,),) = self.rows(template, **tables)
        return value


class Warehouse:
    """A warehouse file on which dbt builds; rows go in and out between two dbt calls."""

    def __init__(self, manifest: Manifest, home: Path) -> None:
        self._manifest = manifest
        self._home = home
        self.path = home / "warehouse.duckdb"

    def clear(self) -> None:
        """Drop everything and make the recorded tables again, empty."""
        with duckdb.connect(str(self.path)) as connection:
            schemas = connection.execute(
                "select distinct schema_name from information_schema.schemata where catalog_name ="
                " 'warehouse' and schema_name not in ('main', 'information_schema', 'pg_catalog')"
            ).fetchall()
            for (schema,) in schemas:
                connection.execute(f'drop schema "{schema}" cascade')
            connection.execute((REPOSITORY / "warehouse" / "recorded.sql").read_text())

    def dbt(self, *arguments: str) -> None:
        """Run one dbt command, such as `dbt("run", "--select", "mon_quality")`."""
        _invoke(self._home, self._manifest, *arguments)

    def execute(self, sql: str, /, **tables: Columns) -> list[Row]:
        """Run SQL statements (the last one's rows come back), with `tables` readable by name."""
        with duckdb.connect(str(self.path)) as connection:
            for name, columns in tables.items():
                table = columns if isinstance(columns, pa.Table) else pa.table(dict(columns))
                connection.register(name, table)
            return connection.execute(sql).fetchall()

    def dicts(self, sql: str) -> list[dict[str, Any]]:
        """Run one query and return its rows as dictionaries."""
        with duckdb.connect(str(self.path)) as connection:
            cursor = connection.execute(sql)
            names = [column[0] for column in cursor.description or []]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def insert(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert `rows` into an existing table by column name; columns left out are NULL.

        `recorded_at` is filled with a fixed instant when the table has it and the rows do not.
        """
        with duckdb.connect(str(self.path)) as connection:
            known = [name for name, *_ in connection.execute(f"describe {table}").fetchall()]
            if "recorded_at" in known:
                rows = [{"recorded_at": "2026-01-01 00:00:00", **row} for row in rows]
            connection.register("new_rows", pa.Table.from_pylist([dict(row) for row in rows]))
            connection.execute(f"insert into {table} by name select * from new_rows")


@pytest.fixture(scope="session")
def project_manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The parsed project: one parse for the whole session."""
    manifest = _invoke(tmp_path_factory.mktemp("parse"), None, "parse")
    assert isinstance(manifest, Manifest)
    return manifest


@pytest.fixture(scope="session")
def macros(project_manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Macros:
    """The project's macros, run in memory."""
    return Macros(project_manifest, tmp_path_factory.mktemp("macros"))


@pytest.fixture(scope="session")
def warehouse_file(
    project_manifest: Manifest, tmp_path_factory: pytest.TempPathFactory
) -> Warehouse:
    """One warehouse file for the session: dbt keeps it open, and a new one costs a new start."""
    return Warehouse(project_manifest, tmp_path_factory.mktemp("warehouse"))


@pytest.fixture
def warehouse(warehouse_file: Warehouse) -> Warehouse:
    """A warehouse that holds only the empty recorded tables."""
    warehouse_file.clear()
    return warehouse_file
