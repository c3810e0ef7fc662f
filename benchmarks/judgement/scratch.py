"""A warehouse beside the real one: facts are planted, and the project's own SQL judges them.

It knows dbt and DuckDB, and nothing of what is planted.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT = REPOSITORY / "dbt_project"
RECORDED_AT = "2026-01-01 00:00:00"  # no logic reads it


class Scratch:
    """A warehouse file in a folder of its own, and dbt on it.

    One per process: dbt keeps the file open, and reads the folder from the environment.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["WEIGHHOUSE_HOME"] = str(folder)
        os.environ["DBT_TARGET_PATH"] = str(folder / "target")
        os.environ["DBT_LOG_PATH"] = str(folder / "logs")
        self.path = folder / "warehouse.duckdb"
        self.path.unlink(missing_ok=True)
        self._manifest: Manifest = self._invoke(None, "parse")

    def _invoke(self, manifest: Manifest | None, *arguments: str) -> Any:  # noqa: ANN401  as dbt gives it
        places = ("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT))
        quiet = ("--quiet", "--no-write-json", "--log-level-file", "none")
        outcome = dbtRunner(manifest=manifest).invoke([*arguments, *quiet, *places])
        if outcome.success:
            return outcome.result
        failed = [
            f"{result.node.name}: {result.message}"
            for result in getattr(outcome.result, "results", [])
            if result.status in ("error", "fail")
        ]
        raise RuntimeError(f"dbt {' '.join(arguments)}: {outcome.exception or '; '.join(failed)}")

    def dbt(self, command: str, *names: str) -> None:
        """Run `dbt <command>` over the SQL models or seeds of these names, from nothing."""
        self._invoke(self._manifest, command, "--full-refresh", "--select", *names)

    def compiled(self, template: str) -> str:
        """Return a Jinja text with the project's macros written out as SQL."""
        silent = ("--log-level", "none")  # it would print the SQL
        result = self._invoke(self._manifest, "compile", "--inline", template, *silent)
        return str(result.results[0].node.compiled_code)

    def take(self, warehouse: Path) -> None:
        """Replace the warehouse by a copy of another one, which no process may be writing."""
        if not warehouse.exists():
            raise FileNotFoundError(
                f"{warehouse} does not exist: finish a replay first (`make run`)"
            )
        DuckDBConnectionManager.close_all_connections()
        shutil.copyfile(warehouse, self.path)

    def clear(self) -> None:
        """Drop everything and make the recorded tables again, empty."""
        with duckdb.connect(str(self.path)) as connection:
            schemas = connection.execute(
                "select distinct schema_name from information_schema.schemata"
                " where catalog_name = current_database()"
                " and schema_name not in ('main', 'information_schema', 'pg_catalog')"
            ).fetchall()
            for (schema,) in schemas:
                connection.execute(f'drop schema "{schema}" cascade')
            connection.execute((REPOSITORY / "warehouse" / "recorded.sql").read_text())

    def insert(
        self, table: str, columns: Mapping[str, Sequence[Any]] | pa.Table, **constants: object
    ) -> None:
        """Insert columns by name; `constants` have one value for every row."""
        rows = columns if isinstance(columns, pa.Table) else pa.table(dict(columns))
        with duckdb.connect(str(self.path)) as connection:
            wanted = {name for name, *_ in connection.execute(f"describe {table}").fetchall()}
            if "recorded_at" in wanted:
                constants = {"recorded_at": RECORDED_AT} | constants
            for name, value in constants.items():
                rows = rows.append_column(name, pa.array([value] * rows.num_rows))
            connection.register("planted", rows)
            connection.execute(f"insert into {table} by name select * from planted")

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        """Run SQL and return the last statement's rows."""
        with duckdb.connect(str(self.path)) as connection:
            return connection.execute(sql).fetchall()

    def dicts(self, sql: str) -> list[dict[str, Any]]:
        """Run one query and return its rows as dictionaries."""
        with duckdb.connect(str(self.path)) as connection:
            cursor = connection.execute(sql)
            names = [column[0] for column in cursor.description or []]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
