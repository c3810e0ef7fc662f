"""The only caller of dbt: one invocation at a time, in this process, on the parsed project.

`set_up` builds everything once per state of the dbt project. `before_scoring` and `after_scoring`
build what a day adds: only the incremental tables, because views need no rebuilding. Whatever
builds decisions records first with which code, in `recorded.judgements`.
"""

from __future__ import annotations

import hashlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest

from models_ml.provenance import code_commit
from warehouse.connection import transaction
from warehouse.facts import insert_facts, record
from warehouse.home import home
from warehouse.rollouts import running_rollout

__all__ = [
    "DbtFailed",
    "after_scoring",
    "before_scoring",
    "decision_sql_sha256",
    "decisions",
    "docs",
    "manifest",
    "rederive_decisions",
    "set_up",
]

PROJECT = Path(__file__).parent.parent / "dbt_project"
GROWING = "config.materialized:incremental"
# What no day changes: policy, thresholds, declarations.
FIXED = (
    "path:seeds",
    "path:models/decisions/intermediate,config.materialized:table",
    "path:models/rollouts/intermediate,config.materialized:table",
)
FIRST_DECISION = "decide_looks"  # the judgement of a day begins with it
SOURCE_FOLDERS = ("models", "macros", "seeds", "data_tests")


class DbtFailed(RuntimeError):
    """A dbt invocation failed: the message names each SQL model or test with its own message."""


def _invoke(
    *arguments: str,
    parsed: Manifest | None = None,
    connection: duckdb.DuckDBPyConnection | None = None,
) -> Any:  # noqa: ANN401  as dbt gives it
    os.environ["WEIGHHOUSE_HOME"] = str(home())  # profiles.yml reads it
    result: Any = dbtRunner(manifest=parsed).invoke(
        [
            "--quiet",
            "--no-use-colors",
            "--log-level-file",
            "none",  # a third of a small run; failures are in the exception
            *arguments,
            "--project-dir",
            str(PROJECT),
            "--profiles-dir",
            str(PROJECT),
        ]
    )
    if result.success:
        return result.result
    if result.exception is not None:
        raise DbtFailed(f"dbt {arguments[0]} stopped: {result.exception}") from result.exception
    failures = [
        f"{node.node.name}: {' '.join(str(node.message).split())}" + _failing_rows(connection, node)
        for node in result.result
        if node.status in ("error", "fail", "runtime error")
    ]
    raise DbtFailed(f"dbt {arguments[0]} failed: " + "; ".join(failures))


def _failing_rows(connection: duckdb.DuckDBPyConnection | None, node: Any) -> str:  # noqa: ANN401
    """Return what a failed data test found, at most ten rows; nothing without a connection."""
    if connection is None or node.status != "fail":
        return ""
    found = connection.execute(f"select * from ({node.node.compiled_code}) limit 10")
    rows = (", ".join(str(value) for value in row if value is not None) for row in found.fetchall())
    return "".join(f" ({row})" for row in rows)


@cache
def _parsed() -> Manifest:
    return _invoke("parse")


@cache
def manifest() -> dict[str, Any]:
    """Return dbt's manifest of the project as a dict, parsed once per process."""
    _parsed()
    target = Path(os.environ["DBT_TARGET_PATH"])
    return json.loads((target / "manifest.json").read_text())


