"""Tasks as dbt's manifest declares them, checked against the columns that the SQL models document.

This module owns the reading of ``config.meta.task``. It opens no database: what it needs stands in
the manifest. A declaration that does not fit is refused here, before anything runs.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from pydantic import ValidationError

from models_ml.columns import (
    Column,
    FeatureVersion,
    check_label,
    check_online,
    declaring_file,
    documented_columns,
    feature_version,
)
from models_ml.declaration import CADENCE_DAYS, SUNDAY, Declaration
from models_ml.errors import TaskDeclarationError, UnknownTask

__all__ = [
    "Column",
    "FeatureVersion",
    "Task",
    "TaskDeclarationError",
    "UnknownTask",
    "load_task",
    "load_tasks",
]


class Task(Declaration):
    """A declared task: its declaration, and the columns and relations that go with it."""

    declared_in: str  # the file that holds the declaration
    entity_key_types: dict[str, str]
    feature_versions: dict[int, FeatureVersion]

    @property
    def horizon_days(self) -> int:
        """Days after the as_of_date until the outcome has happened."""
        return self.label.horizon_days

    @property
    def cadence_days(self) -> int:
        """Days between two as_of_dates."""
        return CADENCE_DAYS[self.cadence]

    def training_relation(self, feature_version: int) -> str:
        """Return the relation of the training rows, schema first."""
        return self.feature_versions[feature_version].training_relation

    def scoring_relation(self, feature_version: int) -> str:
        """Return the relation of the rows to score, schema first."""
        return self.feature_versions[feature_version].scoring_relation

    def feature_columns(self, feature_version: int) -> list[str]:
        """Return the names of the features in the order the pipeline takes them."""
        return [column.name for column in self.feature_versions[feature_version].features]

    def training_columns(self, feature_version: int) -> list[str]:
        """Return the documented columns of the training relation, in order."""
        return list(self.feature_versions[feature_version].training_columns)

    def is_as_of_date(self, day: date) -> bool:
        """Tell whether the task speaks on this date."""
        return self.cadence == "daily" or day.weekday() == SUNDAY

    def as_of_dates(self, first: date, last: date) -> list[date]:
        """List the task's as_of_dates from first to last, both included."""
        to_sunday = (SUNDAY - first.weekday()) % 7
        start = first if self.cadence == "daily" else first + timedelta(days=to_sunday)
        count = (last - start).days // self.cadence_days + 1
        return [start + timedelta(days=self.cadence_days * step) for step in range(max(count, 0))]

    def feature_version_at(self, cut_off_date: date) -> int:
        """Return the latest feature version that is available on a date.

        Raises
        ------
        TaskDeclarationError
            No version is available yet.
        """
        available = [
            version
            for version, feature_version in self.feature_versions.items()
            if feature_version.available_from <= cut_off_date
        ]
        if not available:
            first = min(version.available_from for version in self.feature_versions.values())
            raise TaskDeclarationError(
                f"{self.declared_in}: task {self.name} has no version of {self.features.table} on "
                f"{cut_off_date}; the first is available from {first}: take a later date"
            )
        return max(available)


def load_tasks(manifest: Mapping[str, Any]) -> dict[str, Task]:
    """Read every declared task.

    Parameters
    ----------
    manifest : mapping
        dbt's ``manifest.json``.

    Returns
    -------
    dict of str to Task
        By name, in alphabetical order.

    Raises
    ------
    TaskDeclarationError
        A declaration is wrong: names the file, the field, the value and what is accepted.
    """
    declared: dict[str, list[Mapping[str, Any]]] = {}
    for node in manifest["nodes"].values():
        meta = (node.get("config") or {}).get("meta") or {}
        if node["resource_type"] == "model" and "task" in meta:
            declared.setdefault(node["name"], []).append(node)
    tasks = [_task(manifest, declared[name]) for name in sorted(declared)]
    return {task.name: task for task in tasks}


def load_task(manifest: Mapping[str, Any], name: str) -> Task:
    """Read one declared task.

    Raises
    ------
    UnknownTask
        No SQL model declares it; the message lists those that are declared.
    TaskDeclarationError
        A declaration is wrong.
    """
    tasks = load_tasks(manifest)
    if name not in tasks:
        known = ", ".join(tasks) or "none yet: see config.meta.task in models/training_sets/"
        raise UnknownTask(f"no task is called {name!r}; the declared tasks are: {known}")
    return tasks[name]


def _task(manifest: Mapping[str, Any], nodes: list[Mapping[str, Any]]) -> Task:
    path = declaring_file(nodes[0])
    declaration = _declaration(path, nodes)
    train_name, score_name = f"train_{declaration.name}", f"score_{declaration.name}"
    if nodes[0]["name"] != train_name:
        raise TaskDeclarationError(
            f"{path}: name is {declaration.name!r} but the SQL model that declares it is "
            f"{nodes[0]['name']!r}; call the SQL model {train_name}, or rename the task"
        )
    trains = {node["version"]: node for node in nodes}
    scores = {
        node["version"]: node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["name"] == score_name
    }
    for version in declaration.features.versions:
        for sql_model, found in ((train_name, trains), (score_name, scores)):
            if version not in found:
                raise TaskDeclarationError(
                    f"{path}: features.versions names {version}, but {sql_model} has "
                    f"versions {sorted(v for v in found if v is not None) or 'none'}; "
                    "add that version to the SQL model, or take it out of the declaration"
                )
    versions = {
        version: feature_version(path, declaration, version, trains[version], scores[version])
        for version in sorted(declaration.features.versions)
    }
    latest = max(versions)
    check_label(path, declaration, documented_columns(trains[latest]))
    score_types = documented_columns(scores[latest])
    labels = {
        node["name"]: node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["schema"] == "labels"
    }
    check_online(path, declaration, documented_columns(scores[min(versions)]), labels)
    return Task(
        **dict(declaration),
        declared_in=path,
        entity_key_types={name: score_types[name].data_type for name in declaration.entity_key},
        feature_versions=versions,
    )


def _declaration(path: str, nodes: list[Mapping[str, Any]]) -> Declaration:
    metas = [node["config"]["meta"]["task"] for node in nodes]
    if any(meta != metas[0] for meta in metas):
        raise TaskDeclarationError(
            f"{path}: the versions of {nodes[0]['name']} declare different tasks; declare "
            "config.meta.task once, on the SQL model and not on its versions"
        )
    try:
        return Declaration.model_validate(metas[0])
    except ValidationError as error:
        raise TaskDeclarationError(
            "\n".join(_problem(path, problem) for problem in error.errors())
        ) from None


def _problem(path: str, problem: Mapping[str, Any]) -> str:
    field = ".".join(str(part) for part in problem["loc"])
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not field:  # a rule between fields: its message names them
        return f"{path}: config.meta.task: {message}"
    if problem["type"] == "missing":
        return f"{path}: config.meta.task.{field} is missing; add it"
    if problem["type"] == "extra_forbidden":
        fields = ", ".join(Declaration.model_fields)
        return f"{path}: config.meta.task.{field} is not a field; the task's fields are: {fields}"
    return f"{path}: config.meta.task.{field} is {problem['input']!r}: {message}"
