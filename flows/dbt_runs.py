"""The only caller of dbt: one invocation at a time, in this process, on the parsed project.

`set_up` builds everything once per state of the dbt project. `before_scoring` and `after_scoring`
build what a day adds: only the incremental tables, because views need no rebuilding.
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

from warehouse.facts import record
from warehouse.home import home

__all__ = [
    "DbtFailed",
    "after_scoring",
    "before_scoring",
    "decisions",
    "docs",
    "manifest",
    "set_up",
]

PROJECT = Path(__file__).parent.parent / "dbt_project"
GROWING = "config.materialized:incremental"
FIXED = ("path:seeds", "path:models/decisions/intermediate")
SOURCE_FOLDERS = ("models", "macros", "seeds", "data_tests")


class DbtFailed(RuntimeError):
    """A dbt invocation failed: the message names each SQL model or test with its own message."""


def _invoke(*arguments: str, parsed: Manifest | None = None) -> Any:  # noqa: ANN401  as dbt gives it
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
        f"{node.node.name}: {' '.join(str(node.message).split())}"
        for node in result.result
        if node.status in ("error", "fail", "runtime error")
    ]
    raise DbtFailed(f"dbt {arguments[0]} failed: " + "; ".join(failures))


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

    Returns
    -------
    bool
        Whether anything was built.
    """
    project_sha256 = _project_sha256()
    builds = connection.execute(
        "select build_number, project_sha256 from recorded.project_builds order by build_number"
    ).fetchall()
    build_number, present_sha256 = builds[-1] if builds else (0, None)
    if present_sha256 == project_sha256:
        return False
    _invoke("build", "--exclude-resource-types", "unit_test", "test", parsed=_parsed())
    # What no day changes is tested here: policy, thresholds, declarations.
    _invoke("test", "--exclude-resource-type", "unit_test", "--select", *FIXED, parsed=_parsed())
    build = {"build_number": build_number + 1, "project_sha256": project_sha256}
    record(connection, {"project_builds": [build]})
    return True


def _build(*selection: str) -> None:
    _invoke(
        "build",
        "--no-write-json",  # most of the time of a small run
        "--exclude-resource-type",
        "unit_test",
        "--select",
        *selection,
        parsed=_parsed(),
    )


def before_scoring(task: str) -> None:
    """Build the features and labels of `task` for the periods that lack them, and test them."""
    _build(f"+train_{task},{GROWING}", f"+score_{task},{GROWING}")


def after_scoring() -> None:
    """Build monitoring and decisions for what was scored, and test them and the predictions."""
    _build(
        f"path:models/monitoring,{GROWING}",
        f"path:models/decisions,{GROWING}",
        "path:models/predictions,resource_type:test",
    )


def decisions() -> None:
    """Build the decisions alone: a task's first version is judged before anything is scored."""
    _build(f"path:models/decisions,{GROWING}")


def docs() -> None:
    """Write the docs site as one HTML file into dbt's target folder."""
    _invoke("docs", "generate", "--static")