def _project_sha256() -> str:
    files = [PROJECT / "dbt_project.yml"]
    for folder in SOURCE_FOLDERS:
        files += sorted(path for path in (PROJECT / folder).rglob("*") if path.is_file())
    digest = hashlib.sha256()
    for path in files:
        digest.update(str(path.relative_to(PROJECT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def set_up(connection: duckdb.DuckDBPyConnection) -> bool:
    """Build every seed, view and table when the dbt project is not the one last built here.

    Policy, thresholds and declarations come first, with their tests: nothing is judged by a policy
    that is refused.

    Returns
    -------
    bool
        Whether anything was built.

    Raises
    ------
    DbtFailed
        A SQL model failed, or a test did; the rows that a test found are in the message.
    """
    project_sha256 = _project_sha256()
    builds = connection.execute(
        "select build_number, project_sha256 from recorded.project_builds order by build_number"
    ).fetchall()
    build_number, present_sha256 = builds[-1] if builds else (0, None)
    if present_sha256 == project_sha256:
        return False
    _build(*FIXED, connection=connection)
    untested = ("build", "--exclude-resource-types", "unit_test", "test")
    _invoke(*untested, "--exclude", *FIXED, f"{FIRST_DECISION}+", parsed=_parsed())
    sql_sha256 = decision_sql_sha256()
    _record_judgements(connection, sql_sha256)
    _invoke(*untested, "--select", f"{FIRST_DECISION}+", parsed=_parsed())
    build = {
        "build_number": build_number + 1,
        "project_sha256": project_sha256,
        "decision_sql_sha256": sql_sha256,
    }
    record(connection, {"project_builds": [build]})
    return True


def decision_sql_sha256() -> str:
    """Return the sha256 of the compiled SQL of every SQL model that decides, by name.

    It is compiled as for a full refresh, so it is the same whatever the warehouse holds.
    """
    compiled = _invoke(
        "compile",
        "--full-refresh",
        "--no-write-json",
        "--select",
        "path:models/decisions,resource_type:model",
        "path:models/rollouts,resource_type:model",
        parsed=_parsed(),
    )
    digest = hashlib.sha256()
    for name, code in sorted((node.node.name, node.node.compiled_code) for node in compiled):
        digest.update(f"{name}\0{code}\0".encode())
    return digest.hexdigest()


def _record_judgements(connection: duckdb.DuckDBPyConnection, sql_sha256: str) -> None:
    """Record the code that derives the decisions of each period; what stands there stays."""
    periods = connection.execute(
        """
        select task, as_of_date from intermediate.live_periods
        anti join recorded.judgements using (task, as_of_date)
        """
    ).fetchall()
    judgements = [
        {
            "task": task,
            "as_of_date": as_of_date,
            "code_commit": code_commit(),
            "decision_sql_sha256": sql_sha256,
        }
        for task, as_of_date in periods
    ]
    with transaction(connection):
        insert_facts(connection, "judgements", judgements, skip_existing=True)


def _judge(connection: duckdb.DuckDBPyConnection) -> None:
    """Record the judgements that the next build of the decisions makes."""
    ((sql_sha256,),) = connection.execute(
        "select arg_max(decision_sql_sha256, build_number) from recorded.project_builds"
    ).fetchall()
    _record_judgements(connection, sql_sha256)


def _build(*selection: str, connection: duckdb.DuckDBPyConnection | None = None) -> None:
    _invoke(
        "build",
        "--no-write-json",  # most of the time of a small run
        "--exclude-resource-type",
        "unit_test",
        "--select",
        *selection,
        parsed=_parsed(),
        connection=connection,
    )


def before_scoring(task: str) -> None:
    """Build the features and labels of `task` for the periods that lack them, and test them."""
    _build(f"+train_{task},{GROWING}", f"+score_{task},{GROWING}")


def after_scoring(connection: duckdb.DuckDBPyConnection, task: str) -> None:
    """Build monitoring and decisions for what was scored, and test them and the predictions.

    The verdicts on rollouts are built only while one of `task` runs: they cost half a second.
    """
    _judge(connection)
    is_rolling_out = running_rollout(connection, task) is not None
    _build(
        f"path:models/monitoring,{GROWING}",
        f"path:models/decisions,{GROWING}",
        "path:models/predictions,resource_type:test",
        *([f"path:models/rollouts,{GROWING}"] if is_rolling_out else []),
    )


def decisions(connection: duckdb.DuckDBPyConnection) -> None:
    """Build the decisions alone: a task's first version is judged before anything is scored."""
    _judge(connection)
    _build(f"path:models/decisions,{GROWING}")


def rederive_decisions() -> None:
    """Derive every decision again, in one pass over the recorded facts of the present warehouse.

    Policy and declarations are read as they stand there. Only for a copy of the working file.
    """
    _invoke(
        "run",
        "--full-refresh",
        "--no-write-json",
        "--select",
        "+decide_champion,path:models/decisions",
        "decide_rollout",
        "--exclude",
        *FIXED,
        parsed=_parsed(),
    )


def docs() -> None:
    """Write the docs site as one HTML file into dbt's target folder."""
    _invoke("docs", "generate", "--static")
